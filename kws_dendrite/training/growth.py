"""The growth schedule: train, grow, train again, keep what helped. Cycles and epochs of every arm are equal.

    plain        |---- cycle ----|---- cycle ----|
    gradient     |---- cycle ----|+|--- cycle ----|          + a dendrite a neuron, t = 0
    perforated   |--- cycle ---|pp+|--- cycle ---|           p candidate epochs, the net standing still

With n dendrites there are n growth steps and n + 1 cycles; the plain arm restarts as often. `share_epochs` makes the
totals equal.
"""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import nn

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.dendrites import DendriteConfig, attach, draw_candidates, insert, train_candidates
from kws_dendrite.dendrites.growth import remove_stale_wrappers
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.training.batches import PopulationBatches
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.loop import CycleResult, EpochRecord, Progress, cross_entropy, fit_statistics, train_cycle

CALIBRATION_BATCHES = 2  # of 128 clips: a neuron's mean and deviation to a few percent


@dataclass(frozen=True)
class GrowthStep:
    """What one growth step did.

    Losses are the population's mean at the members' best epochs; `loss_after` is None where the grown net diverged.
    """

    epoch: int
    dendrites: int
    kind: str
    accepted: bool
    loss_before: float
    loss_after: float | None
    scores: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As stored in a checkpoint's growth list."""
        return asdict(self)


@dataclass
class TrainResult:
    """Attributes:
    model: trained, grown where that helped, every member at its best epoch.
    history: all epochs of all cycles.
    growth: all growth steps, the rejected ones too.
    best_loss, best_accuracy: validation figures of every member of `model`.
    interrupted: Ctrl-C ended it early.
    """

    model: nn.Module
    history: list[EpochRecord]
    growth: list[GrowthStep]
    best_loss: list[float]
    best_accuracy: list[float]
    interrupted: bool = False


def train(
    model: nn.Module,
    bank: FeatureBank,
    config: TrainConfig,
    *,
    growth: DendriteConfig | None = None,
    restarts: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
    on_growth: Callable[[GrowthStep], None] = lambda step: None,
) -> TrainResult:
    """Train a population, with or without dendrites.

    Ctrl-C ends it with the best that there is by then; in a candidate phase that is the model before the growth step.

    Args:
        model: a fresh population; it is trained in place, but use the result's.
        growth: how to grow; None trains `restarts` + 1 plain cycles, the control of as many growth steps.
        seed: of batch order, dropout and candidates; the same seed gives the same weights.
    """
    fit_statistics(model, bank)
    cycle = train_cycle(model, bank, config, seed, phase="cycle 1", progress=progress)
    result = TrainResult(model, cycle.history, [], cycle.best_loss, cycle.best_accuracy, cycle.interrupted)
    steps = growth.dendrites if growth else restarts
    for step in range(1, steps + 1):
        if result.interrupted:
            break
        seed_here = seed + 7919 * step  # any other stream than the first cycle's
        if growth is None:
            cycle = train_cycle(
                result.model,
                bank,
                config,
                seed_here,
                phase=f"cycle {step + 1}",
                first_epoch=len(result.history),
                progress=progress,
            )
            _extend(result, cycle)
            continue
        before = result.model
        try:
            grown, scores = grow(before, bank, config, growth, seed_here)
        except KeyboardInterrupt:
            result.interrupted = True
            break
        loss_before = _mean(result.best_loss)
        try:
            cycle = train_cycle(
                grown,
                bank,
                config,
                seed_here,
                phase=f"dendrite {step}",
                first_epoch=len(result.history),
                progress=progress,
            )
            loss_after = _mean(cycle.best_loss)
        except DataError:  # the grown net diverged, the one before did not: growth that does not help
            cycle, loss_after = CycleResult(), None
        accepted = loss_after is not None and loss_after < loss_before * (1 - growth.min_improvement)
        record = GrowthStep(
            len(result.history), step, growth.mode, accepted, loss_before, loss_after, scores
        )
        result.growth.append(record)
        on_growth(record)
        if accepted:
            result.model = grown
            _extend(result, cycle)
        else:
            result.history += cycle.history
            result.interrupted = cycle.interrupted
            break
    remove_stale_wrappers(result.model)
    return result


def grow(
    model: nn.Module, bank: FeatureBank, config: TrainConfig, growth: DendriteConfig, seed: int
) -> tuple[nn.Module, dict[str, float]]:
    """One growth step: a copy of `model` with one dendrite more a neuron and the same function; mean scores a layer.

    `model` itself is left as it is. A pure function of its arguments.
    """
    P = next(iter(model.parameters())).shape[0]
    grown = copy.deepcopy(model)
    attach(grown, growth)
    batches = PopulationBatches(bank, config, P, seed + 1)
    calibration = torch.cat([x for _, (x, _) in zip(range(CALIBRATION_BATCHES), batches.epoch(), strict=False)], 1)
    branches = draw_candidates(grown, calibration, torch.Generator().manual_seed(seed))
    if growth.mode == "gradient":
        insert(grown, branches, None, frozen=False)
        return grown, {}
    epochs = (batches.epoch() for _ in range(growth.candidate_epochs))
    cascades, scores = train_candidates(grown, branches, epochs, growth, cross_entropy)
    insert(grown, branches, cascades, frozen=True)
    return grown, {name: value.mean().item() for name, value in scores.items()}


def share_epochs(config: TrainConfig, total: int, growth: DendriteConfig | None, restarts: int = 0) -> TrainConfig:
    """`config` with cycles of such a length that all of them and the candidate phases take at most `total` epochs.

    The epochs of every arm are then equal, to the rounding of a cycle: 40 in all are two cycles of 20 for the plain
    arm with a restart and for "gradient", and two of 16 around 8 candidate epochs for "perforated".

    Raises:
        ConfigError: the candidate phases leave less than an epoch a cycle, or `restarts` is negative.
    """
    if restarts < 0:
        raise ConfigError(f"restarts is at least 0; got {restarts}")
    steps = growth.dendrites if growth else restarts
    candidates = growth.candidate_epochs * steps if growth and growth.mode == "perforated" else 0
    cycle = (total - candidates) // (steps + 1)
    if cycle < 1:
        raise ConfigError(
            f"{total} epochs leave none for {steps + 1} cycles after {candidates} candidate epochs; "
            "take more epochs, fewer dendrites or fewer candidate epochs"
        )
    return replace(config, epochs=cycle)


def _extend(result: TrainResult, cycle: CycleResult) -> None:
    result.history += cycle.history
    result.best_loss, result.best_accuracy = cycle.best_loss, cycle.best_accuracy
    result.interrupted = cycle.interrupted


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
