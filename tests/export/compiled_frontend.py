"""A C front end compiled for this machine and called through ctypes."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np

from kws_dendrite.export.c.frontend import emit_frontend
from kws_dendrite.frontend import MfccConfig

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
UNDEFINED = ("-O0", "-fsanitize=undefined", "-fno-sanitize-recover=all")
GLUE = """
#include <string.h>
#include "kws_frontend_internal.h"
size_t glue_size(void);
size_t glue_window(void);
void glue_rows(kws_frontend *frontend, const kws_frontend_value *rows);
size_t glue_size(void) { return sizeof(kws_frontend); }
size_t glue_window(void) { return KWS_FRONTEND_WINDOW_SAMPLES; }
void glue_rows(kws_frontend *frontend, const kws_frontend_value *rows)
{
    frontend->rows = KWS_FRONTEND_FRAMES;
    frontend->head = KWS_FRONTEND_FRAMES / 3; /* a ring that has gone round */
    for (size_t row = 0; row < KWS_FRONTEND_FRAMES; row++) {
        memcpy(frontend->ring + (row + frontend->head) % KWS_FRONTEND_FRAMES * KWS_FRONTEND_ROW,
               rows + row * KWS_FRONTEND_ROW, KWS_FRONTEND_ROW * sizeof *rows);
    }
}
"""


def has_compiler():
    return shutil.which("cc") is not None


def write_sources(folder: Path, config, frames):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in emit_frontend(config, frames).items():
        (folder / name).write_text(text)
    return sorted(folder.glob("*.c"))


class Library:
    """The front end of `config` with windows of `frames` rows, float or fixed."""

    def __init__(self, folder: Path, config, frames, fixed=False, flags=UNDEFINED, extra=""):
        folder = folder / f"{'fixed' if fixed else 'float'}"
        sources = write_sources(folder, config, frames)
        (folder / "glue.c").write_text(GLUE + extra)
        subprocess.run(
            ["cc", *STRICT, *flags, f"-DKWS_FRONTEND_FIXED={int(fixed)}", "-shared", "-fPIC", *map(str, sources),
             str(folder / "glue.c"), "-o", str(folder / "library.so"), "-lm"],
            check=True,
        )  # fmt: skip
        self.c = ctypes.CDLL(str(folder / "library.so"))
        self.c.glue_size.restype = self.c.glue_window.restype = self.c.kws_frontend_push.restype = ctypes.c_size_t
        self.config, self.frames, self.fixed = config, frames, fixed
        self.columns = config.num_cepstral if isinstance(config, MfccConfig) else config.num_filters
        self.bytes, self.window = self.c.glue_size(), self.c.glue_window()
        self.state = ctypes.create_string_buffer(b"\xa5" * self.bytes, self.bytes)  # nothing may rely on zeros

    def reset(self, previous=0):
        self.c.kws_frontend_reset(self.state, ctypes.c_int16(int(previous)))

    def push(self, samples):
        samples = np.ascontiguousarray(samples, np.int16)
        return self.c.kws_frontend_push(
            self.state, samples.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(samples))
        )

    def ready(self):
        return self.c.kws_frontend_ready(self.state)

    def features(self):
        out = np.full((self.frames, self.columns), np.nan, np.float32)
        self.c.kws_frontend_features(self.state, out.ctypes.data_as(ctypes.c_void_p))
        return out

    def quantized(self, scale, zero_point):
        out = np.zeros((self.frames, self.columns), np.int8)
        self.c.kws_frontend_quantized(
            self.state, ctypes.c_float(scale), ctypes.c_int(zero_point), out.ctypes.data_as(ctypes.c_void_p)
        )
        return out

    def clip(self, signal):
        """Features of one clip, whose first sample sees its last, as in Edge Impulse's blocks."""
        self.reset(signal[-1])
        assert self.push(signal[: self.window]) == self.frames
        return self.features()

    def of_rows(self, rows):
        """What the window makes of these rows, float (T, F); in steps of 2^-20 for the fixed-point version."""
        rows = np.rint(rows * 2**20).astype(np.int32) if self.fixed else rows.astype(np.float32)
        self.c.glue_rows(self.state, np.ascontiguousarray(rows).ctypes.data_as(ctypes.c_void_p))
        return self.features()


class Libraries:
    """Libraries by their settings, each built once."""

    def __init__(self, folder: Path):
        self.folder, self.built = folder, {}

    def __call__(self, config, frames, fixed=False):
        key = (config, frames, fixed)
        if key not in self.built:
            self.built[key] = Library(self.folder / str(len(self.built)), config, frames, fixed)
        return self.built[key]


def quantise(features, scale, zero_point):
    """Edge Impulse's own rule: halves away from zero."""
    steps = features.astype(np.float32) / np.float32(scale)
    rounded = np.sign(steps) * np.floor(np.abs(steps).astype(np.float64) + 0.5)
    return np.clip(rounded + zero_point, -128, 127).astype(np.int8)
