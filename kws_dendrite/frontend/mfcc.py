"""Edge Impulse's MFCC block, versions 3 and 4: the reference, in float64."""

import numpy as np
from scipy.fft import dct

from kws_dendrite.frontend.cmvn import cmvn
from kws_dendrite.frontend.config import MfccConfig, feature_shape
from kws_dendrite.frontend.framing import check_signal, lift_zeros, power_spectrum, preemphasise, split_frames
from kws_dendrite.frontend.mel import edge_impulse_filterbank


def filterbank(config: MfccConfig) -> np.ndarray:
    """The block's mel filterbank, float64 (num_filters, fft_length/2 + 1)."""
    return edge_impulse_filterbank(
        config.sampling_freq,
        config.num_filters,
        config.fft_length,
        config.low_frequency,
        config.top_frequency,
        config.implementation_version,
    )


def mfcc_float64(signal: np.ndarray, config: MfccConfig) -> np.ndarray:
    """As `mfcc`, float64 (T, F). With `win_size` on, the block itself rounds to float32 in the normalisation."""
    coefficients = cepstra(signal, config)
    return cmvn(coefficients, config.win_size).astype(np.float64) if config.win_size else coefficients


def mfcc(signal: np.ndarray, config: MfccConfig) -> np.ndarray:
    """Mel-frequency cepstral coefficients of one clip, as Edge Impulse's MFCC block computes them.

    Args:
        signal: raw int16 samples (S,), not scaled to +-1.

    Returns:
        float32 (T, num_cepstral), frame-major; about -4 to 4 with the window normalisation on.

    Raises:
        ConfigError: the clip gives no frame, or more than the block's 500.
        DataError: not one clip of int16.

    Digital silence and clips of one frame are degenerate: see `cmvn`.
    """
    return mfcc_float64(signal, config).astype(np.float32)


def cepstra(signal: np.ndarray, config: MfccConfig) -> np.ndarray:
    """The coefficients before normalisation, float64 (T, num_cepstral); coefficient 0 is the frame's log energy."""
    signal = check_signal(signal)
    feature_shape(config, len(signal))
    emphasised = preemphasise(signal.astype(np.float64), config.pre_cof, config.pre_shift)
    return cepstra_of_frames(split_frames(emphasised, config.frame_samples, config.stride_samples), config)


def cepstra_of_frames(frames: np.ndarray, config: MfccConfig) -> np.ndarray:
    """As `cepstra`, from pre-emphasised frames, float64 (T, L)."""
    power = power_spectrum(frames, config.fft_length)  # (T, fft_length/2 + 1)
    energies = lift_zeros(power @ filterbank(config).T)  # (T, num_filters)
    coefficients = dct(np.log(energies), type=2, norm="ortho", axis=1)[:, : config.num_cepstral]  # (T, F)
    coefficients[:, 0] = np.log(lift_zeros(power.sum(axis=1)))
    return coefficients
