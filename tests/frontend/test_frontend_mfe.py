import numpy as np
import pytest
from golden_vectors import MFE, load, noise

from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend import MfeConfig, mfe, mfe_float64


def test_all_golden_vectors_are_here():
    assert len(MFE) == 4


@pytest.mark.parametrize("name", MFE)
@pytest.mark.parametrize("compute", [mfe, mfe_float64])
def test_equals_golden_but_for_the_wrap(name, compute):
    golden = load(name)
    ours = compute(golden.signal, golden.config)
    top = ours == 1.0
    np.testing.assert_array_equal(golden.features[top], 0.0)  # wrapped in the block's Python, 1 on the device
    np.testing.assert_array_equal(ours[~top], golden.features[~top])


def test_some_golden_values_do_wrap():
    golden = load("mfe_v4_default40_1s")
    assert (mfe(golden.signal, golden.config) == 1.0).sum() == 28


def test_values_are_bytes_over_256_and_full_scale_is_1():
    rng = np.random.default_rng(0)
    loud = rng.choice(np.array([-32768, 32767], np.int16), 16000)
    features = mfe(loud, MfeConfig())
    assert features.dtype == np.float32
    assert features.max() == 1.0
    np.testing.assert_array_equal(features * 256, np.round(features * 256))


def test_silence_is_zero():
    np.testing.assert_array_equal(mfe(np.zeros(16000, np.int16), MfeConfig()), 0.0)


def test_noise_floor_zeroes_what_is_below():
    signal = noise(16000, level=30)
    assert (mfe(signal, MfeConfig(noise_floor_db=-20)) == 0).all()
    assert (mfe(signal, MfeConfig(noise_floor_db=-200)) > 0).all()


def test_win_size_is_not_read():
    signal = noise(16000)
    np.testing.assert_array_equal(mfe(signal, MfeConfig(win_size=0)), mfe(signal, MfeConfig(win_size=301)))


def test_default_shape():
    assert mfe(noise(16000), MfeConfig()).size == 3960  # what Edge Impulse's own blocks count on


def test_errors():
    with pytest.raises(ConfigError, match="shorter than a frame"):
        mfe(noise(319), MfeConfig())
    with pytest.raises(ConfigError, match="at most 500"):
        mfe(noise(90_000), MfeConfig())
    with pytest.raises(DataError, match="int16"):
        mfe(np.zeros(16000, np.float32), MfeConfig())
