"""Retraining the front's points with fresh seeds, so that what is reported is not the luck of a maximum.

The most accurate of many noisy figures is high by luck as much as by merit; the same net trained again with other seeds
is not. All points get the same fresh seeds, so that their differences are paired. Each is trained by one process and
once: the same call goes on where it was stopped, and several may run side by side.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.errors import ConfigError, KwsDendriteError, OutputError
from kws_dendrite.fold import fold
from kws_dendrite.models import build_model
from kws_dendrite.plain import cost
from kws_dendrite.search.front import ENDED, TrialResult, pareto_front
from kws_dendrite.search.limits import Limits, costs_of
from kws_dendrite.search.objective import Objective
from kws_dendrite.search.proposal import Proposal
from kws_dendrite.search.refitted import RefitStore, Refitted, first_difference
from kws_dendrite.search.trial import planned_cycles
from kws_dendrite.training.checkpoint import save_checkpoint
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import TrainResult, share_epochs, train
from kws_dendrite.training.loop import EpochRecord, Progress, predict

FRESH = 1_000_003  # added to the search's seed: no stream of a trial's (seed, seed + 7919 a growth step) is met again
LEAST_MEMBERS = 5


@dataclass(frozen=True)
class RefitPlan:
    """One point to train again.

    Attributes:
        trial: its number, which changes where another arm joins the search; `arm` and `slot` stay.
        arm, slot, dendrites: which point of the search.
        proposal: its net, recipe, front end and augmentation; the recipe's epochs are those in all, over cycles,
            candidate phases and probes, and growth takes the steps that led to the point.
        restarts: plain cycles after the first.
        members, seed: P seeds, from `seed` on.
        said: what the search said of it: "accuracy", "accuracy_members", "loss", "parameters", "value", "epochs".
    """

    trial: int
    arm: str
    slot: int
    dendrites: int
    proposal: Proposal
    restarts: int
    members: int
    seed: int
    said: dict[str, Any]

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.arm}-{self.slot}-{self.dendrites}"

    @property
    def recipe(self) -> TrainConfig:
        """Its epochs are those of one cycle."""
        train = self.proposal.train
        return share_epochs(train, train.epochs, self.proposal.growth, self.restarts)

    @property
    def planned(self) -> int:
        """Epochs of its cycles, to draw a bar with."""
        return sum(planned_cycles(self.recipe, self.proposal.growth, self.restarts))

    def made_of(self) -> dict[str, Any]:
        """All that its result follows from, the data aside, as JSON values."""
        value = {
            "members": self.members,
            "epochs": self.proposal.train.epochs,
            "seed": self.seed,
            "restarts": self.restarts,
            **self.proposal.to_json(),
        }
        return json.loads(json.dumps(value))  # lists for tuples, as it comes back from a file


def plans_of(
    results: Sequence[TrialResult], seed: int, members: int = LEAST_MEMBERS, epochs: int | None = None
) -> list[RefitPlan]:
    """The points of every arm's front; the front over all arms is among them. Smallest first.

    Args:
        results: of the search, in any state.
        seed: the search's; the refit's is another.
        members: P.
        epochs: of every point in all; None takes as many as the search spent on it.
    """
    return [plan_of(one, results, seed, members, epochs) for one in front_points(results)]


def front_points(results: Sequence[TrialResult]) -> list[TrialResult]:
    """The points of every arm's front, each its trial as it was there; smallest first."""
    arms = list(dict.fromkeys(result.arm for result in results))
    fronts = [pareto_front([result for result in results if result.arm == arm]) for arm in arms]
    return sorted((one for front in fronts for one in front), key=lambda one: (one.size, one.number))


def front_names(results: Sequence[TrialResult]) -> set[str]:
    """The names that the points of every arm's front have, or would have, as `Refitted`."""
    return {name_of(one) for one in front_points(results)}


def name_of(one: TrialResult) -> str:
    """Of a point, a trial as it was there: "<arm>-<slot>-<dendrites>"."""
    return f"{one.arm}-{one.slot}-{one.dendrites or 0}"


def plan_of(
    candidate: TrialResult, results: Sequence[TrialResult], seed: int, members: int, epochs: int | None
) -> RefitPlan:
    """The plan that trains a trial's point again; `candidate` is the trial as it was there (`TrialResult.at`).

    Raises:
        ConfigError: a trial of a version that did not keep its points or its recipe.
    """
    trial = next(result for result in results if result.number == candidate.number and result.state in ENDED)
    point = next((point for point in trial.points if point.dendrites == candidate.dendrites), None)
    if point is None or None in (trial.slot, trial.recipe, trial.architecture):
        raise ConfigError(
            f"trial {trial.number} was made by an earlier version, which did not keep what makes it again; search anew "
            "in another folder"
        )
    total = point.epochs if epochs is None else epochs
    proposal = Proposal.from_json(
        {
            "model": trial.architecture,
            "train": {**trial.recipe, "epochs": total},
            "growth": point.growth,
            "frontend": trial.frontend or None,
            "augment": trial.augment or {},
        }
    )
    said = {
        "accuracy": point.validation_accuracy,
        "accuracy_members": list(point.validation_accuracy_members),
        "loss": point.loss,
        "parameters": point.parameters,
        "value": point.value,
        "epochs": point.epochs,
    }
    plan = RefitPlan(
        trial=trial.number,
        arm=trial.arm,
        slot=trial.slot,
        dendrites=point.dendrites,
        proposal=proposal,
        restarts=point.restarts,
        members=members,
        seed=seed + FRESH,
        said=said,
    )
    try:
        _ = plan.recipe
    except ConfigError as error:
        raise ConfigError(f"trial {trial.number}: {error}") from error
    return plan


class Refit:
    """The refit of some points of a search. Making it trains nothing.

    Raises:
        ConfigError: a point that was refitted another way; names what differs.
    """

    def __init__(
        self,
        folder: Path | str,
        plans: Sequence[RefitPlan],
        bank_of: Callable[[Proposal], FeatureBank],
        objective: Objective,
        limits: Limits | None = None,
    ) -> None:
        few = next((plan.members for plan in plans if plan.members < LEAST_MEMBERS), None)
        if few is not None:
            raise ConfigError(
                f"a refit has at least {LEAST_MEMBERS} seeds a point, for an interval to mean much; got {few}"
            )
        self.store, self.plans, self.bank_of = RefitStore(folder), list(plans), bank_of
        self.objective, self.limits = objective, limits
        for plan in self.plans:
            self.finished(plan)

    def finished(self, plan: RefitPlan) -> Refitted | None:
        """The finished point of a plan.

        Raises:
            ConfigError: it was refitted another way.
        """
        point = self.store.read(plan.name)
        different = first_difference(point.made_of, plan.made_of()) if point else None
        if different:
            field, there, here = different
            raise ConfigError(
                f"the point {plan.name} was refitted with {field} {there}, not {here}; take the same, or remove "
                f"{self.store.folder} to refit the front anew"
            )
        return point

    def left(self) -> list[RefitPlan]:
        """The plans that nobody has finished."""
        return [plan for plan in self.plans if self.finished(plan) is None]

    def run(
        self,
        on_point: Callable[[Refitted], None] = lambda point: None,
        on_epoch: Callable[[RefitPlan, EpochRecord], None] = lambda plan, record: None,
        on_failure: Callable[[RefitPlan, KwsDendriteError], None] = lambda plan, error: None,
    ) -> list[RefitPlan]:
        """Train point after point, those of one front end together; returns the plans that other processes still hold.

        A point whose training fails is told to `on_failure` and left for another day; the others go on.

        Raises:
            KeyboardInterrupt: Ctrl-C; the point that it fell into is not kept, all before are.
            OutputError: a point cannot be written.
        """
        elsewhere = []
        for plan in sorted(self.plans, key=_features):
            if self.finished(plan) is not None:
                continue
            with self.store.claimed(plan.name) as ours:
                if not ours:
                    elsewhere.append(plan)
                    continue
                if self.finished(plan) is not None:  # by another, between our look and our claim
                    continue
                try:
                    point = self._train(plan, on_epoch)
                except OutputError:  # a full disk would take the next points too
                    raise
                except KwsDendriteError as error:
                    on_failure(plan, error)
                    continue
            on_point(point)
        return [plan for plan in elsewhere if self.finished(plan) is None]

    def _train(self, plan: RefitPlan, on_epoch: Callable[[RefitPlan, EpochRecord], None]) -> Refitted:
        bank = self.bank_of(plan.proposal)
        start = time.perf_counter()
        result = remake(plan, bank, lambda record, _: on_epoch(plan, record))
        if result.interrupted:
            raise KeyboardInterrupt
        seconds = time.perf_counter() - start
        graphs = [fold(result.model, member) for member in range(plan.members)]
        frontend = plan.proposal.frontend if self.objective.frontend else None
        counted = [costs_of(graph, frontend, self.objective, self.limits) for graph in graphs]
        save_refit(self.store.path(plan.name), result, plan, bank)
        costs = {name: max(one[name] for one in counted) for name in counted[0]}
        point = Refitted(
            name=plan.name,
            trial=plan.trial,
            arm=plan.arm,
            slot=plan.slot,
            dendrites=plan.dendrites,
            said=plan.said,
            made_of=plan.made_of(),
            accuracy=tuple(result.best_accuracy),
            loss=tuple(result.best_loss),
            parameters=tuple(int(one["parameters"]) for one in counted),
            costs=costs,
            value=self.objective.value(costs),
            dendrites_kept=sum(step.accepted for step in result.growth),
            exported=min(range(plan.members), key=result.best_loss.__getitem__),
            epochs=len(result.history),
            seconds=seconds,
            weights=self.store.weights_hash(plan.name),
        )
        decided = predict(result.model, torch.from_numpy(bank.validation).float()).argmax(-1).numpy()  # (P, N)
        self.store.write(point, decided == bank.validation_labels)
        return point


def _features(plan: RefitPlan) -> str:
    """Equal for plans that share a bank."""
    made_of = plan.made_of()
    return json.dumps([made_of["frontend"], made_of["augment"]], sort_keys=True)


def remake(plan: RefitPlan, bank: FeatureBank, progress: Progress) -> TrainResult:
    """Train a point's population; a function of the plan and the bank."""
    return train(
        build_model(plan.proposal.model, plan.members, plan.seed),
        bank,
        plan.recipe,
        growth=plan.proposal.growth,
        restarts=plan.restarts,
        seed=plan.seed,
        progress=progress,
    )


def save_refit(folder: Path, result: TrainResult, plan: RefitPlan, bank: FeatureBank) -> None:
    """The checkpoint of a retrained point, as `kws-dendrite train` would have left it."""
    counted = cost(fold(result.model))
    save_checkpoint(
        folder,
        result.model,
        plan.proposal.model,
        labels=bank.labels,
        frontend=bank.frontend,
        record={
            "trial": plan.trial,
            "arm": plan.arm,
            "growth": [step.to_json() for step in result.growth],
            "history": [record.to_json() for record in result.history],
            "data": bank.summary,
            "seeds": {"seed": plan.seed, "members": plan.members},
            "train": asdict(plan.recipe),
            "metrics": {
                "validation_loss": result.best_loss,
                "validation_accuracy": result.best_accuracy,
                "parameters": counted.parameters,
                "macs": counted.macs,
            },
            "interrupted": result.interrupted,
        },
    )
