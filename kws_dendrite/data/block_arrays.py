"""The arrays that an Edge Impulse learning block is given: features already computed, labels beside them."""

import hashlib
from pathlib import Path

import numpy as np

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.data.block_info import INFO, BlockInfo, class_names, read_info
from kws_dendrite.data.block_labels import read_labels
from kws_dendrite.data.block_split import BlockSplit, read_sample_ids, split_by_sample
from kws_dendrite.errors import ConfigError, DataError

# Deviation of the clips' means over the mean deviation within a clip. Speech Commands, 16 kHz: MFCC with Studio's CMVN
# gives 0.0004 (window 101) to 0.011 (window 21), MFCC without it 0.10, MFE 0.58.
LEVEL_SHARE = 0.02
LEVEL_CLIPS = 4096  # at most, evenly spaced
FEWEST, MOST = 8, 128  # coefficients a frame that a hint offers


def load_block_arrays(folder: Path | str, coefficients: int = 13, info: BlockInfo | None = None) -> FeatureBank:
    """Read `X_split_{train,test}.npy` and `Y_split_{train,test}.npy`; Edge Impulse's "test" here is validation.

    Labels are one-hot rows, class indices (N,) counted from 0 or from 1, or (N, 4) rows whose first column is the
    label's index counted from 1: `summary["label_form"]` says which. Where `sample_id_details.json` (or those rows)
    shows windows of one recording on both sides, the split is drawn anew by recording: `summary["split"]`. Class names
    come from `train_input.json`, else they are "0", "1", ...

    Args:
        folder: the block's data directory.
        coefficients: features per frame, which flat arrays do not tell; X's columns must divide by it. Arrays
            (N, T, F) do tell, and their F counts.
        info: what `train_input.json` says; read from the folder unless given.

    Raises:
        DataError: an array is missing, empty, truncated, of a wrong shape, or holds NaN; labels that cannot be read.
        ConfigError: the columns do not divide by `coefficients`.
    """
    folder = Path(folder)
    info = info or read_info(folder / INFO)
    paths = {split: folder / f"X_split_{split}.npy" for split in ("train", "test")}
    features = {split: _features(path, coefficients) for split, path in paths.items()}
    if features["train"].shape[1:] != features["test"].shape[1:]:
        shapes = [" x ".join(map(str, values.shape[1:])) for values in features.values()]
        raise DataError(
            f"{folder}: train clips have {shapes[0]} features, test clips {shapes[1]}; fetch the data again"
        )
    label_paths = {split: folder / f"Y_split_{split}.npy" for split in paths}
    raw = {split: _load(path) for split, path in label_paths.items()}
    for split, values in raw.items():
        if len(values) != len(features[split]):
            raise DataError(
                f"{folder}: X_split_{split}.npy has {len(features[split])} rows, Y_split_{split}.npy {len(values)}; "
                "fetch the data again"
            )
    labels = read_labels(raw, label_paths, None if info.classes is None else len(info.classes))
    names = class_names(info, labels.classes)
    ids = read_sample_ids(folder, {split: len(values) for split, values in features.items()})
    split = split_by_sample(labels.samples if ids is None else ids, labels.indices, fixed=info.custom_split)
    train, validation = _rows(features, split)
    y_train, y_validation = _rows(labels.indices, split)
    present = np.unique(y_train)
    if len(present) < 2:
        raise DataError(f"{folder} has one class alone ({names[int(present[0])]}); at least two are needed")
    frontend = {"coefficients": train.shape[2]} | ({"keeps_level": True} if keeps_level(train) else {})
    digest = hashlib.sha256(train)
    digest.update(validation)
    summary = {
        "name": folder.resolve().name,
        "layout": "block_arrays",
        "synthetic": False,
        "labels": list(names),
        "clips": {"train": len(train), "validation": len(validation), "test": 0},
        "digest": digest.hexdigest(),
        "label_form": labels.form,
        "split": split.note,
    }
    return FeatureBank(train[None], y_train, validation, y_validation, names, frontend, summary)


def keeps_level(features: np.ndarray) -> bool:
    """Whether clips (N, T, F) differ in their overall level, as MFE's do and MFCC's without its CMVN."""
    features = features[:: -(-len(features) // LEVEL_CLIPS)]
    level = float(features.mean(axis=(1, 2), dtype=np.float64).std())
    return level > LEVEL_SHARE * float(features.std(axis=(1, 2), dtype=np.float64).mean())


def _rows(arrays: dict[str, np.ndarray], split: BlockSplit) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation rows of both arrays; nothing is copied where the split is the given one."""
    N = len(arrays["train"])
    if len(split.train) == N and split.train[-1] == N - 1:
        return arrays["train"], arrays["test"]
    pooled = np.concatenate([arrays["train"], arrays["test"]])
    return pooled[split.train], pooled[split.validation]


def _load(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; expected a learning block's data directory") from error
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is no readable .npy array ({reason}); fetch the data again") from error


def _features(path: Path, coefficients: int) -> np.ndarray:
    """float32 (N, T, F) from (N, T, F), (N, T * F) or anything that flattens to it."""
    values = _load(path)
    if values.ndim < 2 or values.dtype.kind not in "fiu" or (not values[:1].size and len(values)):
        raise DataError(f"{path} has shape {values.shape} of {values.dtype}; expected numbers (clips, features)")
    if not len(values):
        what = "train" if path.name == "X_split_train.npy" else "validate"
        raise DataError(
            f"{path} has no clip to {what} on; set the validation set size in Studio above 0 %, below 100 %"
        )
    if values.ndim == 3 or (values.ndim == 4 and values.shape[3] == 1):
        coefficients = values.shape[2]
    flat = np.ascontiguousarray(values.reshape(len(values), -1), np.float32)
    if coefficients < 1 or flat.shape[1] % coefficients:
        raise ConfigError(
            f"{path} has {flat.shape[1]} features a clip, no multiple of {coefficients} coefficients a frame; "
            f"set coefficients (--coefficients) to the processing block's number{_divisors(flat.shape[1])}"
        )
    bad = np.flatnonzero(~np.isfinite(flat).all(axis=1))
    if len(bad):
        raise DataError(f"{path}: row {bad[0]} holds NaN or infinite features ({len(bad)} such rows); remove the clip")
    if len(flat) > 1 and (flat == flat[0]).all():
        raise DataError(f"{path}: all {len(flat):,} clips have the same features; look at the processing block")
    return flat.reshape(len(flat), -1, coefficients)


def _divisors(features: int) -> str:
    """Numbers that would do, as the end of a message."""
    found = [str(number) for number in range(FEWEST, MOST + 1) if features % number == 0 and number < features]
    return f" (these divide: {', '.join(found)})" if found else ""
