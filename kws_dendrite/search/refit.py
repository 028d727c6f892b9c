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
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError, KwsDendriteError, OutputError
from kws_dendrite.fold import fold
from kws_dendrite.models import ModelConfig, build_model, config_to_json
from kws_dendrite.plain import cost
from kws_dendrite.search.objective import Objective
from kws_dendrite.search.refitted import RefitStore, Refitted, first_difference
from kws_dendrite.training.checkpoint import save_checkpoint
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import TrainResult, train
from kws_dendrite.training.loop import EpochRecord, Progress, predict

FRESH = 1_000_003  # added to the search's seed: no stream of a trial's (seed, seed + 7919 a growth step) is met again
LEAST_MEMBERS = 5


@dataclass(frozen=True)
class RefitPlan:
    """One point to train again.

    Attributes:
        trial, arm, dendrites: which point of the search.
        architecture, train, growth, restarts: how; the recipe's epochs are those of one cycle.
        epochs: in all, over cycles, candidate phases and probes.
        members, seed: P seeds, from `seed` on.
        frontend, augmentation: of its features, as JSON values.
        said: what the search said of it.
        origin: what the trial drew, for whoever makes the features.
    """

    trial: int
    arm: str
    dendrites: int
    architecture: ModelConfig
    train: TrainConfig
    growth: DendriteConfig | None
    restarts: int
    epochs: int
    members: int
    seed: int
    frontend: dict[str, Any]
    augmentation: dict[str, Any]
    said: dict[str, Any]
    origin: Any = None

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.trial}-{self.dendrites}"

    def made_of(self) -> dict[str, Any]:
        """All that its result follows from, the data aside, as JSON values."""
        value = {
            "members": self.members,
            "epochs": self.epochs,
            "seed": self.seed,
            "architecture": config_to_json(self.architecture),
            "train": asdict(self.train),
            "growth": asdict(self.growth) if self.growth else None,
            "restarts": self.restarts,
            "frontend": self.frontend,
            "augmentation": self.augmentation,
        }
        return json.loads(json.dumps(value))  # lists for tuples, as it comes back from a file


class Refit:
    """The refit of some points of a search. Making it trains nothing.

    Raises:
        ConfigError: a point that was refitted another way; names what differs.
    """

    def __init__(
        self,
        folder: Path | str,
        plans: Sequence[RefitPlan],
        bank_of: Callable[[RefitPlan], FeatureBank],
        objective: Objective,
    ) -> None:
        few = next((plan.members for plan in plans if plan.members < LEAST_MEMBERS), None)
        if few is not None:
            raise ConfigError(
                f"a refit has at least {LEAST_MEMBERS} seeds a point, for an interval to mean much; got {few}"
            )
        self.store, self.plans, self.bank_of, self.objective = RefitStore(folder), list(plans), bank_of, objective
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
        for plan in sorted(self.plans, key=lambda plan: json.dumps([plan.frontend, plan.augmentation], sort_keys=True)):
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
        bank = self.bank_of(plan)
        start = time.perf_counter()
        result = remake(plan, bank, lambda record, _: on_epoch(plan, record))
        if result.interrupted:
            raise KeyboardInterrupt
        seconds = time.perf_counter() - start
        save_refit(self.store.path(plan.name), result, plan, bank)
        graphs = [fold(result.model, member) for member in range(plan.members)]
        costs = [cost(graph) for graph in graphs]
        point = Refitted(
            name=plan.name,
            trial=plan.trial,
            arm=plan.arm,
            dendrites=plan.dendrites,
            said=plan.said,
            made_of=plan.made_of(),
            accuracy=tuple(result.best_accuracy),
            loss=tuple(result.best_loss),
            parameters=tuple(counted.parameters for counted in costs),
            macs=tuple(counted.macs for counted in costs),
            value=tuple(float(self.objective.measure(graph)) for graph in graphs),
            dendrites_kept=sum(step.accepted for step in result.growth),
            exported=min(range(plan.members), key=result.best_loss.__getitem__),
            epochs=len(result.history),
            seconds=seconds,
            weights=self.store.weights_hash(plan.name),
        )
        decided = predict(result.model, torch.from_numpy(bank.validation).float()).argmax(-1).numpy()  # (P, N)
        self.store.write(point, decided == bank.validation_labels)
        return point


def remake(plan: RefitPlan, bank: FeatureBank, progress: Progress) -> TrainResult:
    """Train a point's population; a function of the plan and the bank."""
    return train(
        build_model(plan.architecture, plan.members, plan.seed),
        bank,
        plan.train,
        growth=plan.growth,
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
        plan.architecture,
        labels=bank.labels,
        frontend=bank.frontend,
        record={
            "trial": plan.trial,
            "arm": plan.arm,
            "growth": [step.to_json() for step in result.growth],
            "history": [record.to_json() for record in result.history],
            "data": bank.summary,
            "seeds": {"seed": plan.seed, "members": plan.members},
            "train": asdict(plan.train),
            "metrics": {
                "validation_loss": result.best_loss,
                "validation_accuracy": result.best_accuracy,
                "parameters": counted.parameters,
                "macs": counted.macs,
            },
            "interrupted": result.interrupted,
        },
    )
