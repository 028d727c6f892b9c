"""The C front end's normalisation and logarithm, each for itself."""

import ctypes

import numpy as np
import pytest
from compiled_frontend import Library, has_compiler

from kws_dendrite.frontend import MfccConfig
from kws_dendrite.frontend.cmvn import cmvn

pytestmark = pytest.mark.skipif(not has_compiler(), reason="needs a C compiler named cc (package gcc)")
ARITHMETIC = pytest.mark.parametrize("fixed", [False, True], ids=["float", "fixed"])
NARROW = {"num_filters": 4, "num_cepstral": 4, "fft_length": 64}


def rows(frames, seed):
    """Log energies and the like: a level, a drift, noise."""
    rng = np.random.default_rng(seed)
    drift = rng.normal(0, 0.1, (frames, 4)).cumsum(0)
    return (rng.normal(0, 8, 4) + drift + rng.normal(0, [5, 1, 0.1, 0.01], (frames, 4))).astype(np.float32)


@ARITHMETIC
@pytest.mark.parametrize(
    "frames,window",
    [(1, 101), (2, 3), (2, 101), (7, 1), (7, 9999), (50, 99), (50, 101), (50, 103), (98, 101), (98, 301), (300, 49)],
)
def test_equals_the_reference(frames, window, fixed, tmp_path):
    library = Library(tmp_path, MfccConfig(win_size=window, **NARROW), frames, fixed)
    values = rows(frames, frames * window)
    expected = cmvn(values.astype(np.float64), window)
    if window == 1 or frames == 1:
        np.testing.assert_array_equal(library.of_rows(values), 0.0)
    else:
        # 5e-7 of the column's range is what a row can be off by, here beside deviations of a hundredth of it and less
        bound = 1e-3 if fixed else 3e-4
        np.testing.assert_allclose(library.of_rows(values), expected, rtol=bound, atol=bound)


@ARITHMETIC
@pytest.mark.parametrize("frames,window", [(50, 101), (98, 101), (98, 11), (60, 3)])
def test_loud_then_all_alike(frames, window, fixed, tmp_path):
    """What was loud must leave nothing behind: rows that are alike are exact zeros as soon as no window sees others."""
    library = Library(tmp_path, MfccConfig(win_size=window, **NARROW), frames, fixed)
    values = rows(frames, 3) * 4
    quiet = frames // 3
    values[quiet:] = values[quiet]
    ours, expected = library.of_rows(values), cmvn(values.astype(np.float64), window)
    alone = np.arange(frames) >= quiet + window - 1  # the mean's window and the deviation's
    alone &= np.arange(frames) < frames  # the edge reflects what is alike
    np.testing.assert_array_equal(ours[alone], 0.0)
    seen = np.abs(expected) < 1e3  # not noise over 1e-10
    np.testing.assert_allclose(ours[seen], expected[seen], rtol=1e-3, atol=1e-3)


@ARITHMETIC
def test_a_small_change_on_a_large_level(fixed, tmp_path):
    library = Library(tmp_path, MfccConfig(win_size=101, **NARROW), 50, fixed)
    values = np.full((50, 4), 20.0) + 2.0**-15 * np.arange(50)[:, None]  # both versions' rows hold it exactly
    np.testing.assert_allclose(library.of_rows(values), cmvn(values, 101), rtol=0, atol=1e-3)


LOG = """
#include "kws_frontend_float.c"
void glue_logs(const float *x, float *out, size_t count);
void glue_logs(const float *x, float *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = natural_log(x[i]);
    }
}
"""


def test_logarithm(tmp_path):
    """Every 13th float between 1/2 and 4, and every power of two that sound can come to."""
    renamed = "#define kws_frontend_frame glue_frame\nvoid glue_frame(kws_frontend *frontend, float *row);\n"
    library = Library(tmp_path, MfccConfig(), 2, flags=("-O2",), extra=renamed + LOG)
    x = np.arange(0x3F000000, 0x40800000, 13, dtype=np.uint32).view(np.float32)
    x = np.concatenate([x, *(x[::1009] * np.float32(2.0**power) for power in range(-60, 90, 7))]).astype(np.float32)
    ours = np.empty_like(x)
    places = (array.ctypes.data_as(ctypes.c_void_p) for array in (x, ours))
    library.c.glue_logs(*places, ctypes.c_size_t(len(x)))
    exact = np.log(x.astype(np.float64))
    np.testing.assert_allclose(ours, exact, rtol=1.2e-7, atol=1.2e-7)


FIXED_LOG = """
#include "kws_frontend_fixed.c"
void glue_logs(const uint64_t *x, int32_t *out, size_t count);
void glue_logs(const uint64_t *x, int32_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = log_energy(x[i], 0) - KWS_FRONTEND_LOG_SCALE;
    }
}
"""


def test_fixed_point_logarithm(tmp_path):
    renamed = "#define kws_frontend_frame glue_frame\nvoid glue_frame(kws_frontend *frontend, int32_t *row);\n"
    library = Library(tmp_path, MfccConfig(), 2, fixed=True, flags=("-O2",), extra=renamed + FIXED_LOG)
    x = np.concatenate([np.arange(1, 5000), 2 ** np.linspace(12, 62.9, 100_000)]).astype(np.uint64)
    ours = np.empty(len(x), np.int32)
    places = (array.ctypes.data_as(ctypes.c_void_p) for array in (x, ours))
    library.c.glue_logs(*places, ctypes.c_size_t(len(x)))
    np.testing.assert_allclose(ours / 2**20, np.log(x.astype(np.float64)), rtol=0, atol=3e-5)
