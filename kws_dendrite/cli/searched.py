"""A search that is there: its trials, its settings, and the data that it was made on, for the commands after it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.cli import inputs
from kws_dendrite.cli.search import STORAGE_VARIABLE
from kws_dendrite.errors import ConfigError, DataError

if TYPE_CHECKING:
    from rich.console import Console

    from kws_dendrite.data import AugmentConfig, FeatureBank
    from kws_dendrite.frontend import FrontEndConfig
    from kws_dendrite.search import TrialResult
    from kws_dendrite.search.objective import Objective
    from kws_dendrite.search.proposal import Proposal
    from kws_dendrite.study.source import Source

FolderArgument = Annotated[Path, typer.Argument(help="Folder of a search.", show_default=False)]
DataAgainOption = Annotated[
    str | None, typer.Option("--data", help="The search's data, if they are no longer where it had them.")
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        envvar=STORAGE_VARIABLE, show_envvar=True,
        help="The database of a search that many machines share; else its trials.json is read.",
    ),
]  # fmt: skip


@dataclass
class Searched:
    """A search's folder, also while the search runs.

    Attributes:
        folder: that `kws-dendrite search` wrote.
        settings: its search.json.
        results: its trials, in any state.
    """

    folder: Path
    settings: dict[str, Any]
    results: list[TrialResult]

    @property
    def objective(self) -> Objective:
        """What it held small, and what large."""
        from kws_dendrite.search.objective import parse_objective

        held = self.settings["objective"]
        return parse_objective(held["name"], maximise=held.get("maximise", "accuracy"))

    @property
    def limits(self) -> Any:
        """What no net was to cost more."""
        from kws_dendrite.search.limits import Limits

        return Limits(**self.settings.get("limits") or {})

    def data(self, given: str | None, cache: Path, console: Console) -> SearchData:
        """Its data, at `given` or where the search had them; nothing is read yet.

        Raises:
            ConfigError: search.json does not say where they are.
            DataError: they are not there.
        """
        where = given or self.settings.get("data_folder")
        if not where:
            raise ConfigError(f"{self.folder} does not say where its data are; name them with --data")
        if where != "demo" and not Path(where).exists():
            raise DataError(f"the search's data folder {where} is not there; name it with --data")
        return SearchData(where, self.settings, cache, console)


def open_searched(folder: Path, storage: str | None = None) -> Searched:
    """Read a search: out of its journal or database, else trials.json.

    Raises:
        DataError: there is no search in the folder.
        OutputError, ServiceError: its storage is damaged or does not answer.
    """
    from kws_dendrite.search.records import read_settings, read_trials

    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name the --out of a search")
    settings = read_settings(folder)
    return Searched(folder, settings, read_trials(folder, storage if settings.get("storage") else None))


@dataclass
class SearchData:
    """What a search was made on: banks of features as its trials had them, and the test partition for a reading.

    Attributes:
        where: a data folder, or "demo".
        settings: the search's search.json.
        cache: of features.
    """

    where: str
    settings: dict[str, Any]
    cache: Path
    console: Console

    @cached_property
    def _dataset(self) -> Any:
        from kws_dendrite.data import TaskConfig, load_dataset, outline

        summary = self.settings["data"]
        dataset = load_dataset(self.where, TaskConfig.from_json(summary["task"]))
        if outline(dataset)["digest"] != summary.get("digest"):
            raise DataError(
                f"{self.where} holds other clips than the search was made on ({summary.get('name')}); name its own "
                "with --data, or search again"
            )
        return dataset

    def check(self) -> None:
        """Refuse other data than the search had.

        Raises:
            DataError: they are others.
        """
        _ = self._arrays if inputs.holds_arrays(self.where) else self._dataset

    def bank(self, proposal: Proposal) -> FeatureBank:
        """The features that a proposal asks for."""
        return self._banks.of(proposal)

    @cached_property
    def _banks(self) -> Any:
        from kws_dendrite.search.banks import Banks

        return Banks(self._load)

    def _load(self, frontend: FrontEndConfig | None, augment: AugmentConfig) -> FeatureBank:
        return self._arrays if frontend is None else self._render(frontend, augment)

    @cached_property
    def _arrays(self) -> FeatureBank:
        from kws_dendrite.data import load_block_arrays

        if not inputs.holds_arrays(self.where):
            raise DataError(f"the search was made on features in arrays, which {self.where} does not hold")
        known = self.settings.get("frontend", {}).get("coefficients", inputs.DEFAULT_COEFFICIENTS)
        bank = load_block_arrays(self.where, int(known))
        if bank.summary.get("digest") != self.settings["data"].get("digest"):
            raise DataError(f"{self.where} holds other features than the search was made on; name its own with --data")
        return bank

    def _render(self, frontend: FrontEndConfig, augment: AugmentConfig) -> FeatureBank:
        from kws_dendrite.data import build_bank
        from kws_dendrite.frontend import FeatureCache

        with inputs.bar(self.console) as progress:
            row = progress.add_task("features", total=None)
            return build_bank(
                self._dataset,
                frontend,
                augment,
                FeatureCache(self.cache),
                lambda done, total: progress.update(row, completed=done, total=total),
            )

    def source(self) -> Source:
        """Whose test partition a reading reads."""
        from kws_dendrite.data import AugmentConfig
        from kws_dendrite.frontend import FeatureCache, LogMelConfig
        from kws_dendrite.study.source import FeatureArrays, Recordings

        if inputs.holds_arrays(self.where):
            return FeatureArrays(self._arrays, self.where)
        rate = self._dataset.task.sampling_freq
        return Recordings(self._dataset, LogMelConfig(sampling_freq=rate), AugmentConfig(), FeatureCache(self.cache))
