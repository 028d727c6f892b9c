"""Settings from text, as a command line gives them, to a frozen dataclass of settings."""

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
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
    check_names(kind, texts)
    for name in texts:
        if name in given:
            raise ConfigError(f"{name} follows from the rest, it is {given[name]!r} here; leave it out")
    hints = typing.get_type_hints(kind)
    return kind(**given, **{name: _parse(name, text, hints[name]) for name, text in texts.items()})


def check_names(kind: type, given: Iterable[str], whose: str = "") -> None:
    """Refuse a name that is no field of `kind`, offering the nearest.

    Raises:
        ConfigError: `whose`, as in "the mfcc front end", has no such setting.
    """
    names = [field.name for field in dataclasses.fields(kind)]
    for name in given:
        if name not in names:
            near = get_close_matches(str(name), names, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
            start = f"{whose} has" if whose else "there is"
            raise ConfigError(f"{start} no setting {name!r}; {hint}")


def parse_assignments(texts: Iterable[str]) -> dict[str, str]:
    """["num_filters=40", ...], as options give them, to {"num_filters": "40", ...}.

    Raises:
        ConfigError: no "=", no name, or a name given twice.
    """
    settings: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ConfigError(f"expected NAME=VALUE, such as num_filters=40, got {text!r}")
        if name in settings:
            raise ConfigError(f"{name} is set twice, to {settings[name]!r} and {value!r}: give it once")
        settings[name] = value
    return settings


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
