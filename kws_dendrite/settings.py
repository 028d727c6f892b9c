"""Settings from text, as a command line gives them, to a frozen dataclass of settings."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from kws_dendrite.errors import ConfigError

T = TypeVar("T")


def parse_settings(kind: type[T], texts: Mapping[str, str], **given: Any) -> T:
    """`kind` made of `texts`, each read as its field's type, and of `given` values.

    Raises:
        ConfigError: an unknown name (the nearest is offered), a name that is given already, or text that is no value
            of the field's type.
    """
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    for name in texts:
        if name not in names:
            near = get_close_matches(name, names, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(names)}"
            raise ConfigError(f"there is no setting {name!r}{hint}")
        if name in given:
            raise ConfigError(f"{name} follows from the rest, it is {given[name]!r} here; leave it out")
    return kind(**given, **{name: _parse(name, text, hints[name]) for name, text in texts.items()})


def _parse(name: str, text: str, wanted: Any) -> Any:
    text = text.strip()
    origin = typing.get_origin(wanted)
    if origin is typing.Literal:
        return text  # the dataclass checks it, and says which there are
    if origin is tuple:
        item = typing.get_args(wanted)[0]
        return tuple(_parse(name, part, item) for part in text.split(",") if part.strip())
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(wanted) if kind is not type(None)]
        return None if text == "none" else _parse(name, text, kinds[0])
    if wanted is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in words:
            raise ConfigError(f"{name} is true or false; got {text!r}")
        return words[text.lower()]
    try:
        return wanted(text)
    except ValueError:
        noun = {int: "a whole number", float: "a number"}.get(wanted, wanted.__name__)
        raise ConfigError(f"{name} is {noun}; got {text!r}") from None
