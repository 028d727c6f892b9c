"""Read one partition of a data set into one int16 array, on a few threads."""

import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from kws_dendrite.data.audio import read_audio, to_int16
from kws_dendrite.data.clip import Clip
from kws_dendrite.data.dataset import Dataset, Signals
from kws_dendrite.data.silence import cut_silence, read_noise
from kws_dendrite.errors import DataError

Progress = Callable[[int, int], None]  # (done, total)
THREADS = min(4, os.cpu_count() or 1)
_BATCH = 256  # files handed to a thread at once
_DITHER_TABLE = 1 << 20  # a minute at 16 kHz: drawing noise anew for each clip would cost as much as reading it
_DITHER_SEED = 20181


def read_signals(dataset: Dataset, partition: str, progress: Progress | None = None) -> Signals:
    """Read every clip of a partition.

    Clips shorter than the window are padded with zeros at the end, as the Speech Commands reference does; then each
    gets uniform dither from a stream keyed on its id, so the same clip has the same samples in any order.

    Args:
        dataset: what `load_dataset` found.
        partition: "train", "validation" or "test".
        progress: called with (clips done, clips in all).

    Raises:
        DataError: the partition is empty, or a clip cannot be read (skipped under `task.skip_bad`).
    """
    clips = dataset.partition(partition)
    if not clips:
        raise DataError(f"{dataset.source} has no {partition} clips")
    window = dataset.task.window
    samples = np.zeros((len(clips), window), np.int16)  # (N, S)
    noise = read_noise(dataset.noise, dataset.task) if any(clip.level is not None for clip in clips) else {}
    table = dither_table(dataset.task.dither, window)
    problems: dict[int, str] = {}

    def fill(first: int) -> int:
        held: tuple[object, np.ndarray] = (None, np.zeros(0, np.int16))  # windows of one long file follow each other
        chosen = range(first, min(first + _BATCH, len(clips)))
        for row in chosen:
            clip = clips[row]
            try:
                if clip.level is not None:
                    part = cut_silence(noise, clip, window)
                else:
                    if held[0] != clip.path:
                        held = (clip.path, read_audio(clip.path, dataset.task.sampling_freq))
                    part = held[1][clip.start : clip.start + window]
            except DataError as error:
                problems[row] = str(error)
                continue
            samples[row, : len(part)] = part
            if table is not None:
                samples[row] = _dithered(samples[row], clip, table)
        return len(chosen)

    done = 0
    with ThreadPoolExecutor(THREADS) as pool:
        for count in pool.map(fill, range(0, len(clips), _BATCH)):
            if problems and not dataset.task.skip_bad:
                break
            done += count
            if progress is not None:
                progress(done, len(clips))
    if problems and not dataset.task.skip_bad:
        raise DataError(problems[min(problems)])
    kept = np.array([row for row in range(len(clips)) if row not in problems], np.int64)
    if len(kept) == 0:
        raise DataError(f"no {partition} clip of {dataset.source} can be read; the first: {problems[0]}")
    return Signals(
        samples=samples if not problems else samples[kept],
        labels=np.array([clips[row].label for row in kept], np.int64),
        ids=tuple(clips[row].id for row in kept),
        silence=np.array([clips[row].level is not None for row in kept], bool),
        skipped=tuple(problems[row] for row in sorted(problems)),
    )


def dither_table(width: float, window: int) -> np.ndarray | None:
    """Uniform noise within +-width, float32, long enough to start a window anywhere; None for no dither."""
    if width == 0:
        return None
    return np.random.default_rng(_DITHER_SEED).uniform(-width, width, max(_DITHER_TABLE, 2 * window)).astype(np.float32)


def _dithered(samples: np.ndarray, clip: Clip, table: np.ndarray) -> np.ndarray:
    offset = zlib.crc32(clip.id.encode()) % (len(table) - len(samples))
    return to_int16(samples + table[offset : offset + len(samples)])
