"""Arms against plain nets of equal size: paired by seed, by clip, by both, corrected for how many are compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kws_dendrite.evaluation import (
    BootstrapDifference,
    CrossedDifference,
    PairedDifference,
    clip_bootstrap,
    crossed_difference,
    holm,
    paired_difference,
)
from kws_dendrite.study.rows import Row

PLAIN, BEST_PLAIN, BASE = "plain", "best plain", "base"
RESAMPLES = 10_000


@dataclass(frozen=True)
class Scored:
    """A row with what it is judged by.

    Attributes:
        row: the finished row.
        accuracies: (P,) 0..1 on the clips that the study reports.
        correct: bool (P, N) on the test clips; None as long as they were not read.
        int8_correct: the same as int8 TFLite.
        recall: (K,) on the test clips.
        speakers: (N,) of the test clips; None where they are not known, each clip then counts by itself.
    """

    row: Row
    accuracies: np.ndarray
    correct: np.ndarray | None = None
    int8_correct: np.ndarray | None = None
    recall: np.ndarray | None = None
    speakers: np.ndarray | None = None


@dataclass(frozen=True)
class Comparison:
    """An arm against a reference of its size. Differences are first - second, in shares of 1.

    Attributes:
        arm, title, size: of the first.
        reference: "plain", "best plain" (by validation) or "base" (the net that it grew from).
        against: name of the second's row.
        against_title: its arm.
        mean: of the difference.
        seeds: paired over seeds; None for one seed.
        clips: bootstrapped over clips, those of a speaker together; None before the test partition is read.
        both: over seeds and clips; None for one seed or before the reading.
        corrected_seeds, corrected_both: p values after Holm's correction over the whole family.
    """

    arm: str
    title: str
    size: int
    reference: str
    against: str
    against_title: str
    mean: float
    seeds: PairedDifference | None
    clips: BootstrapDifference | None
    both: CrossedDifference | None
    corrected_seeds: float | None = None
    corrected_both: float | None = None

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        return {
            "arm": self.arm,
            "title": self.title,
            "size": self.size,
            "reference": self.reference,
            "against": self.against,
            "against_title": self.against_title,
            "mean": self.mean,
            "seeds": self.seeds.to_json() if self.seeds else None,
            "clips": self.clips.to_json() if self.clips else None,
            "both": self.both.to_json() if self.both else None,
            "corrected_seeds": self.corrected_seeds,
            "corrected_both": self.corrected_both,
        }


def plain_of(scored: Sequence[Scored], size: int) -> Scored | None:
    """The plain net of a size, or its restarted twin where a study has no other."""
    here = {one.row.arm: one for one in scored if one.row.size == size and one.row.control}
    return here.get("plain") or here.get("plain_restart")


def best_plain_of(scored: Sequence[Scored], size: int) -> Scored | None:
    """The control of a size with the best mean validation accuracy: the test clips choose nothing."""
    here = [one for one in scored if one.row.size == size and one.row.control]
    return max(here, key=lambda one: float(np.mean(one.row.validation_accuracy)), default=None)


def compare(scored: Sequence[Scored], seed: int = 0) -> list[Comparison]:
    """Every comparison of a study, one family.

    Each arm against the plain net of its size; each arm that grows against the best plain net too, where that is
    another; and against its own base, where there is one. Published nets have no equal size here.
    """
    found: list[Comparison] = []
    for size in sorted({one.row.size for one in scored}):
        here = [one for one in scored if one.row.size == size]
        plain, best = plain_of(here, size), best_plain_of(here, size)
        for one in here:
            if one.row.base_of:
                continue
            if plain is not None and one is not plain:
                found.append(_compare(one, plain, PLAIN, seed))
            if best is not None and best is not plain and not one.row.control:
                found.append(_compare(one, best, BEST_PLAIN, seed))
            base = next((other for other in here if other.row.base_of == one.row.arm), None)
            if base is not None:
                found.append(_compare(one, base, BASE, seed))
    return _corrected(found)


def _compare(first: Scored, second: Scored, reference: str, seed: int) -> Comparison:
    pairs = min(len(first.accuracies), len(second.accuracies))
    several = pairs > 1
    clips = both = None
    if first.correct is not None and second.correct is not None:
        rng = np.random.default_rng([seed, first.row.size])
        groups = first.speakers
        clips = clip_bootstrap(first.correct, second.correct, rng, resamples=RESAMPLES, groups=groups)
        both = crossed_difference(first.correct, second.correct, groups=groups) if several else None
    return Comparison(
        arm=first.row.arm,
        title=first.row.title,
        size=first.row.size,
        reference=reference,
        against=second.row.name,
        against_title=second.row.title,
        mean=float(first.accuracies.mean() - second.accuracies.mean()),
        seeds=paired_difference(first.accuracies, second.accuracies) if several else None,
        clips=clips,
        both=both,
    )


def _corrected(found: list[Comparison]) -> list[Comparison]:
    """Holm's correction over all of them, for the p values over seeds and for those over seeds and clips."""
    if any(one.seeds is None for one in found):
        return found
    over_seeds = holm([one.seeds.p_value for one in found])
    counted = all(one.both is not None for one in found)
    over_both = holm([one.both.p_value for one in found]) if counted else [None] * len(found)
    return [
        replace(one, corrected_seeds=float(seeds), corrected_both=None if both is None else float(both))
        for one, seeds, both in zip(found, over_seeds, over_both, strict=True)
    ]
