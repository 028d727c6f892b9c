"""Clips of words that do not exist, for `_unknown_`: made from training clips by turning them round or splicing two.

A keyword spotter meets more words than it was trained on. These have the voices and sounds of the training clips and
are none of its words: a word backwards, the first half of one word and the second half of another, a word at a speed
that no speaker has.
"""

from typing import Literal, get_args

import numpy as np

from kws_dendrite.data.audio import to_int16
from kws_dendrite.data.dataset import Signals
from kws_dendrite.errors import DataError

PseudoKind = Literal["reversed", "spliced", "sped"]
KINDS = get_args(PseudoKind)
FADE_SECONDS = 0.01  # of a splice: no click, and shorter than any sound of speech
SPEEDS = (0.5, 2.0)  # an octave lower or higher


def make_pseudo_unknown(
    signals: Signals, label: int, count: int, kinds: tuple[PseudoKind, ...], rate: int, rng: np.random.Generator
) -> Signals:
    """`count` clips with the label of `_unknown_`, kinds in turn.

    Args:
        signals: the training clips; silence is never taken.
        label: of `_unknown_`.
        count: how many.
        kinds: which.
        rate: Hz.
        rng: which clips and where.

    Raises:
        DataError: the clips that are not silence are of one class alone, so that there is nothing to splice.
    """
    voiced = np.flatnonzero(~signals.silence)
    classes = np.unique(signals.labels[voiced])
    if not len(voiced) or ("spliced" in kinds and len(classes) < 2):
        raise DataError("pseudo-unknown clips are made of spoken clips, spliced ones of two classes; there are none")
    samples = np.empty((count, signals.samples.shape[1]), np.int16)
    for row in range(count):
        kind = kinds[row % len(kinds)]
        first = int(rng.choice(voiced))
        clip = signals.samples[first]
        if kind == "reversed":
            samples[row] = clip[::-1]
        elif kind == "sped":
            samples[row] = _resample(clip, SPEEDS[int(rng.integers(2))])
        else:
            others = voiced[signals.labels[voiced] != signals.labels[first]]
            samples[row] = splice(clip, signals.samples[int(rng.choice(others))], round(FADE_SECONDS * rate))
    return Signals(
        samples=samples,
        labels=np.full(count, label, np.int64),
        ids=tuple(f"{kinds[row % len(kinds)]}@{row}" for row in range(count)),
        silence=np.zeros(count, bool),
    )


def splice(first: np.ndarray, second: np.ndarray, fade: int) -> np.ndarray:
    """int16 (S,): `first` up to the middle of its energy, then `second` from the middle of its own.

    The second is scaled to the first's level, the cut lies at the mean of both middles, and both overlap by `fade`
    samples.
    """
    window = len(first)
    one, other = first.astype(np.float32), second.astype(np.float32)
    middle, start = _middle(one), _middle(other)
    cut = (middle + start) // 2
    other *= np.sqrt(np.dot(one, one) / max(float(np.dot(other, other)), 1.0))
    ramp = np.clip((np.arange(window) - cut) / max(fade, 1) + 0.5, 0.0, 1.0).astype(np.float32)  # 0 first, 1 second
    return to_int16(_moved(one, cut - middle) * (1 - ramp) + _moved(other, cut - start) * ramp)


def _middle(samples: np.ndarray) -> int:
    """The sample before which half of the energy lies."""
    energy = np.cumsum(np.square(samples, dtype=np.float64))
    return int(np.searchsorted(energy, energy[-1] / 2))


def _moved(samples: np.ndarray, shift: int) -> np.ndarray:
    """Moved right by `shift`, zeros where nothing was."""
    out = np.zeros_like(samples)
    if shift >= 0:
        out[shift:] = samples[: len(samples) - shift]
    else:
        out[:shift] = samples[-shift:]
    return out


def _resample(samples: np.ndarray, speed: float) -> np.ndarray:
    """Played at `speed` about the middle of its energy, zeros where nothing was."""
    place = np.arange(len(samples))
    middle = _middle(samples.astype(np.float32))
    at = (place - len(samples) / 2) * speed + middle
    return to_int16(np.interp(at, place, samples, left=0.0, right=0.0))
