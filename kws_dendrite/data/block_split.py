"""The validation split of a learning block's arrays, kept by recording: windows of one recording stay on one side.

Studio cuts long recordings into windows; a window whose neighbour was trained on is no test of anything.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kws_dendrite.data.layout import read_object
from kws_dendrite.errors import DataError

SAMPLE_IDS = "sample_id_details.json"


@dataclass(frozen=True)
class BlockSplit:
    """Which rows train and which validate.

    Attributes:
        train, validation: rows of both arrays put together, train first.
        note: what was found and done, in words.
    """

    train: np.ndarray
    validation: np.ndarray
    note: str


def read_sample_ids(folder: Path, rows: Mapping[str, int]) -> dict[str, np.ndarray] | None:
    """Split -> (N,) sample ids as text, from `sample_id_details.json`; None where there is no such file.

    Args:
        folder: the block's data directory.
        rows: split ("train", "test") -> N; the file calls "test" "validation".

    Raises:
        DataError: the file is no such list, or of another number of rows.
    """
    path = folder / SAMPLE_IDS
    if not path.is_file():
        return None
    values = read_object(path)
    ids = {}
    for split, name in (("train", "train"), ("test", "validation")):
        listed: Any = values.get(name)
        if not isinstance(listed, list) or len(listed) != rows[split]:
            many = len(listed) if isinstance(listed, list) else "no"
            raise DataError(f"{path} lists {many} {name} ids for {rows[split]} rows; fetch the data again or remove it")
        ids[split] = np.array([str(item) for item in listed])
    return ids


def split_by_sample(
    ids: Mapping[str, np.ndarray] | None, labels: Mapping[str, np.ndarray], *, fixed: bool = False
) -> BlockSplit:
    """The split as given where no recording is on both sides; else one of the same share, by recording.

    Drawn class by class, in an order that a hash of the id gives: the same arrays are always split alike. A class with
    one recording keeps it in training.

    Args:
        ids: split -> (N,) sample ids; None where they are not known.
        labels: split -> (N,) class indices.
        fixed: the user chose the split: it stays, and what is wrong with it is said.
    """
    N, M = len(labels["train"]), len(labels["test"])
    given = np.arange(N), np.arange(N, N + M)
    if ids is None:
        return BlockSplit(*given, "as given; nothing tells which windows are of one recording")
    shared = np.intersect1d(ids["train"], ids["test"])
    if not len(shared):
        return BlockSplit(*given, "as given; no recording has windows on both sides")
    leak = f"{len(shared):,} recordings have windows on both sides"
    if fixed:
        return BlockSplit(*given, f"as given, by the user's choice, although {leak}: expect less on new clips")
    validation = _draw(
        np.concatenate([ids["train"], ids["test"]]), np.concatenate([labels["train"], labels["test"]]), M
    )
    if not validation.any():
        return BlockSplit(*given, f"as given, although {leak}: no class has a second recording")
    note = f"{leak}; split anew by recording, so that Studio's own validation figures will be too high"
    return BlockSplit(np.flatnonzero(~validation), np.flatnonzero(validation), note)


def _draw(ids: np.ndarray, labels: np.ndarray, wanted: int) -> np.ndarray:
    """Which rows validate: bool (N,), about `wanted` of them, whole recordings alone."""
    names, sample = np.unique(ids, return_inverse=True)
    classes = int(labels.max()) + 1
    counts = np.zeros((len(names), classes), np.int64)
    np.add.at(counts, (sample, labels), 1)
    main, windows = counts.argmax(axis=1), counts.sum(axis=1)  # a recording's class: that of most of its windows
    order = sorted(range(len(names)), key=lambda k: hashlib.sha256(names[k].encode()).digest())
    chosen = np.zeros(len(names), bool)
    for label in range(classes):
        own = [k for k in order if main[k] == label]
        share = wanted / len(ids) * windows[own].sum()
        taken = 0
        for k in own[:-1]:  # the last one always trains
            if taken and taken + windows[k] / 2 > share:
                break
            chosen[k] = True
            taken += windows[k]
    return chosen[sample]
