"""Waveform augmentation: every random number is drawn first, as arrays; applying them is then a pure function.

So any augmented clip can be made again from its row of the draw. The order is that of a room: the voice is sped up
and shifted, its level set, noise added at a signal-to-noise ratio, and the microphone's dither last.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from kws_dendrite.data.augment_unknown import KINDS, PseudoKind
from kws_dendrite.data.signals import THREADS, dither_table
from kws_dendrite.data.silence import LEVEL_DECADES, REFERENCE_RMS, NoisePool, draw_levels
from kws_dendrite.errors import ConfigError

_CHUNK = 256


@dataclass(frozen=True)
class AugmentConfig:
    """What may happen to a clip. The ranges are those of the pilot measurements on Speech Commands.

    Attributes:
        copies: augmented copies beside the clean one.
        speed: range of the playing speed; pitch moves with it.
        shift_ms: largest shift either way, in milliseconds.
        gain_db: range of the level change.
        snr_db: range of the signal-to-noise ratio, over the whole window.
        noise_probability: share of the copies that get noise.
        dither: half width, in int16 steps, of the uniform dither at the end; 0 turns it off.
        pseudo_unknown: so many clips of no word, made of the training clips and labelled `_unknown_`, others in every
            copy; 0 makes none.
        pseudo_kinds: how, in turn: "reversed", "spliced" of two words, "sped" an octave down or up.
        silence_decades: range of the levels of training's silence, as powers of ten about the noise recordings' own;
            (0, 0) leaves it as recorded. Validation and test have the full range whatever this is.
        continuous: share of the augmented clips that are heard as in Edge Impulse's continuous mode: up to half a slice
            off step, MFCC slice by slice.
        seed: draws everything.
    """

    copies: int = 6
    speed: tuple[float, float] = (0.87, 1.15)
    shift_ms: float = 100.0
    gain_db: tuple[float, float] = (-10.0, 6.0)
    snr_db: tuple[float, float] = (3.0, 30.0)
    noise_probability: float = 0.7
    dither: float = 1.0
    pseudo_unknown: int = 0
    pseudo_kinds: tuple[PseudoKind, ...] = ("reversed", "spliced")
    silence_decades: tuple[float, float] = LEVEL_DECADES
    continuous: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("speed", "gain_db", "snr_db", "silence_decades"):
            low, high = getattr(self, name)
            if low > high:
                raise ConfigError(f"{name} is ({low}, {high}); the first must not exceed the second")
            object.__setattr__(self, name, (float(low), float(high)))
        if self.copies < 0:
            raise ConfigError(f"copies is {self.copies}; expected 0 or more")
        if not 0.25 <= self.speed[0] <= self.speed[1] <= 4:
            raise ConfigError(f"speed is {self.speed}; expected within 0.25 to 4")
        if not -4 <= self.silence_decades[0] <= self.silence_decades[1] <= 2.4:
            raise ConfigError(f"silence_decades is {self.silence_decades}; expected within -4 to 2.4")
        if self.shift_ms < 0:
            raise ConfigError(f"shift_ms is {self.shift_ms}; expected 0 or more")
        if not 0 <= self.noise_probability <= 1:
            raise ConfigError(f"noise_probability is {self.noise_probability}; expected 0 to 1")
        if not 0 <= self.continuous <= 1:
            raise ConfigError(f"continuous is {self.continuous}; expected 0 to 1")
        if not 0 <= self.dither <= 100:
            raise ConfigError(f"dither is {self.dither}; expected 0 to 100 int16 steps")
        object.__setattr__(self, "pseudo_kinds", tuple(self.pseudo_kinds))
        if self.pseudo_unknown < 0:
            raise ConfigError(f"pseudo_unknown is {self.pseudo_unknown}; expected 0 or more")
        if not self.pseudo_kinds or not set(self.pseudo_kinds) <= set(KINDS):
            raise ConfigError(f"pseudo_kinds is {self.pseudo_kinds}; expected some of {', '.join(KINDS)}")

    def to_json(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Draw:
    """One copy's random numbers, one row a clip (N,).

    Attributes:
        speed: playing speed, 1 is unchanged.
        shift: samples by which the clip moves to the right.
        gain: amplitude factor.
        snr_db: signal-to-noise ratio; +inf for no noise.
        noise_start: first sample, in the noise pool, of the noise (or of the silence clip itself).
        level: RMS in int16 steps of a silence clip.
        dither_start: first sample in the dither table.
    """

    speed: np.ndarray
    shift: np.ndarray
    gain: np.ndarray
    snr_db: np.ndarray
    noise_start: np.ndarray
    level: np.ndarray
    dither_start: np.ndarray

    def rows(self, rows: slice) -> "Draw":
        """Some of the clips' numbers."""
        return Draw(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def digest(self) -> str:
        """SHA-256 of every number, for cache keys."""
        digest = hashlib.sha256()
        for field in fields(self):
            digest.update(np.ascontiguousarray(getattr(self, field.name)).tobytes())
        return digest.hexdigest()


def draw(count: int, window: int, config: AugmentConfig, noise: NoisePool, rate: int, copy: int = 1) -> Draw:
    """Draw one copy's parameters for `count` clips of `window` samples at `rate` Hz, from (config.seed, copy)."""
    rng = np.random.default_rng([config.seed, copy])
    limit = config.shift_ms * rate / 1000
    noisy = rng.random(count) < config.noise_probability
    return Draw(
        speed=rng.uniform(*config.speed, count),
        shift=np.rint(rng.uniform(-limit, limit, count)).astype(np.int64),
        gain=10.0 ** (rng.uniform(*config.gain_db, count) / 20),
        snr_db=np.where(noisy, rng.uniform(*config.snr_db, count), np.inf),
        noise_start=noise.draw_starts(count, window, rng),
        level=draw_levels(count, rng, config.silence_decades),
        dither_start=rng.integers(len(_table(config.dither, window)) - window, size=count),
    )


def augment(
    signals: np.ndarray,
    silence: np.ndarray,
    drawn: Draw,
    noise: NoisePool,
    config: AugmentConfig,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Apply a draw: int16 (N, S) in, int16 (N, S) out; the input is left as it is.

    Args:
        signals: clean clips.
        silence: bool (N,); these rows become a fresh window of the noise pool at the drawn level.
        drawn: N rows of parameters.
        noise: where `drawn.noise_start` points.
        config: for the dither's width.
        progress: called with the number of clips done in all.
    """
    count, window = signals.shape
    out = np.empty_like(signals)
    table = _table(config.dither, window)

    def work(first: int) -> int:
        last = min(first + _CHUNK, count)
        for row in range(first, last):
            start = drawn.noise_start[row]
            murmur = noise.samples[start : start + window]
            if silence[row]:
                voice = murmur * np.float32(drawn.level[row] / REFERENCE_RMS)
            else:
                voice = _warp(signals[row], drawn.speed[row], int(drawn.shift[row]))
                voice *= np.float32(drawn.gain[row])
                if np.isfinite(drawn.snr_db[row]):
                    voice += murmur * np.float32(_noise_factor(voice, murmur, drawn.snr_db[row]))
            begin = drawn.dither_start[row]
            voice += table[begin : begin + window]
            np.rint(voice, out=voice)
            np.clip(voice, -32768, 32767, out=voice)
            out[row] = voice
        return last - first

    done = 0
    with ThreadPoolExecutor(THREADS) as pool:
        for finished in pool.map(work, range(0, count, _CHUNK)):
            done += finished
            if progress is not None:
                progress(done)
    return out


def _warp(samples: np.ndarray, speed: float, shift: int) -> np.ndarray:
    """float32 (S,): played at `speed` about the window's middle, moved right by `shift`; zeros where nothing was.

    out[t] = x(speed * (t - shift - S/2) + S/2), linear between samples.
    """
    window = len(samples)
    middle = window / 2
    at = speed * (np.arange(window) - (shift + middle)) + middle
    return np.interp(at, _positions(window), samples, left=0.0, right=0.0).astype(np.float32)


def _noise_factor(voice: np.ndarray, murmur: np.ndarray, snr_db: float) -> float:
    quiet = max(float(np.dot(murmur, murmur)), 1e-9)
    return float(np.sqrt(float(np.dot(voice, voice)) / quiet) * 10.0 ** (-snr_db / 20))


_held: dict[int, np.ndarray] = {}


def _positions(window: int) -> np.ndarray:
    if window not in _held:
        _held[window] = np.arange(window, dtype=np.float64)
    return _held[window]


def _table(width: float, window: int) -> np.ndarray:
    table = dither_table(width, window)
    return table if table is not None else np.zeros(2 * window, np.float32)
