"""The Pareto front: points that no other beats in both merit and size, and which one to take."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws_dendrite.errors import ConfigError
from kws_dendrite.output import write_text

if TYPE_CHECKING:
    from kws_dendrite.search.points import Point

STATES = ("complete", "stopped", "failed", "skipped", "running", "waiting")
ENDED = ("complete", "stopped")  # with points that count


@dataclass(frozen=True)
class TrialResult:
    """One trial, in any state. What is not known yet is None or empty.

    Attributes:
        number: within the search, counted over all arms; a skipped draw has the number of the trial it was drawn for.
        arm: "plain", "gradient", "perforated" or "growth".
        validation_accuracy: mean over the P members, at the trial's last point; `validation_accuracy_members` has all.
        parameters, macs: of the folded graph, the one that ships.
        params: what was drawn, by Optuna's names.
        architecture, growth: as JSON, to build it again.
        state: one of `STATES`; "stopped" as hopeless, "skipped" as over a limit before training, "failed" for good.
        seconds: it took, by a clock that does not step; of trials that were trained together, its share.
        objective: what the search held against accuracy where that was not the parameters: "name" as `--objective` has
            it, "label" of an axis, "value" of this trial.
        maximise: "accuracy" or "loss" (then its negative).
        validation_loss_members: at the last point.
        costs: of the last point: "parameters", "macs", "flash", "ram", ... as far as they were asked for.
        dendrites: the last point's count.
        slot: the trial's number in its arm.
        attempt: draws of this slot that were skipped before this one.
        tries: of this draw, 1 and one more for each worker that was lost while it trained it.
        why: it was skipped, stopped or failed.
        points: one for each number of dendrites that it passed through; each may be on the front.
        curve: an entry an epoch, as a checkpoint's history.
        steps: what each growth step did.
        started, ended: UTC, ISO 8601; `ended` is `started` and what training took.
        worker: "host-pid-..." that has it or had it.
        recipe, frontend, augment: TrainConfig, front end and AugmentConfig as JSON; {} where the bank's own were taken.
        epochs: trained, of all cycles and phases.
        planned: epochs that its cycles were to have in all, were none of them cut short.
        saved: epochs that stopping it saved.
    """

    number: int
    arm: str
    validation_accuracy: float | None
    validation_accuracy_members: tuple[float, ...]
    parameters: int | None
    macs: int | None
    params: dict[str, Any]
    architecture: dict[str, Any] | None
    growth: dict[str, Any] | None
    state: str
    seconds: float
    objective: dict[str, Any] | None = None
    maximise: str = "accuracy"
    validation_loss_members: tuple[float, ...] = ()
    costs: dict[str, float] | None = None
    dendrites: int | None = None
    slot: int | None = None
    attempt: int = 0
    tries: int = 1
    why: str | None = None
    points: "tuple[Point, ...]" = ()
    curve: tuple[dict[str, Any], ...] = ()
    steps: tuple[dict[str, Any], ...] = ()
    started: str | None = None
    ended: str | None = None
    worker: str | None = None
    recipe: dict[str, Any] | None = None
    frontend: dict[str, Any] | None = None
    augment: dict[str, Any] | None = None
    epochs: int | None = None
    planned: int | None = None
    saved: int = 0

    @property
    def size(self) -> float:
        """What is to be small: the objective's value, else parameters."""
        return self.objective["value"] if self.objective else self.parameters

    @property
    def merit(self) -> float:
        """What is to be large: accuracy, or the negative loss."""
        if self.maximise == "loss":
            return -sum(self.validation_loss_members) / len(self.validation_loss_members)
        return self.validation_accuracy

    def at(self, point: "Point") -> "TrialResult":
        """This trial as it was at one of its points; without `points`, which are the whole trial's."""
        objective = self.objective and {**self.objective, "value": point.value}
        return replace(
            self,
            validation_accuracy=point.validation_accuracy,
            validation_accuracy_members=tuple(point.validation_accuracy_members),
            validation_loss_members=tuple(point.validation_loss_members),
            parameters=point.parameters,
            macs=point.macs,
            costs=dict(point.costs),
            growth=point.growth,
            dendrites=point.dendrites,
            epochs=point.epochs,
            objective=objective,
            points=(),
        )

    def candidates(self) -> "list[TrialResult]":
        """What of this trial may be on the front: every point; itself where it has none; nothing if unfinished."""
        if self.state not in ENDED:
            return []
        if self.points:
            return [self.at(point) for point in self.points]
        return [self] if self.validation_accuracy is not None and self.parameters is not None else []

    def to_json(self) -> dict[str, Any]:
        """As stored in trials.json."""
        value = {field.name: getattr(self, field.name) for field in fields(self)}
        value["points"] = [point.to_json() for point in self.points]
        for name in ("validation_accuracy_members", "validation_loss_members", "curve", "steps"):
            value[name] = list(value[name])
        if self.objective is None:
            del value["objective"]
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "TrialResult":
        """Back from `to_json`; names of later versions are left out."""
        from kws_dendrite.search.points import Point

        known = {field.name for field in fields(cls)}
        values = {name: entry for name, entry in value.items() if name in known}
        for name in ("validation_accuracy_members", "validation_loss_members", "curve", "steps"):
            values[name] = tuple(values.get(name) or ())
        values["points"] = tuple(Point.from_json(point) for point in values.get("points") or ())
        return cls(**values)


def pareto_front(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """The points that none has both at least their merit and at most their size; smallest first.

    Each is its trial as it was there (`TrialResult.at`). Of points equal in both, the first trial's stays.
    """
    front: list[TrialResult] = []
    candidates = [candidate for trial in trials for candidate in trial.candidates()]
    for trial in sorted(candidates, key=lambda t: (t.size, -t.merit, t.number, t.dendrites or 0)):
        if not front or trial.merit > front[-1].merit:
            front.append(trial)
    return front


def pick(trials: Sequence[TrialResult], max_parameters: int | None = None) -> TrialResult:
    """The point of most merit within `max_parameters`; of equals the smaller.

    Raises:
        ConfigError: nothing fits.
    """
    front = pareto_front(trials)
    if not front:
        raise ConfigError("the search has no finished trial to pick from; run more trials")
    fitting = [trial for trial in front if max_parameters is None or trial.parameters <= max_parameters]
    if not fitting:
        raise ConfigError(
            f"no trial has at most {max_parameters} parameters; the smallest has {front[0].parameters}: "
            "raise --max-params or search longer"
        )
    return fitting[-1]


def write_front_csv(path: Path | str, trials: Sequence[TrialResult]) -> None:
    """The front as CSV, a line a point; an objective beside the parameters has a column of its own, named as it is."""
    text = io.StringIO()
    columns = ["number", "arm", "dendrites", "parameters", "macs", "validation_accuracy", "seconds"]
    drawn = sorted({name for trial in trials for name in trial.params} - set(columns))
    held = sorted({trial.objective["name"] for trial in trials if trial.objective} - set(columns))
    writer = csv.DictWriter(text, [*columns, *held, *drawn], lineterminator="\n")
    writer.writeheader()
    for trial in pareto_front(trials):
        size = dict.fromkeys(held, trial.size)
        writer.writerow({**trial.params, **{name: getattr(trial, name) for name in columns}, **size})
    write_text(path, text.getvalue())
