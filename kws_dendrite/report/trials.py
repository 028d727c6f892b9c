"""The trials of a search as points in the plane of size and accuracy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from kws_dendrite.evaluation.statistics import Interval, t_interval
from kws_dendrite.report.fields import mapping, mappings, number, numbers, whole
from kws_dendrite.report.svg import padded

PARAMETERS = "Folded parameters"
ENDED = ("complete", "stopped")  # with nets that count
LEAST = 1e-6  # of a logarithmic axis


@dataclass(frozen=True)
class TrialPoint:
    """One net of a trial that ended.

    Attributes:
        number: the trial's number in its study.
        arm: "plain", "perforated", ...
        parameters: folded parameters, the number that ships.
        accuracy: mean validation accuracy over the members, 0..1.
        members: (P,) validation accuracy of each seed; may be empty.
        interval: 95 % t interval over the members; None for one seed.
        macs: multiply-accumulates of one clip, if known.
        settings: what the trial was made of.
        seconds: how long it took.
        front: no other trial is at least as accurate at as small a size (and better in one of the two).
        arm_front: the same among the trials of its own arm.
        held: what the search held against accuracy where that was not the parameters.
        axis: what that is, for an axis.
        dendrites: a neuron has in it; None where the search did not say.
    """

    number: int
    arm: str
    parameters: int
    accuracy: float
    members: tuple[float, ...] = ()
    interval: Interval | None = None
    macs: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    front: bool = False
    arm_front: bool = False
    held: float | None = None
    axis: str = PARAMETERS
    dendrites: int | None = None

    @property
    def key(self) -> str:
        """Its name among all nets: the trial's number, and the dendrites if there are any."""
        return f"{self.number}-{self.dendrites}" if self.dendrites else f"{self.number}"

    @property
    def size(self) -> float:
        """What the search kept small, above 0: it has a logarithmic axis."""
        return max(1, self.parameters) if self.held is None else max(self.held, LEAST)


def points_from_trials(trials: Sequence[Mapping[str, Any]], where: str = "trials") -> tuple[TrialPoint, ...]:
    """The nets of a search/trials.json, by number and dendrites, with the fronts marked.

    A trial that ended has one for each number of dendrites that it passed through (its "points"), or is one itself; a
    trial without an accuracy or a parameter count (skipped, failed, still running) is left out. A trial may carry
    "front" itself; then its word is taken for the front over all arms.
    """
    points = []
    for record in trials:
        if str(record.get("state") or "complete").lower() in ENDED:
            points += _points(record, where)
    points.sort(key=lambda point: (point.number, point.dendrites or 0))
    stated = {record.get("number") for record in trials if record.get("front") is True}
    return mark_fronts(points, stated or None)


def _points(record: Mapping[str, Any], where: str) -> list[TrialPoint]:
    objective = mapping(record, "objective", where)
    found = []
    for point in mappings(record, "points", where) or [{**record, "value": objective.get("value")}]:
        accuracy, parameters = number(point, "validation_accuracy", where), number(point, "parameters", where)
        if accuracy is None or parameters is None:
            continue
        members = numbers(point, "validation_accuracy_members", where)
        found.append(
            TrialPoint(
                number=int(number(record, "number", where) or 0),
                arm=str(record.get("arm") or "trials"),
                parameters=int(parameters),
                accuracy=accuracy,
                members=members,
                interval=unit_interval(members),
                macs=whole(number(point, "macs", where)),
                settings=mapping(record, "params", where),
                seconds=number(record, "seconds", where),
                held=number(point, "value", where) if objective else None,
                axis=str(objective.get("label") or PARAMETERS),
                dendrites=whole(number(point, "dendrites", where)),
            )
        )
    return found


def mark_fronts(points: Sequence[TrialPoint], stated: set[Any] | None = None) -> tuple[TrialPoint, ...]:
    """The points with `front` (by the trials' numbers in `stated`, else worked out) and `arm_front` set."""
    overall = {point.key for point in points if point.number in stated} if stated is not None else _undominated(points)
    by_arm = set()
    for arm in {point.arm for point in points}:
        by_arm |= _undominated([point for point in points if point.arm == arm])
    return tuple(replace(p, front=p.key in overall, arm_front=p.key in by_arm) for p in points)


def _undominated(points: Sequence[TrialPoint]) -> set[str]:
    kept, best = set(), -math.inf
    for point in sorted(points, key=lambda p: (p.size, -p.accuracy, p.number, p.dendrites or 0)):
        if point.accuracy > best:
            kept.add(point.key)
            best = point.accuracy
    return kept


@lru_cache(maxsize=8192)  # a screen asks again and again for the same trials
def unit_interval(members: tuple[float, ...]) -> Interval | None:
    """95 % t interval of accuracies, cut to 0..1; None for fewer than two."""
    if len(members) < 2:
        return None
    low, high = t_interval(members)
    return max(0.0, low), min(1.0, high)


def subtitle(points: Sequence[TrialPoint], clips: int | None, split: str) -> str:
    """Clips, P and what the bars are, in one line."""
    seeds = sorted({max(1, len(point.members)) for point in points})
    stated = f"P = {seeds[0]}" if len(seeds) == 1 else f"P = {seeds[0]} to {seeds[-1]}"
    parts = [f"{clips:,} {split} clips" if clips else f"{split} clips", f"{stated} seed{'s' * (seeds[-1] > 1)} a trial"]
    if any(point.interval for point in points):
        parts.append("bars: 95 % t interval over seeds")
    trials = len({point.number for point in points})
    nets = f", {len(points)} nets" if len(points) > trials else ""
    return ", ".join([*parts, f"{trials} trial{'s' * (trials > 1)}{nets}"])


def accuracy_range(points: Sequence[TrialPoint]) -> tuple[float, float]:
    """The accuracy axis: all points, and the bars of the front as far as they leave room for the points."""
    low, high = min(point.accuracy for point in points), max(point.accuracy for point in points)
    room = max(high - low, 0.02) * 0.5
    bars = [point.interval for point in points if point.arm_front and point.interval]
    low = min([low, *(max(bar[0], low - room) for bar in bars)])
    high = max([high, *(min(bar[1], high + room) for bar in bars)])
    low, high = padded(low, high, least=0.02)
    return max(0.0, low), min(1.002, high)
