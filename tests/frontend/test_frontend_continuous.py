import numpy as np
import pytest

from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend import LogMelConfig, MfccConfig, mfcc
from kws_dendrite.frontend.continuous import ContinuousMfcc, draw_offsets, extract_continuous, hear_off_step

RATE = 16000


def speech(samples, seed=0):
    random = np.random.default_rng(seed)
    level = np.repeat(random.uniform(50, 4000, samples // 400 + 1), 400)[:samples]
    return np.rint(level * random.standard_normal(samples)).clip(-32768, 32767).astype(np.int16)


def pushed(stream, config, window=RATE, slices=4):
    """What the device has after each slice."""
    block = ContinuousMfcc(config, window, slices)
    return [block.push(part) for part in stream.reshape(-1, window // slices)]


SETTINGS = [
    ({}, 4),
    ({}, 2),
    ({}, 1),
    ({"frame_length": 0.032, "frame_stride": 0.024}, 4),  # a grid that a second does not hold whole
    ({"frame_length": 0.025, "frame_stride": 0.01, "fft_length": 512}, 4),  # frames that span slices three times
    ({"frame_length": 0.05, "frame_stride": 0.025, "win_size": 11}, 8),
    ({"win_size": 0, "pre_shift": 3}, 5),
    ({"implementation_version": 3, "low_frequency": 300}, 4),
]


@pytest.mark.parametrize(("settings", "slices"), SETTINGS)
def test_all_at_once_is_the_stream_slice_by_slice(settings, slices):
    config = MfccConfig(**settings)
    stream = speech(2 * RATE)
    states = pushed(stream, config, RATE, slices)
    full = [index for index, state in enumerate(states) if state is not None]
    assert full[0] in (slices - 1, slices) and full == list(range(full[0], 2 * slices))
    for index in full:
        heard = stream[None, : (index + 1) * RATE // slices]
        if heard.shape[1] >= RATE:
            at_once = extract_continuous(heard, config, RATE, slices)[0]
            np.testing.assert_allclose(at_once, states[index], atol=2e-5 if config.win_size else 2e-4)


def test_pre_emphasis_wraps_in_every_slice_and_nothing_else_differs():
    """Without normalisation, only the frames that hold a slice's first sample differ from the clip's own."""
    clip = speech(RATE)
    alone = mfcc(clip, MfccConfig(win_size=0))
    sliced = pushed(clip, MfccConfig(win_size=0))[-1]
    unlike = np.flatnonzero(np.abs(alone - sliced).max(axis=1) > 1e-4)
    assert unlike.tolist() == [0, 12, 25, 37]  # samples 0 (it wraps elsewhere), 4000, 8000, 12000
    np.testing.assert_array_equal(mfcc(clip, MfccConfig(win_size=0, pre_cof=0)),
                                  pushed(clip, MfccConfig(win_size=0, pre_cof=0))[-1])  # fmt: skip


def test_one_slice_a_window_is_the_clip_itself():
    clip = speech(RATE)
    np.testing.assert_allclose(pushed(clip, MfccConfig(), slices=1)[-1], mfcc(clip, MfccConfig()), atol=1e-6)


def test_frames_lie_on_the_streams_grid():
    """41 frames of 24 ms a window, 83 in two: the second window's oldest frame begins 8 ms into its second."""
    config = MfccConfig(frame_length=0.032, frame_stride=0.024, pre_cof=0, win_size=0)
    stream = speech(2 * RATE)
    state = pushed(stream, config)[-1]
    first = (83 - 41) * 384
    assert first - RATE == 128
    np.testing.assert_allclose(state, mfcc(stream[first:], config), atol=1e-5)


def test_a_frame_of_no_whole_samples_is_lost_between_slices():
    """11,025 Hz: 220.5 samples are 221 in a clip, 220 of which are kept over a slice's end, too few for a frame."""
    config = MfccConfig(sampling_freq=11025, win_size=0, frame_stride=0.0195011)
    window = 11025 // 5 * 5
    stream = speech(3 * window)
    block = ContinuousMfcc(config, window, 5)
    with pytest.raises(ConfigError, match="less in continuous mode"):
        extract_continuous(stream[None], config, window, 5)
    seconds = [block.push(part) for part in stream.reshape(-1, window // 5)]
    assert block._written < (len(stream) - 221) // config.stride_samples
    assert seconds[-1] is not None


@pytest.mark.parametrize(
    ("config", "window", "slices", "says"),
    [
        (LogMelConfig(), RATE, 4, "simulated for mfcc, got logmel"),
        (MfccConfig(frame_stride=0.03), RATE, 4, "refuses a stride above the frame"),
        (MfccConfig(), RATE, 3, "3 slices do not divide"),
        (MfccConfig(), RATE, 0, "0 slices do not divide"),
        (MfccConfig(), RATE, 64, "shorter than a frame of 320"),
    ],
)
def test_refuses_what_the_device_refuses(config, window, slices, says):
    with pytest.raises(ConfigError, match=says):
        ContinuousMfcc(config, window, slices)


@pytest.mark.parametrize(
    "streams", [np.zeros((1, RATE)), np.zeros((2, 15999), np.int16), np.zeros((2, 4000), np.int16)]
)
def test_refuses_other_streams(streams):
    with pytest.raises(DataError, match="whole slices of 4000"):
        extract_continuous(streams, MfccConfig(), RATE)


def test_windows_off_step():
    clips = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [1, 2, 3, 4]], np.int16)
    heard = hear_off_step(clips, np.array([0, 1, -2]))
    assert heard.tolist() == [[1, 2, 3, 4], [6, 7, 8, 8], [2, 1, 1, 2]] and heard.dtype == np.int16
    np.testing.assert_array_equal(hear_off_step(clips, np.zeros(3, int)), clips)
    offsets = draw_offsets(1000, RATE, np.random.default_rng(0))
    assert offsets.min() >= -2000 and offsets.max() <= 2000 and np.ptp(offsets) > 3900


def test_refuses_other_slices():
    with pytest.raises(DataError, match="expected a slice of 4000 samples, got 3999"):
        ContinuousMfcc(MfccConfig(), RATE).push(np.zeros(3999, np.int16))
