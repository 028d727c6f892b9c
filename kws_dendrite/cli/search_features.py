"""What a search trains on, in every process of it: the given features, and those that its proposals ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws_dendrite.cli import inputs

if TYPE_CHECKING:
    from kws_dendrite.data import AugmentConfig, FeatureBank
    from kws_dendrite.frontend import FrontEndConfig
    from kws_dendrite.search import Proposal, Search, SearchConfig, Space
    from kws_dendrite.search.shared import SharedBank


@dataclass
class Features:
    """Features by front end and augmentation, from the clips that `choice` names; the clips are found when asked for.

    Attributes:
        choice: the command's options.
        rate: sampling rate of the clips.
    """

    choice: inputs.Choice
    rate: int

    @cached_property
    def _dataset(self) -> Any:
        from kws_dendrite.data import load_dataset

        return load_dataset(self.choice.data, inputs.task_of(self.choice, self.rate))

    def load(self, frontend: FrontEndConfig | None, augment: AugmentConfig) -> FeatureBank:
        """Compute them, or read them from the cache."""
        from kws_dendrite.data import build_bank
        from kws_dendrite.frontend import FeatureCache

        return build_bank(self._dataset, frontend, augment, FeatureCache(self.choice.cache))


def bank_of(bank: FeatureBank, choice: inputs.Choice | None, space: Space) -> Callable[[Proposal], FeatureBank] | None:
    """The features of a proposal; None where all have the given ones."""
    if choice is None or not (space.frontends or space.augment):
        return None
    from kws_dendrite.frontend import from_json
    from kws_dendrite.search.banks import Banks

    frontend = from_json(bank.frontend)
    features = Features(choice, frontend.sampling_freq)
    return Banks(features.load, first=((frontend, choice.augment), bank)).of


@dataclass(frozen=True)
class Opening:
    """How a worker's process opens the search; it is sent to it.

    Attributes:
        folder: of the search.
        shared: its features.
        choice: where features of other front ends come from; None where the given ones are all.
        config, space: what to search.
        url, name: of the storage.
        settings: of the database.
    """

    folder: Path
    shared: SharedBank
    choice: inputs.Choice | None
    config: SearchConfig
    space: Space
    url: str | None
    name: str

    def __call__(self) -> Search:
        """Open it."""
        from kws_dendrite.search import Search

        bank = self.shared.open()
        return Search(
            self.folder,
            bank,
            self.config,
            self.space,
            url=self.url,
            name=self.name,
            bank_of=bank_of(bank, self.choice, self.space),
            augment=None if self.choice is None else self.choice.augment,
        )
