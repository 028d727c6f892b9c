"""One trial, from a proposal to its points: checked against the limits, trained, each net on the way counted."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

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
) -> Outcome:
    """Train one proposal.

    Args:
        bank: the features that the proposal's front end and augmentation give.
        limits: what no net may be over; a net over one before training is not trained.
        front_now: how the search stands, asked at the checks alone.
        on_epoch: a finished epoch, and how many the trial's cycles have in all.
        stop: whether the rule may end it (`StoppingRule.may_stop` of its slot).
        rule: when it is hopeless; by default `StoppingRule()`.

    Raises:
        KeyboardInterrupt: Ctrl-C; nothing of it counts.
        DataError: the bank cannot be trained on at all; a net that diverges is a failed trial, and no error.
    """
    start = time.perf_counter()
    growth, restarts = proposal.growth, proposal.restarts
    try:
        recipe = share_epochs(proposal.train, proposal.train.epochs, growth, restarts)
        lengths = planned_cycles(recipe, growth, restarts)
        model = build_model(proposal.model, members, seed)
        broken = why_over(proposal, limits or Limits(), objective)
        course = _Course(proposal, objective, limits)
    except (ConfigError, GraphError) as error:
        return Outcome("failed", str(error), seconds=time.perf_counter() - start)
    if broken:
        return Outcome("skipped", broken, seconds=time.perf_counter() - start, planned=sum(lengths))
    watch = _Watch(rule or StoppingRule(), front_now, course, lengths) if stop else None
    failure = None

    def progress(record: EpochRecord, _: int) -> None:
        course.curve.append(entry(record))
        on_epoch(record, sum(lengths))

    try:
        result = train(
            model,
            bank,
            recipe,
            growth=growth,
            restarts=restarts,
            seed=seed,
            progress=progress,
            on_growth=course.steps.append,
            on_stage=course.passed,
            stop=lambda: course.over is not None or (watch is not None and watch.ends()),
        )
        if result.interrupted:
            raise KeyboardInterrupt
    except (DivergenceError, ConfigError, GraphError) as error:
        failure = str(error)
    points = latest(course.points)
    verdict = watch.verdict if watch else None
    if verdict:
        state, why = "stopped", verdict.why
    elif points:
        state, why = "complete", failure or course.over
    else:
        state, why = "failed", failure or course.over
    return Outcome(
        state,
        why,
        points,
        tuple(course.curve),
        tuple(step.to_json() for step in course.steps),
        time.perf_counter() - start,
        sum(lengths),
        verdict,
    )


def planned_cycles(recipe: TrainConfig, growth: DendriteConfig | None, restarts: int) -> list[int]:
    """Epochs of each cycle that `train` runs with these, were none cut short."""
    from_start = growth is not None and growth.insertion == "start"
    steps = growth.dendrites if growth and not from_start else restarts
    return cycle_lengths(recipe.epochs, steps, early=growth is not None and growth.insertion == "early")


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

    def costs(self, graph: Graph) -> dict[str, float]:
        """All that is counted of a net."""
        return costs_of(graph, self.proposal.frontend, self.objective, self.limits)

    def passed(self, stage: Stage) -> None:
        """A net that may be a point of the front."""
        self.staged = len(self.curve)
        costs = self.costs(fold(stage.model))
        broken = self.limits.broken_by(costs) if self.limits else None
        if broken:
            self.over = f"{stage.dendrites} dendrites a neuron: {broken}" if stage.dendrites else broken
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
