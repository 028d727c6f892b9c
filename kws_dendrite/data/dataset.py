"""A data set as plain values: which clips there are, and their samples once read."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kws_dendrite.data.clip import Clip
from kws_dendrite.data.task import SILENCE, TaskConfig


@dataclass(frozen=True)
class Dataset:
    """Clips with labels and partitions, and nothing read yet.

    Attributes:
        name: short name for reports.
        labels: keywords in order, then `_unknown_`, `_silence_`.
        clips: every clip of every partition, in a fixed order.
        noise: noise recordings; empty means that silence and noise are synthetic.
        synthetic: the speech is synthetic, so its accuracies say nothing about real speech.
        layout: "speech_commands", "edge_impulse", "class_folder" or "named_files".
        skipped: one line for each clip that was left out because it could not be read.
        source: the data folder.
        task: the task that chose the clips.
        notes: what the user should know about how the data was read.
    """

    name: str
    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    noise: tuple[Path, ...]
    synthetic: bool
    layout: str
    skipped: tuple[str, ...]
    source: Path
    task: TaskConfig
    notes: tuple[str, ...] = ()

    def partition(self, name: str) -> tuple[Clip, ...]:
        """The clips of one partition, in order."""
        return tuple(clip for clip in self.clips if clip.partition == name)

    @property
    def silence_label(self) -> int | None:
        """Index of `_silence_`, or None."""
        return self.labels.index(SILENCE) if SILENCE in self.labels else None


@dataclass(frozen=True)
class Signals:
    """One partition's samples.

    Attributes:
        samples: int16 (N, S).
        labels: int64 (N,).
        ids: one per clip, the clip's name and start.
        silence: bool (N,): clips cut from noise, of which augmentation draws a new window.
        skipped: one line for each clip that could not be read and was left out.
    """

    samples: np.ndarray
    labels: np.ndarray
    ids: tuple[str, ...]
    silence: np.ndarray
    skipped: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.labels)
