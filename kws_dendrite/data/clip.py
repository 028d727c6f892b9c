"""A clip: one window of one recording, with its label and partition; and a recording, before a task chooses clips."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Recording:
    """One audio file as a folder's layout describes it, before any task is laid over it.

    Attributes:
        path: where it is.
        name: its path inside the data folder, with forward slashes; names it in every message and digest.
        word: its class as the layout says it.
        speaker: who spoke, where the layout tells.
        partition: "train", "validation", "test", or None where the seeded hash is to decide.
        start: seconds into the file where it begins.
        seconds: its length, or None for "to the end of the file".
    """

    path: Path
    name: str
    word: str
    speaker: str | None = None
    partition: str | None = None
    start: float = 0.0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """One training example: a window of a recording.

    Attributes:
        path: the file, or None for synthetic noise.
        name: its path inside the data folder, with forward slashes.
        label: index into the data set's labels.
        speaker: who spoke, where known.
        partition: "train", "validation" or "test".
        start: first sample, counted at the task's sampling rate.
        level: for silence clips only: the RMS, in int16 steps, to which the whole noise recording is scaled.
    """

    path: Path | None
    name: str
    label: int
    speaker: str | None
    partition: str
    start: int = 0
    level: float | None = None

    @property
    def id(self) -> str:
        """Its name, with `@start` where it does not begin at the file's first sample."""
        return f"{self.name}@{self.start}" if self.start or self.level is not None else self.name
