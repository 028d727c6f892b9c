"""Training a study's rows: each by one process, each once, none by the test partition."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError, KwsDendriteError, OutputError
from kws_dendrite.fold import fold
from kws_dendrite.models import SeparableConfig, build_model
from kws_dendrite.plain import cost
from kws_dendrite.study.arms import ARMS, Arm
from kws_dendrite.study.folder import open_folder
from kws_dendrite.study.protocol_paper import PaperConfig, paper_plans, with_few_clips
from kws_dendrite.study.rows import Row, RowPlan, RowStore
from kws_dendrite.study.sizes import fit, layout, measure, narrower
from kws_dendrite.study.source import Source
from kws_dendrite.training.checkpoint import save_checkpoint
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import TrainResult, share_epochs, train
from kws_dendrite.training.loop import EpochRecord, Progress
from kws_dendrite.training.widening import train_widened


@dataclass(frozen=True)
class StudyConfig:
    """Attributes:
    sizes: folded parameters.
    arms: which stand at each of them.
    members: P, seeds a row.
    train: the recipe; its epochs are a row's in all, over its cycles and candidate phases.
    seed: of the first member.
    with_bases: add, for every arm that grows, the net it grew from, trained as long and restarted as often.
    paper: add the trials of the paper's own protocol at every size; None for none.
    """

    sizes: tuple[int, ...]
    arms: tuple[Arm, ...]
    members: int = 10
    train: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=60))
    seed: int = 0
    with_bases: bool = False
    paper: PaperConfig | None = None

    def __post_init__(self) -> None:
        if self.members < 1 or self.seed < 0:
            raise ConfigError(f"members are at least 1 and a seed at least 0; got {self.members} and {self.seed}")
        if not self.arms or (not self.sizes and any(not arm.published for arm in self.arms)):
            raise ConfigError("a study has at least one arm and one size; name some")
        if any(size < 1 for size in self.sizes) or len(set(self.sizes)) < len(self.sizes):
            sizes = ", ".join(map(str, self.sizes))
            raise ConfigError(f"sizes are folded parameters, above 0, each once; got {sizes}")


class Study:
    """A study in a folder. Making it trains nothing; `train` fits what is neither finished nor in other hands.

    Raises:
        ConfigError: a folder of another study, an arm that no size fits, epochs too few for an arm's cycles.
        OutputError: a folder that is not a study's.
    """

    def __init__(self, folder: Path | str, source: Source, config: StudyConfig) -> None:
        self.source, self.config = source, config
        self.plans = make_plans(source, config)
        self.folder = open_folder(folder, self.made_of())
        self.store = RowStore(self.folder)
        for plan in self.plans:
            self.store.finished(plan)  # one trained another way is refused before anything is trained

    def made_of(self) -> dict[str, Any]:
        """What every row of the folder shares."""
        config = self.config
        return {
            **self.source.made_of,
            "recipe": asdict(config.train),
            "members": config.members,
            "seed": config.seed,
        }

    def finished(self) -> list[Row]:
        """The finished rows of this study's plans, in their order."""
        return [row for plan in self.plans if (row := self.store.finished(plan)) is not None]

    def train(
        self,
        on_row: Callable[[Row], None] = lambda row: None,
        on_epoch: Callable[[RowPlan, EpochRecord], None] = lambda plan, record: None,
        on_failure: Callable[[RowPlan, KwsDendriteError], None] = lambda plan, error: None,
    ) -> list[RowPlan]:
        """Train row after row; returns the plans that other processes still hold.

        A row whose training fails is told to `on_failure` and left for another day; the others go on.

        Raises:
            KeyboardInterrupt: Ctrl-C; the row that it fell into is not kept, all before are.
            OutputError: a row cannot be written.
        """
        elsewhere = []
        for plan in self.plans:
            if self.store.finished(plan) is not None:
                continue
            with self.store.claimed(plan.name) as ours:
                if not ours:
                    elsewhere.append(plan)
                    continue
                if self.store.finished(plan) is not None:  # finished by another while we waited for nothing
                    continue
                try:
                    row = self._train(plan, on_epoch)
                except OutputError:  # a full disk would take the next rows too
                    raise
                except KwsDendriteError as error:
                    on_failure(plan, error)
                    continue
            on_row(row)
        return [plan for plan in elsewhere if self.store.finished(plan) is None]

    def _train(self, plan: RowPlan, on_epoch: Callable[[RowPlan, EpochRecord], None]) -> Row:
        bank = self.source.bank(plan.frontend)
        if plan.validation_clips:
            bank = with_few_clips(bank, plan.validation_clips, plan.seed)
        start, cpu = time.perf_counter(), time.process_time()
        result = fit_row(plan, bank, lambda record, _: on_epoch(plan, record))
        if result.interrupted:
            raise KeyboardInterrupt
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
        costs = [cost(fold(result.model, member)) for member in range(plan.members)]
        growth = [step.to_json() for step in result.growth]
        save_checkpoint(
            self.store.path(plan.name),
            result.model,
            plan.architecture,
            labels=bank.labels,
            frontend=bank.frontend,
            record={
                "title": plan.title,
                "growth": growth,
                "history": [record.to_json() for record in result.history],
                "data": bank.summary,
                "seeds": {"seed": plan.seed, "members": plan.members},
                "train": asdict(plan.train),
                "metrics": {"validation_loss": result.best_loss, "validation_accuracy": result.best_accuracy},
                "seconds": seconds,
            },
        )
        row = Row(
            name=plan.name,
            arm=plan.arm,
            title=plan.title,
            size=plan.size,
            control=plan.control,
            base_of=plan.base_of,
            parameters=tuple(counted.parameters for counted in costs),
            macs=tuple(counted.macs for counted in costs),
            planned=plan.parameters,
            made_of=plan.made_of(),
            validation_loss=tuple(result.best_loss),
            validation_accuracy=tuple(result.best_accuracy),
            growth=tuple(growth),
            epochs=len(result.history),
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            weights=self.store.weights_hash(plan.name),
        )
        self.store.write(row)
        return row


def fit_row(plan: RowPlan, bank: FeatureBank, progress: Progress) -> TrainResult:
    """Train one row's population; a function of the plan and the bank."""
    if plan.narrow is not None:
        return train_widened(
            plan.narrow, plan.architecture, plan.members, bank, plan.train, seed=plan.seed, progress=progress
        )
    return train(
        build_model(plan.architecture, plan.members, plan.seed),
        bank,
        plan.train,
        growth=plan.growth,
        restarts=plan.restarts,
        seed=plan.seed,
        progress=progress,
    )


def make_plans(source: Source, config: StudyConfig) -> list[RowPlan]:
    """Every row: size by size, smallest first, the arms in their order; published nets last, smallest first.

    Raises:
        ConfigError: an arm that a size does not fit, or epochs that leave none for an arm's cycles.
    """
    plans: list[RowPlan] = []
    for size in sorted(config.sizes):
        for arm in config.arms:
            if not arm.published:
                plans += _sized(source, config, arm, size)
    nets = [(net, arm) for arm in config.arms for net in arm.published]
    for net, arm in sorted(nets, key=lambda pair: pair[0].size):
        frames, coefficients = source.shape(net.frontend)
        architecture = net.make(frames, coefficients, len(source.labels))
        parameters = measure(architecture).parameters
        plans.append(_plan(config, arm, net.size, architecture, parameters, arm.growth, net))
    if config.paper is not None:
        for size in sorted(config.sizes):
            (plain,) = _sized(source, config, ARMS["plain"], size)
            plans += paper_plans(plain, config.paper, config.train.epochs)
    return plans


def _sized(source: Source, config: StudyConfig, arm: Arm, size: int) -> Sequence[RowPlan]:
    frames, coefficients = source.shape(None)
    removes_mean = source.made_of.get("frontend", {}).get("block") == "mfe"  # it keeps the clip's level

    def make(channels: int) -> SeparableConfig:
        usual = SeparableConfig(
            frames,
            coefficients,
            len(source.labels),
            channels=channels,
            remove_mean=removes_mean,
            **layout(size),
        )
        return arm.shape(usual)

    whose = f"the arm {arm.name}"
    if arm.share:  # a net of that share of the size, and a budget of the rest
        fitted = fit(round(arm.share * size), make, taps=(0,), whose=whose)  # the budget takes what is left
        left = (size - fitted.parameters) // arm.growth.dendrites
        if left < 1:
            raise ConfigError(f"{whose} has no budget left at {size:,} parameters; lower its share")
        plan = _plan(config, arm, size, fitted.architecture, size, replace(arm.growth, budget=left))
    else:
        fitted = fit(size, make, arm.growth, whose=whose)
        plan = _plan(config, arm, size, fitted.architecture, fitted.parameters, arm.growth)
    if arm.narrow:
        plan = replace(plan, narrow=narrower(fitted.architecture, round(arm.narrow * size)))
    if not config.with_bases or arm.growth is None or arm.control:
        return [plan]
    restarts = arm.restarts if arm.growth.insertion == "start" else arm.growth.dendrites
    base = replace(
        plan,
        arm=f"{arm.name}-base",
        title=f"{arm.title}: the net it grew from",
        growth=None,
        restarts=restarts,
        train=share_epochs(config.train, config.train.epochs, None, restarts),
        parameters=measure(fitted.architecture).parameters,
        base_of=arm.name,
    )
    return [plan, base]


def _plan(
    config: StudyConfig,
    arm: Arm,
    size: int,
    architecture: Any,
    parameters: int,
    growth: DendriteConfig | None,
    net: Any = None,
) -> RowPlan:
    try:
        recipe = share_epochs(config.train, config.train.epochs, growth, arm.restarts)
    except ConfigError as error:
        raise ConfigError(f"the arm {arm.name}: {error}") from error
    return RowPlan(
        arm=arm.name,
        title=arm.title,
        size=size,
        architecture=architecture,
        train=recipe,
        growth=growth,
        restarts=arm.restarts,
        members=config.members,
        seed=config.seed,
        frontend=net.frontend if net else None,
        parameters=parameters,
        control=arm.control,
    )
