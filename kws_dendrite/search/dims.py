"""One thing that a search may choose: among values, or from a range. And how a trial is asked for it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from optuna.trial import BaseTrial

from kws_dendrite.errors import ConfigError

Value = Any  # int, float, str, bool, or a tuple of those
MOST_STEPS = 10_000  # of a range that is walked through


@dataclass(frozen=True)
class Choice:
    """One of some values; of one value, a fixed setting.

    Attributes:
        values: numbers, words, or tuples of them, each once.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if not self.values:
            raise ConfigError("a choice has at least one value; got none")
        labels = [label(value) for value in self.values]
        twice = sorted({name for name in labels if labels.count(name) > 1})
        if twice:
            raise ConfigError(f"a choice has each value once; got {', '.join(twice)} twice")

    def within(self, valid: Callable[[Value], bool]) -> tuple[Value, ...]:
        """The values that are valid."""
        return tuple(value for value in self.values if valid(value))

    def ends(self) -> tuple[Value, ...]:
        """Values such that if each may be, all may."""
        return self.values


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        log: drawn on a logarithmic scale.
        step: from one number to the next; None for 1 of whole numbers, for any number else.
        whole: integers alone; None says so where both ends and the step are.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.low, self.high, self.step) if value is not None]
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in given):
            raise ConfigError(f"a range goes from one number to another; got {self.low!r} to {self.high!r}")
        if not all(math.isfinite(value) for value in given) or self.low > self.high:
            raise ConfigError(f"a range goes from a least to a most not below it; got {self.low} to {self.high}")
        if not isinstance(self.log, bool):
            raise ConfigError(f"log is true or false; got {self.log!r}")
        if self.log and self.low <= 0:
            raise ConfigError(f"a logarithmic range begins above 0; got {self.low} to {self.high}")
        if self.step is not None and (self.step <= 0 or self.log):
            raise ConfigError(f"a step is above 0, and no range has both a step and log; got a step of {self.step}")
        whole = all(isinstance(value, int) for value in given) if self.whole is None else self.whole
        if whole and any(value != int(value) for value in given):
            raise ConfigError(f"a range of whole numbers has whole ends and steps; got {self.low} to {self.high}")
        kind = int if whole else float
        object.__setattr__(self, "whole", whole)
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else kind(value))
        if self.counted and (self.high - self.low) / (self.step or 1) > MOST_STEPS:
            raise ConfigError(f"a range has at most {MOST_STEPS:,} steps; got {self.low} to {self.high}")

    @property
    def counted(self) -> bool:
        """Whether it has so many numbers and no more."""
        return bool(self.whole) or self.step is not None

    def within(self, valid: Callable[[Value], bool]) -> tuple[Value, ...]:
        """Of a counted range: the numbers between the least and the most that are valid; else the ends that are."""
        if not self.counted:
            return tuple(value for value in dict.fromkeys((self.low, self.high)) if valid(value))
        step = self.step or 1
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        every = [self.low + k * step for k in range(count)]
        if not self.whole:
            every = [round(value, 10) for value in every]
        first = next((k for k, value in enumerate(every) if valid(value)), None)
        if first is None:
            return ()
        last = next(k for k in range(count - 1, -1, -1) if valid(every[k]))
        return tuple(every[first : last + 1])

    def ends(self) -> tuple[Value, ...]:
        """Values such that if each may be, all may."""
        return (self.low, self.high)


Dim = Choice | Range


class NoneFits(ConfigError):
    """No value of a dimension goes with what was drawn before it."""


def draw(trial: BaseTrial, name: str, dim: Dim, valid: Callable[[Value], bool] = lambda value: True) -> Value:
    """Ask `trial` for a value of `dim` that is valid; where one alone is, that one, and nothing is asked.

    A sampler wants a choice to stay as it is under its name. Where only some of the values go with what was drawn
    before, the name says which: "logmel.fft_length:512/1024".

    Raises:
        NoneFits: no value is valid.
    """
    fitting = dim.within(valid)
    if not fitting:
        raise NoneFits(f"no value of {name} goes with what was drawn before it; widen {name}")
    if len(fitting) == 1:
        return fitting[0]
    if isinstance(dim, Choice):
        named = {label(value): value for value in fitting}
        plain = all(isinstance(value, str | int | float) for value in fitting)
        here = name if len(fitting) == len(dim.values) else f"{name}:{'/'.join(named)}"
        drawn = trial.suggest_categorical(here, fitting if plain else tuple(named))
        return drawn if plain else named[drawn]
    low, high = fitting[0], fitting[-1]
    if dim.whole:
        return trial.suggest_int(name, low, high, log=dim.log, step=int(dim.step or 1))
    drawn = trial.suggest_float(name, low, high, log=dim.log, step=dim.step)
    return round(drawn, 10) if dim.step else drawn


def label(value: Value) -> str:
    """A value as text, in names of parameters: 512, relu, 4,8,8."""
    if isinstance(value, tuple):
        return ",".join(label(part) for part in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
