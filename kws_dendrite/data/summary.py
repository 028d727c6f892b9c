"""What is in a data set: an outline from names and sizes alone, and a summary that listens to every clip."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kws_dendrite.data.dataset import Dataset
from kws_dendrite.data.partition import PARTITIONS
from kws_dendrite.data.signals import read_signals

CLIPPED_SAMPLES = 3  # a clip with this many samples at full scale counts as clipped
SILENT_PEAK = 33  # -60 dB below full scale in int16 steps: nothing but dither and converter noise


@dataclass(frozen=True)
class ClassSummary:
    """One class of a data set.

    Attributes:
        label: its name.
        clips: {partition: clips}.
        speakers: how many speakers, 0 where none are known.
        seconds: of audio, padding included.
        clipped: clips with at least CLIPPED_SAMPLES samples at full scale; windows of noise are not counted.
        silent: clips whose peak stays below SILENT_PEAK; windows of noise are not counted.
    """

    label: str
    clips: dict[str, int]
    speakers: int
    seconds: float
    clipped: int
    silent: int


@dataclass(frozen=True)
class DatasetSummary:
    """A data set as `kws-dendrite data` shows it; `outline` holds name, layout, digest and task."""

    outline: dict[str, Any]
    classes: tuple[ClassSummary, ...]
    skipped: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `--json`, checkpoints and reports."""
        return {
            **self.outline,
            "classes": [asdict(item) for item in self.classes],
            "skipped": list(self.skipped),
            "notes": list(self.notes),
        }


def outline(dataset: Dataset) -> dict[str, Any]:
    """Name, layout, labels, counts and digest as JSON values; reads no audio."""
    return {
        "name": dataset.name,
        "layout": dataset.layout,
        "synthetic": dataset.synthetic,
        "labels": list(dataset.labels),
        "clips": {partition: len(dataset.partition(partition)) for partition in PARTITIONS},
        "speakers": len({clip.speaker for clip in dataset.clips if clip.speaker is not None}),
        "noise": [path.name for path in dataset.noise],
        "unreadable": len(dataset.skipped),
        "digest": digest(dataset),
        "task": dataset.task.to_json(),
    }


def digest(dataset: Dataset) -> str:
    """SHA-256 over the sorted relative paths and byte sizes of every file that is used."""
    spoken = {clip.name: clip.path for clip in dataset.clips if clip.path is not None and clip.level is None}
    sizes = {name: path.stat().st_size for name, path in spoken.items()}
    sizes |= {f"{path.parent.name}/{path.name}": path.stat().st_size for path in dataset.noise}
    listing = "".join(f"{name}\0{size}\n" for name, size in sorted(sizes.items()))
    return hashlib.sha256(listing.encode()).hexdigest()


def summarise(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> DatasetSummary:
    """Read every clip and count, class by class.

    Raises:
        DataError: a clip cannot be read (skipped under `task.skip_bad`).
    """
    clipped: Counter[int] = Counter()
    silent: Counter[int] = Counter()
    clips: Counter[tuple[int, str]] = Counter()
    skipped = list(dataset.skipped)
    before = 0
    for partition in PARTITIONS:
        if not dataset.partition(partition):
            continue
        so_far = before

        def advance(done: int, _total: int, so_far: int = so_far) -> None:
            if progress is not None:
                progress(so_far + done, len(dataset.clips))

        signals = read_signals(dataset, partition, advance)
        before += len(dataset.partition(partition))
        skipped += signals.skipped
        for label, samples, cut in zip(signals.labels.tolist(), signals.samples, signals.silence, strict=True):
            clips[label, partition] += 1
            if cut:  # windows of noise at drawn levels: quiet and loud by design
                continue
            low, high = int(samples.min()), int(samples.max())
            silent[label] += max(-low, high) < SILENT_PEAK
            if high >= 32767 or low <= -32768:
                clipped[label] += int(np.count_nonzero((samples >= 32767) | (samples <= -32768)) >= CLIPPED_SAMPLES)
    classes = []
    for label, word in enumerate(dataset.labels):
        speakers = {clip.speaker for clip in dataset.clips if clip.label == label and clip.speaker is not None}
        counts = {partition: clips[label, partition] for partition in PARTITIONS}
        seconds = sum(counts.values()) * dataset.task.window_seconds
        classes.append(ClassSummary(word, counts, len(speakers), seconds, clipped[label], silent[label]))
    return DatasetSummary(outline(dataset), tuple(classes), tuple(skipped), dataset.notes)
