"""Edge Impulse's MFE block, versions 3 and 4: log mel energies between a noise floor and 0, in 256 steps."""

import numpy as np

from kws_dendrite.frontend.config import MfeConfig, feature_shape
from kws_dendrite.frontend.framing import check_signal, lift_zeros, power_spectrum, preemphasise, split_frames
from kws_dendrite.frontend.mel import edge_impulse_filterbank

PRE_COF = 0.98  # fixed in the block, with a shift of one sample
HEADROOM_DB = 12  # fixed in the block: full scale is 12 dB above 0 dB
LEAST_ENERGY = 1e-30  # fixed in the block


def filterbank(config: MfeConfig) -> np.ndarray:
    """The block's mel filterbank, float64 (num_filters, fft_length/2 + 1)."""
    return edge_impulse_filterbank(
        config.sampling_freq,
        config.num_filters,
        config.fft_length,
        config.low_frequency,
        config.top_frequency,
        config.implementation_version,
    )


def mfe_float64(signal: np.ndarray, config: MfeConfig) -> np.ndarray:
    """As `mfe`, in float64. (T, F). The values are multiples of 1/256, so both are the same numbers."""
    signal = check_signal(signal)
    feature_shape(config, len(signal))
    # Through float32, as the block: 0.98 is rounded too, which moves a value across a rounding step now and then.
    emphasised = preemphasise(signal.astype(np.float32) / np.float32(32768), np.float32(PRE_COF), 1)
    frames = split_frames(emphasised, config.frame_samples, config.stride_samples)  # (T, L)
    power = power_spectrum(frames.astype(np.float64), config.fft_length)  # (T, fft_length/2 + 1)
    energies = lift_zeros(power @ filterbank(config).T)  # (T, num_filters)
    decibels = 10.0 * np.log10(np.maximum(energies, LEAST_ENERGY))
    floor = config.noise_floor_db
    unit = np.clip((decibels - floor) / (HEADROOM_DB - floor), 0.0, 1.0)
    return np.round(unit * 256.0) / 256.0


def mfe(signal: np.ndarray, config: MfeConfig) -> np.ndarray:
    """Mel filterbank energies of one clip, as Edge Impulse's MFE block computes them on the device.

    Where a value rounds to 256/256 the block's Python wraps it to 0 (an unsigned byte); the device code gives 1, and
    so does this.

    Args:
        signal: raw int16 samples (S,), not scaled to +-1.

    Returns:
        float32 (T, num_filters), multiples of 1/256 from 0 to 1.

    Raises:
        ConfigError: the clip gives no frame, or more than the block's 500.
        DataError: not one clip of int16.
    """
    return mfe_float64(signal, config).astype(np.float32)
