import itertools

import numpy as np
import pytest
from clip_folders import RATE, write

from kws_dendrite.data.silence import (
    LEVEL_DECADES,
    REFERENCE_RMS,
    SPANS,
    cut_silence,
    load_noise,
    read_noise,
    silence_clips,
    span,
    with_levels,
)
from kws_dendrite.data.task import TaskConfig
from kws_dendrite.errors import DataError

COUNTS = {"train": 60, "validation": 20, "test": 20}


@pytest.fixture
def noise(tmp_path):
    rng = np.random.default_rng(1)
    return tuple(
        write(tmp_path / f"{name}.wav", np.rint(rms * rng.standard_normal(12 * RATE)).astype(np.int16))
        for name, rms in (("a", 40), ("b", 400))
    )


def test_each_clip_stays_in_its_partitions_time(noise):
    clips = silence_clips(noise, COUNTS, 2, TaskConfig())
    assert len(clips) == 100 and {clip.label for clip in clips} == {2}
    for clip in clips:
        first, last = SPANS[clip.partition]
        assert first * 12 * RATE <= clip.start and clip.start + RATE <= last * 12 * RATE
    assert {clip.path for clip in clips} == set(noise)


def test_spans_do_not_overlap():
    for samples in (1, 7, 16001, 191999):
        edges = [span(samples, partition) for partition in SPANS]
        assert edges[0][0] == 0 and edges[-1][1] == samples
        assert all(left[1] == right[0] for left, right in itertools.pairwise(edges))


def test_levels_span_four_decades_whatever_the_recordings_level(noise):
    task = TaskConfig()
    clips = silence_clips(noise, {"train": 400}, 0, task)
    recordings = read_noise(noise, task)
    levels = np.log10([clip.level / REFERENCE_RMS for clip in clips])
    assert LEVEL_DECADES[0] <= levels.min() < -1.8 and 1.7 < levels.max() <= LEVEL_DECADES[1]
    for clip in clips[:50]:
        samples = cut_silence(recordings, clip, RATE).astype(float)
        if 10 < clip.level < 5000:  # below, int16 rounding; above, clipping
            assert np.sqrt(np.mean(samples**2)) == pytest.approx(clip.level, rel=0.1)
        assert np.abs(samples).max() <= 32768


def test_training_silence_moves_to_another_range(noise):
    clips = tuple(silence_clips(noise, COUNTS, 0, TaskConfig()))
    assert with_levels(clips, LEVEL_DECADES) == clips
    moved = with_levels(clips, (-1.0, 0.5))
    for before, after in zip(clips, moved, strict=True):
        assert (after == before) == (before.partition != "train")
    train = [np.log10(clip.level / REFERENCE_RMS) for clip in clips if clip.partition == "train"]
    there = [np.log10(clip.level / REFERENCE_RMS) for clip in moved if clip.partition == "train"]
    assert -1 <= min(there) < -0.9 and 0.4 < max(there) <= 0.5
    np.testing.assert_array_equal(np.argsort(train), np.argsort(there))
    assert {clip.level for clip in with_levels(clips, (0.0, 0.0)) if clip.partition == "train"} == {REFERENCE_RMS}


def test_same_seed_same_clips(noise):
    assert silence_clips(noise, COUNTS, 0, TaskConfig()) == silence_clips(noise, COUNTS, 0, TaskConfig())
    assert silence_clips(noise, COUNTS, 0, TaskConfig()) != silence_clips(noise, COUNTS, 0, TaskConfig(seed=1))


def test_pool_windows_stay_within_one_recording(noise):
    pool = load_noise(noise, TaskConfig(), "train")
    starts = pool.draw_starts(1000, RATE, np.random.default_rng(0))
    inside = [any(low <= start and start + RATE <= high for low, high in pool.bounds) for start in starts]
    assert all(inside)
    for low, high in pool.bounds:
        assert np.sqrt(np.mean(pool.samples[low:high] ** 2)) == pytest.approx(REFERENCE_RMS, rel=0.05)


def test_synthetic_noise_has_its_colour_and_its_seed():
    task = TaskConfig()
    found = read_noise((), task)
    again = read_noise((), task)
    slopes = []
    for name, samples in found.items():
        np.testing.assert_array_equal(samples, again[name])
        power = np.abs(np.fft.rfft(samples)) ** 2
        octave = [power[60 * low : 60 * 2 * low].mean() for low in (200, 1600)]  # a minute: 60 bins a hertz
        slopes.append(np.log2(octave[0] / octave[1]) / 3)
    np.testing.assert_allclose(slopes, [0, 1, 2], atol=0.1)
    assert len(silence_clips((), COUNTS, 0, task)) == 100


def test_noise_that_is_too_short_is_named(tmp_path):
    path = write(tmp_path / "blip.wav", np.ones(RATE, np.int16))
    with pytest.raises(DataError, match=r"blip\.wav\) are too short: at least one of 10 seconds"):
        silence_clips((path,), COUNTS, 0, TaskConfig())
    with pytest.raises(DataError, match="too short"):
        load_noise((path,), TaskConfig(), "test")
