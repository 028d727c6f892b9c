"""The points of a trial: every number of dendrites that it passes through is a net that may be shipped."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.training.stages import Stage


@dataclass(frozen=True)
class Point:
    """One net that a trial passed through, every member at its best epoch.

    With the trial's architecture, recipe and seed, `share_epochs(recipe, epochs, growth, restarts)` and `train` with
    the same `growth` and `restarts` make it again.

    Attributes:
        dendrites: growth steps whose dendrites are in it; 0 is the plain net.
        validation_accuracy: mean over the P members; `validation_accuracy_members` has them all.
        validation_loss_members: mean cross-entropy of each member, in nats.
        parameters, macs: of its folded graph, the one that ships.
        costs: all that was counted of it, by name.
        value: what the search keeps small.
        epochs: spent on it, candidate phases and probes among them.
        growth: the DendriteConfig that makes it again, as JSON; None without dendrites.
        restarts: plain cycles after the first.
    """

    dendrites: int
    validation_accuracy: float
    validation_accuracy_members: tuple[float, ...]
    validation_loss_members: tuple[float, ...]
    parameters: int
    macs: int
    value: float
    epochs: int
    costs: dict[str, float] = field(default_factory=dict)
    growth: dict[str, Any] | None = None
    restarts: int = 0

    @property
    def loss(self) -> float:
        """Mean validation loss over the members."""
        return sum(self.validation_loss_members) / len(self.validation_loss_members)

    def merit(self, maximise: str) -> float:
        """What a search makes large: the accuracy, or the negative loss."""
        return -self.loss if maximise == "loss" else self.validation_accuracy

    def to_json(self) -> dict[str, Any]:
        """As stored with the trial."""
        members = ("validation_accuracy_members", "validation_loss_members")
        return asdict(self) | {name: list(getattr(self, name)) for name in members}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Point":
        """Back from `to_json`; names of later versions are left out."""
        values = {each.name: value[each.name] for each in fields(cls) if each.name in value}
        for name in ("validation_accuracy_members", "validation_loss_members"):
            values[name] = tuple(values[name])
        return cls(**values)


def point_of(stage: Stage, costs: Mapping[str, float], value: float, growth: DendriteConfig | None) -> Point:
    """The point of a stage of training.

    Args:
        costs: of its folded graph; "parameters" and "macs" are among them.
        value: of it, that the search keeps small.
        growth: of the whole trial; the point's own tries only the steps that led to it.
    """
    from_start = growth is not None and growth.insertion == "start"
    own = growth if stage.dendrites else None
    if own and not from_start:
        own = replace(own, dendrites=stage.steps)
    return Point(
        dendrites=stage.dendrites,
        validation_accuracy=sum(stage.best_accuracy) / len(stage.best_accuracy),
        validation_accuracy_members=tuple(stage.best_accuracy),
        validation_loss_members=tuple(stage.best_loss),
        parameters=int(costs["parameters"]),
        macs=int(costs["macs"]),
        value=value,
        epochs=stage.epochs,
        costs=dict(costs),
        growth=asdict(own) if own else None,
        restarts=stage.cycles - 1 if own is None or from_start else 0,
    )


def latest(points: Iterable[Point]) -> tuple[Point, ...]:
    """One point for each number of dendrites, by that number: of several the last, which training preferred."""
    found = {point.dendrites: point for point in points}
    return tuple(found[count] for count in sorted(found))
