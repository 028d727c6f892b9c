"""Reading a run folder, whichever of its parts exist."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kws_dendrite.errors import DataError
from kws_dendrite.report import fields, records
from kws_dendrite.report.records import Artefact, Epoch, GrowthStep, Hop, Quantised
from kws_dendrite.report.trials import TrialPoint, points_from_trials

PARTS = (
    "run.json",
    "search/trials.json",
    "model/model.json",
    "evaluation.json",
    "benchmark.json",
    "export/parity.json",
)


@dataclass(frozen=True)
class RunResults:
    """A run folder, read. Every part may be missing: None or empty.

    Attributes:
        folder: where it was read from.
        run: run.json.
        trials: nets of the trials that ended, fronts marked; `unfinished` counts the other trials.
        model: model/model.json; `history` and `growth` are its parts.
        evaluation: evaluation.json.
        parity: export/parity.json; `hops` are its float steps, `quantised` its int8 artefacts.
        artefacts: benchmark.json and the bundle's files, with evaluation.json's accuracies.
        data: the data set's summary.
        synthetic: any part says that its clips are synthetic.
    """

    folder: Path
    run: Mapping[str, Any] | None = None
    trials: tuple[TrialPoint, ...] = ()
    unfinished: int = 0
    model: Mapping[str, Any] | None = None
    history: tuple[Epoch, ...] = ()
    growth: tuple[GrowthStep, ...] = ()
    evaluation: Mapping[str, Any] | None = None
    parity: Mapping[str, Any] | None = None
    hops: tuple[Hop, ...] = ()
    quantised: tuple[Quantised, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    data: Mapping[str, Any] | None = None
    synthetic: bool = False

    @property
    def chosen(self) -> TrialPoint | None:
        """The net that run.json's "chosen" names, its trial's best where that says no dendrites; else the most accurate
        one on the front."""
        stated = (self.run or {}).get("chosen")
        stated = stated if isinstance(stated, Mapping) else {"number": stated}
        own = [point for point in self.trials if point.number == stated.get("number")]
        exact = [point for point in own if point.dendrites == stated.get("dendrites", point.dendrites)]
        if exact or own:
            return max(exact or own, key=lambda p: (p.front, p.accuracy, -p.size))
        return max((p for p in self.trials if p.front), key=lambda p: (p.accuracy, -p.size), default=None)


def read_run(folder: Path | str) -> RunResults:
    """Read a run folder.

    Raises:
        DataError: no such folder, none of a run's files in it, a file that is not JSON or not of the expected shape.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the --out of a run, a search or a study")
    found = {part: read_json(folder / part) for part in PARTS if (folder / part).is_file()}
    if not found:
        raise DataError(f"{folder} holds no results ({PARTS[0]}, {PARTS[1]}, ...); give a folder that `run` wrote")
    run = _object(found, "run.json", folder)
    model = _object(found, "model/model.json", folder)
    evaluation = _object(found, "evaluation.json", folder)
    trials = _list(found, "search/trials.json", folder)
    points = points_from_trials(trials, str(folder / "search/trials.json"))
    parity = _object(found, "export/parity.json", folder)
    where, chain = str(folder / "model/model.json"), str(folder / "export/parity.json")
    data = fields.mapping(run or {}, "data", str(folder / "run.json"))
    data = data or fields.mapping(model or {}, "data", where) or None
    return RunResults(
        folder=folder,
        run=run,
        trials=points,
        unfinished=len({trial.get("number") for trial in trials} - {point.number for point in points}),
        model=model,
        history=tuple(records.epoch_from(entry, where) for entry in fields.mappings(model or {}, "history", where)),
        growth=tuple(records.growth_from(entry, where) for entry in fields.mappings(model or {}, "growth", where)),
        evaluation=evaluation,
        parity=parity,
        hops=tuple(records.hop_from(entry, chain) for entry in fields.mappings(parity or {}, "hops", chain)),
        quantised=tuple(records.quantised_from(entry, chain) for entry in fields.mappings(parity or {}, "int8", chain)),
        artefacts=_artefacts(_list(found, "benchmark.json", folder), evaluation or {}, folder),
        data=data,
        synthetic=any((part or {}).get("synthetic") is True for part in (run, evaluation, data, model)),
    )


def _artefacts(rows: list[Mapping[str, Any]], evaluation: Mapping[str, Any], folder: Path) -> tuple[Artefact, ...]:
    """The rows of the benchmark, then whatever the evaluation scored besides."""
    accuracies = accuracies_by_name(evaluation, str(folder / "evaluation.json"))
    where = str(folder / "benchmark.json")
    listed = [records.artefact_from(row, where) for row in rows]
    listed = [replace(artefact, accuracy=accuracies.pop(artefact.name, None)) for artefact in listed]
    return tuple(listed + [Artefact(name=name, accuracy=accuracy) for name, accuracy in accuracies.items()])


def accuracies_by_name(evaluation: Mapping[str, Any], where: str) -> dict[str, float | None]:
    """evaluation.json's "artefacts": a number each, or an object with "accuracy"."""
    found = {}
    for name, value in fields.mapping(evaluation, "artefacts", where).items():
        record = value if isinstance(value, Mapping) else {"accuracy": value}
        found[name] = fields.number(record, "accuracy", where)
    return found


def _object(found: dict[str, Any], part: str, folder: Path) -> Mapping[str, Any] | None:
    value = found.get(part)
    if value is not None and not isinstance(value, Mapping):
        raise DataError(f"{folder / part} should hold a JSON object, got a {type(value).__name__}; make it again")
    return value


def _list(found: dict[str, Any], part: str, folder: Path) -> list[Mapping[str, Any]]:
    value = found.get(part, [])
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise DataError(f"{folder / part} should hold a list of JSON objects; make it again")
    return value


def read_json(path: Path) -> Any:
    """A JSON file.

    Raises:
        DataError: it cannot be read, or is none.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise DataError(f"{path} is not JSON ({error.msg} at {place}); it may be cut short: make it again") from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
