"""Parallel coordinates: each trial that counts as a line over what was drawn for it, its size and its accuracy."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kws_dendrite.report.search_trials import COUNTED, SearchTrial, Spot
from kws_dendrite.report.svg import linear_ticks, log_ticks
from kws_dendrite.report.wording import plain, tick

SHOWN = 7  # parameters that stand on the page before anyone chooses others
CHOICES = 8  # more different numbers than that are a range


@dataclass(frozen=True)
class Axis:
    """One upright line.

    Attributes:
        name: of what stands on it.
        values: a place 0..1 for each trial, None where the trial has no such thing.
        words: the same as text.
        ticks: (place, text), bottom to top.
        shown: from the start.
        fixed: size and accuracy, which are always there.
    """

    name: str
    values: tuple[float | None, ...]
    words: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]
    shown: bool = True
    fixed: bool = False

    def to_json(self) -> dict[str, Any]:
        """What the script draws from."""
        return {
            "name": self.name,
            "v": [None if value is None else round(value, 3) for value in self.values],
            "t": list(self.words),
            "ticks": [[round(place, 3), words] for place, words in self.ticks],
            "shown": self.shown,
            "fixed": self.fixed,
        }


def lines_of(trials: Sequence[SearchTrial]) -> list[SearchTrial]:
    """The trials that have a line."""
    return [trial for trial in trials if trial.state in COUNTED and trial.spots]


def best_spot(trial: SearchTrial) -> Spot:
    """The net that stands for a trial: the one on the front, else the one of most merit."""
    return max(trial.spots, key=lambda spot: (spot.front, spot.arm_front, spot.merit, -spot.size))


def axes_of(trials: Sequence[SearchTrial], label: str, importance: Mapping[str, float] | None = None) -> list[Axis]:
    """The axes for `lines_of(trials)`: the parameters, the most important first, then size and accuracy.

    Args:
        label: of the axis of sizes.
        importance: of each parameter; without it, those that most trials have come first.
    """
    lines = lines_of(trials)
    if not lines:
        return []
    names = list(dict.fromkeys(name for trial in lines for name in trial.params))
    known = {name: sum(name in trial.params for trial in lines) for name in names}
    weight = importance or {}
    varied = [name for name in names if len({_key(trial.params.get(name)) for trial in lines}) > 1]
    ranked = sorted(varied, key=lambda name: (-weight.get(name, 0.0), -known[name]))
    first = set(ranked[:SHOWN])
    axes = [_drawn(name, [t.params.get(name) for t in lines], name in first) for name in names if name in varied]
    spots = [best_spot(trial) for trial in lines]
    axes.append(_numbers(label, [s.size for s in spots], [tick(s.size) for s in spots], log=True, fixed=True))
    shares = [100 * spot.accuracy for spot in spots]
    return [*axes, _numbers("Accuracy (%)", shares, [f"{v:.1f} %" for v in shares], log=False, fixed=True)]


def _drawn(name: str, values: Sequence[Any], shown: bool) -> Axis:
    """Of a drawn parameter: a range of numbers, or choices evenly spaced."""
    there = [value for value in values if value is not None]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in there)
    different = len({_key(value) for value in there})
    if numeric and (different > CHOICES or different > max(2, len(there) / 2)):
        low, high = min(there), max(there)
        words = ["" if value is None else plain(value) for value in values]
        return _numbers(name, values, words, log=low > 0 and high / low > 10, shown=shown)
    choices = sorted({_key(value): value for value in there}.items(), key=lambda pair: _order(pair[1]))
    place = {key: (k + 0.5) / len(choices) for k, (key, _) in enumerate(choices)}
    return Axis(
        name,
        tuple(
            None if value is None else place[_key(value)] + _aside(k, len(choices)) for k, value in enumerate(values)
        ),
        tuple("" if value is None else plain(value) for value in values),
        tuple((place[key], plain(value)) for key, value in choices),
        shown,
    )


def _numbers(
    name: str,
    values: Sequence[float | None],
    words: Sequence[str],
    *,
    log: bool,
    shown: bool = True,
    fixed: bool = False,
) -> Axis:
    there = [value for value in values if value is not None]
    low, high = min(there), max(there)
    if low == high:
        low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)

    def place(value: float) -> float:
        if log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    ticks = log_ticks(low, high, 5) if log else linear_ticks(low, high, 5)
    return Axis(
        name,
        tuple(None if value is None else place(value) for value in values),
        tuple(words),
        tuple((place(value), _short(value)) for value in ticks),
        shown,
        fixed,
    )


def _short(value: float) -> str:
    return tick(value) if value >= 0.001 or value == 0 else f"{value:.0e}"


def _aside(k: int, choices: int) -> float:
    """A little up or down, or lines that share a choice could not be told apart; the same for the same trial."""
    return ((k * 7919) % 101 / 100 - 0.5) * 0.3 / choices


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _order(value: Any) -> tuple[int, float, str]:
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value))
