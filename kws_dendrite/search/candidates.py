"""Points of a search as candidates for shipping: their figures, and what they cost where they are to run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError
from kws_dendrite.evaluation.statistics import t_interval
from kws_dendrite.fold import fold
from kws_dendrite.frontend import FrontEndConfig, from_json
from kws_dendrite.models import config_from_json
from kws_dendrite.plain import Graph
from kws_dendrite.plain.device import CORES, LATENCY_CORES
from kws_dendrite.search.choice import Candidate
from kws_dendrite.search.front import TrialResult, pareto_front
from kws_dendrite.search.limits import costs_of, largest_graph
from kws_dendrite.search.objective import Objective
from kws_dendrite.search.refit import name_of
from kws_dendrite.search.refitted import RefitStore, Refitted, both_interval
from kws_dendrite.search.space import nearest
from kws_dendrite.training.checkpoint import load_checkpoint

CLOCK = 80.0  # MHz that a target is taken to have where none is named, as `kws-dendrite benchmark` takes it


@dataclass(frozen=True)
class Target:
    """Where a net is to run, with its front end.

    Attributes:
        core: one of the modelled ones.
        mhz: its clock.
    """

    core: str
    mhz: float = CLOCK

    @property
    def objective(self) -> Objective:
        """What is to be cheap there: the modelled time of net and front end, else their instructions."""
        if self.core in LATENCY_CORES:
            return Objective("latency", self.core, self.mhz, frontend=True)
        return Objective("instructions", self.core, frontend=True)

    def costs(self, graph: Graph, frontend: FrontEndConfig | None) -> dict[str, float]:
        """Of a folded net and its front end; of the net alone where the features are computed elsewhere."""
        return costs_of(graph, frontend, self.objective)


def parse_target(text: str) -> Target:
    """cortex-m4 or cortex-m4@80.

    Raises:
        ConfigError: an unknown core, or no clock.
    """
    core, at, clock = text.strip().lower().partition("@")
    if core not in CORES:
        raise ConfigError(
            f"--target is one of {', '.join(CORES)}, with @MHZ or without; got {text!r}{nearest(core, CORES)}"
        )
    try:
        mhz = float(clock) if at else CLOCK
    except ValueError:
        mhz = 0.0
    if not 0 < mhz < float("inf"):
        raise ConfigError(f"--target has a clock in MHz after the @, as in {core}@80; got {text!r}")
    return Target(core, mhz)


def refitted_candidates(
    store: RefitStore,
    objective: Objective,
    target: Target | None,
    tests: Mapping[str, Any] | None = None,
    numbers: Mapping[tuple[str, int], int] | None = None,
) -> list[Candidate]:
    """Every point that was retrained.

    Args:
        objective: the search's, which says what is cheap where there is no target.
        target: where costs are to be counted; None takes them as the search counted them.
        tests: by name, figures on the test clips as in front.json.
        numbers: of the trials as they are now, by arm and slot.
    """
    found = []
    for point in store.all():
        costs = point.costs if target is None else _costs_there(store, point, target)
        found.append(
            Candidate(
                name=point.name,
                trial=(numbers or {}).get((point.arm, point.slot), point.trial),
                arm=point.arm,
                dendrites=point.dendrites,
                accuracy=point.mean_accuracy,
                members=point.members,
                interval=both_interval(store.correct(point.name)),
                refitted=True,
                costs=costs,
                price=(target.objective if target else objective).value(costs),
                test=(tests or {}).get(point.name),
            )
        )
    return found


def _costs_there(store: RefitStore, point: Refitted, target: Target) -> dict[str, float]:
    """The largest of the seeds."""
    held, frontend = load_checkpoint(store.path(point.name)), point.made_of["frontend"]
    config = from_json(frontend) if frontend else None
    counted = [target.costs(fold(held.model, member), config) for member in range(held.members)]
    return {name: max(one[name] for one in counted) for name in counted[0]}


def searched_candidates(
    results: Sequence[TrialResult], objective: Objective, target: Target | None
) -> tuple[list[Candidate], int]:
    """Points of a search by its own figures, and how many were left out because their costs are not known.

    Without a target all points; with one those of the arms' fronts, whose nets are built, untrained, to be counted.
    What growth chose is not known before the net is trained again: its points have no costs on another target.
    """
    if target is None:
        points = [one for trial in results for one in trial.candidates()]
        return [_searched(one, one.costs or {}, objective) for one in points if one.costs], 0
    arms = list(dict.fromkeys(trial.arm for trial in results))
    points = [one for arm in arms for one in pareto_front([trial for trial in results if trial.arm == arm])]
    known = [(one, costs) for one in points if (costs := _costs_untrained(one, target)) is not None]
    return [_searched(one, costs, target.objective) for one, costs in known], len(points) - len(known)


def _costs_untrained(one: TrialResult, target: Target) -> dict[str, float] | None:
    growth = _growth(one)
    if one.architecture is None or (growth is not None and growth.mode == "growth"):
        return None
    frontend = from_json(one.frontend) if one.frontend else None
    return target.costs(largest_graph(config_from_json(one.architecture), growth), frontend)


def _growth(one: TrialResult) -> DendriteConfig | None:
    """With as many steps as there are dendrites in the net: those that were rolled back left nothing."""
    if not one.growth or not one.dendrites:
        return None
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in one.growth.items()}
    return replace(DendriteConfig(**settings), dendrites=one.dendrites)


def _searched(one: TrialResult, costs: dict[str, float], objective: Objective) -> Candidate:
    members = one.validation_accuracy_members
    interval = None
    if len(members) > 1:
        low, high = t_interval(members)
        interval = max(0.0, low), min(1.0, high)
    return Candidate(
        name=name_of(one),
        trial=one.number,
        arm=one.arm,
        dendrites=one.dendrites or 0,
        accuracy=one.validation_accuracy,
        members=len(members),
        interval=interval,
        refitted=False,
        costs=costs,
        price=objective.value(costs),
    )
