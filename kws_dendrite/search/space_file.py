"""A space as a TOML file, read and written.

based_on = "default"                     # or all of it below

[model.separable]
channels = {low = 4, high = 24, log = true}
kernel = [5, 7, 9]                       # a choice
stride = 1                               # fixed

[train]
[dendrites]
[frontend.mfcc]
[augment]
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import BLOCKS
from kws_dendrite.models import FAMILIES
from kws_dendrite.search.dims import Choice, Dim, Range
from kws_dendrite.search.space import Space, nearest, types_of

GROUPS = ("model", "frontend", "train", "dendrites", "augment")
NESTED = {"model": ("families", FAMILIES, "family of nets"), "frontend": ("frontends", BLOCKS, "front end")}
BASE = "based_on"
RANGE_KEYS = ("low", "high", "log", "step")


def read_space(path: Path | str) -> Space:
    """The space in a TOML file.

    Raises:
        ConfigError: the file cannot be read, is no TOML, or has an unknown name; the nearest is offered.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read the space {path}: {reason}") from error
    try:
        return from_toml(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def from_toml(text: str) -> Space:
    """The space that a file's text describes.

    Raises:
        ConfigError: no TOML, or an unknown name or value.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"no TOML: {error}") from error
    return from_json(values)


def from_json(values: Mapping[str, Any]) -> Space:
    """The space of `to_json`, or of a file: groups of dimensions, on top of another space where it names one.

    Raises:
        ConfigError: an unknown name or value.
    """
    values = dict(values)
    base = values.pop(BASE, None)
    for name in values:
        if name not in GROUPS:
            raise ConfigError(f"a space has no group {name!r}; {nearest(name, (*GROUPS, BASE))}")
    groups: dict[str, Any] = {}
    for name, group in values.items():
        if not isinstance(group, Mapping):
            raise ConfigError(f"[{name}] is a group of dimensions; got {group!r}")
        if name in NESTED:
            place, known, noun = NESTED[name]
            groups[place] = {}
            for key, dims in group.items():
                if key not in known:
                    raise ConfigError(f"the space has no {noun} {key!r}; {nearest(key, known)}")
                if not isinstance(dims, Mapping):
                    raise ConfigError(f"[{name}.{key}] is a group of dimensions; got {dims!r}")
                groups[place][key] = _dims(key, dims)
        else:
            groups[name] = _dims(name, group)
    return _on_top(base, groups) if base is not None else Space(**{"families": {}, **groups})


def _on_top(base: Any, groups: dict[str, Any]) -> Space:
    """A named space with the dimensions of the given groups in place of its own; families named here are the only ones,
    and keep the dimensions that the base has for them."""
    from kws_dendrite.search.spaces import SPACES

    if not isinstance(base, str) or base not in SPACES:
        raise ConfigError(f"{BASE} is {base!r}; {nearest(base, SPACES)}")
    space = SPACES[base]
    for place in ("families", "frontends"):
        if place in groups:
            own = getattr(space, place)
            groups[place] = {key: {**own.get(key, {}), **dims} for key, dims in groups[place].items()}
    for place in ("train", "dendrites", "augment"):
        groups[place] = {**getattr(space, place), **groups.get(place, {})}
    return Space(**{"families": space.families, "frontends": space.frontends, **groups})


def _dims(group: str, dims: Mapping[str, Any]) -> dict[str, Dim]:
    hints = types_of(group)
    return {name: _dim(f"{group}.{name}", hints.get(name), value) for name, value in dims.items()}


def _dim(name: str, hint: Any, value: Any) -> Dim:
    if isinstance(value, Mapping):
        for key in value:
            if key not in RANGE_KEYS:
                raise ConfigError(f"a range, {name}, has no {key!r}; {nearest(key, RANGE_KEYS)}")
        missing = [key for key in ("low", "high") if key not in value]
        if missing:
            raise ConfigError(f"a range, {name}, has a low and a high; {missing[0]} is missing")
        try:
            return Range(**value)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error
    if not isinstance(value, list):
        return Choice((value,))
    if getattr(hint, "__origin__", None) is tuple:  # its values are lists: one list is one value
        nested = bool(value) and all(isinstance(part, list) for part in value)
        return Choice(tuple(tuple(part) for part in value) if nested else (tuple(value),))
    try:
        return Choice(tuple(value))
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def to_json(space: Space) -> dict[str, Any]:
    """Groups of dimensions as plain values: a value alone where it is fixed, a list of values, or a range."""
    value = {
        "model": {key: _plain(dims) for key, dims in space.families.items()},
        "frontend": {key: _plain(dims) for key, dims in space.frontends.items()},
        **{key: _plain(getattr(space, key)) for key in ("train", "dendrites", "augment")},
    }
    return {key: group for key, group in value.items() if group}


def _plain(dims: Mapping[str, Dim]) -> dict[str, Any]:
    return {name: _plain_dim(dim) for name, dim in dims.items()}


def _plain_dim(dim: Dim) -> Any:
    if isinstance(dim, Range):
        shown = {"low": dim.low, "high": dim.high, "log": dim.log or None, "step": dim.step}
        return {key: value for key, value in shown.items() if value is not None}
    values = [list(value) if isinstance(value, tuple) else value for value in dim.values]
    return values[0] if len(values) == 1 else values


def to_toml(space: Space) -> str:
    """The text of a file that reads as `space`."""
    parts = []
    for group, dims in to_json(space).items():
        tables = {f"{group}.{key}": values for key, values in dims.items()} if group in NESTED else {group: dims}
        for name, values in tables.items():
            lines = [f"{key} = {_toml(value)}" for key, value in values.items()]
            parts.append("\n".join([f"[{name}]", *lines]))
    return "\n\n".join(parts) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)
