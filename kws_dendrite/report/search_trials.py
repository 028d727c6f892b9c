"""A search's trials as its screen and its page read them: any state, every dendrite count a point of its own."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from kws_dendrite.errors import DataError
from kws_dendrite.evaluation.hypervolume import undominated
from kws_dendrite.evaluation.statistics import Interval
from kws_dendrite.report.fields import mapping, mappings, number, numbers, whole
from kws_dendrite.report.trials import LEAST, unit_interval

STATES = ("complete", "stopped", "running", "waiting", "skipped", "failed")
ENDED = ("complete", "stopped", "failed")  # each ends a trial for good; a skipped draw is drawn anew
COUNTED = ("complete", "stopped")  # whose nets may be on the front


@dataclass(frozen=True)
class Spot:
    """One net that a trial passed through, as a point in the plane of size and accuracy.

    Attributes:
        trial, arm: where it belongs.
        dendrites: growth steps in it; None where an older search did not say.
        accuracy: mean validation accuracy over the members, 0..1; `members` has them all, `interval` is their 95 % t
            interval, None for one seed.
        merit: what the search makes large: the accuracy, or the negative loss.
        size: what the search keeps small, above 0.
        parameters, macs: of the folded graph; `costs` has what else is known.
        epochs: trained up to it.
        front, arm_front: nothing beats it, in the whole search and in its arm.
    """

    trial: int
    arm: str
    dendrites: int | None
    accuracy: float
    members: tuple[float, ...]
    interval: Interval | None
    merit: float
    size: float
    parameters: int
    macs: int | None = None
    costs: Mapping[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    front: bool = False
    arm_front: bool = False


@dataclass(frozen=True)
class Curve:
    """Validation accuracy over the epochs of a trial: mean over the members, lowest, highest, and the phase's name."""

    epochs: tuple[int, ...] = ()
    accuracy: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    phases: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchTrial:
    """A trial in any state.

    Attributes:
        number: within the search; `slot` is its place in its arm, `attempt` counts the draws of it that were skipped.
        state: one of STATES; `why` it was stopped or skipped, or failed.
        spots: the nets that it passed through, by dendrites.
        curve: of all its epochs so far.
        epoch, epochs: done, and to be done in all, where known; `saved` were saved by stopping it.
        started, ended: seconds of the Unix clock of whatever machine ran it; `seconds` by that machine's steady clock.
        worker: who ran it.
        params: what was drawn.
        made_of: architecture, recipe, growth, front end: all that makes it again.
        label: of the axis of sizes.
    """

    number: int
    arm: str
    state: str
    slot: int | None = None
    attempt: int = 0
    why: str = ""
    spots: tuple[Spot, ...] = ()
    curve: Curve = Curve()
    epoch: int | None = None
    epochs: int | None = None
    saved: int = 0
    started: float | None = None
    ended: float | None = None
    seconds: float | None = None
    worker: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    made_of: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def key(self) -> str:
        """Its name: draws that were skipped share the number of the trial that they were drawn for."""
        return f"{self.number}" if self.state != "skipped" else f"{self.number}, draw {self.attempt + 1}"

    @property
    def accuracy_so_far(self) -> float | None:
        """Of the last epoch, else of the last point."""
        if self.curve.accuracy:
            return self.curve.accuracy[-1]
        return self.spots[-1].accuracy if self.spots else None


def read_trials(records: Sequence[Mapping[str, Any]], where: str = "trials") -> tuple[SearchTrial, ...]:
    """The trials of a trials.json by number, fronts marked.

    Raises:
        DataError: a field of the wrong type; it is named, and so is `where`.
    """
    trials = [_trial(record, where) for record in records]
    return mark(sorted(trials, key=lambda trial: (trial.number, trial.attempt)))


def mark(trials: Sequence[SearchTrial]) -> tuple[SearchTrial, ...]:
    """The trials with `front` and `arm_front` of their spots worked out: those of trials in a state of COUNTED."""
    spots = [spot for trial in trials if trial.state in COUNTED for spot in trial.spots]
    front = _best(spots)
    by_arm = set().union(*(_best([s for s in spots if s.arm == arm]) for arm in {spot.arm for spot in spots}))
    return tuple(
        replace(
            trial,
            spots=tuple(replace(s, front=_key(s) in front, arm_front=_key(s) in by_arm) for s in trial.spots),
        )
        for trial in trials
    )


def all_spots(trials: Sequence[SearchTrial]) -> list[Spot]:
    """Every spot of every trial."""
    return [spot for trial in trials for spot in trial.spots]


def the_front(trials: Sequence[SearchTrial], arm: str | None = None) -> list[Spot]:
    """The spots that nothing beats, in the search or in one arm; smallest first."""
    kept = [s for s in all_spots(trials) if (s.front if arm is None else s.arm == arm and s.arm_front)]
    return sorted(kept, key=lambda spot: spot.size)


def _best(spots: Sequence[Spot]) -> set[tuple[int, int | None, int]]:
    return {_key(spots[place]) for place in undominated([(spot.size, spot.merit) for spot in spots])}


def _key(spot: Spot) -> tuple[int, int | None, int]:
    return spot.trial, spot.dendrites, spot.parameters


def _trial(record: Mapping[str, Any], where: str) -> SearchTrial:
    named = str(record.get("state") or "complete").lower()
    state = {"pruned": "skipped", "fail": "failed"}.get(named, named)
    if state not in STATES:
        raise DataError(f'{where}: "state" should be one of {", ".join(STATES)}, got {named!r:.60}')
    place, attempt = (int(number(record, name, where) or 0) for name in ("number", "attempt"))
    arm = str(record.get("arm") or "trials")
    objective = mapping(record, "objective", where)
    progress = mapping(record, "progress", where)
    curve = _curve(record, where)
    epoch = whole(number(progress, "epoch", where) or number(record, "epochs", where))
    planned = whole(number(progress, "epochs", where) or number(record, "planned", where))
    return SearchTrial(
        number=place,
        arm=arm,
        state=state,
        slot=whole(number(record, "slot", where)),
        attempt=attempt,
        why=str(record.get("why") or ""),
        spots=() if state in ("skipped", "waiting") else _spots(record, place, arm, objective, where),
        curve=curve,
        epoch=epoch if epoch is not None else (curve.epochs[-1] if curve.epochs else None),
        epochs=planned,
        saved=whole(number(record, "saved", where)) or 0,
        started=_moment(record.get("started"), f'{where}: "started"'),
        ended=_moment(record.get("ended"), f'{where}: "ended"'),
        seconds=number(record, "seconds", where),
        worker=str(record.get("worker") or ""),
        params=mapping(record, "params", where),
        made_of={
            name: record[name]
            for name in ("architecture", "recipe", "growth", "frontend")
            if isinstance(record.get(name), Mapping) and record[name]
        },
        label=str(objective.get("label") or ""),
    )


def _spots(
    record: Mapping[str, Any], trial: int, arm: str, objective: Mapping[str, Any], where: str
) -> tuple[Spot, ...]:
    """Its "points"; of a search that wrote none, the trial itself."""
    found = mappings(record, "points", where) or [{**record, "value": objective.get("value"), "dendrites": None}]
    by_loss = record.get("maximise") == "loss"
    spots = []
    for point in found:
        accuracy, parameters = number(point, "validation_accuracy", where), number(point, "parameters", where)
        if accuracy is None or parameters is None:
            continue
        members = numbers(point, "validation_accuracy_members", where)
        losses = numbers(point, "validation_loss_members", where)
        held = number(point, "value", where)
        spots.append(
            Spot(
                trial=trial,
                arm=arm,
                dendrites=whole(number(point, "dendrites", where)),
                accuracy=accuracy,
                members=members,
                interval=unit_interval(members),
                merit=-sum(losses) / len(losses) if by_loss and losses else accuracy,
                size=max(1.0, parameters) if held is None else max(held, LEAST),
                parameters=int(parameters),
                macs=whole(number(point, "macs", where)),
                costs=mapping(point, "costs", where),
                epochs=whole(number(point, "epochs", where)),
            )
        )
    return tuple(sorted(spots, key=lambda spot: spot.dendrites or 0))


def _curve(record: Mapping[str, Any], where: str) -> Curve:
    """From a list of epochs as training records them, each with its members or their mean."""
    entries = mappings(record, "curve", where)
    epochs, phases, rows = [], [], []
    for place, entry in enumerate(entries):
        values = numbers(entry, "validation_accuracy", where)
        if values:
            epochs.append(int(number(entry, "epoch", where) or place) + 1)
            phases.append(str(entry.get("phase") or ""))
            rows.append(values)
    return Curve(
        tuple(epochs),
        tuple(sum(row) / len(row) for row in rows),
        tuple(min(row) for row in rows),
        tuple(max(row) for row in rows),
        tuple(phases),
    )


def _moment(value: Any, where: str) -> float | None:
    """Seconds of the Unix clock, from such a number or an ISO time (UTC where it names no zone)."""
    if value is None or value == "":
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise DataError(f"{where} should be a time such as 2025-01-31T12:00:00+00:00, got {value!r:.60}") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
