"""Fronts of accuracy against size, and how good a front is: its hypervolume, over a logarithmic size.

Zitzler and Thiele, "Multiobjective optimization using evolutionary algorithms - a comparative case study", PPSN V
(1998), 292-301: the share of objective space that a front dominates, down to a stated reference point. A net of half
the size is worth the same anywhere on the axis, so the size counts by its logarithm.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kws_dendrite.errors import DataError

Pair = tuple[float, float]  # size, accuracy


@dataclass(frozen=True)
class Reference:
    """The rectangle that a hypervolume is a share of.

    Attributes:
        smallest, largest: sizes at its left and right edge; a front is worth nothing at `largest` and beyond.
        accuracy: its lower edge, such as that of a guess; the upper edge is 1.
    """

    smallest: float
    largest: float
    accuracy: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.smallest < self.largest < math.inf:
            raise DataError(f"a reference needs sizes 0 < smallest < largest, got {self.smallest} and {self.largest}")
        if not 0 <= self.accuracy < 1:
            raise DataError(f"a reference's accuracy lies in 0..1, 1 left out; got {self.accuracy}")

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        return {"smallest": self.smallest, "largest": self.largest, "accuracy": self.accuracy}


def undominated(pairs: Sequence[Pair]) -> list[int]:
    """Places of the pairs that no other beats, smallest first; of equals the first."""
    kept, best = [], -math.inf
    for place in sorted(range(len(pairs)), key=lambda k: (pairs[k][0], -pairs[k][1], k)):
        if pairs[place][1] > best:
            kept.append(place)
            best = pairs[place][1]
    return kept


def hypervolume(pairs: Iterable[Pair], reference: Reference) -> float:
    """Share 0..1 of the reference's rectangle that lies under the best accuracy at or below each size."""
    return Dominated(reference).add(pairs)


class Dominated:
    """A hypervolume that grows as pairs come in; its front is kept, so that each pair costs little."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.sizes: list[float] = []  # of the front, rising, as their accuracies do
        self.accuracies: list[float] = []

    def add(self, pairs: Iterable[Pair]) -> float:
        """Take pairs in; the hypervolume with them."""
        for size, accuracy in pairs:
            self._take(max(size, self.reference.smallest), accuracy)
        return self.value

    def _take(self, size: float, accuracy: float) -> None:
        if size >= self.reference.largest or accuracy <= self.reference.accuracy:
            return
        place = bisect_right(self.sizes, size)
        if place and self.accuracies[place - 1] >= accuracy:
            return
        first = place - 1 if place and self.sizes[place - 1] == size else place
        last = bisect_right(self.accuracies, accuracy)
        self.sizes[first : max(first, last)] = [size]
        self.accuracies[first : max(first, last)] = [accuracy]

    @property
    def value(self) -> float:
        """Of what was added so far."""
        ends = [*self.sizes[1:], self.reference.largest]  # one too many where nothing was added
        area = sum(
            math.log(end / size) * (min(1.0, accuracy) - self.reference.accuracy)
            for size, end, accuracy in zip(self.sizes, ends, self.accuracies, strict=False)
        )
        return area / (math.log(self.reference.largest / self.reference.smallest) * (1 - self.reference.accuracy))


def reference_of(sizes: Sequence[float], accuracy: float = 0.0, limit: float | None = None) -> Reference:
    """A rectangle around all `sizes`: up to `limit` where the search has one, else past the largest of them.

    It must not move while a search is told of, so it is made once, from all that is known at the end.

    Raises:
        DataError: no size.
    """
    if not sizes:
        raise DataError("a reference needs at least one size; wait for the first trial to end")
    smallest, largest = min(sizes), max(sizes)
    if limit is not None and limit > smallest:
        return Reference(smallest, limit, accuracy)
    return Reference(smallest, largest * 1.1, accuracy)  # a tenth more, or the largest net would count for nothing
