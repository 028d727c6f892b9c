"""The growth schedule: train, grow, train again, keep what helped. Cycles and epochs of every arm are equal.

    plain        |---- cycle ----|---- cycle ----|
    gradient     |---- cycle ----|+|--- cycle ----|          + a dendrite a neuron, t = 0
    perforated   |--- cycle ---|pp+|--- cycle ---|           p candidate epochs, the net standing still
    early        |- c -|+|------- cycle ---------|
    start        +|--- cycle ----|---- cycle ----|

With n dendrites there are n growth steps and n + 1 cycles; the plain arm restarts as often. `share_epochs` makes the
totals equal. A step of mode "growth" that finds nothing worth its price inserts nothing; the cycle is trained all the
same.
"""

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.dendrites import Choice, DendriteConfig, StepReport, grow_step, with_choice
from kws_dendrite.dendrites.places import Batch, remove_silent, remove_stale_wrappers
from kws_dendrite.errors import ConfigError, DataError, DivergenceError
from kws_dendrite.fold import fold
from kws_dendrite.plain import cost
from kws_dendrite.training.batches import PopulationBatches
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.loop import (
    CycleResult,
    Progress,
    Stop,
    cross_entropy,
    device_of,
    fit_statistics,
    predict,
    train_cycle,
)
from kws_dendrite.training.rates import Rates
from kws_dendrite.training.stages import GrowthStep, Stage, TrainResult

CALIBRATION_BATCHES = 2  # of 128 clips: a neuron's mean and deviation to a few percent
EARLY = 0.2  # of the first two cycles, before an early insertion
STEP_SEED = 7919  # apart, so that a step's stream is none of the first cycle's
DEVICE_CORE = "cortex-m4"  # whose modelled cycles are a price


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
    on_stage: Callable[[Stage], None] | None = None,
    stop: Stop | None = None,
    rates: Rates | None = None,
) -> TrainResult:
    """Train a population, with or without dendrites.

    Ctrl-C ends it with the best that there is by then; in a candidate phase that is the model before the growth step.
    `stop` ends it, too, after an epoch or a stage; a growth step that it falls into is neither kept nor told.

    Args:
        model: a fresh population; it is trained in place, where it is, but use the result's, which is on the CPU.
        growth: how to grow; None trains `restarts` + 1 plain cycles, the control of as many growth steps. With
            insertion "start" the dendrites are there at once, and `restarts` + 1 cycles follow.
        seed: of batch order, dropout and candidates; the same seed gives the same weights.
        on_stage: sees every net that training passes through, the last one too.
        stop: asked after every epoch and every stage.
        rates: members' own learning rates and the like, without growth: a growth step is kept or not for all of them.

    Raises:
        ConfigError: `rates` with growth, or of another number of members; growth elsewhere than on the CPU.
        DivergenceError: a loss that is not finite in a plain cycle; a growth step that diverges is a rejected one.
    """
    if rates is not None and growth is not None:
        raise ConfigError(
            "a growth step is kept or not for all members at once: train without growth, or without rates"
        )
    if growth is not None and device_of(model).type != "cpu":
        raise ConfigError(f"dendrites grow on the CPU, and the model is on {device_of(model)}; train it without growth")
    fit_statistics(model, bank)
    from_start = growth is not None and growth.insertion == "start"
    steps = growth.dendrites if growth and not from_start else restarts
    lengths = cycle_lengths(config.epochs, steps, early=growth is not None and growth.insertion == "early")
    first = []
    if growth and from_start:
        for number in range(1, growth.dendrites + 1):
            report = grow_in_place(model, bank, config, growth, seed + STEP_SEED * number)
            first.append(GrowthStep(0, number, growth.mode, True, math.nan, None, report.scores, report.chosen))
    first_config = replace(config, epochs=lengths[0])
    cycle = train_cycle(model, bank, first_config, seed, phase="cycle 1", progress=progress, stop=stop, rates=rates)
    loss = _mean(cycle.best_loss)
    first = [replace(step, loss_before=loss, loss_after=loss) for step in first]  # there is no net before it
    result = TrainResult(
        model, cycle.history, first, cycle.best_loss, cycle.best_accuracy, cycle.interrupted, cycle.stopped
    )
    for step in first:
        on_growth(step)
    phase_epochs = _epochs_beside_cycles(growth)

    def passed(step: int) -> None:
        """Tell the stage after `step` restarts or growth steps, then ask whether to go on."""
        if on_stage and not result.ended:
            clean = copy.deepcopy(result.model).cpu()
            remove_silent(clean)
            remove_stale_wrappers(clean)
            tried = 0 if growth is None or from_start else step
            on_stage(
                Stage(
                    clean,
                    sum(done.accepted and bool(done.chosen) for done in result.growth),
                    tried,
                    step + 1,
                    sum(lengths[: step + 1]) + tried * phase_epochs,
                    result.best_loss,
                    result.best_accuracy,
                )
            )
        if stop and not result.ended:
            result.stopped = stop()

    passed(0)
    tries = 0
    for step in range(1, steps + 1):
        if result.ended:
            break
        here = replace(config, epochs=lengths[step])
        seed_here = seed + STEP_SEED * step
        if growth is None or from_start:
            phase = f"cycle {step + 1}"
            cycle = train_cycle(
                result.model,
                bank,
                here,
                seed_here,
                phase=phase,
                first_epoch=len(result.history),
                progress=progress,
                stop=stop,
                rates=rates,
            )
            _extend(result, cycle)
            passed(step)
            continue
        outcome = _grow_and_train(result, bank, here, growth, step, seed_here, progress, stop)
        if outcome is None:
            break
        result.growth.append(outcome)
        on_growth(outcome)
        if outcome.accepted:
            passed(step)
        tries = 0 if outcome.accepted else tries + 1
        if tries >= growth.tries:
            break
    result.model.cpu()
    remove_silent(result.model)
    remove_stale_wrappers(result.model)
    return result


def _grow_and_train(
    result: TrainResult,
    bank: FeatureBank,
    config: TrainConfig,
    growth: DendriteConfig,
    step: int,
    seed: int,
    progress: Progress | None,
    stop: Stop | None,
) -> GrowthStep | None:
    """One growth step and its cycle; `result` becomes the grown net's if it is kept. None: Ctrl-C before the cycle, or
    `stop` in it."""
    before = result.model
    losses_before = clip_losses(before, bank)
    try:
        grown, report = grow(before, bank, config, growth, seed)
        rate = probe_rate(grown, bank, config, growth.probe, seed) if growth.probe else config.learning_rate
    except KeyboardInterrupt:
        result.interrupted = True
        return None
    config = replace(config, learning_rate=rate)
    epoch = len(result.history)
    loss_before = _mean(result.best_loss)
    try:
        cycle = train_cycle(
            grown, bank, config, seed, phase=f"dendrite {step}", first_epoch=epoch, progress=progress, stop=stop
        )
    except DivergenceError:  # the grown net diverged, the one before did not: growth that does not help
        return GrowthStep(epoch, step, growth.mode, False, loss_before, None, report.scores, report.chosen)
    if cycle.stopped:
        result.history += cycle.history
        result.stopped = True
        return None
    loss_after = _mean(cycle.best_loss)
    error = paired_standard_error(losses_before, clip_losses(grown, bank))
    accepted = is_better(loss_before, loss_after, error, growth)
    if accepted:
        result.model = grown
        _extend(result, cycle)
    else:
        result.history += cycle.history
        result.interrupted = cycle.interrupted
    return GrowthStep(
        epoch,
        step,
        growth.mode,
        accepted,
        loss_before,
        loss_after,
        report.scores,
        report.chosen,
        error if math.isfinite(error) else None,
        rate if growth.probe else None,
    )


def grow(
    model: nn.Module, bank: FeatureBank, config: TrainConfig, growth: DendriteConfig, seed: int
) -> tuple[nn.Module, StepReport]:
    """One growth step: a copy of `model` with the new dendrites and the same function, and what was found.

    `model` itself is left as it is. A pure function of its arguments.
    """
    grown = copy.deepcopy(model)
    return grown, grow_in_place(grown, bank, config, growth, seed)


def grow_in_place(
    model: nn.Module, bank: FeatureBank, config: TrainConfig, growth: DendriteConfig, seed: int
) -> StepReport:
    """`grow`, on `model` itself."""
    P = next(iter(model.parameters())).shape[0]
    batches = PopulationBatches(bank, config, P, seed + 1)
    calibration = torch.cat([x for _, (x, _) in zip(range(CALIBRATION_BATCHES), batches.epoch(), strict=False)], 1)

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits, labels, config.label_smoothing)

    training, held_out = bank, None
    if growth.mode == "growth":
        training, held_out = split_clips(bank, growth.held_out, seed)

    def epochs() -> Iterable[Iterable[Batch]]:
        source = PopulationBatches(training, config, P, seed + 2)
        return (source.epoch() for _ in range(growth.candidate_epochs))

    def held_out_batches() -> Iterable[Batch]:
        assert held_out is not None
        once_each = replace(config, word_balance=0.0)  # a clip that came twice would count as two
        return PopulationBatches(held_out, once_each, P, seed + 3).epoch()

    price = Pricing(model, growth.price)
    return grow_step(model, calibration, epochs, held_out_batches, growth, seed, loss, price)


class Pricing:
    """What a choice adds to the folded net: parameters, MACs or modelled cycles of one inference."""

    def __init__(self, model: nn.Module, unit: str) -> None:
        self.model, self.unit = model, unit
        self.base: float | None = None

    def __call__(self, choice: Choice) -> float:
        if self.base is None:
            self.base = self._count(self.model)
        return self._count(with_choice(self.model, choice)) - self.base

    def _count(self, model: nn.Module) -> float:
        graph = fold(model, 0)
        if self.unit == "cycles":
            from kws_dendrite.plain import device_cost

            return float(device_cost(graph, DEVICE_CORE).cycles)
        counted = cost(graph)
        return counted.parameters if self.unit == "parameters" else counted.macs


def split_clips(bank: FeatureBank, share: float, seed: int) -> tuple[FeatureBank, FeatureBank]:
    """The bank's training clips in two, `share` of them in the second; which go where depends on `seed` alone.

    Raises:
        DataError: a part would have fewer than two clips.
    """
    N = bank.train.shape[1]
    held = round(share * N)
    if min(held, N - held) < 2:
        raise DataError(
            f"{N} training clips are too few to hold {share:.0%} of them out for judging candidates; give more clips, "
            "or take mode 'gradient', which needs none"
        )
    order = np.random.default_rng([seed, 4]).permutation(N)
    return _part(bank, np.sort(order[held:])), _part(bank, np.sort(order[:held]))


def _part(bank: FeatureBank, clips: np.ndarray) -> FeatureBank:
    rows = {"train": bank.train[:, clips], "train_labels": bank.train_labels[clips]}
    if bank.train_words is not None:
        rows["train_words"] = bank.train_words[clips]
    if bank.teacher is not None:
        rows["teacher"] = bank.teacher[:, clips]
    return replace(bank, **rows)


def probe_rate(
    model: nn.Module, bank: FeatureBank, config: TrainConfig, factors: tuple[float, ...], seed: int
) -> float:
    """The restart learning rate, `factors` times the cycle's, that leaves the lowest validation loss after one epoch.

    Every probe starts from a copy of `model`. One that diverges is out; where all do, the smallest is taken.

    Raises:
        KeyboardInterrupt: Ctrl-C in one of the epochs.
    """
    best, lowest = min(factors) * config.learning_rate, math.inf
    for factor in factors:
        rate = factor * config.learning_rate
        trial = copy.deepcopy(model)
        try:
            cycle = train_cycle(trial, bank, replace(config, epochs=1, learning_rate=rate), seed, phase="probe")
        except DivergenceError:
            continue
        if cycle.interrupted:  # which a cycle takes for its end; here it is the growth step's
            raise KeyboardInterrupt
        last = _mean(cycle.history[-1].validation_loss)
        if last < lowest:
            best, lowest = rate, last
    return best


def clip_losses(model: nn.Module, bank: FeatureBank) -> Tensor:
    """Cross-entropy of every member on every validation clip: (P, M)."""
    logits = predict(model, torch.from_numpy(bank.validation).float())
    return cross_entropy(logits, torch.from_numpy(bank.validation_labels).expand(logits.shape[0], -1))


def paired_standard_error(before: Tensor, after: Tensor) -> float:
    """Standard error over clips of the mean difference of losses (P, M), members averaged clip by clip: two nets are
    paired by their clips, and clips are what another validation set would change. NaN of a single clip."""
    difference = (after - before).mean(0)
    if len(difference) == 1:
        return math.nan
    return (difference.std() / math.sqrt(len(difference))).item()


def is_better(before: float, after: float, standard_error: float, growth: DendriteConfig) -> bool:
    """Whether a step is kept: the loss is lower by `min_improvement` of it, and by `standard_errors` of the paired
    difference."""
    if growth.standard_errors and not before - after > growth.standard_errors * standard_error:
        return False
    return after < before * (1 - growth.min_improvement)


def cycle_lengths(epochs: int, steps: int, *, early: bool = False) -> list[int]:
    """Epochs of each of `steps` + 1 cycles: all alike, or with the first shorter and the second longer."""
    lengths = [epochs] * (steps + 1)
    if early and steps:
        lengths[0] = max(1, round(EARLY * 2 * epochs))
        lengths[1] = 2 * epochs - lengths[0]
    return lengths


def share_epochs(config: TrainConfig, total: int, growth: DendriteConfig | None, restarts: int = 0) -> TrainConfig:
    """`config` with cycles of such a length that all of them, candidate phases and probes take at most `total` epochs.

    The epochs of every arm are then equal, to the rounding of a cycle: 40 in all are two cycles of 20 for the plain
    arm with a restart and for "gradient", and two of 16 around 8 candidate epochs for "perforated".

    Raises:
        ConfigError: the candidate phases leave less than an epoch a cycle, or `restarts` is negative.
    """
    if restarts < 0:
        raise ConfigError(f"restarts is at least 0; got {restarts}")
    steps = growth.dendrites if growth and growth.insertion != "start" else restarts
    beside = _epochs_beside_cycles(growth) * steps
    cycle = (total - beside) // (steps + 1)
    if cycle < 1:
        raise ConfigError(
            f"{total} epoch{'s leave' if total != 1 else ' leaves'} none for {steps + 1} cycles after {beside} "
            "candidate and probe epochs; "
            f"take at least {beside + steps + 1}, or fewer steps of growth"
        )
    return replace(config, epochs=cycle)


def _epochs_beside_cycles(growth: DendriteConfig | None) -> int:
    """Epochs that a growth step takes before its cycle: of candidates, and of probes of the learning rate."""
    if growth is None or growth.insertion == "start":
        return 0
    return (growth.candidate_epochs if growth.trains_candidates else 0) + len(growth.probe)


def _extend(result: TrainResult, cycle: CycleResult) -> None:
    result.history += cycle.history
    result.best_loss, result.best_accuracy = cycle.best_loss, cycle.best_accuracy
    result.interrupted, result.stopped = cycle.interrupted, cycle.stopped


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
