"""The labels of a learning block's arrays: one-hot rows, class indices, or Edge Impulse's four columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kws_dendrite.errors import DataError

COLUMNS = 4  # label index counted from 1, sample id, start and end of the window in ms


@dataclass(frozen=True)
class BlockLabels:
    """Labels as class indices.

    Attributes:
        indices: split -> int64 (N,), counted from 0.
        form: what they were, in words.
        classes: how many classes they show.
        samples: split -> (N,) sample ids as text, where the form has them.
    """

    indices: dict[str, np.ndarray]
    form: str
    classes: int
    samples: dict[str, np.ndarray] | None = None


def read_labels(raw: Mapping[str, np.ndarray], paths: Mapping[str, Path], classes: int | None) -> BlockLabels:
    """Tell the form of both splits' labels together and read them.

    Args:
        raw: split -> the array as stored.
        paths: split -> its file, for messages.
        classes: how many class names there are, where that is known.

    Raises:
        DataError: an array is in none of the forms, the two differ in form, or indices could be counted from either 0
            or 1.
    """
    shapes = {split: _shape(values, paths[split]) for split, values in raw.items()}
    if set(shapes.values()) == {"rows"} and any(_has_columns(values) for values in raw.values()):
        shapes = dict.fromkeys(shapes, "columns")
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{paths[split].name} {values.shape}" for split, values in raw.items())
        raise DataError(f"the two splits' labels are of different forms ({found}); fetch the data again")
    match next(iter(shapes.values())):
        case "rows":
            indices = {split: _one_hot(values, paths[split]) for split, values in raw.items()}
            widths = {values.shape[1] for values in raw.values()}
            if len(widths) > 1:
                raise DataError(f"one-hot labels of {' and '.join(map(str, sorted(widths)))} classes; fetch them again")
            return BlockLabels(indices, "one-hot rows", widths.pop())
        case "columns":
            found = {split: _whole(values[:, 0], paths[split]) for split, values in raw.items()}
            first = 0 if any(values.min() == 0 for values in found.values()) else 1
            samples = {split: _whole(values[:, 1], paths[split]).astype(str) for split, values in raw.items()}
            indices = {split: values - first for split, values in found.items()}
            form = f"four columns (label index counted from {first}, sample id, start, end)"
            return BlockLabels(indices, form, _highest(indices), samples)
    found = {split: _whole(values.reshape(-1), paths[split]) for split, values in raw.items()}
    first = _first_index(found, classes)
    indices = {split: values - first for split, values in found.items()}
    return BlockLabels(indices, f"class indices counted from {first}", _highest(indices))


def _shape(values: np.ndarray, path: Path) -> str:
    if values.dtype.kind not in "fiub" or values.ndim not in (1, 2) or values.size == 0:
        raise DataError(
            f"{path} has shape {values.shape} of {values.dtype}; expected one-hot rows, class indices or rows of "
            f"{COLUMNS} columns"
        )
    return "indices" if values.ndim == 1 or values.shape[1] == 1 else "rows"


def _has_columns(values: np.ndarray) -> bool:
    """Whether rows of four are label index, sample id, start and end; one-hot rows of four classes are not."""
    if values.shape[1] != COLUMNS or np.any(values != np.rint(values)):
        return False
    return bool(values.max() > 1 or np.any(values.sum(axis=1) != 1))


def _one_hot(values: np.ndarray, path: Path) -> np.ndarray:
    if np.any((values != 0) & (values != 1)) or np.any(values.sum(axis=1) != 1):
        raise DataError(
            f"{path} has rows that are not one-hot; expected a single 1 in each, or (N, {COLUMNS}) label rows"
        )
    return values.argmax(axis=1).astype(np.int64)


def _whole(values: np.ndarray, path: Path) -> np.ndarray:
    if not np.isfinite(values).all() or np.any(values != np.rint(values)) or values.min() < 0:
        raise DataError(f"{path} holds labels that are no class indices (smallest {values.min()})")
    return values.astype(np.int64)


def _first_index(found: Mapping[str, np.ndarray], classes: int | None) -> int:
    """0 or 1: what the first class is counted as. Nothing is guessed where both would do."""
    lowest = min(int(values.min()) for values in found.values())
    highest = max(int(values.max()) for values in found.values())
    if lowest == 0:
        return 0
    if classes is not None and highest < classes:
        raise DataError(
            f"the labels are class indices {lowest} to {highest} for {classes} classes, which may be counted from 0 or "
            "from 1; give every class a clip, or give one-hot rows"
        )
    return 1


def _highest(indices: Mapping[str, np.ndarray]) -> int:
    return 1 + max(int(values.max()) for values in indices.values())
