"""One trial, from a proposal to its points: checked against the limits, trained, each net on the way counted; or
several that differ in their rates alone, as one population."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError, DivergenceError, GraphError
from kws_dendrite.fold import fold
from kws_dendrite.models import build_model
from kws_dendrite.plain import Graph
from kws_dendrite.search.limits import Limits, costs_of, why_over
from kws_dendrite.search.objective import Objective
from kws_dendrite.search.points import Point, latest, point_of
from kws_dendrite.search.stopping import Standing, StoppingRule, Verdict
from kws_dendrite.search.untrained import largest_graph
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import cycle_lengths, share_epochs, train
from kws_dendrite.training.loop import EpochRecord
from kws_dendrite.training.rates import repeated
from kws_dendrite.training.stages import GrowthStep, Stage

if TYPE_CHECKING:
    from kws_dendrite.search.proposal import Proposal


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        state: "complete"; "stopped" as hopeless; "skipped" as over a limit, before training; "failed".
        why: of all but "complete"; there, that it ended before its time with what it had.
        points: one for each number of dendrites that it passed through, within the limits.
        curve: an entry an epoch, rounded; train figures are means over the members, validation ones a value a member.
        steps: what each growth step did.
        seconds: it took.
        epochs: trained in its cycles.
        planned: that its cycles were to have.
        verdict: of the check that stopped it.
    """

    state: str
    why: str | None = None
    points: tuple[Point, ...] = ()
    curve: tuple[dict[str, Any], ...] = ()
    steps: tuple[dict[str, Any], ...] = ()
    seconds: float = 0.0
    planned: int = 0
    verdict: Verdict | None = None

    @property
    def epochs(self) -> int:
        """Trained in its cycles, those of rejected growth steps among them."""
        return len(self.curve)

    @property
    def saved(self) -> int:
        """Epochs of its cycles that stopping it saved; growth to come might have ended earlier by itself."""
        return self.planned - self.epochs if self.state == "stopped" else 0


def run_trial(
    proposal: "Proposal",
    bank: FeatureBank,
    members: int,
    seed: int,
    objective: Objective,
    limits: Limits | None = None,
    front_now: Callable[[], Standing] = Standing,
    on_epoch: Callable[[EpochRecord, int], None] = lambda record, planned: None,
    stop: bool = False,
    *,
    rule: StoppingRule | None = None,
    device: torch.device | str = "cpu",
) -> Outcome:
    """Train one proposal.

    Args:
        bank: the features that the proposal's front end and augmentation give.
        limits: what no net may be over; a net over one before training is not trained.
        front_now: how the search stands, asked at the checks alone.
        on_epoch: a finished epoch, and how many the trial's cycles have in all.
        stop: whether the rule may end it (`StoppingRule.may_stop` of its slot).
        rule: when it is hopeless; by default `StoppingRule()`.
        device: that trains it.

    Raises:
        KeyboardInterrupt: Ctrl-C; nothing of it counts.
        DataError: the bank cannot be trained on at all; a net that diverges is a failed trial, and no error.
    """
    return run_together(
        [proposal], bank, members, seed, objective, limits, front_now, on_epoch, stops=[stop], rule=rule, device=device
    )[0]


def run_together(
    proposals: Sequence["Proposal"],
    bank: FeatureBank,
    members: int,
    seed: int,
    objective: Objective,
    limits: Limits | None = None,
    front_now: Callable[[], Standing] = Standing,
    on_epoch: Callable[[EpochRecord, int], None] = lambda record, planned: None,
    *,
    stops: Sequence[bool],
    rule: StoppingRule | None = None,
    device: torch.device | str = "cpu",
) -> list[Outcome]:
    """Train proposals that differ in their rates alone as one population; each comes out as alone, to rounding.

    Args:
        on_epoch: a finished epoch of the first.
        stops: as `stop` of each. They are stopped together, when all are hopeless: stopping one saves nothing.
        The others, and errors, are as `run_trial` has them.

    Raises:
        ConfigError: they differ in more, or grow.
    """
    start = time.perf_counter()
    first, count = proposals[0], len(proposals)
    growth, restarts = first.growth, first.restarts
    if count > 1 and any(proposal.without_rates != first.without_rates for proposal in proposals):
        raise ConfigError("proposals that are trained together differ in their rates alone")

    def all_of(state: str, why: str, planned: int = 0) -> list[Outcome]:
        seconds = time.perf_counter() - start
        return [Outcome(state, why, seconds=seconds, planned=planned) for _ in proposals]

    try:
        recipe = share_epochs(first.train, first.train.epochs, growth, restarts)
        lengths = planned_cycles(recipe, growth, restarts)
        model = _population(first, members, seed, count)
        broken = why_over(first, limits or Limits(), objective)
        group = _Group(proposals, members, objective, limits)
    except (ConfigError, GraphError) as error:
        return all_of("failed", str(error))
    if broken:
        return all_of("skipped", broken, sum(lengths))
    courses = group.courses
    watches = [
        _Watch(rule or StoppingRule(), front_now, course, lengths) if stop else None
        for course, stop in zip(courses, stops, strict=True)
    ]
    failure = None

    def progress(record: EpochRecord, _: int) -> None:
        on_epoch(group.met(record), sum(lengths))

    def hopeless() -> bool:
        ends = [
            course.lost or (watch is not None and watch.ends()) for course, watch in zip(courses, watches, strict=True)
        ]
        return all(ends)

    try:
        result = train(
            model.to(device),
            bank,
            recipe,
            growth=growth,
            restarts=restarts,
            seed=seed,
            progress=progress,
            on_growth=courses[0].steps.append,
            on_stage=group.passed,
            stop=lambda: all(course.over is not None for course in courses) or hopeless(),
            rates=group.rates,
        )
        if result.interrupted:
            raise KeyboardInterrupt
        stopped = result.stopped
    except (DivergenceError, ConfigError, GraphError) as error:
        failure, stopped = str(error), False
    seconds = time.perf_counter() - start
    return [
        course.outcome(failure, watch.verdict if watch and stopped and not course.lost else None, seconds, sum(lengths))
        for course, watch in zip(courses, watches, strict=True)
    ]


def _population(first: "Proposal", members: int, seed: int, count: int) -> nn.Module:
    """`count` times the same P members, as `build_model` makes them."""
    model = build_model(first.model, members * count, seed)
    if count > 1:
        alone = {name: value[:members] if value.dim() > 1 else value for name, value in model.state_dict().items()}
        model.load_state_dict(
            {name: torch.cat([value] * count) if value.dim() > 1 else value for name, value in alone.items()}
        )
    return model


def planned_cycles(recipe: TrainConfig, growth: DendriteConfig | None, restarts: int) -> list[int]:
    """Epochs of each cycle that `train` runs with these, were none cut short."""
    from_start = growth is not None and growth.insertion == "start"
    steps = growth.dendrites if growth and not from_start else restarts
    return cycle_lengths(recipe.epochs, steps, early=growth is not None and growth.insertion == "early")


class _Group:
    """What training tells of trials that are one population, given to each: its own members' part.

    Attributes:
        rates: of all members; None of one trial alone, whose rates are the recipe's and the model's.
    """

    def __init__(
        self, proposals: Sequence["Proposal"], members: int, objective: Objective, limits: Limits | None
    ) -> None:
        self.proposals = proposals
        self.courses = [_Course(proposal, objective, limits) for proposal in proposals]
        self.parts = [slice(k * members, (k + 1) * members) for k in range(len(proposals))]
        self.rates = repeated([each.rates for each in proposals], members) if len(proposals) > 1 else None

    def met(self, record: EpochRecord) -> EpochRecord:
        """An epoch has ended; the part of it of the first trial that goes on."""
        first, records = self.proposals[0].train.learning_rate, [record]
        if self.rates:
            rates = [proposal.train.learning_rate / first for proposal in self.proposals]
            records = [record.of(part, rate) for part, rate in zip(self.parts, rates, strict=True)]
        for course, own in zip(self.courses, records, strict=True):
            course.met(own)
        going = (own for course, own in zip(self.courses, records, strict=True) if not course.lost)
        return next(going, records[0])

    def passed(self, stage: Stage) -> None:
        """A stage has."""
        for course, part in zip(self.courses, self.parts, strict=True):
            own = replace(stage, best_loss=stage.best_loss[part], best_accuracy=stage.best_accuracy[part])
            course.passed(own, fold(stage.model, part.start))


class _Course:
    """What training tells of a trial under way: its curve, its points, its growth steps."""

    def __init__(self, proposal: "Proposal", objective: Objective, limits: Limits | None) -> None:
        self.proposal, self.objective, self.limits = proposal, objective, limits
        self.smallest = objective.value(self.costs(largest_graph(proposal.model)))  # the net before it grows
        self.curve: list[dict[str, Any]] = []
        self.points: list[Point] = []
        self.steps: list[GrowthStep] = []
        self.staged = 0  # epochs done at the last stage
        self.over: str | None = None
        self.lost = False

    def met(self, record: EpochRecord) -> None:
        """An epoch has ended; with a member that diverged, beside others that did not, the course, as it does alone."""
        self.lost = self.lost or not all(map(math.isfinite, (record.train_loss, *record.validation_loss)))
        if not self.lost:
            self.curve.append(entry(record))

    def outcome(self, failure: str | None, verdict: Verdict | None, seconds: float, planned: int) -> Outcome:
        """How it ended: with the error that ended training, or the verdict that did."""
        points = latest(self.points)
        failure = failure or ("a seed's loss is not finite; lower the learning rate" if self.lost else None)
        if verdict:
            state, why = "stopped", verdict.why
        else:
            state, why = "complete" if points else "failed", failure or self.over
        steps = tuple(step.to_json() for step in self.steps)
        return Outcome(state, why, points, tuple(self.curve), steps, seconds, planned, verdict)

    def costs(self, graph: Graph) -> dict[str, float]:
        """All that is counted of a net."""
        return costs_of(graph, self.proposal.frontend, self.objective, self.limits)

    def passed(self, stage: Stage, graph: Graph) -> None:
        """A net that may be a point of the front, and its folded graph."""
        self.staged = len(self.curve)
        if self.lost:
            return
        costs = self.costs(graph)
        broken = self.limits.broken_by(costs) if self.limits else None
        if broken:
            self.over = (
                f"{stage.dendrites} dendrite{'s' * (stage.dendrites != 1)} a neuron: {broken}"
                if stage.dendrites
                else broken
            )
            return
        self.points.append(point_of(stage, costs, self.objective.value(costs), self.proposal.growth))


class _Watch:
    """Looks at a trial at the rule's checks."""

    def __init__(
        self, rule: StoppingRule, front_now: Callable[[], Standing], course: _Course, lengths: list[int]
    ) -> None:
        self.rule, self.front_now, self.course = rule, front_now, course
        self.planned, self.cycle_ends = sum(lengths), set(accumulate(lengths))
        self.looked = 0  # epochs done at the last check
        self.verdict: Verdict | None = None  # that it is hopeless

    def ends(self) -> bool:
        """Whether the trial is hopeless; at the end of a cycle it waits for the cycle's point."""
        done = len(self.course.curve)
        waits = done in self.cycle_ends and self.course.staged < done
        if self.looked == done or waits or done not in self.rule.epochs(self.planned):
            return False
        self.looked = done
        verdict = self.front_now().look(self.rule, self.course.curve, self.planned, self.course.smallest)
        if verdict is None or not verdict.hopeless:
            return False
        self.verdict = verdict
        return True


def entry(record: EpochRecord) -> dict[str, Any]:
    """An epoch of a curve: what a checkpoint's history has, rounded."""
    return {
        "epoch": record.epoch,
        "phase": record.phase,
        "learning_rate": float(f"{record.learning_rate:.4g}"),
        "train_loss": round(record.train_loss, 4),
        "train_accuracy": round(record.train_accuracy, 4),
        "validation_loss": [round(value, 5) for value in record.validation_loss],
        "validation_accuracy": [round(value, 5) for value in record.validation_accuracy],
        "seconds": round(record.seconds, 3),
    }
