"""The C front end against the numpy reference: golden vectors, random settings, streams."""

import sys
from pathlib import Path

import numpy as np
import pytest
from compiled_frontend import UNDEFINED, Libraries, Library, has_compiler, quantise

from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import LogMelConfig, MfccConfig, MfeConfig, compute_float64, feature_shape
from kws_dendrite.frontend.framing import lift_zeros, power_spectrum, preemphasise, split_frames
from kws_dendrite.frontend.mfe import PRE_COF, filterbank

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "frontend"))

from golden_vectors import DEGENERATE, MFCC, MFE, load, noise

pytestmark = pytest.mark.skipif(not has_compiler(), reason="needs a C compiler named cc (package gcc)")
ARITHMETIC = pytest.mark.parametrize("fixed", [False, True], ids=["float", "fixed"])
FLOAT_BOUND, FIXED_BOUND = 1e-3, 6e-3
FLOAT_LEVELS, FIXED_LEVELS = 1e-3, 0.1  # how near to the middle of two levels of MFE either may fall


@pytest.fixture(scope="module")
def library_of(tmp_path_factory):
    return Libraries(tmp_path_factory.mktemp("libraries"))


@ARITHMETIC
@pytest.mark.parametrize("name", MFCC)
def test_golden_mfcc(name, fixed, library_of):
    golden = load(name)
    ours = library_of(golden.config, len(golden.features), fixed).clip(golden.signal)
    np.testing.assert_allclose(ours, golden.features, rtol=0, atol=FIXED_BOUND if fixed else FLOAT_BOUND)
    if not fixed and name not in DEGENERATE:  # 1e-3 is what was promised, this is what it is
        np.testing.assert_allclose(ours, golden.features, rtol=0, atol=1e-4)
    if name in DEGENERATE:
        np.testing.assert_array_equal(ours, 0.0)  # rows that are all alike


def unrounded_levels(signal, config):
    """The reference's levels of 1/256 before it rounds them."""
    emphasised = preemphasise(signal.astype(np.float32) / np.float32(32768), np.float32(PRE_COF), 1)
    frames = split_frames(emphasised, config.frame_samples, config.stride_samples).astype(np.float64)
    energies = lift_zeros(power_spectrum(frames, config.fft_length) @ filterbank(config).T)
    floor = config.noise_floor_db
    return 256 * np.clip((10 * np.log10(energies) - floor) / (12 - floor), 0, 1)


def assert_levels(ours, signal, config, nearness):
    """Equal to the reference, but where it is that near to the middle of two levels: then one level off at most."""
    expected = compute_float64(signal, config)
    unrounded = unrounded_levels(signal, config)
    np.testing.assert_array_equal(np.round(unrounded) / 256, expected)
    doubtful = np.abs(unrounded % 1 - 0.5) < nearness
    np.testing.assert_array_equal(ours[~doubtful], expected[~doubtful])
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1 / 256)
    return (ours != expected).sum()


@ARITHMETIC
@pytest.mark.parametrize("name", MFE)
def test_golden_mfe(name, fixed, library_of):
    golden = load(name)
    ours = library_of(golden.config, len(golden.features), fixed).clip(golden.signal)
    differing = assert_levels(ours, golden.signal, golden.config, FIXED_LEVELS if fixed else FLOAT_LEVELS)
    assert differing <= (4 if fixed else 1)  # of 3,960


def test_mfe_reaches_1_where_the_block_in_python_wraps(library_of):
    golden = load("mfe_v4_default40_1s")
    ours = library_of(golden.config, len(golden.features)).clip(golden.signal)
    assert (ours == 1.0).sum() == 28
    np.testing.assert_array_equal(golden.features[ours == 1.0], 0.0)


def draw(rng, kind):
    """Settings at random: frames longer and shorter than strides and transforms, odd sizes, narrow bands."""
    while True:
        rate = int(rng.choice([8000, 16000, 22050]))
        settings = {
            "sampling_freq": rate,
            "frame_length": float(rng.integers(40, 900) / rate),
            "frame_stride": float(rng.integers(40, 700) / rate),
            "num_filters": int(rng.integers(2, 41)),
            "fft_length": int(2 ** rng.integers(5, 11)),
            "low_frequency": int(rng.choice([0, 0, 300, 1000])),
            "high_frequency": int(rng.choice([0, 0, 3500])),
        }
        if kind is not LogMelConfig:
            settings["implementation_version"] = int(rng.choice([3, 4]))
        if kind is MfccConfig:
            settings["num_cepstral"] = int(rng.integers(1, settings["num_filters"] + 1))
            settings["win_size"] = int(rng.choice([0, 11, 25, 101, 301]))  # fewer divide by next to nothing
            settings["pre_cof"] = float(rng.choice([0.0, 0.98, 0.97, 1.0, 0.3333]))
        if kind is LogMelConfig:
            settings["log_offset"] = float(rng.choice([1e-6, 1e-3, 1e-9]))
            settings["remove_mean"] = bool(rng.integers(2))
        try:
            config = kind(**settings)
            frames, _ = feature_shape(config, rate // 2)
        except ConfigError:
            continue
        if frames > 1:
            return config, frames


@ARITHMETIC
@pytest.mark.parametrize("kind", [MfccConfig, MfeConfig, LogMelConfig], ids=lambda kind: kind.block)
@pytest.mark.parametrize("seed", range(4))
def test_random_settings_equal_the_reference(seed, kind, fixed, library_of):
    config, frames = draw(np.random.default_rng([seed, len(kind.block), kind is MfeConfig]), kind)
    signal = noise(config.sampling_freq // 2, seed)
    library = library_of(config, frames, fixed)
    ours, expected = library.clip(signal), compute_float64(signal, config)
    if kind is MfeConfig:
        assert_levels(ours, signal, config, FIXED_LEVELS if fixed else FLOAT_LEVELS)
    elif kind is LogMelConfig:  # rows in steps of 1/2048, at the widest 1/1024
        np.testing.assert_allclose(ours, expected, rtol=0, atol=FIXED_BOUND if fixed else 6e-4)
    elif fixed or not config.win_size:
        np.testing.assert_allclose(ours, expected, rtol=1e-3 if fixed else 1e-6, atol=FIXED_BOUND if fixed else 1e-4)
    else:
        np.testing.assert_allclose(ours, expected, rtol=0, atol=FLOAT_BOUND)


CONFIGS = {
    "mfcc": MfccConfig(),
    "mfcc-overlapping": MfccConfig(frame_length=0.025, frame_stride=0.01, fft_length=512, win_size=11),
    "mfcc-apart": MfccConfig(frame_length=0.02, frame_stride=0.0301, fft_length=512, num_filters=21, num_cepstral=20),
    "mfe": MfeConfig(),
    "logmel": LogMelConfig(),
}


@ARITHMETIC
@pytest.mark.parametrize("name", CONFIGS)
def test_pieces_of_any_length_give_the_same_bits(name, fixed, library_of):
    config = CONFIGS[name]
    library = library_of(config, 17, fixed)
    signal, rng = noise(12000, 5), np.random.default_rng(6)
    library.reset(77)
    frames = library.push(signal)
    whole = library.features()
    for longest in (1, 3, 40, 1000):
        library.reset(77)
        start = counted = 0
        while start < len(signal):
            count = int(rng.integers(0, longest + 1))
            counted += library.push(signal[start : start + count])
            start += count
        assert counted == frames
        np.testing.assert_array_equal(library.features(), whole)


@ARITHMETIC
@pytest.mark.parametrize("name", CONFIGS)
def test_stream_holds_the_last_rows(name, fixed, library_of):
    config, frames = CONFIGS[name], 17
    library = library_of(config, frames, fixed)
    signal = noise(16000, 8)
    library.reset(signal[-1])
    done = 0
    for start in range(0, len(signal), 1234):
        done += library.push(signal[start : start + 1234])
        assert library.ready() == (done >= frames)
    first = (done - frames) * config.stride_samples
    window = signal[first : first + library.window].copy()
    # the stream's first sample sees the true one before it: a clip whose last sample is that one, past the last frame
    window = np.concatenate([window, np.zeros(1, np.int16), signal[first - 1 : first]])
    if name == "mfe":
        assert_levels(library.features(), window, config, FIXED_LEVELS if fixed else FLOAT_LEVELS)
    else:
        bound = FIXED_BOUND if fixed else FLOAT_BOUND
        np.testing.assert_allclose(library.features(), compute_float64(window, config)[:frames], rtol=0, atol=bound)


@ARITHMETIC
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("scale,zero_point", [(0.0331, 8), (1 / 256, -128), (0.5, 0), (0.25, 3)])
def test_quantized_is_features_quantised(name, scale, zero_point, fixed, library_of):
    library = library_of(CONFIGS[name], 17, fixed)
    features = library.clip(noise(library.window + 1, 9))
    ours, expected = library.quantized(scale, zero_point), quantise(features, scale, zero_point)
    if not fixed:
        np.testing.assert_array_equal(ours, expected)
    else:  # one product less is rounded than in floats: the middle between two steps may fall the other way
        steps = np.abs(features.astype(np.float64) / np.float64(np.float32(scale)))
        middle = np.abs(steps % 1 - 0.5) < 1e-4
        np.testing.assert_array_equal(ours[~middle], expected[~middle])
        np.testing.assert_allclose(ours.astype(int), expected.astype(int), rtol=0, atol=1)


@ARITHMETIC
def test_quantized_saturates(fixed, library_of):
    library = library_of(MfccConfig(win_size=0), 5, fixed)
    library.clip(noise(library.window, 9, level=20000))
    np.testing.assert_array_equal(library.quantized(1e-3, 0)[:, 0], 127)
    np.testing.assert_array_equal(library.quantized(100.0, 0), 0)


@ARITHMETIC
@pytest.mark.parametrize("name", CONFIGS)
def test_silence_is_what_the_reference_says(name, fixed, library_of):
    library = library_of(CONFIGS[name], 17, fixed)
    np.testing.assert_allclose(library.clip(np.zeros(library.window, np.int16)), 0.0, rtol=0, atol=1e-6)


@ARITHMETIC
@pytest.mark.parametrize("name", CONFIGS)
def test_full_scale_square_wave(name, fixed, library_of):
    config = CONFIGS[name]
    library = library_of(config, 17, fixed)
    period = np.repeat([32767, -32768], 37)
    signal = np.resize(period, library.window + 1).astype(np.int16)
    signal[len(signal) // 2 :] = signal[len(signal) // 2 :] // 3  # frames that differ
    ours = library.clip(signal)
    assert np.isfinite(ours).all()
    if name == "mfe":
        assert_levels(ours, signal, config, FIXED_LEVELS if fixed else FLOAT_LEVELS)
    else:
        expected = compute_float64(signal, config)[:17]
        np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-2 if fixed else 1e-3)


@ARITHMETIC
def test_extreme_samples_do_not_overflow(fixed, library_of):
    """The sanitizer is on: nothing here may overflow or shift too far."""
    for config in (
        MfccConfig(pre_cof=1.0, fft_length=4096, frame_length=0.256, win_size=0),
        MfeConfig(),
        LogMelConfig(),
    ):
        library = library_of(config, 3, fixed)
        for signal in (
            np.full(library.window, -32768, np.int16),
            np.resize(np.array([32767, -32768], np.int16), library.window),
            np.random.default_rng(0).choice(np.array([32767, -32768], np.int16), library.window),
            np.resize(np.array([1] + 5000 * [0], np.int16), library.window),
        ):
            assert np.isfinite(library.clip(signal)).all()
            library.quantized(0.03, 0)


@pytest.mark.parametrize("name", CONFIGS)
def test_products_of_32_bits_give_the_same_bits(name, library_of, tmp_path):
    """What Armv6-M computes in parts, having no long product."""
    config, signal = CONFIGS[name], noise(12000, 13)
    parts = Library(tmp_path, config, 17, fixed=True, flags=(*UNDEFINED, "-D__ARM_ARCH_6M__"))
    whole = library_of(config, 17, True)
    np.testing.assert_array_equal(parts.clip(signal[: whole.window]), whole.clip(signal[: whole.window]))
