"""Training as it is seen: one line that moves, with loss, accuracy and time left, and one that stays a growth step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kws_dendrite.cli.inputs import bar

if TYPE_CHECKING:
    from rich.console import Console

    from kws_dendrite.training.growth import GrowthStep
    from kws_dendrite.training.loop import EpochRecord


class TrainingScreen:
    """Give `epoch` and `growth` to `train` as its callbacks."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = None
        self.row = None

    @contextlib.contextmanager
    def open(self, title: str, epochs: int) -> Iterator[TrainingScreen]:
        """Show a bar of `epochs` while open."""
        with bar(self.console) as progress:
            self.progress, self.row, self.title = progress, progress.add_task(title, total=epochs), title
            yield self

    def epoch(self, record: EpochRecord, _: int) -> None:
        """An epoch is done."""
        accuracy = sum(record.validation_accuracy) / len(record.validation_accuracy)
        text = f"{self.title} · {record.phase} · loss {record.train_loss:.3f} · validation {accuracy:.1%}"
        self.progress.update(self.row, description=text, completed=record.epoch + 1)

    def growth(self, step: GrowthStep) -> None:
        """A growth step was judged."""
        if step.epoch == 0:
            places = ", ".join(step.chosen)
            self.console.print(f"dendrite {step.dendrites} ({step.kind}): from the first epoch, in {places}")
            return
        after = "diverged" if step.loss_after is None else f"{step.loss_after:.4f}"
        verdict = "kept" if step.accepted else "rolled back"
        self.console.print(
            f"dendrite {step.dendrites} ({step.kind}): validation loss "
            f"{step.loss_before:.4f} -> {after}, {verdict}{'' if step.chosen else '; nothing was worth its price'}"
        )
