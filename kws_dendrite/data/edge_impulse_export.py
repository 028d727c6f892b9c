"""Write a data set as Edge Impulse exports it, for its uploader, its SDK or Studio, so that it comes back as it went.

One WAV a clip, `training/LABEL.REST.wav` or `testing/...`, and one `info.labels` in the root. Edge Impulse knows two
categories everywhere (a third, validation, in some projects): validation clips are training there, and their metadata
say `partition: validation`. The speaker is in the metadata too, where it is known. `dataset.json` keeps what the format
has no place for, the order of the keywords; without it, classes are sorted.
"""

import hashlib
import re
import tempfile
import wave
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from shutil import rmtree
from typing import Any

import numpy as np

from kws_dendrite.data.audio import read_audio
from kws_dendrite.data.clip import Clip
from kws_dendrite.data.dataset import Dataset
from kws_dendrite.data.edge_impulse import INFO, PARTITION_KEY, SPEAKER_KEY, SPLITS
from kws_dendrite.data.layout import CARD
from kws_dendrite.data.load import load_dataset
from kws_dendrite.data.partition import PARTITIONS
from kws_dendrite.data.signals import THREADS
from kws_dendrite.data.silence import cut_silence, read_noise
from kws_dendrite.data.task import NOISE_FOLDER, SILENCE, UNKNOWN, TaskConfig
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.output import claimed, write_json

CATEGORIES = {"train": "training", "validation": "training", "test": "testing"}
# what the uploader reads as a label from a file's name (text before the first dot), and an HTTP header carries as it is
LABEL = re.compile(r"[A-Za-z0-9_-]+( +[A-Za-z0-9_-]+)*")
_LONGEST = 100  # characters of a file's name, before its suffix
_BATCH = 128  # clips handed to a thread at once

Progress = Callable[[int, int], None]  # (done, total)


@dataclass(frozen=True)
class ExportedDataset:
    """What was written.

    Attributes:
        folder: where.
        clips: label -> {partition: clips}.
        duplicates: names of clips whose samples another clip has too.
        skipped: a line for each clip that could not be read and was left out.
        fingerprints: (label, partition, speaker, digest of the samples) of each clip, and how many are so.
    """

    folder: Path
    clips: dict[str, dict[str, int]]
    duplicates: tuple[str, ...]
    skipped: tuple[str, ...]
    fingerprints: Counter

    def to_json(self) -> dict[str, Any]:
        """Plain values; the fingerprints are not among them."""
        return {
            "folder": str(self.folder),
            "clips": self.clips,
            "duplicates": list(self.duplicates),
            "skipped": list(self.skipped),
        }


@dataclass(frozen=True)
class _Planned:
    """A clip and where it goes."""

    clip: Clip
    label: str
    path: str  # inside the export, such as training/yes.0a7c.wav


def export_dataset(
    dataset: Dataset,
    folder: Path | str,
    *,
    rename: Mapping[str, str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ExportedDataset:
    """Write every clip of a data set, as int16 at the task's rate, neither padded nor dithered.

    Args:
        dataset: what `load_dataset` found.
        folder: where the export goes.
        rename: label -> the name it has in Edge Impulse.
        overwrite: replace an earlier export there.
        progress: called with (clips done, clips in all).

    Raises:
        ConfigError: a label that Edge Impulse's uploader does not take, or two that become one.
        DataError: a clip cannot be read (left out under `task.skip_bad`).
        OutputError: the folder is in use, not ours, or holds results already.
    """
    labels = _labels(dataset, rename or {})
    planned = _plan(dataset, labels)
    with claimed(folder, overwrite=overwrite) as out, tempfile.TemporaryDirectory(prefix=".unfinished.", dir=out) as at:
        work = Path(at)
        for category in sorted({CATEGORIES[item.clip.partition] for item in planned}):
            (work / category).mkdir()
        digests, problems = _write_clips(dataset, planned, work, progress)
        if SILENCE in labels:  # an export without that class would gain it, were there noise
            _write_noise(dataset, work)
        written = [item for item in planned if item.path in digests]
        write_json(work / CARD, _card(dataset, labels))
        write_json(work / INFO, {"version": 1, "files": [_entry(item) for item in written]})
        for name in (*SPLITS, NOISE_FOLDER):
            if (out / name).is_dir():
                rmtree(out / name)
        for entry in sorted(work.iterdir(), key=lambda entry: entry.name == INFO):
            entry.replace(out / entry.name)
    counts: dict[str, dict[str, int]] = {label: dict.fromkeys(PARTITIONS, 0) for label in labels}
    for item in written:
        counts[item.label][item.clip.partition] += 1
    fingerprints = Counter((item.label, item.clip.partition, item.clip.speaker, digests[item.path]) for item in written)
    return ExportedDataset(Path(folder), counts, _duplicates(digests), (*dataset.skipped, *problems), fingerprints)


def read_back(written: ExportedDataset, task: TaskConfig) -> int:
    """How many clips come back as they went, when the export is read as any data folder is: label, partition, speaker
    and every sample.

    Args:
        written: what `export_dataset` gave.
        task: of the data set that was written; its rate and window are taken.

    Raises:
        DataError: the export cannot be read.
    """
    found = load_dataset(
        written.folder, TaskConfig(sampling_freq=task.sampling_freq, window_seconds=task.window_seconds)
    )

    def fingerprint(clip: Clip) -> tuple:
        assert clip.path is not None
        samples = read_audio(clip.path, task.sampling_freq)[clip.start : clip.start + task.window]
        return found.labels[clip.label], clip.partition, clip.speaker, hashlib.sha256(samples.tobytes()).hexdigest()

    with ThreadPoolExecutor(THREADS) as pool:
        come = Counter(pool.map(fingerprint, (clip for clip in found.clips if clip.level is None)))
    return (come & written.fingerprints).total()


def _labels(dataset: Dataset, rename: Mapping[str, str]) -> tuple[str, ...]:
    strange = [name for name in rename if name not in dataset.labels]
    if strange:
        raise ConfigError(f"there is no label {strange[0]!r} to rename; the labels are {', '.join(dataset.labels)}")
    labels = tuple(rename.get(label, label) for label in dataset.labels)
    for label in labels:
        if not LABEL.fullmatch(label):
            raise ConfigError(
                f"Edge Impulse's uploader takes labels of letters A to Z, digits, spaces, - and _; {label!r} is not "
                "one: give it another name with --rename OLD=NEW"
            )
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        raise ConfigError(f"two labels would be {twice[0]!r}; --rename must keep them apart")
    return labels


def _plan(dataset: Dataset, labels: tuple[str, ...]) -> list[_Planned]:
    """Every clip's file, names unique where upper and lower case are one."""
    taken: set[str] = set()
    planned = []
    for clip in dataset.clips:
        label = labels[clip.label]
        rest = _rest(clip, (label, dataset.labels[clip.label]))
        name, number = f"{label}.{rest}", 1
        while name.casefold() in taken:
            number += 1
            name = f"{label}.{rest}-{number}"
        taken.add(name.casefold())
        planned.append(_Planned(clip, label, f"{CATEGORIES[clip.partition]}/{name}.wav"))
    return planned


def _rest(clip: Clip, labels: tuple[str, str]) -> str:
    """What follows the label in a file's name: the clip's path without category and label, its start where cut."""
    parts = list(PurePosixPath(clip.name).with_suffix("").parts)
    if len(parts) > 1 and parts[0] in (*SPLITS, *labels):
        del parts[0]
    for label in labels:
        parts[0] = parts[0].removeprefix(f"{label}.")
    text = re.sub(r"[^A-Za-z0-9_-]+", "-", "-".join(parts)).strip("-") or "clip"
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return f"{text}-{clip.start}" if clip.start or clip.level is not None else text


def _write_clips(
    dataset: Dataset, planned: list[_Planned], folder: Path, progress: Progress | None
) -> tuple[dict[str, str], list[str]]:
    """Path -> digest of its samples, and a line for each clip that could not be read."""
    task = dataset.task
    noise = read_noise(dataset.noise, task) if any(item.clip.level is not None for item in planned) else {}

    def write(batch: list[_Planned]) -> list[tuple[str, str | None, str]]:
        held: tuple[object, np.ndarray] = (None, np.zeros(0, np.int16))  # windows of one long file follow each other
        rows = []
        for item in batch:
            clip = item.clip
            try:
                if clip.level is not None:
                    samples = cut_silence(noise, clip, task.window)
                else:
                    if held[0] != clip.path:
                        held = (clip.path, read_audio(clip.path, task.sampling_freq))
                    samples = held[1][clip.start : clip.start + task.window]
                if not len(samples):
                    raise DataError(f"{clip.path} has no samples from {clip.start} on; remove it or export it again")
            except DataError as error:
                rows.append((item.path, None, str(error)))
                continue
            _write_wav(folder / item.path, samples, task.sampling_freq)
            rows.append((item.path, hashlib.sha256(samples.tobytes()).hexdigest(), ""))
        return rows

    digests, problems, done = {}, [], 0
    with ThreadPoolExecutor(THREADS) as pool:
        for rows in pool.map(write, _batches(planned)):
            for path, digest, problem in rows:
                if digest is not None:
                    digests[path] = digest
                    continue
                if not task.skip_bad:
                    pool.shutdown(cancel_futures=True)
                    raise DataError(problem)
                problems.append(problem)
            done += len(rows)
            if progress is not None:
                progress(done, len(planned))
    return digests, problems


def _batches(planned: list[_Planned]) -> Iterator[list[_Planned]]:
    rows = iter(planned)
    while batch := list(islice(rows, _BATCH)):
        yield batch


def _write_noise(dataset: Dataset, folder: Path) -> None:
    """The noise recordings, for whoever trains on the export with this project; Edge Impulse's uploader passes by."""
    for path in dataset.noise:
        (folder / NOISE_FOLDER).mkdir(exist_ok=True)
        samples = read_audio(path, dataset.task.sampling_freq)
        _write_wav(folder / NOISE_FOLDER / f"{path.stem}.wav", samples, dataset.task.sampling_freq)


def _write_wav(path: Path, samples: np.ndarray, rate: int) -> None:
    with path.open("wb") as file, wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.ascontiguousarray(samples, "<i2").tobytes())


def _card(dataset: Dataset, labels: tuple[str, ...]) -> dict[str, Any]:
    keywords = [label for label in labels if label not in (UNKNOWN, SILENCE)]
    return {"name": dataset.name, "synthetic": dataset.synthetic, "keywords": keywords}


def _entry(item: _Planned) -> dict[str, Any]:
    """One file in `info.labels`; metadata are text throughout, `boundingBoxes` is there because the SDK asks for it."""
    clip = item.clip
    metadata = {PARTITION_KEY: clip.partition, "source": clip.id}
    if clip.speaker is not None:
        metadata[SPEAKER_KEY] = clip.speaker
    path = PurePosixPath(item.path)
    return {
        "path": item.path,
        "name": path.stem,
        "category": CATEGORIES[clip.partition],
        "label": {"type": "label", "label": item.label},
        "metadata": metadata,
        "boundingBoxes": [],
    }


def _duplicates(digests: Mapping[str, str]) -> tuple[str, ...]:
    first: dict[str, str] = {}
    return tuple(path for path, digest in digests.items() if first.setdefault(digest, path) != path)
