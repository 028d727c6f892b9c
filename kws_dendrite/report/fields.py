"""Reading fields out of a run folder's JSON: a missing one is None or empty, one of the wrong type an error that names
the file. NaN and infinity count as missing."""

import math
from collections.abc import Mapping
from typing import Any

from kws_dendrite.errors import DataError


def number(record: Mapping[str, Any], key: str, where: str) -> float | None:
    """A finite number or None; anything else is a DataError that names the file and the field."""
    value = record.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DataError(f'{where}: "{key}" should be a number, got {value!r:.60}')
    return value if math.isfinite(value) else None


def numbers(record: Mapping[str, Any], key: str, where: str) -> tuple[float, ...]:
    """The finite numbers of a list, or of a single number; empty when missing."""
    value = record.get(key)
    values = value if isinstance(value, list) else [value]
    found = (number({key: item}, key, where) for item in values)
    return tuple(item for item in found if item is not None)


def mapping(record: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    """A dictionary; empty when missing."""
    value = record.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DataError(f'{where}: "{key}" should be an object, got {value!r:.60}')
    return value


def mappings(record: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    """A list of dictionaries; empty when missing."""
    value = record.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise DataError(f'{where}: "{key}" should be a list of objects, got {value!r:.60}')
    return value


def whole(value: float | None) -> int | None:
    """A count: the nearest integer."""
    return None if value is None else round(value)
