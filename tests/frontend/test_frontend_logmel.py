import numpy as np
import pytest
from golden_vectors import noise
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend import LogMelConfig, logmel, logmel_float64
from kws_dendrite.frontend.logmel import filterbank, hann


def test_one_second_gives_49_frames_of_24():
    features = logmel(noise(16000), LogMelConfig())
    assert features.shape == (49, 24)
    assert features.dtype == np.float32


def test_by_hand():
    signal = noise(480)
    config = LogMelConfig(remove_mean=False)
    window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(480) / 480))
    power = np.abs(np.fft.fft(signal / 32768 * window, 512)[:257]) ** 2
    expected = np.log(filterbank(config) @ power + 1e-6)
    np.testing.assert_allclose(logmel_float64(signal, config), expected[None], rtol=0, atol=1e-12)


def test_window_is_periodic_hann():
    np.testing.assert_allclose(hann(8), [0, 0.1464466, 0.5, 0.8535534, 1, 0.8535534, 0.5, 0.1464466], atol=1e-7)


def test_silence():
    silent = np.zeros(16000, np.int16)
    np.testing.assert_array_equal(logmel(silent, LogMelConfig()), 0.0)
    np.testing.assert_allclose(logmel(silent, LogMelConfig(remove_mean=False)), np.log(1e-6), rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), halvings=st.integers(1, 3))
def test_level_comes_off_with_the_mean(seed, halvings):
    loud = noise(8000, seed=seed, level=8000) // 8 * 8
    config = LogMelConfig(log_offset=1e-30)
    quiet = (loud // 2**halvings).astype(np.int16)
    np.testing.assert_allclose(logmel_float64(quiet, config), logmel_float64(loud, config), rtol=0, atol=1e-9)
    assert abs(logmel_float64(loud, config).mean()) < 1e-12


def test_errors():
    with pytest.raises(ConfigError, match="shorter than a frame of 480"):
        logmel(noise(479), LogMelConfig())
    with pytest.raises(DataError, match="int16"):
        logmel(np.zeros(16000), LogMelConfig())


def test_long_clips_are_allowed():
    assert logmel(noise(16000 * 12), LogMelConfig()).shape == (599, 24)


def test_against_librosa():
    librosa = pytest.importorskip("librosa")
    config = LogMelConfig(frame_length=0.032, frame_stride=0.01, num_filters=40, remove_mean=False)
    signal = noise(16000, seed=5)
    mel = librosa.feature.melspectrogram(
        y=signal / 32768.0, sr=16000, n_fft=512, hop_length=160, window="hann", center=False, power=2.0,
        n_mels=40, fmin=20, fmax=7600, htk=True, norm=None,
    )  # fmt: skip
    theirs = np.log(mel + 1e-6).T
    ours = logmel_float64(signal, config)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
