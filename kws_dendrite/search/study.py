"""The search: Optuna over accuracy and size, one study an arm with equal trials, in a journal or a database.

Trial k of an arm draws from a sampler seeded by (seed, arm, k) and the arm's finished trials, so a search that was
stopped and resumed proposes what an uninterrupted one would have. The first trials are random and seeded alike in all
arms: what the arms share is paired there, and does not depend on the order in which workers end.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna

from kws_dendrite import __version__
from kws_dendrite.data.augment import AugmentConfig
from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.errors import ConfigError
from kws_dendrite.search.config import SearchConfig
from kws_dendrite.search.differences import differences, rule_option
from kws_dendrite.search.front import TrialResult
from kws_dendrite.search.hand import Hand, OnEpoch
from kws_dendrite.search.objective import PARAMS
from kws_dendrite.search.proposal import Ground, Proposal, check_space
from kws_dendrite.search.queue import Queue
from kws_dendrite.search.records import FORMAT, Ledger, check_kept, find_studies, save_settings, study_name
from kws_dendrite.search.space import ARMS, Arm, Space
from kws_dendrite.search.spaces import DEFAULT
from kws_dendrite.search.stopping import Standing, standing
from kws_dendrite.search.storage import open_store, worker_name

NAME = "search"  # of a search in a journal, where there is no other
POLL = 1.0  # seconds between two looks for a slot that another worker gives back


class Search:
    """A search, seen by one of its workers: `run` trains what is left until every arm has its trials.

    Args:
        folder: of the journal and of search.json.
        bank: the features, or those that trials start from where front ends are searched.
        config, space: what to search.
        url: of a database, instead of the journal.
        name: of the search in the storage.
        bank_of: the features that a proposal asks for; by default the bank.
        augment: what the bank's augmented copies are, where trials may draw others.
        store_settings: of the database, as `database.DatabaseStore` takes them.

    Raises:
        ConfigError: another search is there under this name: other data, settings or version, named; too few epochs.
        OutputError: the folder or the journal cannot be written, is locked or damaged.
        ServiceError: the database does not answer, or has tables of another version.
    """

    def __init__(
        self,
        folder: Path | str,
        bank: FeatureBank,
        config: SearchConfig,
        space: Space | None = None,
        *,
        url: str | None = None,
        name: str = NAME,
        bank_of: Callable[[Proposal], FeatureBank] | None = None,
        augment: AugmentConfig | None = None,
        **store_settings: Any,
    ) -> None:
        self.bank, self.config, self.space, self.name = bank, config, space or DEFAULT, name
        self.bank_of = bank_of or (lambda proposal: bank)
        self.folder = Path(folder)
        self.ground = Ground.of_bank(bank, config.train, augment)
        check_space(self.space, config.arms, self.ground)
        config.check_companions(self.space)
        check_kept(self.folder, url, name)
        self.store = open_store(self.folder, url, name, **store_settings)
        self.made_of = self._fingerprint()
        try:
            with self.store.turn():
                self.studies = self._open_studies()
        except BaseException:
            self.store.close()
            raise
        self.queue = Queue(self.store, self.studies, config.trials)
        self.ledger = Ledger(self.studies, config.trials, config.objective)
        self.worker: str | None = None

    def _open_studies(self) -> dict[str, optuna.Study]:
        """The arms' studies, new ones where there are none; all are looked at before any is written to."""
        there = [study.study_name for study in self.store.storage.get_all_studies()]
        arms = [name.removeprefix(f"{self.name}/") for name in there if name.startswith(f"{self.name}/")]
        forgotten = [arm for arm in ARMS if arm in arms and arm not in self.config.arms]
        if not self.store.many_machines and any(name in ARMS for name in there):
            raise ConfigError(
                f"the search in {self.folder} was started with another version, before there were workers; name "
                "another folder, or take the version that started it"
            )
        if forgotten:
            raise ConfigError(f"the search in {self._place} has the arm {', '.join(forgotten)} too; name it in arms")
        found = find_studies(self.store.storage, self.name, self.config.arms)
        for arm, study in found.items():
            self._check(arm, study)
        studies = {arm: found.get(arm) or self._create(arm) for arm in self.config.arms}
        for study in studies.values():
            if "made_of" not in study.user_attrs:
                study.set_user_attr("made_of", self.made_of)
        return studies

    @property
    def _place(self) -> str:
        return f"{self.store.shown}, study {self.name}" if self.store.many_machines else str(self.folder)

    def _check(self, arm: Arm, study: optuna.Study) -> None:
        before = study.user_attrs.get("made_of")
        another = "give another --study-name" if self.store.many_machines else "name another folder"
        if before is None and (len(study.directions) != 2 or study.get_trials(deepcopy=False)):
            raise ConfigError(
                f"{self.store.shown} has a study {study_name(self.name, arm)} that no search made; {another}"
            )
        before = before or self.made_of
        held, here = (value.get("objective", PARAMS) for value in (before, self.made_of))
        if held != here:
            raise ConfigError(
                f"the search in {self._place} was started with --objective {held}, not {here}; resume it with the "
                f"same, or {another}"
            )
        if before != self.made_of:
            raise ConfigError(
                f"the search in {self._place} was started with another {', '.join(differences(before, self.made_of))}; "
                f"resume it with the same{rule_option(before, self.made_of)}, or {another}"
            )

    def _create(self, arm: Arm) -> optuna.Study:
        study = optuna.create_study(
            study_name=study_name(self.name, arm), storage=self.store.storage, directions=["maximize", "minimize"]
        )
        objective = self.config.objective
        large = "negative loss" if objective.maximise == "loss" else "accuracy"
        study.set_metric_names([f"validation {large}", objective.label])  # as optuna-dashboard shows them
        return study

    def _fingerprint(self) -> dict[str, Any]:
        config = self.config
        values = {
            "version": f"{__version__}, format {FORMAT}",
            "version of Optuna": optuna.__version__.split(".")[0],
            "data": self.bank.summary.get("digest"),
            "task": self.bank.summary.get("task", {}),
            "augmentation": self.bank.summary.get("augmentation", {}),
            "front end": self.bank.frontend,
            "labels": list(self.bank.labels),
            "recipe": asdict(config.train),
            "members": config.members,
            "seed": config.seed,
            "space": self.space.to_json(),
            "limits": config.limits.to_json(),
            "stopping": {"hopeless": config.stops, **asdict(config.rule)},
            "maximise": config.objective.maximise,
            **config.objective.made_of(),
        }
        if config.companions > 1:  # left out where trials are trained one by one, as they always were
            values["companions"] = config.companions
        return json.loads(json.dumps(values))  # tuples as the journal gives them back

    def settings(self) -> dict[str, Any]:
        """What search.json tells of the search; without a password."""
        config, objective = self.config, self.config.objective
        return {
            "version": __version__,
            "study": self.name,
            "storage": self.store.shown if self.store.many_machines else None,
            "arms": list(config.arms),
            "trials": config.trials,
            "epochs": config.train.epochs,
            "members": config.members,
            "companions": config.companions,
            "device": config.device,
            "seed": config.seed,
            "objective": {"name": objective.name, "label": objective.label, "maximise": objective.maximise},
            "limits": config.limits.to_json(),
            "stop_hopeless": config.stops,
            "rule": json.loads(json.dumps(asdict(config.rule))),
            "space": self.space.to_json(),
            "recipe": asdict(config.train),
            "frontend": self.bank.frontend,
            "labels": list(self.bank.labels),
            "validation_clips": len(self.bank.validation_labels),
            "data": self.bank.summary,
        }

    def save_settings(self, **more: Any) -> dict[str, Any]:
        """Write search.json, with `more` in it; what it has now."""
        settings = self.settings() | more
        save_settings(self.folder, settings)
        return settings

    def results(self) -> list[TrialResult]:
        """Every trial that ended with a net, numbered over all arms in the order of their turns."""
        return self.ledger.finished()

    def records(self) -> list[TrialResult]:
        """Every trial in any state."""
        return self.ledger.records()

    def run(
        self,
        on_trial: Callable[[TrialResult], None] = lambda result: None,
        on_epoch: OnEpoch = lambda arm, record, epochs: None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> list[TrialResult]:
        """Train until every arm has its trials, the arms taking turns; all that ended with a net, old ones too.

        Args:
            on_trial: a trial that ended here, in any way but skipped.
            on_epoch: the arm, a finished epoch, and how many the trial has.
            on_wait: called while others train the last trials.
        """
        self.worker = self.worker or worker_name()
        self.store.sign_in(self.worker)
        hand = Hand(self, on_epoch)
        try:
            while True:
                ended = hand.take()
                for result in ended:
                    on_trial(result)
                if ended:
                    continue
                if self.queue.over():
                    return self.results()
                if not hand.busy:
                    on_wait()
                    time.sleep(POLL)
        finally:
            self.store.sign_out(self.worker)

    def standing(self, arm: Arm) -> Standing:
        """How the search stands for a trial of `arm`."""
        config, trials = self.config, self.records()
        if config.companions > 1:  # the bound learns from blocks that were never to be stopped
            trials = [replace(trial, slot=trial.slot // config.companions) for trial in trials]
        return standing(trials, arm, config.rule, config.objective.maximise)

    def close(self) -> None:
        """Give up the storage."""
        self.store.close()
