"""Feature banks of a search, by front end and augmentation: computed once, kept in memory at half precision, the least
recently used given up first."""

import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from kws_dendrite.data.augment import AugmentConfig
from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import FrontEndConfig
from kws_dendrite.search.proposal import Proposal

Key = tuple[FrontEndConfig | None, AugmentConfig]
Load = Callable[[FrontEndConfig | None, AugmentConfig], FeatureBank]
ROOM_SHARE = 0.4  # of the memory that is free when a search begins
MOST_ROOM = 1 << 30  # bytes, of each worker: two of them stay under 4 GB with all that they need besides
LEAST_ROOM = 256 << 20  # bytes


@dataclass(frozen=True)
class Held:
    """What there is in memory now.

    Attributes:
        banks: how many.
        bytes: of their arrays.
        loads: how many were computed or read so far.
    """

    banks: int
    bytes: int
    loads: int


class Banks:
    """Banks of features, made by `load` when a proposal first asks for one.

    Args:
        load: (front end, augmentation) -> bank; front end None where features come as arrays.
        room_bytes: that all of them may take together; the one in use stays, whatever it takes.
        first: a bank that is there already, for `key`.
    """

    def __init__(self, load: Load, room_bytes: int | None = None, first: tuple[Key, FeatureBank] | None = None) -> None:
        if room_bytes is not None and room_bytes < 1:
            raise ConfigError(f"the banks' room is at least a byte; got {room_bytes}")
        self.load, self.room = load, room_bytes or default_room()
        self.kept: OrderedDict[Key, FeatureBank] = OrderedDict()
        self.loads = 0
        if first is not None:
            self._keep(first[0], first[1])

    def of(self, proposal: Proposal) -> FeatureBank:
        """The bank that a proposal trains on."""
        return self.get(proposal.frontend, proposal.augment)

    def get(self, frontend: FrontEndConfig | None, augment: AugmentConfig) -> FeatureBank:
        """The bank of a front end and an augmentation.

        Raises:
            ConfigError, DataError: as `load`.
        """
        key = (frontend, augment)
        if key not in self.kept:
            self._make_room(max((_size(bank) for bank in self.kept.values()), default=0))
            self.loads += 1
            self._keep(key, self.load(frontend, augment))
        self.kept.move_to_end(key)
        return self.kept[key]

    @property
    def held(self) -> Held:
        """What there is."""
        return Held(len(self.kept), sum(map(_size, self.kept.values())), self.loads)

    def _keep(self, key: Key, bank: FeatureBank) -> None:
        self.kept[key] = halved(bank)
        self._make_room(0)

    def _make_room(self, needed: int) -> None:
        """Give up the oldest until `needed` bytes more are free; of what is kept, the newest stays."""
        while len(self.kept) > 1 and self.held.bytes + needed > self.room:
            self.kept.popitem(last=False)


def halved(bank: FeatureBank) -> FeatureBank:
    """`bank` with training features in half precision, where all of them have a place there."""
    if bank.train.dtype == np.float16:
        return bank
    with np.errstate(over="ignore"):
        train = bank.train.astype(np.float16)
    return replace(bank, train=train) if np.isfinite(train).all() else bank


def default_room() -> int:
    """Bytes: a share of the memory that is free, within `LEAST_ROOM` and `MOST_ROOM`."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # systems that do not tell
        free = 0
    return min(MOST_ROOM, max(LEAST_ROOM, int(ROOM_SHARE * free)))


def _size(bank: FeatureBank) -> int:
    arrays = (bank.train, bank.train_labels, bank.validation, bank.validation_labels, bank.train_words, bank.teacher)
    return sum(array.nbytes for array in arrays if array is not None)
