"""Many clips at once, in torch: the numpy reference's numbers at a fraction of its time."""

import numpy as np
import torch

from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend.cmvn import window_weights
from kws_dendrite.frontend.config import FrontEndConfig, LogMelConfig, MfccConfig, MfeConfig, feature_shape
from kws_dendrite.frontend.logmel import filterbank as logmel_filterbank
from kws_dendrite.frontend.logmel import hann
from kws_dendrite.frontend.mfcc import filterbank as mfcc_filterbank
from kws_dendrite.frontend.mfe import HEADROOM_DB, LEAST_ENERGY, PRE_COF
from kws_dendrite.frontend.mfe import filterbank as mfe_filterbank

ROUNDING = 1e-11  # cepstra are some 1e2, their window means are off by some 1e-13; no int16 clip differs by so little


def extract(
    signals: np.ndarray | torch.Tensor,
    config: FrontEndConfig,
    *,
    chunk: int = 32,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Features of many clips of one length.

    float64 inside (a float32 FFT alone would cost up to 6e-4 after the window normalisation), so the result is the
    reference's to float32 rounding. The exception is where nothing changes over a normalisation window (digital
    silence, a clip of one frame): the reference and Edge Impulse's block give rounding noise, up to some 1e-3, and
    this gives 0.

    Args:
        signals: raw int16 samples (N, S).
        chunk: clips at a time, some 0.5 MB of memory each; few of them stay in a core's cache.
        device: where to compute.

    Returns:
        float32 numpy (N, T, F).

    Raises:
        ConfigError: the clips give no frame, or more than Edge Impulse's 500; chunk below 1.
        DataError: not int16, or not (N, S).
    """
    signals = signals if isinstance(signals, torch.Tensor) else torch.from_numpy(_writable(signals))
    if signals.dtype != torch.int16 or signals.ndim != 2:
        raise DataError(
            f"expected int16 clips of shape (N, S), got {signals.dtype} of shape {tuple(signals.shape)}: "
            "pass raw sample values (-32768 to 32767), one channel, one length"
        )
    if chunk < 1:
        raise ConfigError(f"chunk is {chunk}; it must be at least 1 clip")
    N, S = signals.shape
    T, F = feature_shape(config, S)
    transform = _TRANSFORMS[type(config)](config, T, torch.device(device))
    features = np.empty((N, T, F), np.float32)
    with torch.inference_mode():
        for start in range(0, N, chunk):
            block = signals[start : start + chunk].to(device)
            features[start : start + chunk] = transform(block).to(torch.float32).cpu().numpy()
    return features


class _Mfcc:
    def __init__(self, config: MfccConfig, frames: int, device: torch.device) -> None:
        self.config = config
        bank = mfcc_filterbank(config)
        total = np.ones((1, bank.shape[1]))  # one more "filter": the frame's energy
        self.bank = _constant(np.concatenate([bank, total]).T, device)  # (bins, num_filters + 1)
        self.dct = _constant(dct_matrix(config.num_filters, config.num_cepstral).T, device)
        self.window = _constant(window_weights(frames, config.win_size), device) if config.win_size else None

    def __call__(self, signals: torch.Tensor) -> torch.Tensor:
        """(B, S) -> (B, T, F)."""
        config = self.config
        signals = signals.to(torch.float64)
        emphasised = signals - config.pre_cof * torch.roll(signals, config.pre_shift, dims=1)
        power = _power(emphasised, config)  # (B, T, bins)
        energies = power @ self.bank / config.fft_length
        logs = torch.where(energies == 0, 1e-10, energies).log()  # (B, T, num_filters + 1)
        features = logs[..., :-1] @ self.dct  # (B, T, F)
        features[..., 0] = logs[..., -1]
        if self.window is None:
            return features
        centred = features - self.window @ features
        centred = torch.where(centred.abs() < ROUNDING, 0.0, centred)
        mean = self.window @ centred
        variance = (self.window @ centred**2 - mean**2).clamp(min=0)
        return centred / (variance.sqrt() + 1e-10)


class _Mfe:
    def __init__(self, config: MfeConfig, frames: int, device: torch.device) -> None:
        self.config = config
        self.bank = _constant(mfe_filterbank(config).T, device)  # (bins, num_filters)

    def __call__(self, signals: torch.Tensor) -> torch.Tensor:
        """(B, S) -> (B, T, F)."""
        config = self.config
        signals = signals.to(torch.float32) / 32768
        delayed = torch.roll(signals, 1, dims=1) * PRE_COF  # two roundings, no fused step: as the reference
        power = _power((signals - delayed).to(torch.float64), config)  # (B, T, bins)
        energies = power @ self.bank / config.fft_length
        energies = torch.where(energies == 0, 1e-10, energies).clamp(min=LEAST_ENERGY)
        floor = config.noise_floor_db
        unit = ((10 * energies.log10() - floor) / (HEADROOM_DB - floor)).clamp(0, 1)
        return (unit * 256).round() / 256


class _LogMel:
    def __init__(self, config: LogMelConfig, frames: int, device: torch.device) -> None:
        self.config = config
        self.bank = _constant(logmel_filterbank(config).T, device)  # (bins, num_filters)
        self.window = _constant(hann(config.frame_samples), device)

    def __call__(self, signals: torch.Tensor) -> torch.Tensor:
        """(B, S) -> (B, T, F)."""
        power = _power(signals.to(torch.float64) / 32768, self.config, self.window)  # (B, T, bins)
        features = (power @ self.bank + self.config.log_offset).log()
        return features - features.mean(dim=(1, 2), keepdim=True) if self.config.remove_mean else features


def dct_matrix(num_filters: int, num_cepstral: int) -> np.ndarray:
    """DCT-II, orthonormal, first `num_cepstral` rows: float64 (num_cepstral, num_filters)."""
    order = np.arange(num_cepstral)[:, None]
    matrix = np.cos(np.pi * order * (2 * np.arange(num_filters) + 1) / (2 * num_filters)) * np.sqrt(2 / num_filters)
    matrix[0] /= np.sqrt(2)
    return matrix


_TRANSFORMS = {MfccConfig: _Mfcc, MfeConfig: _Mfe, LogMelConfig: _LogMel}


def _power(signals: torch.Tensor, config: FrontEndConfig, window: torch.Tensor | None = None) -> torch.Tensor:
    """|rfft|^2 of each frame, (B, S) -> (B, T, fft_length/2 + 1)."""
    frames = signals.unfold(1, config.frame_samples, config.stride_samples)  # (B, T, L)
    frames = frames[..., : config.fft_length]
    spectrum = torch.fft.rfft(frames if window is None else frames * window, n=config.fft_length)
    return spectrum.real.square() + spectrum.imag.square()


def _constant(values: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)


def _writable(signals: np.ndarray) -> np.ndarray:
    signals = np.asarray(signals)
    if signals.dtype != np.int16:
        raise DataError(f"expected int16 clips of shape (N, S), got {signals.dtype}: pass raw sample values")
    signals = np.ascontiguousarray(signals)
    return signals if signals.flags.writeable else signals.copy()  # torch warns about read-only memory
