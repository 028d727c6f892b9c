"""What the learning block trains: one model, or the pick of a search, in the time there is."""

import math
import tempfile
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from kws_dendrite.cli.block_clock import BlockClock, TimeUp
from kws_dendrite.cli.block_parameters import LEARNING_RATE, NONE, TRAIN, Settings
from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.fold import fold
from kws_dendrite.models import ModelConfig, SeparableConfig, build_model, configure_model, keeps_level
from kws_dendrite.plain import cost
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import GrowthStep, TrainResult, share_epochs, train
from kws_dendrite.training.loop import EpochRecord

if TYPE_CHECKING:
    from kws_dendrite.search import Space, TrialResult

Say = Callable[[str], None]

# Steps an epoch, at least, as long as that leaves batches of 16: with 200 clips of Speech Commands, 3 classes, 60
# epochs, 4 seeds, batches of 128 gave 78.3 % on validation and batches of 16 84.3 %; with 600 clips it did not matter.
STEPS, SMALLEST_BATCH = 16, 16

WIDTH, KERNEL = "separable.channels", "separable.kernel"  # dimensions of the search's space
TRIAL_SHARE = 0.4  # of the epochs: what a trial of a search trains; the picked net then trains for all of them
TRIAL_SEEDS = 2
SEARCH_SHARE = 0.6  # of the time for training, at most: the picked net is trained in the rest
FIRST_TELLS = 0.25  # of the time left: a first epoch that takes more is believed; one that takes less has warmed up too
PLANNED = 0.95  # of the time left: what a shorter schedule is planned for
CANDIDATE_EPOCHS = 8  # DendriteConfig's, in trainings long enough for them
CANDIDATE_SHARE = 1 / 6  # of the epochs, at most


@dataclass(frozen=True)
class Plan:
    """What is to be trained.

    Attributes:
        architecture: of the net.
        learning_rate: of its first cycle.
        growth: how dendrites grow, or None.
        restarts: further cycles where none do.
        recipe: settings of training that a search chose, beside the learning rate.
    """

    architecture: ModelConfig
    learning_rate: float
    growth: DendriteConfig | None = None
    restarts: int = 0
    recipe: dict[str, Any] = field(default_factory=dict)


def default_plan(bank: FeatureBank) -> Plan:
    """The default net: of about the size and kind that a search comes to."""
    _, T, F = bank.validation.shape
    return Plan(configure_model("separable", {}, T, F, len(bank.labels), bank.frontend), LEARNING_RATE)


def plan_one(settings: Settings, bank: FeatureBank) -> Plan:
    """The plan that the parameters ask for in mode "train".

    Raises:
        ConfigError: a family that cannot read these features, epochs that leave none for the dendrites' cycles.
    """
    _, T, F = bank.validation.shape
    architecture = configure_model(settings["family"], {}, T, F, len(bank.labels), bank.frontend)
    growth = None
    if settings["dendrites"] != NONE:
        candidates = max(1, min(CANDIDATE_EPOCHS, int(settings["epochs"] * CANDIDATE_SHARE)))
        growth = DendriteConfig(mode=settings["dendrites"], candidate_epochs=candidates)
        _check_epochs(settings, fewest_epochs(replace(growth, candidate_epochs=1)))
    return Plan(architecture, settings.learning_rate, growth)


def fewest_epochs(growth: DendriteConfig | None, restarts: int = 0) -> int:
    """Epochs in all that leave one for each cycle."""
    for total in count(1):
        try:
            share_epochs(TrainConfig(), total, growth, restarts)
        except ConfigError:
            continue
        return total
    raise AssertionError("some number of epochs is enough")


def _check_epochs(settings: Settings, fewest: int) -> None:
    if settings["epochs"] < fewest:
        raise ConfigError(
            f"epochs is {settings['epochs']}; dendrites {settings['dendrites']} in mode {settings['mode']} take "
            f"{fewest} at least"
        )


def plan_by_search(settings: Settings, bank: FeatureBank, clock: BlockClock, say: Say) -> Plan:
    """The most accurate trial within the parameter limit; where none was finished, the widest net within it.

    Raises:
        ConfigError: a limit below the smallest net of the space, dendrites that no search has, or too few epochs for
            them.
    """
    from kws_dendrite.search import ARMS, SearchConfig, pick

    limit, mode = settings["max-params"], settings["dendrites"]
    if mode != NONE and mode not in ARMS:
        known = ", ".join([NONE, *(arm for arm in ARMS if arm != "plain")])
        raise ConfigError(f"a search takes dendrites {known}; got {mode}: choose one of those, or mode {TRAIN}")
    space = fitting_space(bank, limit)
    growth = None  # of the trial with the most dendrites; the picked net has no more
    if mode != NONE:
        most = {name: max(space.dendrites[name].ends()) for name in ("dendrites", "candidate_epochs")}
        growth = DendriteConfig(mode=mode, **most)
    fewest = fewest_epochs(growth, restarts=1)
    _check_epochs(settings, fewest)
    epochs = max(fewest, math.ceil(TRIAL_SHARE * settings["epochs"]))
    config = SearchConfig(
        trials=settings["trials"],
        arms=("plain",) if mode == NONE else ("plain", mode),
        members=TRIAL_SEEDS,
        train=_recipe(settings, bank, epochs=epochs),
        seed=settings["seed"],
    )
    total = config.trials * len(config.arms)
    widths = space.dim(WIDTH)
    say(
        f"search: {total} trials of {epochs} epochs and {TRIAL_SEEDS} seeds; widths {widths.low} to {widths.high}, up "
        f"to where most layouts have at most {limit:,} parameters"
    )
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_search_") as folder:
        results = _run_search(Path(folder), bank, config, space, clock, total, say)
        fitting = [trial for trial in results if trial.parameters <= limit]
        if fitting:
            picked = pick(results, limit)
            say(
                f"picked trial {picked.number + 1} ({picked.arm}): {picked.parameters:,} parameters, validation "
                f"accuracy {picked.validation_accuracy:.1%}, the best of {len(fitting)} within {limit:,}"
            )
            return _plan_of(picked, space, limit)
    architecture = widest_plain(bank, limit)
    why = "no trial was finished in time" if not results else f"none of {len(results)} trials is within the limit"
    say(f"{why}; taking the widest plain net that is, of {architecture.channels} channels")
    return Plan(architecture, LEARNING_RATE, None, restarts=1)


def _run_search(
    folder: Path, bank: FeatureBank, config: object, space: "Space", clock: BlockClock, total: int, say: Say
) -> list["TrialResult"]:
    from kws_dendrite.search import Search

    search = Search(folder, bank, config, space)
    done = 0

    def on_trial(trial: "TrialResult") -> None:
        nonlocal done
        done += 1
        if trial.validation_accuracy is None:
            say(f"trial {done} of {total} ({trial.arm}): {trial.state}, {trial.why}")
            return
        say(
            f"trial {done} of {total} ({trial.arm}): {trial.parameters:,} parameters, validation accuracy "
            f"{trial.validation_accuracy:.1%}, {trial.seconds:.0f} s"
        )

    def on_epoch(arm: str, record: EpochRecord, epochs: int) -> None:
        say(f"trial {done + 1} of {total} ({arm}), {epoch_text(record, config.train.epochs)}")
        clock.epoch_done(record.seconds, last=False, share=SEARCH_SHARE)

    try:
        search.run(on_trial, on_epoch)
    except KeyboardInterrupt:
        if not clock.fired:
            raise
        say(f"time limit: the search ends after {done} of {total} trials, {clock.elapsed():.0f} s")
        clock.fired = False
    return search.results()


def _plan_of(trial: "TrialResult", space: "Space", limit: int) -> Plan:
    """Train a trial's net again. No more growth steps than it kept: another could take it over the limit.

    Growth that chooses what to add ("growth") may choose more in a longer training: its steps share what the limit
    leaves.
    """
    from kws_dendrite.models import config_from_json

    architecture, recipe = config_from_json(trial.architecture), trial.recipe or {}
    rate = float(recipe.get("learning_rate", LEARNING_RATE))
    chosen = {name: recipe[name] for name in space.train if name in recipe and name != "learning_rate"}
    kept = trial.dendrites
    if kept is None:
        kept = sum(bool(step["accepted"]) for step in trial.steps)
    if not trial.growth or not kept:
        return Plan(architecture, rate, None, max(1, len(trial.steps)), chosen)
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in trial.growth.items()}
    growth = DendriteConfig(**settings)
    if growth.insertion != "start":
        growth = replace(growth, dendrites=kept)
    if growth.mode == "growth":
        growth = replace(growth, budget=(limit - _parameters(architecture)) // kept)
    return Plan(architecture, rate, growth, 0, chosen)


def fitting_space(bank: FeatureBank, limit: int) -> "Space":
    """The search's own space without the widths at which most layouts have more than `limit` parameters.

    Where even the least width is one of those, it stays alone.

    Raises:
        ConfigError: no net of the space is within the limit.
    """
    from kws_dendrite.search import DEFAULT, Range
    from kws_dendrite.search.space import LAYOUTS

    widths, kernels = DEFAULT.dim(WIDTH), DEFAULT.dim(KERNEL).values
    fewest = _parameters(_separable(bank, widths.low, "once", min(kernels)))
    if fewest > limit:
        raise ConfigError(
            f"max-params is {limit:,}; the smallest net for {len(bank.labels)} classes of such features has "
            f"{fewest:,}: raise the limit"
        )

    def too_wide(channels: int) -> bool:
        kernel = kernels[len(kernels) // 2]
        sizes = sorted(_parameters(_separable(bank, channels, layout, kernel)) for layout in LAYOUTS)
        return sizes[len(sizes) // 2] > limit

    widest = bisect_left(range(widths.low + 1, widths.high + 1), True, key=too_wide) + widths.low
    return DEFAULT.with_dims(**{WIDTH.replace(".", "__"): Range(widths.low, widest, log=True)})


def widest_plain(bank: FeatureBank, limit: int) -> SeparableConfig:
    """The widest net of the default layout, or of the smallest one, with at most `limit` parameters.

    Raises:
        ConfigError: as `fitting_space`.
    """
    space = fitting_space(bank, limit)
    widths = space.dim(WIDTH)
    for layout, kernel in (("twice", SeparableConfig.kernel), ("once", min(space.dim(KERNEL).values))):
        for channels in range(widths.high, widths.low - 1, -1):
            config = _separable(bank, channels, layout, kernel)
            if _parameters(config) <= limit:
                return config
    raise AssertionError("fitting_space found a net that fits")


def _separable(bank: FeatureBank, channels: int, layout: str, kernel: int) -> SeparableConfig:
    from kws_dendrite.search.space import LAYOUTS

    _, T, F = bank.validation.shape
    blocks, dilations = LAYOUTS[layout]
    return SeparableConfig(
        T, F, len(bank.labels), channels=channels, kernel=kernel, blocks=blocks, dilations=dilations,
        remove_mean=keeps_level(bank.frontend),
    )  # fmt: skip


def _parameters(config: ModelConfig) -> int:
    return cost(fold(build_model(config))).parameters


def train_plan(plan: Plan, settings: Settings, bank: FeatureBank, clock: BlockClock, say: Say) -> TrainResult:
    """Train `seeds` nets of the plan side by side, in as many of the epochs as there is time for.

    Where it turns out, in the first seconds, that not all of them fit, training begins again with as many as do: a
    whole, shorter schedule is worth more than the beginning of a long one (the better of the two is returned). What
    still does not end in time ends with the best so far.

    Raises:
        DataError: not one epoch ends in time, or training diverges.
    """
    attempt = _Attempt(plan, settings, bank, clock, say)
    result = attempt.train(settings["epochs"])
    if attempt.fitting is not None:
        shorter = attempt.train(attempt.fitting)
        if shorter.history and (not result.history or sum(shorter.best_loss) <= sum(result.best_loss)):
            result = shorter
        else:  # the first was ended to begin again, which is no interruption
            result = replace(result, interrupted=shorter.interrupted)
    if not result.history:
        if not clock.fired:
            raise KeyboardInterrupt
        raise DataError(
            f"not one epoch over {bank.train.shape[1]:,} clips ended in the time there was for training; the limit is "
            f"{clock.limit:.0f} s: raise it or take fewer seeds"
        )
    return result


class _Attempt:
    """A training that looks at the clock.

    Attributes:
        fitting: how many epochs there is time for, where that is less than was asked for; else None.
    """

    def __init__(self, plan: Plan, settings: Settings, bank: FeatureBank, clock: BlockClock, say: Say) -> None:
        self.plan, self.settings, self.bank, self.clock, self.say = plan, settings, bank, clock, say
        self.fitting: int | None = None
        self.decided = False
        self.times: list[float] = []

    def train(self, epochs: int) -> TrainResult:
        """Train so many epochs in all. The result has no history where not one epoch ended."""
        plan, settings, clock = self.plan, self.settings, self.clock
        config = _recipe(settings, self.bank, learning_rate=plan.learning_rate, **plan.recipe)
        config = _shared(config, epochs, settings["epochs"], plan)
        total = config.epochs * (1 + (plan.growth.dendrites if plan.growth else plan.restarts))
        model = build_model(plan.architecture, settings["seeds"], settings["seed"])
        self.say(
            f"training {settings['seeds']} nets of {cost(fold(model)).parameters:,} parameters, {epochs} epochs, "
            f"learning rate {plan.learning_rate:.3g}" + (f", dendrites: {plan.growth.mode}" if plan.growth else "")
        )
        first = self.fitting is None
        clock.fired = False

        def progress(record: EpochRecord, _: int) -> None:
            self.say(epoch_text(record, total))
            if first:
                self._look_ahead(record, epochs)
            clock.epoch_done(record.seconds, last=record.epoch + 1 >= total)

        try:
            with clock.cutting():
                result = train(
                    model, self.bank, config, growth=plan.growth, restarts=plan.restarts, seed=settings["seed"],
                    progress=progress, on_growth=self._growth,
                )  # fmt: skip
        except TimeUp:
            return TrainResult(model, [], [], [], [], interrupted=True)
        if clock.fired and not (first and self.fitting):
            self.say(f"time limit: training ends after {len(result.history)} of {total} epochs")
        return result

    def _look_ahead(self, record: EpochRecord, epochs: int) -> None:
        """Once it is known how long an epoch and the export take: stop if not all fit but a shorter schedule does."""
        self.times.append(record.seconds)
        left, done = self.clock.left(), len(self.times)
        if self.decided or (done == 1 and record.seconds < FIRST_TELLS * left):
            return
        seconds = median(self.times[1:] or self.times)
        if not self.clock.known and left > 2 * seconds:
            return
        self.decided = True
        if (epochs - done) * seconds <= left:
            return
        fitting = int(PLANNED * left / seconds)
        if fitting < 2:
            return
        self.fitting = min(fitting, epochs)
        self.say(
            f"time limit: {epochs} epochs would take {epochs * seconds:.0f} s, {left:.0f} s are left for training: "
            f"beginning again with {self.fitting}, a whole schedule"
        )
        self.clock.epochs += 1
        raise TimeUp

    def _growth(self, step: GrowthStep) -> None:
        after = "diverged" if step.loss_after is None else f"{step.loss_after:.4f}"
        verdict = "kept" if step.accepted else "rolled back"
        self.say(
            f"dendrite {step.dendrites} ({step.kind}): validation loss {step.loss_before:.4f} -> {after}, {verdict}"
        )


def _recipe(settings: Settings, bank: FeatureBank, **rest: Any) -> TrainConfig:
    """The project's recipe, in smaller batches where clips are few."""
    largest = TrainConfig.batch_size
    batch_size = max(min(largest, SMALLEST_BATCH), min(largest, bank.train.shape[1] // STEPS))
    return TrainConfig(batch_size=batch_size, word_balance=float(settings["balance-classes"]), **rest)


def _shared(config: TrainConfig, epochs: int, wanted: int, plan: Plan) -> TrainConfig:
    """Cycles of `epochs` in all; where those are too few for the plan's cycles, as few as will do."""
    for total in range(epochs, wanted + 1):
        try:
            return share_epochs(config, total, plan.growth, plan.restarts)
        except ConfigError:
            if total == wanted:
                raise
    raise AssertionError("there is at least one epoch")


def epoch_text(record: EpochRecord, total: int) -> str:
    """One epoch in words."""
    accuracy = sum(record.validation_accuracy) / len(record.validation_accuracy)
    loss = sum(record.validation_loss) / len(record.validation_loss)
    return (
        f"epoch {record.epoch + 1} of {total} ({record.phase}): loss {record.train_loss:.4f}, validation loss "
        f"{loss:.4f}, validation accuracy {accuracy:.1%}, {record.seconds:.2f} s"
    )
