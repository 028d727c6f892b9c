"""What training a population gives: growth steps, the nets passed through on the way, and the result."""

from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from kws_dendrite.training.loop import EpochRecord


@dataclass(frozen=True)
class GrowthStep:
    """What one growth step did.

    Attributes:
        epoch: the first after it.
        dendrites: its number.
        loss_before, loss_after: the population's mean at the members' best epochs; None where the grown net diverged.
        scores, chosen: as in `StepReport`.
        standard_error: of the paired difference over validation clips; None of a single clip.
        learning_rate: that the probe took.
    """

    epoch: int
    dendrites: int
    kind: str
    accepted: bool
    loss_before: float
    loss_after: float | None
    scores: dict[str, float | None] = field(default_factory=dict)
    chosen: dict[str, dict[str, Any]] = field(default_factory=dict)
    standard_error: float | None = None
    learning_rate: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As stored in a checkpoint's growth list."""
        return asdict(self)


@dataclass(frozen=True)
class Stage:
    """A net that training passes through: after the first cycle, a restart, or a growth step that was kept.

    Attributes:
        model: a copy, every member at its best epoch.
        dendrites: growth steps whose dendrites are in it.
        steps: growth steps tried by then, the rejected ones too.
        cycles: that led to it, the rejected ones too.
        epochs: of the schedule by then, candidate phases and probes among them: with these, `share_epochs` gives the
            cycles that it had.
        best_loss, best_accuracy: validation figures of every member.
    """

    model: nn.Module
    dendrites: int
    steps: int
    cycles: int
    epochs: int
    best_loss: list[float]
    best_accuracy: list[float]


@dataclass
class TrainResult:
    """Attributes:
    model: trained, grown where that helped, every member at its best epoch.
    history: all epochs of all cycles.
    growth: all growth steps, the rejected ones too.
    best_loss, best_accuracy: validation figures of every member of `model`.
    interrupted: Ctrl-C ended it early.
    stopped: `stop` did.
    """

    model: nn.Module
    history: list[EpochRecord]
    growth: list[GrowthStep]
    best_loss: list[float]
    best_accuracy: list[float]
    interrupted: bool = False
    stopped: bool = False

    @property
    def ended(self) -> bool:
        """Whether it ended before its time."""
        return self.interrupted or self.stopped
