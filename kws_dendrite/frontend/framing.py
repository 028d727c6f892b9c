"""From samples to frames: the counts, pre-emphasis, and the power spectrum, as Edge Impulse's blocks have them."""

import math

import numpy as np

from kws_dendrite.errors import DataError


def near_ceil(value: float) -> int:
    """Ceiling, except that up to a thousandth over a whole number counts as that number (the block's own rule)."""
    whole = math.floor(value)
    return whole if 0 < value - whole < 0.001 else math.ceil(value)


def count_frames(samples: int, frame: int, stride: int) -> int:
    """Whole frames of `frame` samples, `stride` apart, in a clip; trailing samples are dropped. May be below 1."""
    return (samples - (frame - stride)) // stride


def check_signal(signal: np.ndarray) -> np.ndarray:
    """`signal` as a one-dimensional int16 array.

    Raises:
        DataError: another type or shape.
    """
    signal = np.asarray(signal)
    if signal.dtype != np.int16 or signal.ndim != 1:
        raise DataError(
            f"expected one clip of int16 samples, shape (S,), got {signal.dtype} of shape {signal.shape}: "
            "pass raw sample values (-32768 to 32767), one channel"
        )
    return signal


def preemphasise(signal: np.ndarray, cof: float, shift: int) -> np.ndarray:
    """y[n] = x[n] - cof * x[n - shift], circular: the first samples see the end of the same clip. (..., S)."""
    return signal - cof * np.roll(signal, shift, axis=-1)


def split_frames(signal: np.ndarray, frame: int, stride: int) -> np.ndarray:
    """Frames as a read-only view, (T, frame)."""
    frames = count_frames(signal.shape[-1], frame, stride)
    return np.lib.stride_tricks.sliding_window_view(signal, frame)[::stride][:frames]


def power_spectrum(frames: np.ndarray, fft_length: int) -> np.ndarray:
    """|rfft|^2 / fft_length, (T, fft_length/2 + 1). Frames longer than the FFT lose their tail, as in the block."""
    spectrum = np.fft.rfft(frames, n=fft_length)
    return np.abs(spectrum) ** 2 / fft_length


def lift_zeros(values: np.ndarray) -> np.ndarray:
    """Exact zeros become 1e-10, so that the logarithm exists (the block's own constant)."""
    return np.where(values == 0, 1e-10, values)
