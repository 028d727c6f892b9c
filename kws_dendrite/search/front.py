"""The Pareto front: trials that no other beats in both accuracy and size, and which one to take."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kws_dendrite.errors import ConfigError
from kws_dendrite.output import write_text


@dataclass(frozen=True)
class TrialResult:
    """One finished trial.

    Attributes:
        number: within the search, counted over all arms.
        arm: "plain", "gradient" or "perforated".
        validation_accuracy: mean over the P members; `validation_accuracy_members` has them all.
        parameters, macs: of the folded graph, the one that ships.
        params: what was drawn, and `architecture` and `growth` as JSON to build it again.
        state: "complete" or "failed".
        seconds: it took.
        objective: what the search held against accuracy where that was not the parameters: "name" as `--objective` has
            it, "label" of an axis, "value" of this trial.
    """

    number: int
    arm: str
    validation_accuracy: float
    validation_accuracy_members: tuple[float, ...]
    parameters: int
    macs: int
    params: dict[str, Any]
    architecture: dict[str, Any]
    growth: dict[str, Any] | None
    state: str
    seconds: float
    objective: dict[str, Any] | None = None

    @property
    def size(self) -> float:
        """What is to be small: the objective's value, else parameters."""
        return self.objective["value"] if self.objective else self.parameters

    def to_json(self) -> dict[str, Any]:
        """As stored in trials.json."""
        value = asdict(self) | {"validation_accuracy_members": list(self.validation_accuracy_members)}
        if self.objective is None:
            del value["objective"]
        return value


def pareto_front(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """The trials that none has both at least their accuracy and at most their size; smallest first.

    Of trials equal in both, the first stays.
    """
    front: list[TrialResult] = []
    for trial in sorted(trials, key=lambda t: (t.size, -t.validation_accuracy, t.number)):
        if not front or trial.validation_accuracy > front[-1].validation_accuracy:
            front.append(trial)
    return front


def pick(trials: Sequence[TrialResult], max_parameters: int | None = None) -> TrialResult:
    """The most accurate trial within `max_parameters`; of equals the smaller.

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
    """The front as CSV, a line a trial; an objective beside the parameters has a column of its own, named as it is."""
    text = io.StringIO()
    columns = ["number", "arm", "parameters", "macs", "validation_accuracy", "seconds"]
    drawn = sorted({name for trial in trials for name in trial.params})
    held = sorted({trial.objective["name"] for trial in trials if trial.objective} - set(columns))
    writer = csv.DictWriter(text, [*columns, *held, *drawn], lineterminator="\n")
    writer.writeheader()
    for trial in pareto_front(trials):
        size = dict.fromkeys(held, trial.size)
        writer.writerow({**{name: getattr(trial, name) for name in columns}, **size, **trial.params})
    write_text(path, text.getvalue())
