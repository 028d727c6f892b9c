"""What a search has come to, read from its storage at any time: every trial in any state, as trials.json has them."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.output import write_json, write_text
from kws_dendrite.search.front import TrialResult
from kws_dendrite.search.objective import PARAMS, Objective, parse_objective
from kws_dendrite.search.points import Point
from kws_dendrite.search.queue import ATTEMPT, FAILED, LIVES, PROPOSAL, SLOT, TRIES, WHY, Slots
from kws_dendrite.search.storage import JOURNAL, RUN

FORMAT = 2  # of search.json, trials.json and what is written to a study's trials
SETTINGS, TRIALS = "search.json", "trials.json"
OUTCOME = "outcome"  # an attribute of an entry


class Ledger:
    """The trials of a search.

    Args:
        studies: arm -> its study.
        trials: of each arm.
        objective: what it held small, and what large.
    """

    def __init__(self, studies: Mapping[str, optuna.Study], trials: int, objective: Objective) -> None:
        self.studies, self.trials, self.objective = studies, trials, objective
        self.known: dict[tuple[str, int, int], TrialResult] = {}  # finished entries do not change

    def records(self) -> list[TrialResult]:
        """Every trial in any state, by number; skipped draws before the trial that was drawn in their place."""
        found: list[TrialResult] = []
        for place, (arm, study) in enumerate(self.studies.items()):
            slots = Slots.of(study.get_trials(deepcopy=False))
            found += [self._read(arm, place, entry) for entry in slots.skipped if entry.user_attrs[SLOT] < self.trials]
            for slot in range(self.trials):
                entry = slots.ended.get(slot) or slots.live.get(slot)
                if entry is None:
                    next_one = slots.attempt.get(slot, 0), slots.tries.get(slot, 1)
                    found.append(self._waiting(arm, place, slot, *next_one))
                else:
                    found.append(self._read(arm, place, entry))
        return sorted(found, key=lambda trial: (trial.number, trial.attempt))

    def read(self, arm: str, entry: int) -> TrialResult:
        """The trial of one entry, which ran."""
        place = list(self.studies).index(arm)
        study = self.studies[arm]
        trial = study._storage.get_trial(study._storage.get_trial_id_from_study_id_trial_number(study._study_id, entry))
        return self._read(arm, place, trial)

    def finished(self) -> list[TrialResult]:
        """The trials that ended with points."""
        return [trial for trial in self.records() if trial.candidates()]

    def _waiting(self, arm: str, place: int, slot: int, attempt: int, tries: int) -> TrialResult:
        number = slot * len(self.studies) + place
        return TrialResult(
            number, arm, None, (), None, None, {}, None, None, "waiting", 0.0,
            maximise=self.objective.maximise, slot=slot, attempt=attempt, tries=tries,
        )  # fmt: skip

    def _read(self, arm: str, place: int, entry: FrozenTrial) -> TrialResult:
        if entry.state == TrialState.WAITING:
            attributes = entry.user_attrs
            return self._waiting(arm, place, attributes[SLOT], attributes[ATTEMPT], attributes[TRIES])
        key = arm, len(self.studies), entry.number
        if key in self.known:
            return self.known[key]
        result = self._result(arm, place, entry)
        if entry.state.is_finished():
            self.known[key] = result
        return result

    def _result(self, arm: str, place: int, entry: FrozenTrial) -> TrialResult:
        attributes, objective = entry.user_attrs, self.objective
        run, proposal = attributes.get(RUN, {}), attributes.get(PROPOSAL) or {}
        outcome = attributes.get(OUTCOME, {}) if entry.state.is_finished() else {}
        state, why = outcome.get("state"), attributes.get(WHY)
        if not entry.state.is_finished():
            state = "running"
        elif state is None:  # lost with its worker, as often as may be
            state = FAILED
            why = f"{LIVES} workers ended while they trained it; is there enough memory?"
        points = tuple(Point.from_json(point) for point in outcome.get("points", ()))
        last = points[-1] if points else None
        started, seconds = run.get("started"), float(outcome.get("seconds", 0.0))
        return TrialResult(
            number=attributes[SLOT] * len(self.studies) + place,
            arm=arm,
            validation_accuracy=last and last.validation_accuracy,
            validation_accuracy_members=last.validation_accuracy_members if last else (),
            parameters=last and last.parameters,
            macs=last and last.macs,
            params=dict(entry.params),
            architecture=proposal.get("model"),
            growth=proposal.get("growth"),
            state=state,
            seconds=seconds,
            objective=_held(objective, last.value) if last else None,
            maximise=objective.maximise,
            validation_loss_members=last.validation_loss_members if last else (),
            costs=dict(last.costs) if last else outcome.get("costs"),
            dendrites=last and last.dendrites,
            slot=attributes[SLOT],
            attempt=attributes[ATTEMPT],
            tries=attributes[TRIES],
            why=why,
            points=points,
            curve=tuple(outcome.get("curve", ())),
            steps=tuple(outcome.get("steps", ())),
            started=started,
            ended=_later(started, seconds * outcome.get("together", 1)) if entry.state.is_finished() else None,
            worker=run.get("worker"),
            recipe=proposal.get("train"),
            frontend=proposal.get("frontend"),
            augment=proposal.get("augment"),
            epochs=outcome.get("epochs"),
            planned=outcome.get("planned"),
            saved=int(outcome.get("saved", 0)),
        )


def _held(objective: Objective, value: float) -> dict[str, Any] | None:
    if objective.kind == PARAMS:
        return None
    return {"name": objective.name, "label": objective.label, "value": value}


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _later(started: str | None, seconds: float) -> str | None:
    if started is None:
        return None
    return (datetime.fromisoformat(started) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def save_trials(folder: Path, trials: Iterable[TrialResult]) -> None:
    """Write trials.json, a line a trial."""
    lines = ",\n".join(json.dumps(trial.to_json(), allow_nan=False) for trial in trials)
    write_text(folder / TRIALS, f"[\n{lines}\n]\n")


def write_trials(folder: Path | str) -> list[TrialResult]:
    """Bring trials.json up to date from the storage, also while others search; the trials."""
    trials = read_trials(folder)
    save_trials(Path(folder), trials)
    return trials


def read_trials(folder: Path | str, url: str | None = None) -> list[TrialResult]:
    """The trials of the search in `folder`: out of its journal, or the database at `url`; without either as trials.json
    has them, which the search keeps up to date while it runs.

    Raises:
        DataError: there is no search.
        OutputError: its journal is damaged.
        ServiceError: its database does not answer.
    """
    from kws_dendrite.search.storage import open_store

    folder = Path(folder)
    settings = read_settings(folder)
    name = settings["study"]
    if url is None and not (folder / JOURNAL).is_file():
        return saved_trials(folder)
    store = open_store(folder, url, name)
    try:
        studies = find_studies(store.storage, name, settings["arms"])
        objective = parse_objective(settings["objective"]["name"], maximise=settings["objective"]["maximise"])
        return Ledger(studies, settings["trials"], objective).records()
    finally:
        store.close()


def saved_trials(folder: Path) -> list[TrialResult]:
    """What trials.json has.

    Raises:
        DataError: there is none, or it is no search's.
    """
    path = folder / TRIALS
    try:
        return [TrialResult.from_json(value) for value in json.loads(path.read_text())]
    except FileNotFoundError as error:
        raise DataError(f"{folder} has no {TRIALS}; name the --out of a search that has begun") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} is not what a search of this version writes ({error})") from error


def read_settings(folder: Path) -> dict[str, Any]:
    """What search.json has.

    Raises:
        DataError: there is none, or it is another version's.
    """
    path = Path(folder) / SETTINGS
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise DataError(f"{folder} has no {SETTINGS}; name the --out of a search") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error})") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise DataError(f"{path} was written by another version; search again, or take the version that wrote it")
    return value


def check_kept(folder: Path, url: str | None, name: str) -> None:
    """Refuse a folder whose search is kept elsewhere than this one is to be, instead of beginning another one in it.

    Raises:
        ConfigError: it is in a database and this one in a journal, or the other way round, or it has another name.
    """
    try:
        settings = read_settings(folder)
    except (DataError, OSError):  # none yet, or another version's, which its studies say
        return
    held, known = settings.get("storage"), settings.get("study")
    if held and url is None:
        raise ConfigError(
            f"the search in {folder} is kept in {held}; give it with --storage or KWS_DENDRITE_STORAGE, or name "
            "another folder"
        )
    if url is not None and not held:
        raise ConfigError(
            f"the search in {folder} is kept in its journal; leave out --storage and KWS_DENDRITE_STORAGE, or name "
            "another folder"
        )
    if known != name:
        raise ConfigError(
            f"the search in {folder} has the name {known}, not {name}; give --study-name {known}, or name another "
            "folder"
        )


def save_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write search.json."""
    write_json(folder / SETTINGS, {"format": FORMAT, **settings})


def study_name(name: str, arm: str) -> str:
    """Of an arm's study in Optuna's storage."""
    return f"{name}/{arm}"


def find_studies(storage: optuna.storages.BaseStorage, name: str, arms: Sequence[str]) -> dict[str, optuna.Study]:
    """The arms' studies that there are."""
    there = {study.study_name for study in storage.get_all_studies()}
    names = {arm: study_name(name, arm) for arm in arms}
    return {arm: optuna.load_study(study_name=n, storage=storage) for arm, n in names.items() if n in there}


class Saver:
    """Keeps trials.json up to date, now and then: how often depends on how long it takes, so that a long search does
    not spend its time on writing."""

    LEAST, SHARE = 5.0, 0.02  # seconds between two; of the time, for writing

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.folder, self.ledger = folder, ledger
        self.due = 0.0

    def save(self, *, now: bool = False) -> None:
        """Write it, if it is time or `now`."""
        start = time.monotonic()
        if not now and start < self.due:
            return
        save_trials(self.folder, self.ledger.records())
        end = time.monotonic()
        self.due = end + max(self.LEAST, (end - start) / self.SHARE)
