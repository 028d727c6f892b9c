import numpy as np
import pytest
from clip_folders import tone
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_dendrite.data.augment import AugmentConfig, Draw, augment, draw
from kws_dendrite.data.silence import REFERENCE_RMS, load_noise
from kws_dendrite.data.task import TaskConfig
from kws_dendrite.errors import ConfigError

S = 4000
TASK = TaskConfig(window_seconds=S / 16000)
NOISE = load_noise((), TASK)
SIGNALS = np.stack([tone(S / 16000, 200 + 40 * row) for row in range(8)])
NEVER = np.zeros(8, bool)
STILL = AugmentConfig(dither=0)


def _draw(**changes) -> Draw:
    """A draw that changes nothing, but for `changes`."""
    zeros = np.zeros(8, np.int64)
    plain = {"speed": np.ones(8), "shift": zeros, "gain": np.ones(8), "snr_db": np.full(8, np.inf)}
    plain |= {"noise_start": zeros + 100, "level": np.full(8, 50.0), "dither_start": zeros}
    return Draw(**(plain | {name: np.full(8, value) for name, value in changes.items()}))


def test_a_draw_that_changes_nothing_changes_nothing():
    before = SIGNALS.copy()
    np.testing.assert_array_equal(augment(SIGNALS, NEVER, _draw(), NOISE, STILL), SIGNALS)
    np.testing.assert_array_equal(SIGNALS, before)


@given(st.integers(-800, 800))
@settings(deadline=None, max_examples=20)
def test_shift_moves_and_pads_with_zeros(shift):
    out = augment(SIGNALS, NEVER, _draw(shift=shift), NOISE, STILL)
    expected = np.zeros_like(SIGNALS)
    if shift >= 0:
        expected[:, shift:] = SIGNALS[:, : S - shift]
    else:
        expected[:, :shift] = SIGNALS[:, -shift:]
    np.testing.assert_array_equal(out, expected)


def test_speed_moves_the_pitch():
    window = np.hanning(S)
    for speed in (0.9, 1.1):
        out = augment(SIGNALS, NEVER, _draw(speed=speed), NOISE, STILL)
        for row in range(8):
            spectrum = np.abs(np.fft.rfft(out[row] * window, 16 * S))
            hertz = spectrum.argmax() / 16 / S * 16000
            assert hertz == pytest.approx((200 + 40 * row) * speed, abs=3)


def test_gain_scales_and_clips():
    out = augment(SIGNALS, NEVER, _draw(gain=0.5), NOISE, STILL)
    assert np.abs(out - SIGNALS / 2).max() <= 0.5
    loud = augment(SIGNALS, NEVER, _draw(gain=100.0), NOISE, STILL)
    assert loud.max() == 32767 and loud.min() == -32768


@pytest.mark.parametrize("snr", [0.0, 10.0, 20.0])
def test_noise_stands_at_its_ratio(snr):
    out = augment(SIGNALS, NEVER, _draw(snr_db=snr), NOISE, STILL).astype(float)
    noise = out - SIGNALS
    measured = 10 * np.log10(np.sum(SIGNALS.astype(float) ** 2, axis=1) / np.sum(noise**2, axis=1))
    np.testing.assert_allclose(measured, snr, atol=0.05)
    murmur = NOISE.samples[100 : 100 + S]
    assert np.corrcoef(noise[0], murmur)[0, 1] > 0.99


def test_silence_is_a_new_window_at_its_level():
    silence = np.arange(8) < 3
    out = augment(SIGNALS, silence, _draw(), NOISE, STILL).astype(float)
    np.testing.assert_allclose(out[0], NOISE.samples[100 : 100 + S] * 50.0 / REFERENCE_RMS, atol=0.51)
    np.testing.assert_array_equal(out[3:], SIGNALS[3:])


def test_the_same_seed_gives_the_same_bytes_and_copies_differ():
    config = AugmentConfig()
    silence = np.arange(8) % 3 == 0
    made = []
    for copy in (1, 1, 2):
        drawn = draw(8, S, config, NOISE, 16000, copy)
        made.append(augment(SIGNALS, silence, drawn, NOISE, config).tobytes())
    assert made[0] == made[1] != made[2]
    other = draw(8, S, AugmentConfig(seed=1), NOISE, 16000)
    assert other.digest() != draw(8, S, config, NOISE, 16000).digest()


def test_rows_of_a_draw_make_the_same_clips():
    config = AugmentConfig()
    drawn = draw(8, S, config, NOISE, 16000)
    whole = augment(SIGNALS, NEVER, drawn, NOISE, config)
    part = augment(SIGNALS[3:6], NEVER[3:6], drawn.rows(slice(3, 6)), NOISE, config)
    np.testing.assert_array_equal(whole[3:6], part)


def test_draws_stay_in_their_ranges():
    config = AugmentConfig(speed=(0.9, 1.0), shift_ms=10, gain_db=(-6, 0), snr_db=(5, 6), noise_probability=0.5)
    drawn = draw(4000, S, config, NOISE, 16000)
    assert drawn.speed.min() >= 0.9 and drawn.speed.max() <= 1.0
    assert np.abs(drawn.shift).max() == 160
    assert drawn.gain.min() >= 10 ** (-6 / 20) and drawn.gain.max() <= 1
    noisy = np.isfinite(drawn.snr_db)
    assert 0.45 < noisy.mean() < 0.55
    assert drawn.snr_db[noisy].min() >= 5 and drawn.snr_db[noisy].max() <= 6


def test_silence_has_the_levels_that_are_asked_for():
    usual, narrow = (
        draw(4000, S, config, NOISE, 16000) for config in (AugmentConfig(), AugmentConfig(silence_decades=(-1, 0)))
    )
    levels = np.log10(narrow.level / REFERENCE_RMS)
    assert -1 <= levels.min() < -0.99 and -0.01 < levels.max() <= 0
    assert np.log10(usual.level / REFERENCE_RMS).max() > 1.8
    np.testing.assert_array_equal(usual.noise_start, narrow.noise_start)


def test_a_silent_clip_stays_finite():
    out = augment(np.zeros((8, S), np.int16), NEVER, _draw(snr_db=3.0), NOISE, AugmentConfig())
    assert np.abs(out).max() <= 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"copies": -1}, "copies is -1"),
        ({"speed": (1.2, 0.9)}, "speed is"),
        ({"speed": (0.0, 1.0)}, "speed is"),
        ({"snr_db": (9, 3)}, "snr_db is"),
        ({"shift_ms": -1}, "shift_ms is -1"),
        ({"noise_probability": 1.5}, "noise_probability is 1.5"),
        ({"dither": -1}, "dither is -1"),
        ({"silence_decades": (1, 0)}, "silence_decades is"),
        ({"silence_decades": (-5, 0)}, "silence_decades is"),
        ({"silence_decades": (0, 2.5)}, "silence_decades is"),
    ],
)
def test_settings_that_cannot_be(changes, says):
    with pytest.raises(ConfigError, match=says):
        AugmentConfig(**changes)
