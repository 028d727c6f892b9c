"""The arrays that an Edge Impulse learning block is given: features already computed, labels beside them."""

import hashlib
from pathlib import Path

import numpy as np

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.data.layout import read_object
from kws_dendrite.errors import ConfigError, DataError


def load_block_arrays(folder: Path | str, coefficients: int = 13) -> FeatureBank:
    """Read `X_split_{train,test}.npy` and `Y_split_{train,test}.npy`; Edge Impulse's "test" here is validation.

    Labels are one-hot rows, class indices (N,) from 0, or the structured (N, 4) form whose first column is the
    label's index counted from 1. Class names come from `train_input.json`, else they are "0", "1", ...

    Args:
        folder: the block's data directory.
        coefficients: features per frame, which the arrays do not tell; X's columns must divide by it.

    Raises:
        DataError: an array is missing, truncated, of a wrong shape, or holds NaN.
        ConfigError: the columns do not divide by `coefficients`.
    """
    folder = Path(folder)
    train, validation = (_features(folder / f"X_split_{split}.npy", coefficients) for split in ("train", "test"))
    if train.shape[1:] != validation.shape[1:]:
        raise DataError(f"{folder}: train clips have {train.shape[1:]} features, test clips {validation.shape[1:]}")
    raw = {split: _load(folder / f"Y_split_{split}.npy") for split in ("train", "test")}
    structured = all(_is_structured(values) for values in raw.values())
    labels = {split: _indices(values, folder / f"Y_split_{split}.npy", structured) for split, values in raw.items()}
    for split, features in (("train", train), ("test", validation)):
        if len(features) != len(labels[split]):
            raise DataError(f"{folder}: X_split_{split}.npy has {len(features)} rows, its labels {len(labels[split])}")
    width = max((values.shape[1] for values in raw.values() if values.ndim == 2 and not structured), default=0)
    classes = max(width, *(int(values.max()) + 1 for values in labels.values()))
    names = _names(folder, classes)
    present = np.unique(labels["train"])
    if len(present) < 2:
        raise DataError(f"{folder} has one class alone ({names[int(present[0])]}); at least two are needed")
    digest = hashlib.sha256(train.tobytes() + validation.tobytes()).hexdigest()
    summary = {
        "name": folder.resolve().name,
        "layout": "block_arrays",
        "synthetic": False,
        "labels": list(names),
        "clips": {"train": len(train), "validation": len(validation), "test": 0},
        "digest": digest,
    }
    return FeatureBank(train[None], labels["train"], validation, labels["test"], names, {}, summary)


def _load(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; expected a learning block's data directory") from error
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is no readable .npy array ({reason}); fetch the data again") from error


def _features(path: Path, coefficients: int) -> np.ndarray:
    """float32 (N, T, F) from (N, T * F) or anything that flattens to it."""
    values = _load(path)
    if values.ndim < 2 or len(values) == 0 or values.dtype.kind not in "fiu":
        raise DataError(f"{path} has shape {values.shape} of {values.dtype}; expected numbers (clips, features)")
    flat = np.ascontiguousarray(values.reshape(len(values), -1), np.float32)
    if coefficients < 1 or flat.shape[1] % coefficients:
        raise ConfigError(
            f"{path} has {flat.shape[1]} features a clip, no multiple of {coefficients} coefficients a frame; "
            "name the front end's number of coefficients"
        )
    bad = np.flatnonzero(~np.isfinite(flat).all(axis=1))
    if len(bad):
        raise DataError(f"{path}: row {bad[0]} holds NaN or infinite features ({len(bad)} such rows); remove the clip")
    return flat.reshape(len(flat), -1, coefficients)


def _is_structured(values: np.ndarray) -> bool:
    """Whether labels are (N, 4): label index from 1, sample id, start ms, end ms; one-hot rows of four are not."""
    if values.ndim != 2 or values.shape[1] != 4 or np.any(values != np.rint(values)):
        return False
    return bool(values.max(initial=0) > 1 or np.any(values.sum(axis=1) != 1))


def _indices(values: np.ndarray, path: Path, structured: bool) -> np.ndarray:
    if values.dtype.kind not in "fiub" or values.ndim not in (1, 2) or len(values) == 0:
        raise DataError(f"{path} has shape {values.shape} of {values.dtype}; expected one-hot rows or class indices")
    if structured:
        found = values[:, 0] - 1
    elif values.ndim == 1 or values.shape[1] == 1:
        found = values.reshape(-1)
    else:
        if np.any((values != 0) & (values != 1)) or np.any(values.sum(axis=1) != 1):
            raise DataError(f"{path} has rows that are not one-hot; expected a single 1 in each, or (N, 4) label rows")
        found = values.argmax(axis=1)
    indices = found.astype(np.int64)
    if np.any(indices != found) or indices.min() < 0:
        raise DataError(f"{path} holds labels that are no class indices (smallest {found.min()})")
    return indices


def _names(folder: Path, classes: int) -> tuple[str, ...]:
    info = folder / "train_input.json"
    if info.is_file():
        listed = read_object(info).get("classes")
        if isinstance(listed, list) and len(listed) >= classes:
            return tuple(str(name) for name in listed)
        many = len(listed) if isinstance(listed, list) else "no"
        raise DataError(f"{info} lists {many} classes, the labels have {classes}; fetch the data again")
    return tuple(str(number) for number in range(classes))
