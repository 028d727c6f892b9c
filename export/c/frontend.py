"""The C front end of one configuration: runtime sources and the tables that they read."""

import json
from importlib.resources import files
from string import Template

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.frontend_settings import Sizes, sizes_of
from kws_dendrite.export.c.frontend_tables import tables
from kws_dendrite.frontend import FrontEndConfig, LogMelConfig, MfccConfig, MfeConfig, to_json

_HEADER = "kws_frontend.h"
_SOURCES = (
    "kws_frontend.c",
    "kws_frontend_internal.h",
    "kws_frontend_load.c",
    "kws_frontend_fft.c",
    "kws_frontend_float.c",
    "kws_frontend_fixed.c",
    "kws_frontend_cmvn.c",
    "kws_frontend_features.c",
)
FFT_LENGTHS = tuple(2**power for power in range(5, 13))  # as Edge Impulse's device code: 32 to 4096
LEAST_OFFSET = 1e-12
MOST_FRAMES = 1000  # of the window; its normalisation keeps two columns on the stack


def emit_frontend(config: FrontEndConfig, frames: int) -> dict[str, str]:
    """C99 sources that turn sound into the features that `config` describes, frame by frame.

    Args:
        config: the front end. Versions 3 and 4 of Edge Impulse's blocks.
        frames: T, rows of the window that a decision is made on.

    Returns:
        File name -> text; they compile alone, `kws_frontend.h` says how to call them.

    Raises:
        ExportError: a setting that the C front end does not do.
    """
    _check(config, frames)
    sizes = sizes_of(config, frames)
    folder = files("kws_dendrite.export") / "c" / "runtime" / "frontend"
    header = Template((folder / _HEADER).read_text(encoding="utf-8"))
    sources = {_HEADER: header.substitute(_header_values(config, sizes))}
    sources |= {name: (folder / name).read_text(encoding="utf-8") for name in _SOURCES}
    return sources | tables(config, sizes)


def _check(config: FrontEndConfig, frames: int) -> None:
    if not isinstance(config, MfccConfig | MfeConfig | LogMelConfig):
        raise ExportError(f"expected MfccConfig, MfeConfig or LogMelConfig, got {type(config).__name__}")
    if not isinstance(frames, int) or isinstance(frames, bool) or not 1 <= frames <= MOST_FRAMES:
        raise ExportError(f"the C front end keeps 1 to {MOST_FRAMES} frames, got {frames!r}")
    if config.fft_length not in FFT_LENGTHS:
        raise ExportError(
            f"fft_length is {config.fft_length}; the C front end does powers of two from {FFT_LENGTHS[0]} to "
            f"{FFT_LENGTHS[-1]}"
        )
    if config.num_filters > config.fft_length // 2:
        raise ExportError(
            f"num_filters is {config.num_filters}; the C front end does at most half of fft_length {config.fft_length}"
        )
    if isinstance(config, LogMelConfig):
        if not LEAST_OFFSET <= config.log_offset <= 1:
            raise ExportError(
                f"log_offset is {config.log_offset}; the C front end does {LEAST_OFFSET} to 1, such as 1e-6"
            )
        return
    if config.implementation_version not in (3, 4):
        raise ExportError(
            f"implementation_version is {config.implementation_version}; the C front end does versions 3 and 4"
        )
    if isinstance(config, MfccConfig) and config.pre_cof > 0 and config.pre_shift != 1:
        raise ExportError(
            f"pre_shift is {config.pre_shift}; the C front end keeps one sample for pre-emphasis: use 1, or pre_cof 0"
        )


def _header_values(config: FrontEndConfig, sizes: Sizes) -> dict[str, str | int]:
    if isinstance(config, MfeConfig):
        note = (
            "/* A row of the ring: each band's level from 0 to 256, eight bits of it, then the ninth bits, eight\n"
            " * bands to a byte. */"
        )
    elif isinstance(config, LogMelConfig):
        note = "/* A row of the ring: the bands' logarithms, in 16 bits about the middle of what they can be. */"
    else:
        note = "/* A row of the ring: one value a coefficient, before the window's normalisation. */"
    value = {MfeConfig: "uint8_t", LogMelConfig: "int16_t"}.get(type(config))
    return {
        "SETTINGS": json.dumps(to_json(config)).replace("*/", ""),
        "SAMPLE_RATE": config.sampling_freq,
        "FRAME_STRIDE": config.stride_samples,
        "FRAME_LENGTH": sizes.read,
        "FFT_LENGTH": config.fft_length,
        "FRAMES": sizes.frames,
        "COEFFICIENTS": sizes.coefficients,
        # a frame that is cut to the FFT is done early: stop before that makes one more
        "WINDOW_SAMPLES": (sizes.frames - 1) * config.stride_samples
        + min(config.frame_samples, sizes.read + config.stride_samples - 1),
        "ROW": sizes.row,
        "ROW_NOTE": note,
        "FLOAT_VALUE": value or "float",
        "FIXED_VALUE": value or "int32_t",
    }
