import numpy as np
import pytest
from golden_vectors import DEGENERATE, MFCC, load
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_dendrite.frontend.cmvn import cmvn, window_weights


@pytest.mark.parametrize("name", sorted(name for name in MFCC if load(name).config.win_size))
def test_equals_golden_to_the_bit(name):
    golden = load(name)
    ours = cmvn(golden.arrays["mfcc_before_cmvn"], golden.config.win_size)
    if name in DEGENERATE:  # the last bit of a mean, divided by 1e-10
        np.testing.assert_allclose(ours, golden.arrays["features_2d"], rtol=0, atol=1e-3)
    else:
        np.testing.assert_allclose(ours, golden.arrays["features_2d"], rtol=0, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 40), half=st.integers(0, 60))
def test_weights_are_the_reflected_window(frames, half):
    features = np.random.default_rng(frames * 97 + half).standard_normal((frames, 3))
    padded = np.pad(features, ((half, half), (0, 0)), mode="symmetric")
    expected = np.stack([padded[i : i + 2 * half + 1].mean(axis=0) for i in range(frames)])
    weights = window_weights(frames, 2 * half + 1)
    np.testing.assert_allclose(weights @ features, expected, atol=1e-12)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)


def test_window_of_one_leaves_nothing():
    np.testing.assert_array_equal(cmvn(np.random.default_rng(0).standard_normal((7, 2)), 1), 0.0)


def test_it_is_not_global_normalisation():
    # 101 frames over a clip of 50: each window sees the clip with other weights, so the mean is not zero.
    features = np.random.default_rng(0).standard_normal((50, 2)).cumsum(axis=0)
    assert np.abs(cmvn(features, 101).mean(axis=0)).max() > 1e-4
