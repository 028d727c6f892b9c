"""One trial, from a proposal to its points: checked against the limits, trained, each net on the way counted."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.dendrites.growth import fresh_choices, insert
from kws_dendrite.dendrites.places import attach
from kws_dendrite.errors import ConfigError, DivergenceError, GraphError
from kws_dendrite.fold import fold
from kws_dendrite.models import build_model
from kws_dendrite.plain import Graph
from kws_dendrite.search.limits import Limits, costs_of
from kws_dendrite.search.objective import Objective
from kws_dendrite.search.points import Point, latest, point_of
from kws_dendrite.search.stopping import Standing, StoppingRule, Verdict
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import cycle_lengths, share_epochs, train
from kws_dendrite.training.loop import EpochRecord
from kws_dendrite.training.stages import GrowthStep, Stage

if TYPE_CHECKING:
    from kws_dendrite.search.proposal import Proposal

CALIBRATION_CLIPS = 8  # dendrites that are drawn to be counted, not trained


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
        course = _Course(proposal, objective, limits, rule if stop else None, front_now, on_epoch, lengths)
        broken = course.broken_before(bank)
    except (ConfigError, GraphError) as error:
        return Outcome("failed", str(error), seconds=time.perf_counter() - start)
    planned = sum(lengths)
    if broken:
        return Outcome("skipped", broken, seconds=time.perf_counter() - start, planned=planned)
    failure = None
    try:
        result = train(
            model,
            bank,
            recipe,
            growth=growth,
            restarts=restarts,
            seed=seed,
            progress=course.saw,
            on_growth=course.grew,
            on_stage=course.passed,
            stop=course.ends,
        )
        if result.interrupted:
            raise KeyboardInterrupt
    except (DivergenceError, ConfigError, GraphError) as error:
        failure = str(error)
    hopeless = course.verdict is not None and course.verdict.hopeless
    points = latest(course.points)
    if hopeless:
        state, why = "stopped", course.verdict.why
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
        planned,
        course.verdict if hopeless else None,
    )


def planned_cycles(recipe: TrainConfig, growth: DendriteConfig | None, restarts: int) -> list[int]:
    """Epochs of each cycle that `train` runs with these, were none cut short."""
    from_start = growth is not None and growth.insertion == "start"
    steps = growth.dendrites if growth and not from_start else restarts
    return cycle_lengths(recipe.epochs, steps, early=growth is not None and growth.insertion == "early")


def largest(proposal: "Proposal", bank: FeatureBank) -> nn.Module:
    """An untrained net of the largest size that is known: with all its dendrites, unless growth is to choose them."""
    model, growth = build_model(proposal.model, 1), proposal.growth
    if growth is None or growth.mode == "growth":
        return model
    features = torch.from_numpy(bank.train[:1, :CALIBRATION_CLIPS]).float()  # (1, B, T, F)
    for step in range(growth.dendrites):
        attach(model, growth)
        insert(model, fresh_choices(model, features, growth, step), start=True)  # with t above 0, so that they count
    return model


class _Course:
    """What training tells of a trial under way, and whether it is to go on."""

    def __init__(
        self,
        proposal: "Proposal",
        objective: Objective,
        limits: Limits | None,
        rule: StoppingRule | None,
        front_now: Callable[[], Standing],
        on_epoch: Callable[[EpochRecord, int], None],
        lengths: list[int],
    ) -> None:
        self.proposal, self.objective, self.limits, self.rule = proposal, objective, limits, rule
        self.front_now, self.on_epoch = front_now, on_epoch
        self.planned, self.cycle_ends = sum(lengths), set(accumulate(lengths))
        self.curve: list[dict[str, Any]] = []
        self.points: list[Point] = []
        self.steps: list[GrowthStep] = []
        self.smallest = math.inf  # size, of the net before it grows
        self.looked = self.staged = 0  # epochs done at the last check, and at the last stage
        self.over: str | None = None
        self.verdict: Verdict | None = None

    def costs(self, graph: Graph) -> dict[str, float]:
        """All that is counted of a net."""
        return costs_of(graph, self.proposal.frontend, self.objective, self.limits)

    def broken_before(self, bank: FeatureBank) -> str | None:
        """The limit that the net, or its largest known size, breaks before it is trained."""
        graph = fold(build_model(self.proposal.model, 1))
        self.smallest = self.objective.measure(graph)
        if self.limits is None:
            return None
        broken = self.limits.broken_by(self.costs(graph))
        if broken or self.proposal.growth is None:
            return broken
        return self.limits.broken_by(self.costs(fold(largest(self.proposal, bank))))

    def saw(self, record: EpochRecord, _: int) -> None:
        """A finished epoch."""
        self.curve.append(entry(record))
        self.on_epoch(record, self.planned)

    def grew(self, step: GrowthStep) -> None:
        """A finished growth step, kept or not."""
        self.steps.append(step)

    def passed(self, stage: Stage) -> None:
        """A net that may be a point of the front."""
        self.staged = len(self.curve)
        graph = fold(stage.model)
        costs = self.costs(graph)
        over = self.limits.broken_by(costs) if self.limits else None
        if over:
            self.over = f"with {stage.dendrites} dendrites a neuron: {over}"
            return
        self.points.append(point_of(stage, costs, self.objective.measure(graph), self.proposal.growth))

    def ends(self) -> bool:
        """Whether to go on is pointless: over a limit, or hopeless."""
        if self.over:
            return True
        done = len(self.curve)
        waits = done in self.cycle_ends and self.staged < done  # for the cycle's own point
        if self.rule is None or self.looked == done or waits or done not in self.rule.epochs(self.planned):
            return False
        self.looked = done
        self.verdict = self.front_now().look(self.rule, self.curve, self.planned, self.smallest)
        return self.verdict is not None and self.verdict.hopeless


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
