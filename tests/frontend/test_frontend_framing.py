import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws_dendrite.frontend.framing import (
    count_frames,
    lift_zeros,
    near_ceil,
    power_spectrum,
    preemphasise,
    split_frames,
)


@pytest.mark.parametrize(
    ("value", "whole"), [(320.0, 320), (320.0005, 320), (320.0011, 321), (319.9999, 320), (320.5, 321)]
)
def test_near_ceil(value, whole):
    assert near_ceil(value) == whole


# Frames of a clip at 16 kHz, as the block counts them.
@pytest.mark.parametrize(
    ("samples", "frame", "stride", "frames"),
    [
        (16000, 320, 320, 50),
        (16000, 400, 160, 98),
        (16000, 400, 320, 49),
        (16000, 512, 384, 41),
        (16000, 512, 256, 61),
        (16000, 800, 400, 39),
        (15999, 320, 320, 49),
        (16001, 320, 320, 50),
        (319, 320, 320, 0),
    ],
)
def test_frame_counts(samples, frame, stride, frames):
    assert count_frames(samples, frame, stride) == frames


@given(st.integers(1, 3000), st.integers(1, 400), st.integers(1, 400))
def test_frames_are_all_that_fit(samples, frame, stride):
    frames = count_frames(samples, frame, stride)
    if samples < frame:
        assert frames < 1
        return
    assert (frames - 1) * stride + frame <= samples < frames * stride + frame
    signal = np.arange(samples)
    split = split_frames(signal, frame, stride)
    assert split.shape == (frames, frame)
    assert split[-1, 0] == (frames - 1) * stride


def test_preemphasis_by_hand():
    signal = np.array([10.0, 20.0, 40.0])
    np.testing.assert_allclose(preemphasise(signal, 0.5, 1), [10 - 20, 20 - 5, 40 - 10])
    np.testing.assert_allclose(preemphasise(signal, 0.5, 2), [10 - 10, 20 - 20, 40 - 5])


@pytest.mark.parametrize("frame", [5, 8, 11])  # padded, exact, cut
def test_power_by_direct_transform(frame):
    values = np.random.default_rng(1).standard_normal((3, frame))
    used = np.zeros((3, 8))
    used[:, : min(frame, 8)] = values[:, :8]
    angle = np.exp(-2j * np.pi * np.outer(np.arange(8), np.arange(5)) / 8)
    np.testing.assert_allclose(power_spectrum(values, 8), np.abs(used @ angle) ** 2 / 8, atol=1e-12)


def test_lift_zeros_touches_zeros_alone():
    np.testing.assert_array_equal(lift_zeros(np.array([0.0, 1e-300, 2.0])), [1e-10, 1e-300, 2.0])
