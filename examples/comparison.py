"""Does growing dendrites cut a small net's remaining error, and more than its parameters spent on width?

Four arms, paired by seed: the same net with the same restarts (the control), the net grown, and a wider net of at least
the grown one's size with the same restarts. Every arm has the same epochs in all, candidate epochs included, the same
batches, and is chosen by the same validation clips; the test clips are read once, at the end of each.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kws_dendrite.dendrites import DendriteConfig, GrowerConfig, grow, merge, parameter_groups
from kws_dendrite.evaluation import paired_difference

Part = tuple[Tensor, Tensor]  # inputs, labels
RATE, DECAY = 0.01, 1e-3


@dataclass(frozen=True)
class Data:
    """One seed's split."""

    train: Part
    validation: Part
    test: Part


@dataclass(frozen=True)
class Schedule:
    """Attributes:
    steps: of growth; the control restarts as often.
    epochs: of all phases together.
    batch: clips a batch.
    """

    steps: int = 2
    epochs: int = 60
    batch: int = 64


def settings(mode: str, schedule: Schedule, seed: int) -> GrowerConfig:
    """How an arm is trained: "sham" is the control, whose dendrites are held at zero and taken off again."""
    candidate_epochs = 4
    spent = candidate_epochs * schedule.steps if mode in ("perforated", "growth") else 0
    dendrite = DendriteConfig(
        mode=mode, dendrites=schedule.steps, activation="tanh", candidate_epochs=candidate_epochs, tries=schedule.steps
    )  # type: ignore[arg-type]
    return GrowerConfig("lower", dendrite, epochs=(schedule.epochs - spent) // (schedule.steps + 1), seed=seed)


def train(net: nn.Module, data: Data, mode: str, schedule: Schedule, seed: int) -> tuple[nn.Module, float, int]:
    """An arm's net, its test error in % and its parameters once merged."""
    config = settings(mode, schedule, seed)
    generator = torch.Generator().manual_seed(seed)
    inputs, labels = data.train

    def batches() -> Iterator[Part]:
        order = torch.randperm(len(inputs), generator=generator)
        for index in order.split(schedule.batch):
            if len(index) > 1:
                yield inputs[index], labels[index]

    def optimizer(model: nn.Module) -> tuple[torch.optim.Optimizer, object]:
        made = torch.optim.AdamW(parameter_groups(model, DECAY), lr=RATE)
        return made, torch.optim.lr_scheduler.CosineAnnealingLR(made, config.epochs)

    def validate(model: nn.Module) -> float:
        return F.cross_entropy(model(data.validation[0]), data.validation[1]).item()

    result = grow(net, batches, validate, F.cross_entropy, optimizer, config, in_place=True)
    merged = merge(result.model)
    with torch.no_grad():
        wrong = (merged(data.test[0]).argmax(1) != data.test[1]).float().mean().item()
    return merged, 100 * wrong, sum(p.numel() for p in merged.parameters())


def compare(
    split: Callable[[int], Data],
    make: Callable[[int], nn.Module],
    width: int,
    seeds: int,
    modes: tuple[str, ...],
    schedule: Schedule,
) -> str:
    """The table of all arms. `split` and `make` give a seed's data and a net of a width."""
    start = time.perf_counter()
    errors: dict[str, list[float]] = {}
    sizes: dict[str, list[int]] = {}

    def run(arm: str, mode: str, width: int, seed: int) -> int:
        torch.manual_seed(seed)
        _, wrong, size = train(make(width), split(seed), mode, schedule, seed)
        errors.setdefault(arm, []).append(wrong)
        sizes.setdefault(arm, []).append(size)
        return size

    for seed in range(seeds):
        run("control", "sham", width, seed)
        for mode in modes:
            size = run(mode, mode, width, seed)
            wider = next(w for w in range(width, 100 * width) if count(make(w)) >= size)
            run(f"wider than {mode}", "sham", wider, seed)
    lines = [f"{'arm':24} {'parameters':>10} {'test error %':>13}"]
    for arm, found in errors.items():
        lines.append(f"{arm:24} {np.mean(sizes[arm]):10.0f} {np.mean(found):8.2f} ± {np.std(found, ddof=1):.2f}")
    for mode in modes:
        for arm, than in ((mode, "control"), (mode, f"wider than {mode}"), (f"wider than {mode}", "control")):
            lines.append(cut(arm, than, errors))
    lines.append(f"{seeds} paired seeds, {schedule.epochs} epochs an arm; {time.perf_counter() - start:.0f} s")
    return "\n".join(lines)


def cut(arm: str, than: str, errors: dict[str, list[float]]) -> str:
    """How much of one arm's error another cuts, and the difference in points with its 95 % interval over seeds."""
    found = paired_difference(errors[than], errors[arm])
    share = 100 * found.mean / max(float(np.mean(errors[than])), 1e-9)
    low, high = found.interval
    return f"{arm} against {than}: cuts {share:+.0f} % of its error, {found.mean:+.2f} [{low:+.2f}, {high:+.2f}] points"


def count(net: nn.Module) -> int:
    """Parameters."""
    return sum(p.numel() for p in net.parameters())
