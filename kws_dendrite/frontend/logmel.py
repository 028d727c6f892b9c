"""Log-mel in float, for devices that run this project's own front end: no noise floor, no 8-bit rounding."""

import numpy as np

from kws_dendrite.frontend.config import LogMelConfig, feature_shape
from kws_dendrite.frontend.framing import check_signal, split_frames
from kws_dendrite.frontend.mel import htk_filterbank


def filterbank(config: LogMelConfig) -> np.ndarray:
    """HTK triangles of height 1, float64 (num_filters, fft_length/2 + 1)."""
    return htk_filterbank(
        config.sampling_freq, config.num_filters, config.fft_length, config.low_frequency, config.top_frequency
    )


def hann(samples: int) -> np.ndarray:
    """Periodic Hann window, float64 (samples,), as torch.hann_window and librosa have it."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(samples) / samples)


def logmel_float64(signal: np.ndarray, config: LogMelConfig) -> np.ndarray:
    """As `logmel`, in float64 to the end. (T, F)."""
    signal = check_signal(signal)
    feature_shape(config, len(signal))
    frames = split_frames(signal.astype(np.float64) / 32768.0, config.frame_samples, config.stride_samples)  # (T, L)
    spectrum = np.fft.rfft(frames * hann(config.frame_samples), n=config.fft_length)
    power = spectrum.real**2 + spectrum.imag**2  # (T, fft_length/2 + 1)
    features = np.log(power @ filterbank(config).T + config.log_offset)  # (T, F)
    return features - features.mean() if config.remove_mean else features


def logmel(signal: np.ndarray, config: LogMelConfig) -> np.ndarray:
    """Log energies of HTK mel bands of one clip: ln(E + log_offset), Hann window, signal scaled to +-1.

    With `remove_mean` the clip's mean over time and bands comes off, which makes the features independent of the
    recording level (as far as the offset allows). Silence is then all zeros.

    Args:
        signal: raw int16 samples (S,).

    Returns:
        float32 (T, num_filters), every frame that fits.

    Raises:
        ConfigError: the clip gives no frame.
        DataError: not one clip of int16.
    """
    return logmel_float64(signal, config).astype(np.float32)
