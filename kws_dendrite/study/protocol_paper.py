"""The paper's own protocol beside the honest one: what would each have concluded?

Gopal et al. (arXiv 2605.15647): one seed, a random search, the best trial by 165 validation clips reported on 165 test
clips; dendrites come on top of a net (more parameters than it) and each brings a further cycle of as many epochs. Here
the arms have equally many trials, where the published search had twice as many with dendrites.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError
from kws_dendrite.study.comparison import Scored, plain_of
from kws_dendrite.study.rows import RowPlan
from kws_dendrite.study.sizes import NARROWEST, measure

CLIPS = 165  # of validation and of test, as published
DRAWS = 10_000  # of as many test clips, to see how far such a reading reaches
ARMS = ("plain", "gradient", "perforated")
PREFIX = "paper"
# What the published search drew, as far as the separable family has it; learning rates as shares of the recipe's.
RATES = (0.3, 0.6, 1.0)
WIDTHS = (0.5, 1.0)
DENDRITES = (1, 2, 3)
ACTIVATIONS = ("sigmoid", "relu", "tanh")
LAYERS = ("all", "head")


@dataclass(frozen=True)
class PaperConfig:
    """Attributes:
    trials: of each arm at each size.
    clips: of validation, which choose the epoch and the trial, and of test.
    """

    trials: int = 20
    clips: int = CLIPS

    def __post_init__(self) -> None:
        if self.trials < 1 or self.clips < 2:
            raise ConfigError(f"trials are at least 1 and clips at least 2; got {self.trials} and {self.clips}")


def paper_plans(plain: RowPlan, config: PaperConfig, epochs: int) -> list[RowPlan]:
    """Every trial at the size of a plain row, whose net is the widest that is drawn.

    Args:
        plain: the honest plan of the plain arm at the size.
        config: how many trials.
        epochs: of one cycle; each dendrite brings as many again.
    """
    return [_trial(plain, config, epochs, arm, number) for arm in ARMS for number in range(config.trials)]


def _trial(plain: RowPlan, config: PaperConfig, epochs: int, arm: str, number: int) -> RowPlan:
    rng = np.random.default_rng([plain.seed, plain.size, ARMS.index(arm), number])
    rate, width = RATES[rng.integers(len(RATES))], WIDTHS[rng.integers(len(WIDTHS))]
    usual = plain.architecture
    architecture = replace(usual, channels=max(NARROWEST, round(width * usual.channels)))
    growth = None
    if arm != "plain":
        growth = DendriteConfig(
            mode=arm,
            dendrites=int(rng.choice(DENDRITES)),
            activation=ACTIVATIONS[rng.integers(len(ACTIVATIONS))],
            layers=LAYERS[rng.integers(len(LAYERS))],
        )
    return replace(
        plain,
        arm=f"{PREFIX}-{arm}-{number:02d}",
        title=f"the paper's protocol, {arm}",
        architecture=architecture,
        train=replace(plain.train, epochs=epochs, learning_rate=rate * plain.train.learning_rate),
        growth=growth,
        restarts=0,
        members=1,
        parameters=measure(architecture, growth).parameters,
        validation_clips=config.clips,
    )


def is_paper(arm: str) -> bool:
    """Whether a row is a trial of this protocol."""
    return arm.startswith(f"{PREFIX}-")


def with_few_clips(bank: FeatureBank, clips: int, seed: int) -> FeatureBank:
    """The bank with `clips` of its validation clips, drawn by the seed; all of them where there are no more."""
    chosen = draw_clips(len(bank.validation_labels), clips, seed)
    return replace(bank, validation=bank.validation[chosen], validation_labels=bank.validation_labels[chosen])


def draw_clips(count: int, clips: int, seed: int) -> np.ndarray:
    """Which clips, in order."""
    rng = np.random.default_rng([seed, count, clips])
    return np.sort(rng.permutation(count)[:clips])


def conclude(trials: Sequence[Scored], honest: Sequence[Scored], seed: int, clips: int = CLIPS) -> list[dict[str, Any]]:
    """What the paper's protocol says at each size, and what the honest rows say under its clips and seeds.

    Args:
        trials: its trials, read on the test clips.
        honest: the study's other rows, read on the test clips.
        seed: draws the test clips.
        clips: how many.
    """
    found = []
    for size in sorted({one.row.size for one in trials}):
        best = {arm: _best([one for one in trials if _arm(one) == arm and one.row.size == size]) for arm in ARMS}
        plain = best["plain"]
        if plain is None:
            continue
        for arm in ARMS[1:]:
            if best[arm] is not None:
                found.append(_conclude(best[arm], plain, arm, size, seed, clips, honest, trials))
    return found


def _conclude(
    dendritic: Scored,
    plain: Scored,
    arm: str,
    size: int,
    seed: int,
    clips: int,
    honest: Sequence[Scored],
    trials: Sequence[Scored],
) -> dict[str, Any]:
    first, second = dendritic.correct[0].astype(float), plain.correct[0].astype(float)
    chosen = draw_clips(len(first), clips, seed)
    rng = np.random.default_rng([seed, size])
    read = first[chosen].mean() - second[chosen].mean()
    drawn = _redrawn((first - second)[None], clips, rng)
    value: dict[str, Any] = {
        "arm": arm,
        "size": size,
        "trials": sum(_arm(one) == arm and one.row.size == size for one in trials),
        "clips": len(chosen),
        "validation": [float(np.mean(one.row.validation_accuracy)) for one in (dendritic, plain)],
        "test": [float(first[chosen].mean()), float(second[chosen].mean())],
        "parameters": [dendritic.row.mean_parameters, plain.row.mean_parameters],
        "epochs": [dendritic.row.epochs, plain.row.epochs],
        "difference": float(read),
        "difference_clips": round(read * len(chosen)),
        "on_all_clips": float((first - second).mean()),
        "other_clips": drawn,
        "concludes": "better" if read > 0 else "worse" if read < 0 else "equal",
        "honest": None,
    }
    ours = next((one for one in honest if one.row.arm == arm and one.row.size == size), None)
    reference = plain_of(honest, size)
    if ours is not None and reference is not None and ours.correct.shape == reference.correct.shape:
        difference = ours.correct.astype(float) - reference.correct
        value["honest"] = {"difference": float(difference.mean()), "one_seed": _redrawn(difference, clips, rng)}
    return value


def _redrawn(difference: np.ndarray, clips: int, rng: np.random.Generator) -> dict[str, Any]:
    """One seed and so many clips, drawn again and again from (P, N): the range of what one would have read."""
    P, N = difference.shape
    count = min(clips, N)
    rows, columns = rng.integers(P, size=DRAWS), rng.integers(N, size=(DRAWS, count))
    means = difference[rows[:, None], columns].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"interval": [float(low), float(high)], "better": float((means > 0).mean())}


def _best(trials: Sequence[Scored]) -> Scored | None:
    """The trial with the highest validation accuracy; the first of equals."""
    return max(trials, key=lambda one: one.row.validation_accuracy[0], default=None)


def _arm(one: Scored) -> str:
    return one.row.arm.split("-")[1]
