"""Noise: recordings divided in time among the partitions, and the `_silence_` clips cut from them.

Silence is noise at random levels. A model trained on quiet noise alone calls loud noise a word: the official test
set's silence is up to fifty times the level of the usual training noise, and a front end that keeps the level fails
on it. So levels are drawn log-uniformly over four decades of amplitude.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kws_dendrite.data.audio import read_audio, to_int16
from kws_dendrite.data.clip import Clip
from kws_dendrite.data.task import TaskConfig
from kws_dendrite.errors import DataError

SPANS = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}  # of each recording's time
REFERENCE_RMS = 130.0  # int16 steps; the six recordings of Speech Commands lie between 72 and 193
LEVEL_DECADES = (-2.0, 1.9)  # level = REFERENCE_RMS * 10**U(-2, 1.9)
SYNTHETIC_COLOURS = {"white": 0.0, "pink": 1.0, "brown": 2.0}  # power falls as 1 / f**exponent
SYNTHETIC_SECONDS = 60.0
_SYNTHETIC_PREFIX = "_synthetic_noise_/"


@dataclass(frozen=True)
class NoisePool:
    """Noise of one partition, every recording scaled to REFERENCE_RMS, one after the other.

    Attributes:
        samples: float32 (L,).
        bounds: int64 (R, 2): first sample and the one past the last of each recording's part.
    """

    samples: np.ndarray
    bounds: np.ndarray

    def draw_starts(self, count: int, window: int, rng: np.random.Generator) -> np.ndarray:
        """First samples (count,) of windows that stay within one recording: the recording first, then the place."""
        chosen = self.bounds[rng.integers(len(self.bounds), size=count)]
        room = np.maximum(chosen[:, 1] - chosen[:, 0] - window, 0)
        return chosen[:, 0] + (rng.random(count) * (room + 1)).astype(np.int64)


def read_noise(paths: tuple[Path, ...], task: TaskConfig) -> dict[str, np.ndarray]:
    """All noise as {name: float32 samples at REFERENCE_RMS}; synthetic coloured noise where `paths` is empty.

    Raises:
        DataError: a recording cannot be read.
    """
    if not paths:
        return {f"{_SYNTHETIC_PREFIX}{colour}": coloured_noise(colour, task) for colour in SYNTHETIC_COLOURS}
    return {path.name: _scaled(read_audio(path, task.sampling_freq).astype(np.float32)) for path in paths}


def coloured_noise(colour: str, task: TaskConfig) -> np.ndarray:
    """A minute of Gaussian noise with a 1/f**k power spectrum, float32, REFERENCE_RMS, from the task's seed."""
    samples = int(max(SYNTHETIC_SECONDS, 20 * task.window_seconds) * task.sampling_freq)
    rng = np.random.default_rng([task.seed, list(SYNTHETIC_COLOURS).index(colour)])
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.maximum(np.fft.rfftfreq(samples, 1 / task.sampling_freq), 20.0)  # flat below hearing
    return _scaled(np.fft.irfft(spectrum * frequency ** (-SYNTHETIC_COLOURS[colour] / 2), samples).astype(np.float32))


def load_noise(paths: tuple[Path, ...], task: TaskConfig, partition: str = "train") -> NoisePool:
    """The part of every noise recording that belongs to one partition.

    Raises:
        DataError: a recording cannot be read, or all are too short for one window.
    """
    parts, bounds, position = [], [], 0
    for samples in read_noise(paths, task).values():
        first, last = span(len(samples), partition)
        if last - first < task.window:
            continue
        parts.append(samples[first:last])
        bounds.append((position, position + last - first))
        position += last - first
    if not parts:
        raise DataError(_too_short(paths, task))
    return NoisePool(np.concatenate(parts), np.array(bounds, np.int64))


def span(samples: int, partition: str) -> tuple[int, int]:
    """First sample and the one past the last of a recording's part for one partition."""
    first, last = SPANS[partition]
    return round(samples * first), round(samples * last)


def silence_clips(paths: tuple[Path, ...], counts: dict[str, int], label: int, task: TaskConfig) -> list[Clip]:
    """Draw `counts[partition]` clips for each partition, reproducible from `task.seed`.

    Raises:
        DataError: a recording cannot be read, or all are too short for one window.
    """
    lengths = {name: len(samples) for name, samples in read_noise(paths, task).items()}
    places = {path.name: path for path in paths}
    clips = []
    for number, (partition, count) in enumerate(counts.items()):
        rng = np.random.default_rng([task.seed, 7, number])
        spans = {name: span(length, partition) for name, length in lengths.items()}
        usable = [name for name, (first, last) in spans.items() if last - first >= task.window]
        if not usable:
            raise DataError(_too_short(paths, task))
        levels = draw_levels(count, rng)
        for name, place, level in zip(rng.choice(usable, count), rng.random(count), levels, strict=True):
            first, last = spans[str(name)]
            start = first + int(place * (last - first - task.window + 1))
            path = places.get(str(name))
            full = f"{path.parent.name}/{name}" if path else str(name)
            clips.append(Clip(path, full, label, None, partition, start, float(level)))
    return clips


def draw_levels(count: int, rng: np.random.Generator, decades: tuple[float, float] = LEVEL_DECADES) -> np.ndarray:
    """Levels (count,) in int16 steps RMS: REFERENCE_RMS * 10**U(*decades)."""
    return REFERENCE_RMS * 10.0 ** rng.uniform(*decades, count)


def with_levels(clips: tuple[Clip, ...], decades: tuple[float, float]) -> tuple[Clip, ...]:
    """The clips, training's silence at the same place of another range of levels; other partitions as they are."""
    if decades == LEVEL_DECADES:
        return clips
    low, high = LEVEL_DECADES

    def moved(clip: Clip) -> Clip:
        if clip.level is None or clip.partition != "train":
            return clip
        place = (math.log10(clip.level / REFERENCE_RMS) - low) / (high - low)
        return replace(clip, level=REFERENCE_RMS * 10.0 ** (decades[0] + place * (decades[1] - decades[0])))

    return tuple(moved(clip) for clip in clips)


def cut_silence(noise: dict[str, np.ndarray], clip: Clip, window: int) -> np.ndarray:
    """The samples int16 (S,) of one silence clip, at its level, clipped at full scale."""
    samples = noise[clip.path.name if clip.path else clip.name][clip.start : clip.start + window]
    return to_int16(samples * ((clip.level or 0.0) / REFERENCE_RMS))


def _scaled(samples: np.ndarray) -> np.ndarray:
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return samples * np.float32(REFERENCE_RMS / max(rms, 1.0))


def _too_short(paths: tuple[Path, ...], task: TaskConfig) -> str:
    names = ", ".join(path.name for path in paths[:4])
    need = task.window_seconds / (SPANS["test"][1] - SPANS["test"][0])
    return f"the noise recordings ({names}) are too short: at least one of {need:.0f} seconds is needed"
