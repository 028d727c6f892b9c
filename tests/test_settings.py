"""Settings from text."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pytest

from kws_dendrite.errors import ConfigError
from kws_dendrite.settings import parse_settings
from kws_dendrite.training.config import TrainConfig


@dataclass(frozen=True)
class Everything:
    """One field of every type that settings have."""

    family: ClassVar[str] = "everything"
    frames: int
    rate: float = 0.5
    flag: bool = False
    name: str = ""
    kind: Literal["mean", "max"] = "mean"
    blocks: tuple[int, ...] = (0,)
    spans: tuple[float, float] = (0.0, 1.0)
    limit: int | None = 3
    other: Any = None


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("frames", "49", 49),
        ("frames", " -3 ", -3),
        ("rate", "1e-3", 1e-3),
        ("rate", "2", 2.0),
        ("flag", "true", True),
        ("flag", "Yes", True),
        ("flag", "1", True),
        ("flag", "FALSE", False),
        ("flag", "no", False),
        ("flag", "0", False),
        ("name", " a name ", "a name"),
        ("kind", "max", "max"),
        ("kind", "median", "median"),  # the dataclass knows which there are
        ("blocks", "0,0, 1", (0, 0, 1)),
        ("blocks", "4", (4,)),
        ("blocks", "", ()),
        ("spans", "0.9, 1.1", (0.9, 1.1)),
        ("limit", "7", 7),
        ("limit", "none", None),
    ],
)
def test_text_becomes_the_fields_type(name, text, value):
    given = {} if name == "frames" else {"frames": 1}
    found = getattr(parse_settings(Everything, {name: text}, **given), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("frames", "4.5", "frames is a whole number; got '4.5'"),
        ("frames", "", "frames is a whole number; got ''"),
        ("rate", "fast", "rate is a number; got 'fast'"),
        ("flag", "maybe", "flag is true or false; got 'maybe'"),
        ("blocks", "1,x", "blocks is a whole number; got 'x'"),
        ("limit", "some", "limit is a whole number; got 'some'"),
    ],
)
def test_other_text_is_refused(name, text, message):
    with pytest.raises(ConfigError) as error:
        parse_settings(Everything, {name: text}, **({} if name == "frames" else {"frames": 1}))
    assert str(error.value) == message


def test_unknown_name_offers_the_nearest():
    with pytest.raises(ConfigError, match="no setting 'learning-rate'; did you mean learning_rate"):
        parse_settings(TrainConfig, {"learning-rate": "0.1"})


def test_unlike_any_name_lists_them():
    with pytest.raises(ConfigError, match="known: frames, rate, flag"):
        parse_settings(Everything, {"zzz": "1"}, frames=1)


def test_class_variables_are_no_settings():
    with pytest.raises(ConfigError, match="no setting 'family'"):
        parse_settings(Everything, {"family": "other"}, frames=1)


def test_what_is_given_cannot_be_set():
    with pytest.raises(ConfigError, match="frames follows from the rest, it is 49 here; leave it out"):
        parse_settings(Everything, {"frames": "50"}, frames=49)


def test_the_dataclass_checks_what_was_read():
    with pytest.raises(ConfigError, match="batch_size"):
        parse_settings(TrainConfig, {"batch_size": "1"})


def test_defaults_stay():
    assert parse_settings(TrainConfig, {}) == TrainConfig()
