"""Reading a search's folder, finished or in the middle of its work."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kws_dendrite.errors import DataError
from kws_dendrite.report.fields import mapping
from kws_dendrite.report.results import read_json
from kws_dendrite.report.search_summary import Plan, plan_from
from kws_dendrite.report.search_trials import SearchTrial, read_trials
from kws_dendrite.report.trials import PARAMETERS

TRIALS, SETTINGS, REFIT = "trials.json", "search.json", "front.json"


@dataclass(frozen=True)
class SearchResults:
    """A search, read.

    Attributes:
        folder: where from.
        trials: in any state, fronts marked.
        settings: search.json; empty of a search that wrote none.
        plan: what the settings tell of its size.
        written: Unix time at which the trials were written down.
        refit: front.json, of a front that was trained again; None where there is none.
    """

    folder: Path
    trials: tuple[SearchTrial, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    plan: Plan = field(default_factory=Plan)
    written: float = 0.0
    refit: Mapping[str, Any] | None = None

    @property
    def data(self) -> Mapping[str, Any]:
        """The summary of the data that was searched on; empty where nobody wrote it."""
        return mapping(self.settings, "data", str(self.folder / SETTINGS))


def is_search(folder: Path | str) -> bool:
    """Whether `folder` is a search's, and no run's with a search in it."""
    folder = Path(folder)
    return (folder / SETTINGS).is_file() or ((folder / TRIALS).is_file() and not (folder / "run.json").exists())


def read_search(folder: Path | str) -> SearchResults:
    """Read a search's folder.

    Raises:
        DataError: no trials.json in it, a file that is not JSON or not of the expected shape.
    """
    folder = Path(folder)
    path = folder / TRIALS
    if not path.is_file():
        raise DataError(f"{folder} holds no {TRIALS} yet; it is there as soon as the search has begun a trial")
    records = read_json(path)
    if not isinstance(records, list) or not all(isinstance(record, Mapping) for record in records):
        raise DataError(f"{path} should hold a list of JSON objects; `kws-dendrite search` writes it")
    settings = read_json(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
    if not isinstance(settings, Mapping):
        raise DataError(f"{folder / SETTINGS} should hold a JSON object; `kws-dendrite search` writes it")
    trials = read_trials(records, str(path))
    plan = plan_from(settings, str(folder / SETTINGS))
    if plan.label == PARAMETERS:
        label = next((trial.label for trial in trials if trial.label), PARAMETERS)
        plan = Plan(**{**vars(plan), "label": label})
    refit = read_json(folder / REFIT) if (folder / REFIT).is_file() else None
    if refit is not None and not isinstance(refit, Mapping):
        raise DataError(f"{folder / REFIT} should hold a JSON object; `kws-dendrite refit` writes it")
    return SearchResults(folder, trials, settings, plan, path.stat().st_mtime, refit)
