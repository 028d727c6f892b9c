"""What a search may choose, as a typed object: dimensions by the configuration that they set.

A dimension's name is that of the field that it sets, or of one of a few composites (`COMPOSITES`) that set several.
`search.spaces` has the spaces that ship, `search.space_file` reads and writes them as TOML, `search.proposal` draws
from them.
"""

import math
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal, get_args

from kws_dendrite.data.augment import AugmentConfig
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import BLOCKS
from kws_dendrite.models import FAMILIES
from kws_dendrite.search.dims import Choice, Dim, Range, Value
from kws_dendrite.search.shapes import LAYOUTS, PATTERNS, model_config
from kws_dendrite.training.config import TrainConfig

Arm = Literal["plain", "gradient", "perforated", "growth"]
ARMS: tuple[Arm, ...] = get_args(Arm)
CANDIDATE_EPOCHS = 2  # a growth step; a trial is short, and the plain arm trains on for as long
Dims = Mapping[str, Dim]
__all__ = ["ARMS", "CANDIDATE_EPOCHS", "COMPOSITES", "LAYOUTS", "Arm", "Choice", "Dim", "Dims", "Range", "Space"]

# Group -> name -> (type of its values, the fields that it sets).
COMPOSITES: dict[str, dict[str, tuple[Any, tuple[str, ...]]]] = {
    "separable": {"layout": (Literal[tuple(LAYOUTS)], ("blocks", "dilations"))},
    "dendrites": {"budget_share": (float, ("budget",))},
    "paper": {
        "depth": (int, ("channels",)),
        "pattern": (Literal[tuple(PATTERNS)], ("channels",)),
        "width": (float, ("channels",)),
        "linear": (int, ("hidden",)),
    },
}
for _family in ("edge_impulse_1d", "edge_impulse_2d"):
    COMPOSITES[_family] = {name: COMPOSITES["paper"][name] for name in ("depth", "pattern", "width")}

# Group -> field -> why no space has it.
_TAKEN = "follows from the data and the front end"
_NOT_SEARCHED: dict[str, dict[str, str]] = {
    "train": {
        "epochs": "is the same for every arm: give --epochs",
        "distillation": "needs a teacher, which a search has not",
        "temperature": "needs a teacher, which a search has not",
    },
    "dendrites": {"mode": "is the arm: name it in --arms"},
    "augment": {"seed": "is the search's own"},
    **{family: dict.fromkeys(("frames", "coefficients", "classes", "remove_mean"), _TAKEN) for family in FAMILIES},
    **{block: {"sampling_freq": "is the data's"} for block in BLOCKS},
}
_TRIAL_SHAPE = (720720, 40, 12)  # frames (which 1 to 16 divide), coefficients, classes, to try single values on


@dataclass(frozen=True)
class Space:
    """Dimensions of a search, by what they set. A group left empty stays as the search's own settings have it.

    Attributes:
        families: family of nets -> its dimensions. A trial draws one family.
        train: of `TrainConfig`.
        dendrites: of `DendriteConfig`, for the arms that grow.
        frontends: front end -> its dimensions. Empty keeps the given one; else a trial draws one of these.
        augment: of `AugmentConfig`. Each combination needs features of its own, as each front end does.
    """

    families: Mapping[str, Dims]
    train: Dims = field(default_factory=dict)
    dendrites: Dims = field(default_factory=dict)
    frontends: Mapping[str, Dims] = field(default_factory=dict)
    augment: Dims = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.families:
            raise ConfigError(f"a space has at least one family of nets, of {', '.join(FAMILIES)}")
        for name, known in (("families", FAMILIES), ("frontends", BLOCKS)):
            given = getattr(self, name)
            noun = "family of nets" if name == "families" else "front end"
            for key in given:
                if key not in known:
                    raise ConfigError(f"the space has no {noun} {key!r}; {nearest(key, known)}")
            object.__setattr__(self, name, {key: _checked(key, known[key], dims) for key, dims in given.items()})
        for name, config in (("train", TrainConfig), ("dendrites", DendriteConfig), ("augment", AugmentConfig)):
            object.__setattr__(self, name, _checked(name, config, getattr(self, name)))
        for group, dims in (*self.frontends.items(), ("augment", self.augment)):
            for name, dim in dims.items():
                if isinstance(dim, Range) and not dim.counted:
                    raise ConfigError(
                        f"{group}.{name} needs a step or a list of values: each one is features of its own to compute"
                    )
        prices = self.dendrites.get("price")
        if "budget_share" in self.dendrites and prices and set(prices.ends()) != {"parameters"}:
            raise ConfigError("dendrites.budget_share is a share of the parameters; with another price give budget")

    def __iter__(self) -> Iterator[tuple[str, Dim]]:
        """(name, dimension), names as a sampler knows them: separable.channels, train.learning_rate, ..."""
        groups = (*self.families.items(), *self.frontends.items(), ("train", self.train), ("augment", self.augment))
        for group, dims in (*groups, ("dendrites", self.dendrites)):
            for name, dim in dims.items():
                yield f"{group}.{name}", dim

    def dim(self, name: str) -> Dim:
        """The dimension of that name, such as separable.channels.

        Raises:
            ConfigError: there is none; the nearest is offered.
        """
        every = dict(iter(self))
        if name not in every:
            raise ConfigError(f"the space has no dimension {name!r}; {nearest(name, every)}")
        return every[name]

    def with_dims(self, **changed: Dim | Value) -> "Space":
        """The same space with other dimensions in some places, a double underscore for the dot:
        `space.with_dims(separable__channels=Range(4, 8))`. A value that is no dimension stands fixed.

        Raises:
            ConfigError: a group that the space has not, or a dimension that cannot be.
        """
        groups = {
            "families": {key: dict(dims) for key, dims in self.families.items()},
            "frontends": {key: dict(dims) for key, dims in self.frontends.items()},
            **{key: dict(getattr(self, key)) for key in ("train", "dendrites", "augment")},
        }
        places = {**groups["families"], **groups["frontends"]}
        places |= {key: groups[key] for key in ("train", "dendrites", "augment")}
        for full, dim in changed.items():
            group, _, name = full.partition("__")
            if group not in places:
                raise ConfigError(f"the space has no group {group!r}; {nearest(group, places)}")
            places[group][name] = dim if isinstance(dim, Choice | Range) else Choice((dim,))
        return replace(self, **groups)

    def to_json(self) -> dict[str, Any]:
        """As a space file has it: {"model": {family: {...}}, "train": ..., "dendrites": ..., "frontend": ..., ...}."""
        from kws_dendrite.search.space_file import to_json

        return to_json(self)

    def to_toml(self) -> str:
        """The text of a space file."""
        from kws_dendrite.search.space_file import to_toml

        return to_toml(self)


def nearest(name: str, known: Any) -> str:
    """The end of a message about a wrong name."""
    near = get_close_matches(str(name), list(known), 1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


@cache
def types_of(group: str) -> dict[str, Any]:
    """Name of every dimension that a group may have -> the type of its values."""
    config = {**FAMILIES, **BLOCKS, "train": TrainConfig, "dendrites": DendriteConfig, "augment": AugmentConfig}[group]
    hints = typing.get_type_hints(config)
    known = {one.name: hints[one.name] for one in fields(config) if one.name not in _NOT_SEARCHED.get(group, {})}
    return known | {name: hint for name, (hint, _) in COMPOSITES.get(group, {}).items()}


def _checked(group: str, config: type, dims: Dims) -> dict[str, Dim]:
    """The dimensions with values of their fields' types, each tried alone.

    Raises:
        ConfigError: an unknown name, a value that the field cannot have, a field set twice.
    """
    known = types_of(group)
    found: dict[str, Dim] = {}
    for name, dim in dims.items():
        if name in _NOT_SEARCHED.get(group, {}):
            raise ConfigError(f"a space has no {group}.{name}: it {_NOT_SEARCHED[group][name]}")
        if name not in known:
            raise ConfigError(f"{group} has no dimension {name!r}; {nearest(name, known)}")
        if not isinstance(dim, Choice | Range):
            raise ConfigError(f"{group}.{name} is a Choice or a Range; got {dim!r}")
        found[name] = _typed(f"{group}.{name}", known[name], dim)
        for value in found[name].ends():
            try:
                _try(group, config, name, value)
            except (ConfigError, TypeError, ValueError) as error:
                raise ConfigError(f"{group}.{name} cannot be {value!r}: {error}") from error
    for composite, (_, sets) in COMPOSITES.get(group, {}).items():
        both = [name for name in sets if name in found and composite in found]
        if both:
            raise ConfigError(f"{group}.{composite} sets {both[0]}; leave one of the two out")
    return {name: found[name] for name in known if name in found}  # one order of draws, whatever the file's


def _typed(name: str, hint: Any, dim: Dim) -> Dim:
    """`dim` with values of the field's type."""
    if isinstance(dim, Choice):
        return Choice(tuple(typed_value(name, hint, value) for value in dim.values))
    if hint is float:
        return replace(dim, whole=False) if dim.whole else dim
    if hint is not int:
        raise ConfigError(f"{name} is no number, so it has no range; give a list of values")
    if not dim.whole:
        raise ConfigError(f"{name} is a whole number; its range goes from {dim.low:g} to {dim.high:g}")
    return dim


def typed_value(name: str, hint: Any, value: Value) -> Value:
    """`value` as the field's type has it: a whole number for a number with a point, a list for a tuple.

    Raises:
        ConfigError: it is of another type.
    """
    origin = typing.get_origin(hint)
    if origin is tuple and isinstance(value, tuple | list):
        item = get_args(hint)[0]
        return tuple(typed_value(name, item, part) for part in value)
    if origin is Literal and isinstance(value, str):
        if value not in get_args(hint):
            raise ConfigError(f"{name} cannot be {value!r}; {nearest(value, get_args(hint))}")
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is float and number:
        return float(value)
    if hint is int and number and value == int(value):
        return int(value)
    if hint in (bool, str) and isinstance(value, hint):
        return value
    nouns = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
    wanted = "a list" if origin is tuple else "a word" if origin is Literal else nouns.get(hint, str(hint))
    raise ConfigError(f"{name} is {wanted}; got {value!r}")


def _try(group: str, config: type, name: str, value: Value) -> None:
    """Make the configuration with this one value, the others as they are by default."""
    if group in FAMILIES:
        model_config(group, {name: value}, *_TRIAL_SHAPE, keeps_level=False)
        return
    if group == "dendrites":
        if name == "budget_share":
            if not 0 <= value <= 10:
                raise ConfigError("a share of the net's parameters is from 0, no limit, to 10")
            return
        refused: list[ConfigError] = []
        for mode in ARMS[1:]:
            try:
                DendriteConfig(**{"mode": mode, name: value})
                return
            except ConfigError as error:
                refused.append(error)
        raise refused[0]
    if group in BLOCKS:
        return  # one setting of a front end alone says little: what goes together is drawn together
    config(**{name: value})
