"""The search: Optuna over accuracy and size, one study an arm with equal trials, in one journal file on disk.

Trial k of an arm draws from a sampler seeded by (seed, arm, k) and the arm's finished trials, so a search that was
stopped and resumed proposes what an uninterrupted one would have.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.errors import ConfigError, OutputError
from kws_dendrite.fold import fold
from kws_dendrite.models import build_model, config_to_json
from kws_dendrite.plain import cost
from kws_dendrite.search.front import TrialResult
from kws_dendrite.search.journal import open_journal
from kws_dendrite.search.objective import PARAMETERS, PARAMS, Objective
from kws_dendrite.search.proposal import Ground, check_space, suggest
from kws_dendrite.search.space import ARMS, Arm, Space
from kws_dendrite.search.spaces import DEFAULT
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import share_epochs, train
from kws_dendrite.training.loop import EpochRecord

STARTUP_TRIALS = 10  # random ones before the sampler learns, of Optuna's TPE; its own default
JOURNAL = "journal.log"


@dataclass(frozen=True)
class SearchConfig:
    """Attributes:
    trials: of each arm.
    arms: which; all get the same number of trials and of epochs.
    members: seeds a trial.
    train: the recipe; its learning rate is drawn, its epochs are a trial's in all, over its cycles and candidate
        phases. The plain arm has two cycles, the others one more than they have growth steps.
    seed: of draws and of training.
    objective: what is held against accuracy.
    """

    trials: int = 10
    arms: tuple[Arm, ...] = ARMS
    members: int = 2
    train: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=40))
    seed: int = 0
    objective: Objective = PARAMETERS

    def __post_init__(self) -> None:
        if self.trials < 1 or self.members < 1:
            raise ConfigError(f"trials and members are at least 1; got {self.trials} and {self.members}")
        unknown = [arm for arm in self.arms if arm not in ARMS]
        if unknown or not self.arms or len(set(self.arms)) < len(self.arms):
            raise ConfigError(f"arms are some of {', '.join(ARMS)}, each once; got {', '.join(self.arms) or 'none'}")


class Search:
    """A search in a folder: `run` continues it until every arm has its trials."""

    def __init__(self, folder: Path | str, bank: FeatureBank, config: SearchConfig, space: Space | None = None) -> None:
        self.bank, self.config, self.space = bank, config, space or DEFAULT
        self.folder = Path(folder)
        self.ground = Ground.of_bank(bank, config.train)
        check_space(self.space, config.arms, self.ground)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {self.folder}: {error.strerror or error}") from error
        self.storage = open_journal(self.folder / JOURNAL)
        existing = {study.study_name for study in self.storage.get_all_studies()}
        forgotten = sorted(existing - set(config.arms))
        if forgotten:
            raise ConfigError(f"the search in {self.folder} has the arm {', '.join(forgotten)} too; name it in arms")
        made_of = self._fingerprint()
        studies = {arm: optuna.load_study(study_name=arm, storage=self.storage) for arm in existing}
        for study in studies.values():  # all are looked at before any is written to
            before = study.user_attrs.get("made_of", made_of)
            held, here = (value.get("objective", PARAMS) for value in (before, made_of))
            if held != here:
                raise ConfigError(
                    f"the search in {self.folder} was started with --objective {held}, not {here}; resume it with the "
                    "same, or name another folder"
                )
            if before != made_of:
                raise ConfigError(
                    f"the search in {self.folder} was started with another {', '.join(_differing(before, made_of))}; "
                    "resume it with the same, or name another folder"
                )
        self.studies = {arm: studies.get(arm) or self._create(arm) for arm in config.arms}
        for study in self.studies.values():
            if "made_of" not in study.user_attrs:
                study.set_user_attr("made_of", made_of)
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                study.tell(trial.number, state=TrialState.FAIL)  # its process is gone; it is drawn anew

    def _create(self, arm: Arm) -> optuna.Study:
        return optuna.create_study(study_name=arm, storage=self.storage, directions=["maximize", "minimize"])

    def _fingerprint(self) -> dict[str, Any]:
        values = {
            "data": self.bank.summary.get("digest"),
            "task": self.bank.summary.get("task", {}),
            "augmentation": self.bank.summary.get("augmentation", {}),
            "front end": self.bank.frontend,
            "labels": list(self.bank.labels),
            "recipe": asdict(self.config.train),
            "members": self.config.members,
            "seed": self.config.seed,
            "space": self.space.to_json(),
            **self.config.objective.made_of(),
        }
        return json.loads(json.dumps(values))  # tuples as the journal gives them back

    def run(
        self,
        on_trial: Callable[[TrialResult], None] = lambda result: None,
        on_epoch: Callable[[str, EpochRecord, int], None] = lambda arm, record, epochs: None,
    ) -> list[TrialResult]:
        """Train until every arm has its trials, the arms taking turns; all finished trials, old ones too."""
        while True:
            counts = {arm: len(self._finished(arm)) for arm in self.studies}
            arm = min(counts, key=counts.__getitem__)
            if counts[arm] >= self.config.trials:
                return self.results()
            on_trial(self._trial(arm, counts[arm], on_epoch))

    def results(self) -> list[TrialResult]:
        """Every finished trial, `trials` an arm at most, numbered over all arms in the order of their turns."""
        found = []
        for place, arm in enumerate(self.studies):
            for k, trial in enumerate(self._finished(arm)):
                found.append(self._result(trial, arm, k * len(self.studies) + place))
        return sorted(found, key=lambda result: result.number)

    def _finished(self, arm: Arm) -> Sequence[FrozenTrial]:
        return self.studies[arm].get_trials(deepcopy=False, states=(TrialState.COMPLETE,))[: self.config.trials]

    def _trial(self, arm: Arm, k: int, on_epoch: Callable[[str, EpochRecord, int], None]) -> TrialResult:
        study, config = self.studies[arm], self.config
        # The random first trials are paired: the same seed for every arm draws the same shared choices.
        name = "first" if k < STARTUP_TRIALS else arm
        digest = hashlib.sha256(f"{config.seed} {name} {k}".encode()).digest()
        study.sampler = TPESampler(
            seed=int.from_bytes(digest[:4], "big"), n_startup_trials=STARTUP_TRIALS, multivariate=False
        )
        start = time.perf_counter()
        trial = study.ask()
        proposal = suggest(trial, self.space, arm, self.ground)
        growth, restarts = proposal.growth, proposal.restarts
        result = train(
            build_model(proposal.model, config.members, config.seed),
            self.bank,
            share_epochs(proposal.train, config.train.epochs, growth, restarts),
            growth=growth,
            restarts=restarts,
            seed=config.seed,
            progress=lambda record, n: on_epoch(arm, record, n),
        )
        if result.interrupted:
            study.tell(trial, state=TrialState.FAIL)
            raise KeyboardInterrupt
        graph = fold(result.model)
        counted, objective = cost(graph), config.objective
        accuracy = sum(result.best_accuracy) / len(result.best_accuracy)
        attributes = {
            "validation_accuracy_members": result.best_accuracy,
            "macs": counted.macs,
            "architecture": config_to_json(proposal.model),
            "growth": None if growth is None else asdict(growth),
            "recipe": asdict(proposal.train),
            "steps": [step.to_json() for step in result.growth],
            "seconds": time.perf_counter() - start,
        }
        if objective.kind != PARAMS:
            attributes["parameters"] = counted.parameters
        for key, value in attributes.items():
            trial.set_user_attr(key, value)
        study.tell(trial, [accuracy, objective.measure(graph)])
        place = list(self.studies).index(arm)
        return self._result(self._finished(arm)[-1], arm, k * len(self.studies) + place)

    def _result(self, trial: FrozenTrial, arm: str, number: int) -> TrialResult:
        accuracy, value = trial.values
        attributes, objective = trial.user_attrs, self.config.objective
        held = None
        if objective.kind != PARAMS:
            held = {"name": objective.name, "label": objective.label, "value": value}
        return TrialResult(
            number=number,
            arm=arm,
            validation_accuracy=accuracy,
            validation_accuracy_members=tuple(attributes["validation_accuracy_members"]),
            parameters=int(attributes.get("parameters", value)),
            macs=int(attributes["macs"]),
            params=dict(trial.params),
            architecture=attributes["architecture"],
            growth=attributes["growth"],
            recipe=attributes.get("recipe"),
            state="complete",
            seconds=float(attributes["seconds"]),
            objective=held,
        )


def _differing(before: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Names of what differs; of a group of settings, the settings."""
    names = []
    for name in here:
        old, new = before.get(name), here[name]
        if isinstance(old, dict) and isinstance(new, dict):
            names += [f"{name} {key}" for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        elif old != new:
            names.append(name)
    return names
