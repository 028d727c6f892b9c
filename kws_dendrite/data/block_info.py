"""What Studio tells a learning block besides its arrays: `train_input.json`, which local runs do not have."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws_dendrite.data.layout import read_object
from kws_dendrite.errors import DataError

INFO = "train_input.json"
CLASSIFICATION = "classification"


@dataclass(frozen=True)
class BlockInfo:
    """What of `train_input.json` this project uses.

    Attributes:
        classes: names, in label order; None where they are not known.
        max_seconds: limit of the whole run; None without one.
        custom_split: the user chose the validation split, so that it is not to be changed.
    """

    classes: tuple[str, ...] | None = None
    max_seconds: float | None = None
    custom_split: bool = False


def read_info(path: Path) -> BlockInfo:
    """Read the file; one that is not there tells nothing.

    Raises:
        DataError: no JSON object, or of a task that is no classification.
    """
    if not path.is_file():
        return BlockInfo()
    values = read_object(path)
    mode = values.get("mode")
    if isinstance(mode, str) and mode != CLASSIFICATION:
        raise DataError(f"{path} asks for {mode}; this project trains keyword spotters, that is {CLASSIFICATION}")
    listed = values.get("classes")
    classes = tuple(str(name) for name in listed) if isinstance(listed, list) else None
    return BlockInfo(
        classes, _seconds(values.get("maxTrainingTimeSeconds")), values.get("customValidationSplit") is True
    )


def class_names(info: BlockInfo, classes: int) -> tuple[str, ...]:
    """K names: the listed ones, else "0", "1", ...

    Raises:
        DataError: fewer names than the labels have classes.
    """
    if info.classes is None:
        return tuple(str(number) for number in range(classes))
    if len(info.classes) < classes:
        raise DataError(f"{INFO} lists {len(info.classes)} classes, the labels have {classes}; fetch the data again")
    return info.classes


def _seconds(value: Any) -> float | None:
    if isinstance(value, str):  # a cloned project may hold numbers as text
        try:
            value = float(value)
        except ValueError:
            return None
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    return float(value) if known else None
