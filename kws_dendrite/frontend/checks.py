"""What front-end settings must satisfy. Each check raises ConfigError naming the setting, its value and a way out."""

import dataclasses
import math
import numbers
from typing import Any

from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend.mel import edge_impulse_filterbank

LARGEST_FFT = 16384  # a second at 16 kHz; Edge Impulse's device code takes 32 to 4096
LARGEST_WINDOW = 9999  # frames; twenty times the longest clip of Edge Impulse's blocks


def check_types(config: Any) -> None:
    """Types as annotated; a whole float is taken for an int, an int for a float, None (Edge Impulse: unset) for 0."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value is None and field.name == "high_frequency":
            value = 0
        if field.type is bool:
            if not isinstance(value, bool):
                raise ConfigError(f"{field.name} must be true or false, got {value!r}")
        elif isinstance(value, bool) or not isinstance(value, numbers.Real) or not _is_finite(value):
            raise ConfigError(f"{field.name} must be a finite number, got {value!r}")
        elif field.type is int and value != int(value):
            raise ConfigError(f"{field.name} must be a whole number, got {value!r}")
        object.__setattr__(config, field.name, field.type(value))


def check_frames_and_bands(config: Any) -> None:
    """Rates, lengths, FFT and band edges: what every front end has."""
    for name in ("sampling_freq", "frame_length", "frame_stride"):
        if getattr(config, name) <= 0:
            raise ConfigError(f"{name} is {getattr(config, name)}; it must be above 0")
    for name, samples in (("frame_length", config.frame_samples), ("frame_stride", config.stride_samples)):
        if samples < 1:
            raise ConfigError(
                f"{name} is {getattr(config, name)} s, less than a sample at {config.sampling_freq} Hz: "
                "it is in seconds, such as 0.02"
            )
    if config.fft_length < 2 or config.fft_length > LARGEST_FFT or config.fft_length & (config.fft_length - 1):
        raise ConfigError(
            f"fft_length is {config.fft_length}; it must be a power of two up to {LARGEST_FFT}, such as 256 or 512"
        )
    if not 2 <= config.num_filters <= config.fft_length // 2 + 1:
        raise ConfigError(
            f"num_filters is {config.num_filters}; it must be from 2 to the {config.fft_length // 2 + 1} bins of "
            f"fft_length {config.fft_length}"
        )
    if config.low_frequency < 0 or config.high_frequency < 0:
        raise ConfigError(
            f"low_frequency {config.low_frequency} and high_frequency {config.high_frequency} cannot be negative"
        )
    if config.high_frequency > config.sampling_freq / 2:
        raise ConfigError(
            f"high_frequency is {config.high_frequency}; clips of {config.sampling_freq} Hz hold nothing above "
            f"{config.sampling_freq / 2:g} Hz: lower it, or give 0 for all of it"
        )
    if config.low_frequency >= config.top_frequency:
        raise ConfigError(
            f"low_frequency is {config.low_frequency}; it must be below the bands' upper edge, "
            f"{config.top_frequency:g} Hz"
        )


def check_version(config: Any) -> None:
    """Edge Impulse's versions 3 and 4 alone."""
    if config.implementation_version not in (3, 4):
        raise ConfigError(
            f"implementation_version {config.implementation_version} of Edge Impulse's {config.block.upper()} block is "
            "not supported: use 4, or 3 for an older project"
        )


def check_window(win_size: int) -> None:
    """Odd, or 0 for none."""
    if not 0 <= win_size <= LARGEST_WINDOW or (win_size and win_size % 2 == 0):
        raise ConfigError(f"win_size is {win_size}; it must be odd and at most {LARGEST_WINDOW}, or 0 for none")


def check_bank(config: Any) -> None:
    """No filter without a bin, see `edge_impulse_filterbank`."""
    edge_impulse_filterbank(
        config.sampling_freq,
        config.num_filters,
        config.fft_length,
        config.low_frequency,
        config.top_frequency,
        config.implementation_version,
    )


def _is_finite(value: numbers.Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond any float
        return False
