"""The search: Optuna over two objectives, one study an arm with equal trials, in one journal file on disk.

Trial k of an arm draws from a sampler seeded by (seed, arm, k) and the arm's finished trials, so a search that was
stopped and resumed proposes what an uninterrupted one would have.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.errors import ConfigError, OutputError
from kws_dendrite.fold import fold
from kws_dendrite.models import build_model, config_to_json
from kws_dendrite.plain import cost
from kws_dendrite.search.front import TrialResult
from kws_dendrite.search.space import ARMS, Arm, Space, suggest
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
    """

    trials: int = 10
    arms: tuple[Arm, ...] = ARMS
    members: int = 2
    train: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=40))
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trials < 1 or self.members < 1:
            raise ConfigError(f"trials and members are at least 1; got {self.trials} and {self.members}")
        unknown = [arm for arm in self.arms if arm not in ARMS]
        if unknown or not self.arms or len(set(self.arms)) < len(self.arms):
            raise ConfigError(f"arms are some of {', '.join(ARMS)}, each once; got {', '.join(self.arms) or 'none'}")


class Search:
    """A search in a folder: `run` continues it until every arm has its trials."""

    def __init__(self, folder: Path | str, bank: FeatureBank, config: SearchConfig, space: Space | None = None) -> None:
        self.bank, self.config, self.space = bank, config, space or Space()
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self.storage = JournalStorage(JournalFileBackend(str(self.folder / JOURNAL)))
            self.studies = {arm: self._open(arm) for arm in config.arms}
        except (OSError, ValueError, KeyError) as error:
            raise OutputError(
                f"{self.folder / JOURNAL} is not a search's journal ({error}); name another folder"
            ) from error

    def _open(self, arm: Arm) -> optuna.Study:
        study = optuna.create_study(
            study_name=arm, storage=self.storage, directions=["maximize", "minimize"], load_if_exists=True
        )
        here = self._fingerprint()
        before = study.user_attrs.get("made_of")
        if before is None:
            study.set_user_attr("made_of", here)
        elif before != here:
            different = [name for name in here if before.get(name) != here[name]]
            raise ConfigError(
                f"the search in {self.folder} was started with another {', '.join(different)}; "
                "resume it with the same, or name another folder"
            )
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)  # its process is gone; the number is drawn anew
        return study

    def _fingerprint(self) -> dict[str, Any]:
        values = {
            "data": self.bank.summary.get("digest"),
            "front end": self.bank.frontend,
            "labels": list(self.bank.labels),
            "recipe": asdict(self.config.train),
            "members": self.config.members,
            "seed": self.config.seed,
            "space": asdict(self.space),
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
        """Every finished trial, numbered over all arms in the order of their turns."""
        found = []
        for place, arm in enumerate(self.studies):
            for k, trial in enumerate(self._finished(arm)):
                found.append(_result(trial, arm, k * len(self.studies) + place))
        return sorted(found, key=lambda result: result.number)

    def _finished(self, arm: Arm) -> Sequence[FrozenTrial]:
        return self.studies[arm].get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

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
        _, T, F = self.bank.validation.shape
        level_stays = self.bank.frontend.get("block") == "mfe"
        proposal = suggest(trial, self.space, arm, T, F, len(self.bank.labels), remove_mean=level_stays)
        growth = proposal.growth
        restarts = 0 if growth else 1
        recipe = replace(config.train, learning_rate=proposal.learning_rate)
        result = train(
            build_model(proposal.model, config.members, config.seed),
            self.bank,
            share_epochs(recipe, config.train.epochs, growth, restarts),
            growth=growth,
            restarts=restarts,
            seed=config.seed,
            progress=lambda record, n: on_epoch(arm, record, n),
        )
        if result.interrupted:
            study.tell(trial, state=TrialState.FAIL)
            raise KeyboardInterrupt
        counted = cost(fold(result.model))
        accuracy = sum(result.best_accuracy) / len(result.best_accuracy)
        attributes = {
            "validation_accuracy_members": result.best_accuracy,
            "macs": counted.macs,
            "architecture": config_to_json(proposal.model),
            "growth": None if growth is None else asdict(growth),
            "steps": [step.to_json() for step in result.growth],
            "seconds": time.perf_counter() - start,
        }
        for key, value in attributes.items():
            trial.set_user_attr(key, value)
        study.tell(trial, [accuracy, counted.parameters])
        place = list(self.studies).index(arm)
        return _result(self._finished(arm)[-1], arm, k * len(self.studies) + place)


def _result(trial: FrozenTrial, arm: str, number: int) -> TrialResult:
    accuracy, parameters = trial.values
    attributes = trial.user_attrs
    return TrialResult(
        number=number,
        arm=arm,
        validation_accuracy=accuracy,
        validation_accuracy_members=tuple(attributes["validation_accuracy_members"]),
        parameters=int(parameters),
        macs=int(attributes["macs"]),
        params=dict(trial.params),
        architecture=attributes["architecture"],
        growth=attributes["growth"],
        state="complete",
        seconds=float(attributes["seconds"]),
    )
