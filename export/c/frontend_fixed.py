"""Constants and tables of the fixed-point version of the C front end."""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from kws_dendrite.export.c.frontend_settings import LEAST, Bank, levels_of, row_steps, scale_of
from kws_dendrite.frontend import FrontEndConfig, LogMelConfig, MfccConfig, MfeConfig

WINDOW_FRACTION = 16  # bits of the window
LOG_FRACTION = 20  # bits of logarithms and of the ring's rows
KNOTS = 64  # of the logarithm's table


def fixed_macros(config: FrontEndConfig, bank: Bank, factor: int) -> dict[str, str | int]:
    """Macros; `factor` is what pre-emphasis multiplies samples by."""
    bits = 29 - (config.fft_length.bit_length() - 1)  # |2X| <= 2 N 2^bits = 2^30
    shift = max(0, int(max(bank.widths)).bit_length() - 2)  # sum of i P <= widest 2^60 >> shift, below 2^63
    macros: dict[str, str | int] = {"INPUT_BITS": bits, "POWER_SHIFT": shift, "MOST_SHIFT": bits}
    scale = scale_of(config, factor) * 2.0**shift
    if isinstance(config, LogMelConfig):
        scale /= 2.0 ** (2 * WINDOW_FRACTION)
        mantissa, exponent = math.frexp(config.log_offset / scale)
        macros["LOG_OFFSET"] = f"{min(round(mantissa * 2**32), 2**32 - 1)}u"
        middle, steps = row_steps(config)
        macros["ROW_SCALE"] = steps
        macros["ROW_SHIFT"] = LOG_FRACTION - (steps.bit_length() - 1)
        macros["ROW_MIDDLE"] = f"({round(middle * 2**LOG_FRACTION)})"
        macros["LOG_OFFSET_EXPONENT"] = f"({exponent - 32})"
        macros["LOG_OF_ZERO"] = f"({round(math.log(config.log_offset) * 2**LOG_FRACTION)})"
        macros["MOST_SHIFT"] = f"({min(bits, (60 - exponent) // 2)})"
    else:
        macros["LOG_OF_ZERO"] = f"({round(math.log(LEAST) * 2**LOG_FRACTION)})"
    macros["LOG_SCALE"] = f"({round(math.log(scale) * 2**LOG_FRACTION)})"
    if isinstance(config, MfeConfig):
        slope, offset = levels_of(config)
        macros["LEVEL_SLOPE"] = round(slope * 2**16)
        macros["LEVEL_OFFSET"] = f"((int64_t){round(offset * 2**36)}LL)"
    return macros


def fixed_tables(config: FrontEndConfig, floats: Mapping[str, Iterable[float]]) -> list[tuple[str, str, Iterable[int]]]:
    """The float tables in 2^-15 (twiddles, cosines), 2^-16 (window) and 2^-32 (mel), and the logarithm's."""
    scales = {
        "twiddles": ("int16_t", 2**15, 2**15 - 1),
        "split": ("int16_t", 2**15, 2**15 - 1),
        "cosines": ("int16_t", 2**15, 2**15 - 1),
        "slopes": ("uint32_t", 2**32, 2**32 - 1),
        "offsets": ("uint32_t", 2**32, 2**32 - 1),
        "window": ("uint16_t", 2**WINDOW_FRACTION, 2**16 - 1),
    }
    tables = []
    for name, values in floats.items():
        kind, scale, most = scales[name]
        if name == "cosines":
            values = _plain_cosines(config)
        tables.append((kind, name, np.minimum(np.rint(np.asarray(values) * scale), most).astype(np.int64)))
    knots = np.arange(KNOTS + 1) / KNOTS
    bends = np.log2(1 + knots) - knots
    bends[1:-1] += 1 / (16 * math.log(2) * KNOTS**2 * (1 + knots[1:-1]) ** 2)  # half of what straight lines lose
    return [*tables, ("uint16_t", "bends", np.rint(bends * 2**19).astype(np.int64))]


def _plain_cosines(config: MfccConfig) -> np.ndarray:
    """DCT weights coefficient by coefficient, of the first half of the bands; float64."""
    bands = config.num_filters
    weights = []
    for k in range(1, config.num_cepstral):
        j = np.arange(bands // 2 if k % 2 else (bands + 1) // 2)
        weights.append(math.sqrt(2.0 / bands) * np.cos(np.pi * k * (2 * j + 1) / (2 * bands)))
    return np.concatenate(weights) if config.num_cepstral > 1 else np.zeros(1)
