"""Mel filterbanks: Edge Impulse's triangles on whole bins, and the plain HTK triangles of the log-mel front end."""

import numpy as np

from kws_dendrite.errors import ConfigError


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Hertz to mel with the constants of Edge Impulse's block: 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log(1.0 + np.asarray(hz, np.float64) / 700.0)


def mel_to_hz(mel: np.ndarray | float) -> np.ndarray:
    """The inverse of `hz_to_mel`."""
    return 700.0 * (np.exp(np.asarray(mel, np.float64) / 1127.0) - 1.0)


def edge_impulse_bins(
    sampling_freq: int, num_filters: int, fft_length: int, low_hz: float, high_hz: float, version: int
) -> np.ndarray:
    """The FFT bins of the triangles' corners, int (num_filters + 2,).

    Version 3 places the bins with the number of bins instead of the FFT length and so squeezes the bank into the
    lower half of the spectrum; version 4 corrected that.
    """
    mels = np.linspace(hz_to_mel(low_hz), hz_to_mel(high_hz), num_filters + 2)
    hertz = mel_to_hz(mels)
    hertz[-1] -= 0.001  # the block's own guard, so that the last corner stays below the Nyquist bin
    points = fft_length if version >= 4 else fft_length // 2 + 1
    return np.floor((points + 1) * hertz / sampling_freq).astype(int)


def edge_impulse_filterbank(
    sampling_freq: int, num_filters: int, fft_length: int, low_hz: float, high_hz: float, version: int
) -> np.ndarray:
    """Unnormalised triangles, 1 at the centre even where a side has no width; float64 (num_filters, fft_length/2 + 1).

    Raises:
        ConfigError: a filter's three corners fall on one bin, so that it would always give zero.
    """
    bins = edge_impulse_bins(sampling_freq, num_filters, fft_length, low_hz, high_hz, version)
    bank = np.zeros((num_filters, fft_length // 2 + 1))
    for row, (left, middle, right) in enumerate(zip(bins[:-2], bins[1:-1], bins[2:], strict=True)):
        if left == right:
            hint = "; version 3 wants low_frequency 300 or so" if version < 4 and low_hz < 300 else ""
            raise ConfigError(
                f"filter {row} of num_filters={num_filters} has no FFT bin of its own at fft_length={fft_length}, "
                f"{low_hz:g} to {high_hz:g} Hz, {sampling_freq} Hz sampling (implementation_version={version}): "
                f"raise fft_length, lower num_filters, or widen the band{hint}"
            )
        rising = np.arange(left + 1, middle)
        bank[row, rising] = (rising - left) / max(middle - left, 1)
        bank[row, middle] = 1.0
        falling = np.arange(middle + 1, right)
        bank[row, falling] = (right - falling) / max(right - middle, 1)
    return bank


def htk_filterbank(sampling_freq: int, num_filters: int, fft_length: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Triangles in hertz on the HTK mel scale, height 1; float64 (num_filters, fft_length/2 + 1).

    Equal to `librosa.filters.mel(htk=True, norm=None)` and to torchaudio's `melscale_fbanks(mel_scale="htk")`.

    Raises:
        ConfigError: a filter covers no FFT bin.
    """
    frequencies = np.arange(fft_length // 2 + 1) * (sampling_freq / fft_length)
    mels = np.linspace(*(2595.0 * np.log10(1.0 + np.array([low_hz, high_hz]) / 700.0)), num_filters + 2)
    corners = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    ramps = (frequencies[None, :] - corners[:, None]) / np.diff(corners, append=np.inf)[:, None]
    rising, falling = ramps[:-2], 1.0 - ramps[1:-1]
    bank = np.maximum(0.0, np.minimum(rising, falling))
    empty = np.flatnonzero(bank.max(axis=1) == 0)
    if empty.size:
        raise ConfigError(
            f"filter {empty[0]} of num_filters={num_filters} covers no FFT bin at fft_length={fft_length}, "
            f"{low_hz:g} to {high_hz:g} Hz, {sampling_freq} Hz sampling: raise fft_length or lower num_filters"
        )
    return bank
