"""From scores and labels to an accuracy that can be quoted: with its clips, its seeds and its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kws_dendrite.errors import DataError
from kws_dendrite.evaluation.statistics import Interval, t_interval, wilson_interval


@dataclass(frozen=True)
class Evaluation:
    """How one architecture did on one set of clips.

    Attributes:
        labels: K class names.
        clips: number of clips N.
        accuracies: one accuracy (0..1) per population member, P of them.
        accuracy: their mean.
        interval: 95 % unless asked otherwise: t over the seeds when P > 1, else Wilson over the clips.
        interval_kind: "t over seeds" or "Wilson over clips".
        clip_interval: Wilson over the clips for the mean accuracy; equal to `interval` when P is 1.
        recall: per class, the mean over members; None for a class without clips.
        confusion: (K, K) counts summed over members, row the true class, column the decision.
        level: coverage of both intervals.
    """

    labels: tuple[str, ...]
    clips: int
    accuracies: tuple[float, ...]
    accuracy: float
    interval: Interval
    interval_kind: str
    clip_interval: Interval
    recall: tuple[float | None, ...]
    confusion: tuple[tuple[int, ...], ...]
    level: float = 0.95

    @property
    def members(self) -> int:
        """P, the number of seeds."""
        return len(self.accuracies)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over the classes that have clips."""
        present = [value for value in self.recall if value is not None]
        return sum(present) / len(present)

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes; the keys of a run folder's evaluation.json."""
        return {
            "clips": self.clips,
            "members": self.members,
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "interval_kind": self.interval_kind,
            "level": self.level,
            "clip_interval": list(self.clip_interval),
            "accuracy_members": list(self.accuracies),
            "balanced_accuracy": self.balanced_accuracy,
            "labels": list(self.labels),
            "recall": list(self.recall),
            "confusion": [list(row) for row in self.confusion],
        }


def evaluate_scores(
    probabilities: ArrayLike, labels: ArrayLike, names: Sequence[str], level: float = 0.95
) -> Evaluation:
    """Score decisions (the largest probability; the first of equals) against labels.

    Args:
        probabilities: (N, K) of one model or (P, N, K) of P seeds; any monotone score will do.
        labels: (N,) true class indices, 0..K-1.
        names: K class names.
        level: coverage of the intervals.

    Raises:
        DataError: shapes that do not fit, no clips, NaN or infinite scores, a label out of range.
    """
    scores, labels, names = np.asarray(probabilities), np.asarray(labels), tuple(names)
    if scores.ndim == 2:
        scores = scores[None]
    _check(scores, labels, names)
    members, clips, classes = scores.shape  # (P, N, K)
    decisions = scores.argmax(axis=2)  # (P, N)
    cells = labels[None].astype(np.int64) * classes + decisions
    confusion = np.bincount(cells.ravel(), minlength=classes * classes).reshape(classes, classes)
    right = (decisions == labels).sum(axis=1)  # (P,)
    accuracies = tuple(float(count / clips) for count in right)
    # The exact count over all members, so that the mean cannot exceed 1 by rounding.
    clip_interval = wilson_interval(float(right.sum() / members), clips, level)
    if members > 1:
        low, high = t_interval(accuracies, level)
        interval, kind = (max(0.0, low), min(1.0, high)), "t over seeds"
    else:
        interval, kind = clip_interval, "Wilson over clips"
    totals = confusion.sum(axis=1)
    return Evaluation(
        labels=names,
        clips=clips,
        accuracies=accuracies,
        accuracy=float(right.sum() / (members * clips)),
        interval=interval,
        interval_kind=kind,
        clip_interval=clip_interval,
        recall=tuple(float(confusion[k, k] / totals[k]) if totals[k] else None for k in range(classes)),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        level=level,
    )


def _check(scores: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> None:
    if scores.ndim != 3 or scores.shape[0] == 0:
        raise DataError(f"scores must be (clips, classes) or (seeds, clips, classes), got shape {scores.shape}")
    if scores.shape[1] == 0:
        raise DataError("no clips to evaluate; choose a partition that has some")
    if scores.shape[2] != len(names):
        raise DataError(f"{scores.shape[2]} scores a clip but {len(names)} class names; the model and the data differ")
    if labels.shape != scores.shape[1:2]:
        raise DataError(f"one label a clip expected: {scores.shape[1]} clips, labels of shape {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"labels must be class indices (integers), got {labels.dtype}")
    if labels.min() < 0 or labels.max() >= len(names):
        raise DataError(f"labels must lie in 0..{len(names) - 1}, got {labels.min()}..{labels.max()}")
    bad = ~np.isfinite(scores).all(axis=2)
    if bad.any():
        clip = int(np.flatnonzero(bad.any(axis=0))[0])
        raise DataError(f"NaN or infinite scores for {int(bad.any(axis=0).sum())} clips, the first is clip {clip}")
