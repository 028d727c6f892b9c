import subprocess
import sys

import numpy as np
import pytest
import torch
from golden_vectors import DEGENERATE, MFCC, MFE, load, noise
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend import LogMelConfig, MfccConfig, MfeConfig, compute, extract, feature_shape

CONFIGS = [
    MfccConfig(),
    MfccConfig(win_size=0),
    MfccConfig(win_size=11, num_cepstral=20, frame_stride=0.016),
    MfccConfig(implementation_version=3, low_frequency=300),
    MfccConfig(
        frame_length=0.025, frame_stride=0.01, fft_length=512, num_filters=40, win_size=301, high_frequency=7000
    ),
    MfccConfig(frame_length=0.05, frame_stride=0.025, fft_length=512, pre_cof=0.0),
    MfccConfig(sampling_freq=8000, frame_length=0.032, frame_stride=0.04, num_filters=20, pre_shift=3),
    MfeConfig(),
    MfeConfig(implementation_version=3, num_filters=32, fft_length=512, noise_floor_db=-72),
    LogMelConfig(),
    LogMelConfig(remove_mean=False, num_filters=40, frame_stride=0.01, high_frequency=0),
]


def batch(samples: int, clips: int = 3, seed: int = 0) -> np.ndarray:
    return np.stack([noise(samples, seed=seed + clip, level=10.0 ** (1 + clip)) for clip in range(clips)])


@pytest.mark.parametrize("name", MFCC)
def test_golden_mfcc(name):
    golden = load(name)
    features = extract(golden.signal[None], golden.config)
    assert features.dtype == np.float32
    bound = 1e-3 if name in DEGENERATE else 3e-6
    np.testing.assert_allclose(features[0], golden.features, rtol=0, atol=bound)


@pytest.mark.parametrize("name", MFE)
def test_golden_mfe(name):
    golden = load(name)
    features = extract(golden.signal[None], golden.config)[0]
    top = features == 1.0  # wrapped to 0 in the block's Python
    np.testing.assert_array_equal(np.where(top, 0.0, features), golden.features)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.block)
@pytest.mark.parametrize("samples", [16000, 15999, 16001, 1777])
def test_equals_reference(config, samples):
    signals = batch(samples)
    expected = np.stack([compute(signal, config) for signal in signals])
    features = extract(signals, config)
    assert features.shape == (3, *feature_shape(config, samples))
    bound = 1 / 256 if isinstance(config, MfeConfig) else 1e-5
    np.testing.assert_allclose(features, expected, rtol=0, atol=bound)
    if isinstance(config, MfeConfig):
        assert (features != expected).mean() < 1e-3  # a value within 1e-12 of a rounding step


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    samples=st.integers(900, 9000),
    version=st.sampled_from([3, 4]),
    frame=st.integers(120, 500),
    stride=st.integers(100, 400),
    filters=st.integers(2, 24),
    cepstral=st.integers(1, 24),
    fft=st.sampled_from([256, 512]),
    win=st.sampled_from([0, 3, 11, 101, 301]),
    shift=st.integers(0, 5),
    level=st.floats(2, 20000),
)
def test_equals_reference_whatever_the_settings(
    seed, samples, version, frame, stride, filters, cepstral, fft, win, shift, level
):
    config = MfccConfig(
        implementation_version=version, frame_length=frame / 16000, frame_stride=stride / 16000, num_filters=filters,
        num_cepstral=min(cepstral, filters), fft_length=fft, win_size=win, pre_shift=shift, low_frequency=100,
        pre_cof=0.9,
    )  # fmt: skip
    signals = np.stack([noise(samples, seed, level), noise(samples, seed + 1, level)])
    expected = np.stack([compute(signal, config) for signal in signals])
    np.testing.assert_allclose(extract(signals, config), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.block)
def test_chunks_do_not_matter(config):
    signals = batch(4000, clips=5)
    whole = extract(signals, config, chunk=100)
    np.testing.assert_allclose(extract(signals, config, chunk=2), whole, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(extract(signals, config, chunk=2), extract(signals, config, chunk=2))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.block)
def test_silence_and_half_silence(config):
    signals = batch(16000)
    signals[0] = 0
    signals[1, :8000] = 0
    signals[2, 5000:] = 0
    expected = np.stack([compute(signal, config) for signal in signals])
    features = extract(signals, config)
    assert np.isfinite(features).all()
    np.testing.assert_allclose(features[1:], expected[1:], rtol=0, atol=1e-3)
    if isinstance(config, MfccConfig) and config.win_size:
        np.testing.assert_array_equal(features[0], 0.0)
        assert np.abs(expected[0]).max() < 5e-3  # the last bits of a mean, divided by 1e-10
    else:
        np.testing.assert_allclose(features[0], expected[0], rtol=0, atol=1e-5)


def test_takes_tensors_read_only_arrays_and_no_clips():
    signals = batch(16000)
    expected = extract(signals, MfccConfig())
    np.testing.assert_array_equal(extract(torch.from_numpy(signals), MfccConfig()), expected)
    signals.flags.writeable = False
    np.testing.assert_array_equal(extract(signals, MfccConfig()), expected)
    np.testing.assert_array_equal(extract(batch(32000)[:, ::2], LogMelConfig()).shape, (3, 49, 24))
    assert extract(signals[:0], MfccConfig()).shape == (0, 50, 13)


def test_leaves_the_signals_alone():
    signals = batch(16000)
    before = signals.copy()
    for config in CONFIGS:
        extract(signals, config)
    np.testing.assert_array_equal(signals, before)


def test_errors():
    with pytest.raises(DataError, match="int16"):
        extract(np.zeros((2, 16000), np.float32), MfccConfig())
    with pytest.raises(DataError, match="shape"):
        extract(np.zeros(16000, np.int16), MfccConfig())
    with pytest.raises(ConfigError, match="shorter than a frame"):
        extract(np.zeros((2, 100), np.int16), MfccConfig())
    with pytest.raises(ConfigError, match="at most 500"):
        extract(np.zeros((1, 200_000), np.int16), MfccConfig())
    with pytest.raises(ConfigError, match="chunk"):
        extract(batch(16000), MfccConfig(), chunk=0)


def test_reference_imports_no_torch():
    code = (
        "import sys, numpy as np, kws_dendrite.frontend as f\n"
        "f.compute(np.zeros(16000, np.int16), f.MfccConfig())\n"
        "assert 'torch' not in sys.modules\n"
        "assert 'extract' in f.__all__ and not hasattr(f, 'nonsense')\n"
        "assert 'torch' not in sys.modules\n"
        "f.extract\n"
        "assert 'torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
