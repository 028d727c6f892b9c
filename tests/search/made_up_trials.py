"""Trials whose curves are made up: each rises from a level to its own end, with noise; no training."""

from dataclasses import dataclass

import numpy as np

from kws_dendrite.search.points import Point


@dataclass(frozen=True)
class MadeUp:
    """What the rule and a replay read of a trial."""

    number: int
    slot: int
    arm: str
    state: str
    planned: int
    points: tuple[Point, ...]
    curve: tuple[dict, ...]
    seconds: float = 10.0
    saved: int = 0


def point(size, accuracy, dendrites=0, loss=None):
    losses = (1 - accuracy,) * 2 if loss is None else (loss,) * 2
    return Point(dendrites, accuracy, (accuracy,) * 2, losses, int(size), int(10 * size), float(size), 8)


def curve(accuracies):
    """Two members alike; the loss falls as the accuracy rises."""
    return tuple(
        {"epoch": epoch, "phase": "cycle 1", "validation_loss": [1 - value] * 2, "validation_accuracy": [value] * 2}
        for epoch, value in enumerate(accuracies)
    )


def trial(number, accuracies, size=100, arm="plain", state="complete", final=None, slot=None, planned=None):
    accuracies = list(accuracies)
    final = max(accuracies) if final is None else final
    return MadeUp(
        number, number if slot is None else slot, arm, state, planned or len(accuracies),
        (point(size, final),), curve(accuracies),
    )  # fmt: skip


def population(count, seed=0, epochs=16):
    """Trials of one source: log size, skill and pace are drawn, the larger net is the better one on the whole."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        size = float(np.exp(random.uniform(5, 8)))
        end = 0.55 + 0.05 * (np.log(size) - 5) + 0.35 * random.beta(4, 2)
        start, pace = random.uniform(0.2, 0.5), random.uniform(1.5, 6)
        x = np.arange(1, epochs + 1) / epochs
        rise = start + (end - start) * (1 - np.exp(-pace * x)) / (1 - np.exp(-pace))
        values = np.clip(rise + random.normal(0, 0.01, epochs) * (1.2 - x), 0.0, 0.999)
        found.append(trial(number, [float(value) for value in values.round(4)], round(size)))
    return found
