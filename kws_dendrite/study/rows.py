"""Rows of a study: what each is made of, the lock that gives it to one process, and its result on disk."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kws_dendrite.data import AugmentConfig, TaskConfig
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import FrontEndConfig, configure, to_json
from kws_dendrite.models import ModelConfig, SeparableConfig, config_from_json, config_to_json
from kws_dendrite.output import write_json
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.result_store import ResultStore

RESULT = "row.json"


@dataclass(frozen=True)
class RowPlan:
    """One line of a study: an arm at a size.

    Attributes:
        arm, title: whose line it is.
        size: folded parameters that it was to have; a published net's own.
        architecture: what is trained first.
        train: its recipe; epochs are those of one cycle.
        growth, restarts: what follows the first cycle.
        members, seed: P seeds, from `seed` on.
        frontend: None for the study's own.
        parameters: folded, as planned.
        control: plain nets; a study compares the others with them.
        base_of: the arm whose ungrown base this is, or "".
    narrow: what is trained in the first cycle and then widened to `architecture`; None for the same.
    validation_clips: so many of the validation clips choose its epoch; 0 for all.
    """

    arm: str
    title: str
    size: int
    architecture: ModelConfig
    train: TrainConfig
    growth: DendriteConfig | None
    restarts: int
    members: int
    seed: int
    frontend: FrontEndConfig | None
    parameters: int
    control: bool = False
    base_of: str = ""
    narrow: SeparableConfig | None = None
    validation_clips: int = 0

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.arm.replace(':', '@')}-{self.size}"

    def made_of(self) -> dict[str, Any]:
        """All that its result follows from, the data aside, as JSON values."""
        value = {
            "architecture": config_to_json(self.architecture),
            "narrow": config_to_json(self.narrow) if self.narrow else None,
            "train": asdict(self.train),
            "growth": asdict(self.growth) if self.growth else None,
            "restarts": self.restarts,
            "members": self.members,
            "seed": self.seed,
            "frontend": to_json(self.frontend) if self.frontend else None,
            "validation_clips": self.validation_clips,
        }
        return json.loads(json.dumps(value))  # lists for tuples, as it comes back from a file


@dataclass(frozen=True)
class Row:
    """A finished row, as row.json holds it.

    Attributes:
        name, arm, title, size, control, base_of: as in its plan.
        parameters, macs: folded, one value a member: grown members may differ.
        planned: folded parameters that the plan had.
        made_of: what it follows from.
        validation_loss, validation_accuracy: one value a member, at its best epoch.
        growth: its growth steps.
        epochs: run in all.
        seconds, cpu_seconds: it took.
        weights: SHA-256 of its checkpoint's weights.
    """

    name: str
    arm: str
    title: str
    size: int
    control: bool
    base_of: str
    parameters: tuple[int, ...]
    macs: tuple[int, ...]
    planned: int
    made_of: dict[str, Any]
    validation_loss: tuple[float, ...]
    validation_accuracy: tuple[float, ...]
    growth: tuple[dict[str, Any], ...]
    epochs: int
    seconds: float
    cpu_seconds: float
    weights: str

    @property
    def members(self) -> int:
        """P."""
        return len(self.validation_accuracy)

    @property
    def mean_parameters(self) -> float:
        """Over the members."""
        return sum(self.parameters) / len(self.parameters)

    @property
    def mean_macs(self) -> float:
        """Over the members."""
        return sum(self.macs) / len(self.macs)

    def to_json(self) -> dict[str, Any]:
        """As row.json holds it."""
        return asdict(self)


class RowStore(ResultStore[Row]):
    """The rows/ folder of a study."""

    file, result = RESULT, Row
    what, finished_one, again = "the row", "finished row", "train {} anew"

    def __init__(self, folder: Path | str) -> None:
        super().__init__(Path(folder) / "rows")

    def finished(self, plan: RowPlan) -> Row | None:
        """The finished row of a plan.

        Raises:
            ConfigError: a row of that name was trained another way; names what differs.
        """
        row = self.read(plan.name)
        if row is not None:
            different = differing(row.made_of, plan.made_of())
            if different:
                field, there, here = different[0]
                raise ConfigError(
                    f"the row {plan.name} was trained with {field} {there}, not {here}; remove {self.path(plan.name)} "
                    "to train it anew, or name another folder"
                )
        return row

    def write(self, row: Row) -> None:
        """Finish a row: its checkpoint stands already."""
        write_json(self.path(row.name) / RESULT, row.to_json())

    def all(self) -> list[Row]:
        """Every finished row, by name."""
        return [row for name in self.names() if (row := self.read(name)) is not None]


def differing(before: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """(field, before, now) of all that is not the same. A setting that came later counts as its default before."""
    return [
        (name, value, here)
        for name, (value, here) in _paired(_complete(before), _complete(now)).items()
        if value != here
    ]


_DEFAULTS: dict[str, Callable[[], dict[str, Any]]] = {
    "train": lambda: asdict(TrainConfig()),
    "recipe": lambda: asdict(TrainConfig()),
    "growth": lambda: asdict(DendriteConfig()),
    "augmentation": lambda: AugmentConfig().to_json(),
    "task": lambda: TaskConfig().to_json(),
}


def _complete(made_of: dict[str, Any]) -> dict[str, Any]:
    """`made_of` with the settings that were not there yet at their defaults."""
    if "architecture" in made_of:
        made_of = {"narrow": None, "validation_clips": 0} | made_of
    complete = dict(made_of)
    for name, default in _DEFAULTS.items():
        if isinstance(made_of.get(name), dict):
            complete[name] = json.loads(json.dumps(default())) | made_of[name]
    if isinstance(made_of.get("frontend"), dict):
        with contextlib.suppress(ConfigError):  # of a block that is gone, or arrays of an unknown one
            complete["frontend"] = to_json(configure(made_of["frontend"].get("block"), {})) | made_of["frontend"]
    for name in ("architecture", "narrow"):
        if isinstance(made_of.get(name), dict):
            with contextlib.suppress(ConfigError):  # of a family that is gone: compared as it stands
                complete[name] = json.loads(json.dumps(config_to_json(config_from_json(made_of[name]))))
    return complete


def _paired(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Leaf by leaf, in the order of `now`."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys([*now, *before]):
        left, right = before.get(name), now.get(name)
        if isinstance(left, dict) and isinstance(right, dict):
            found |= _paired(left, right, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = (left, right)
    return found
