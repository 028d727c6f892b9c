"""What a report is drawn from: small frozen records, each read from a dictionary out of a run folder's JSON.

A missing field is None or empty and its place in the report stays blank; a field of the wrong type is an error that
names the file. NaN and infinity count as missing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kws_dendrite.errors import DataError
from kws_dendrite.evaluation.statistics import Interval, t_interval


@dataclass(frozen=True)
class TrialPoint:
    """One finished trial of the search.

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
        front: no other trial is at least as accurate with as few parameters (and better in one of the two).
        arm_front: the same among the trials of its own arm.
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


@dataclass(frozen=True)
class Epoch:
    """One epoch of training; a tuple holds one value per seed, or one for all, or nothing."""

    epoch: int
    phase: str
    train_loss: tuple[float, ...]
    train_accuracy: tuple[float, ...]
    validation_loss: tuple[float, ...]
    validation_accuracy: tuple[float, ...]
    learning_rate: float | None


@dataclass(frozen=True)
class GrowthStep:
    """One attempt to grow. `details` is everything else that the growth history says of it."""

    epoch: int
    kind: str
    accepted: bool
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Hop:
    """One step of the parity chain.

    Attributes:
        source, target: what was compared.
        worst: largest absolute difference of an output over all clips, if the hop was measured so.
        bound: what it may be at most.
        accuracy, source_accuracy: of the target and of the source on the same clips (quantised hops).
        agreement: share of clips with equal decisions.
        passed: None where nothing was asserted.
    """

    source: str
    target: str
    worst: float | None
    bound: float | None
    accuracy: float | None
    source_accuracy: float | None
    agreement: float | None
    passed: bool | None


@dataclass(frozen=True)
class Artefact:
    """One exported file: its size, its latency on this host, its accuracy; any may be unknown."""

    name: str
    bytes: int | None = None
    median_us: float | None = None
    p10_us: float | None = None
    p90_us: float | None = None
    runs: int | None = None
    accuracy: float | None = None


def points_from_trials(trials: Sequence[Mapping[str, Any]], where: str = "trials") -> tuple[TrialPoint, ...]:
    """The finished trials of a search/trials.json, by number, with the fronts marked.

    A trial without an accuracy or a parameter count (pruned, failed, still running) is left out. A trial may carry
    "front" itself; then its word is taken for the front over all arms.
    """
    points = []
    for record in trials:
        accuracy = number(record, "validation_accuracy", where)
        parameters = number(record, "parameters", where)
        if accuracy is None or parameters is None:
            continue
        members = numbers(record, "validation_accuracy_members", where)
        points.append(
            TrialPoint(
                number=int(number(record, "number", where) or 0),
                arm=str(record.get("arm") or "trials"),
                parameters=int(parameters),
                accuracy=accuracy,
                members=members,
                interval=unit_interval(members),
                macs=_whole(number(record, "macs", where)),
                settings=mapping(record, "params", where),
                seconds=number(record, "seconds", where),
            )
        )
    points.sort(key=lambda point: point.number)
    stated = {record.get("number") for record in trials if record.get("front") is True}
    return mark_fronts(points, stated or None)


def mark_fronts(points: Sequence[TrialPoint], stated: set[Any] | None = None) -> tuple[TrialPoint, ...]:
    """The points with `front` (by the numbers in `stated`, else worked out) and `arm_front` set."""
    overall = stated if stated is not None else _undominated(points)
    by_arm = set()
    for arm in {point.arm for point in points}:
        by_arm |= _undominated([point for point in points if point.arm == arm])
    return tuple(replace(p, front=p.number in overall, arm_front=p.number in by_arm) for p in points)


def _undominated(points: Sequence[TrialPoint]) -> set[int]:
    kept, best = set(), -math.inf
    for point in sorted(points, key=lambda p: (p.parameters, -p.accuracy, p.number)):
        if point.accuracy > best:
            kept.add(point.number)
            best = point.accuracy
    return kept


def unit_interval(members: Sequence[float]) -> Interval | None:
    """95 % t interval of accuracies, cut to 0..1; None for fewer than two."""
    if len(members) < 2:
        return None
    low, high = t_interval(members)
    return max(0.0, low), min(1.0, high)


def epoch_from(record: Mapping[str, Any], where: str) -> Epoch:
    """One entry of model.json's "history"."""
    return Epoch(
        epoch=int(number(record, "epoch", where) or 0),
        phase=str(record.get("phase") or ""),
        train_loss=numbers(record, "train_loss", where),
        train_accuracy=numbers(record, "train_accuracy", where),
        validation_loss=numbers(record, "validation_loss", where),
        validation_accuracy=numbers(record, "validation_accuracy", where),
        learning_rate=number(record, "learning_rate", where),
    )


def growth_from(record: Mapping[str, Any], where: str) -> GrowthStep:
    """One entry of model.json's "growth"."""
    known = ("epoch", "kind", "accepted")
    return GrowthStep(
        epoch=int(number(record, "epoch", where) or 0),
        kind=str(record.get("kind") or "growth"),
        accepted=bool(record.get("accepted")),
        details={key: value for key, value in record.items() if key not in known},
    )


def hop_from(record: Mapping[str, Any], where: str) -> Hop:
    """One entry of parity.json's "hops"."""
    worst, bound = number(record, "worst", where), number(record, "bound", where)
    passed = record.get("passed")
    if passed is None and worst is not None and bound is not None:
        passed = worst <= bound
    return Hop(
        source=str(record.get("source") or "?"),
        target=str(record.get("target") or "?"),
        worst=worst,
        bound=bound,
        accuracy=number(record, "accuracy", where),
        source_accuracy=number(record, "source_accuracy", where),
        agreement=number(record, "agreement", where),
        passed=passed if passed is None else bool(passed),
    )


def artefact_from(record: Mapping[str, Any], where: str, accuracy: float | None = None) -> Artefact:
    """One row of benchmark.json, with the accuracy that evaluation.json gives for it."""
    return Artefact(
        name=str(record.get("artefact") or record.get("name") or "?"),
        bytes=_whole(number(record, "bytes", where)),
        median_us=number(record, "median_us", where),
        p10_us=number(record, "p10_us", where),
        p90_us=number(record, "p90_us", where),
        runs=_whole(number(record, "runs", where)),
        accuracy=accuracy,
    )


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


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
