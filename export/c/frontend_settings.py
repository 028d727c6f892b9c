"""What the C front end derives from its settings: sizes, the mel bank as stretches, pre-emphasis, scales."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from kws_dendrite.frontend import FrontEndConfig, LogMelConfig, MfeConfig, coefficients
from kws_dendrite.frontend.mel import edge_impulse_bins
from kws_dendrite.frontend.mfe import HEADROOM_DB, PRE_COF

LEAST = 1e-10  # what an exact zero counts as, in Edge Impulse's blocks
LARGEST_FACTOR = 32767  # of pre-emphasis: its products and their difference stay within 32 bits


@dataclass(frozen=True)
class Sizes:
    """What a configuration comes to.

    Attributes:
        frames: T.
        read: samples of a frame that reach the FFT.
        coefficients: F.
        row: values of a row in the ring.
    """

    frames: int
    read: int
    coefficients: int
    row: int


@dataclass(frozen=True)
class Bank:
    """A mel bank as the stretches between its corners.

    In stretch s, bin i (from 0) has the weight `slopes[s] i + offsets[s]` in filter s, and what is left of 1 in filter
    s - 1.

    Attributes:
        first: bin at which stretch 0 starts.
        widths: bins of each stretch, int (num_filters + 1,).
        slopes, offsets: float64 (num_filters + 1,).
    """

    first: int
    widths: np.ndarray
    slopes: np.ndarray
    offsets: np.ndarray


def sizes_of(config: FrontEndConfig, frames: int) -> Sizes:
    """Sizes of a window of `frames` rows."""
    width = coefficients(config)
    row = width + (width + 7) // 8 if isinstance(config, MfeConfig) else width
    return Sizes(frames, min(config.frame_samples, config.fft_length), width, row)


def bank_of(config: FrontEndConfig) -> Bank:
    """The configuration's mel bank, cut at its corners."""
    if isinstance(config, LogMelConfig):
        edges = 2595.0 * np.log10(1.0 + np.array([config.low_frequency, config.top_frequency]) / 700.0)
        hertz = 700.0 * (10.0 ** (np.linspace(*edges, config.num_filters + 2) / 2595.0) - 1.0)
        corners = hertz * config.fft_length / config.sampling_freq  # in bins
        starts = np.minimum(np.ceil(corners), config.fft_length // 2 + 1).astype(int)
        slopes = 1.0 / np.diff(corners)
        return Bank(int(starts[0]), np.diff(starts), slopes, slopes * (starts[:-1] - corners[:-1]))
    bins = edge_impulse_bins(
        config.sampling_freq,
        config.num_filters,
        config.fft_length,
        config.low_frequency,
        config.top_frequency,
        config.implementation_version,
    )
    widths = np.diff(bins)
    return Bank(int(bins[0]), widths, 1.0 / np.maximum(widths, 1), np.zeros(len(widths)))


def emphasis_factors(cof: float) -> tuple[int, int]:
    """Whole A and B, below 2^15, with B / A nearest to `cof`."""
    fraction = Fraction(cof).limit_denominator(LARGEST_FACTOR)
    return fraction.denominator, fraction.numerator


def row_steps(config: LogMelConfig) -> tuple[float, int]:
    """Middle and steps to a unit of log-mel's 16-bit rows, which go from ln(log_offset) to what full scale gives."""
    least = math.log(config.log_offset)
    # Parseval, Hann window, full scale; twice that for a bin that two filters share, and for rounding
    most = math.log(config.fft_length * config.frame_samples)
    return (least + most) / 2, 2 ** math.floor(math.log2(32000 / ((most - least) / 2)))


def emphasis_of(config: FrontEndConfig) -> tuple[int, int]:
    """A and B of the configuration's pre-emphasis, y[n] = A x[n] - B x[n - 1]; B is 0 where it has none."""
    if isinstance(config, LogMelConfig):
        return 1, 0
    return emphasis_factors(float(np.float32(PRE_COF)) if isinstance(config, MfeConfig) else config.pre_cof)


def scale_of(config: FrontEndConfig, factor: int) -> float:
    """What a band's energy is to be multiplied by: the C has |2X|^2 of whole samples times `factor`."""
    if isinstance(config, LogMelConfig):
        return 1.0 / (4.0 * 32768.0**2)
    unit = 32768.0 if isinstance(config, MfeConfig) else 1.0
    return 1.0 / (4.0 * config.fft_length * (factor * unit) ** 2)


def levels_of(config: MfeConfig) -> tuple[float, float]:
    """Slope and offset from ln E to levels; a half is added, as the C cuts off."""
    steps = 256.0 / (HEADROOM_DB - config.noise_floor_db)
    return steps * 10.0 / math.log(10.0), 0.5 - steps * config.noise_floor_db
