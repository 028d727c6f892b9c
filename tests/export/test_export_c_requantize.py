"""The cheaper line equals TFLite's two roundings, and LiteRT's one, on every accumulator it may meet."""

import math
from dataclasses import replace

import numpy as np
import pytest

from kws_dendrite.export.c import requantize
from kws_dendrite.export.c.requantize import (
    apply_line,
    finely_equal,
    multiply_by_quantized_multiplier,
    multiply_finely,
    prove,
    quantize_finely,
    quantize_multiplier,
    rounding_in_double,
)

REACH = 1 << 17  # accumulators on either side: 2^18 are compared one by one


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (1 << 30, 1)),
        (0.5, (1 << 30, 0)),
        (0.25, (1 << 30, -1)),
        (0.75, (3 << 29, 0)),
        (1 / 3, (1431655765, -1)),  # 0.6666 * 2^31 = 1431655765.33
        (1 - 2.0**-40, (1 << 30, 1)),  # rounds up to 2^31, halved
        (2.0**-32, (1 << 30, -31)),
        (2.0**-33, (0, 0)),  # below the shifts of the kernels
        (2.0**29, (1 << 30, 30)),
        (2.0**40, ((1 << 31) - 1, 30)),
    ],
)
def test_quantize_multiplier_by_hand(real, expected):
    assert quantize_multiplier(real) == expected


@pytest.mark.parametrize(
    ("x", "real", "expected"),
    # 0.25 is 2^30 / 2^31 and a shift by 1: 9 -> 4.5 -> 5 -> 2.5 -> 3, but -9 -> -4.5 -> -4 -> -2
    [(10, 0.25, 3), (-10, 0.25, -3), (9, 0.25, 3), (-9, 0.25, -2), (5, 2.0, 10), (-5, 2.0, -10), (7, 0.0, 0)],
)
def test_two_roundings_by_hand(x, real, expected):
    m, shift = quantize_multiplier(real)
    assert multiply_by_quantized_multiplier(np.array([x]), np.int64(m), np.int64(shift))[0] == expected


def test_round_in_double_takes_halves_away_from_zero():
    x = np.array([[-10, -9, -6, -2, -1, 0, 1, 2, 6, 9, 10]])
    expected = [-3, -2, -2, -1, 0, 0, 0, 1, 2, 2, 3]
    assert rounding_in_double(np.array([0.25]))(x, None, None)[0].tolist() == expected
    below = np.nextafter(0.5, 0)  # adding a half to it in double gives 1
    assert rounding_in_double(np.array([below]))(np.array([[1, -1]]), None, None).tolist() == [[0, 0]]


def problem(rng):
    """A layer: bounds, biases, multipliers and a zero point such as layers have them."""
    channels = int(rng.integers(1, 5))
    high = int(2 ** rng.uniform(8, 17))
    low = -int(2 ** rng.uniform(8, 17))
    real = 128 / max(high, -low) * 10 ** rng.uniform(-1, 0.7, channels)
    if rng.random() < 0.2:
        real = 2.0 ** -rng.integers(4, 12, channels)  # whole halves
    bias = rng.integers(-abs(low), high, channels) // int(rng.choice([1, 4, 1000]))
    zero_point = int(rng.choice([-128, 127, 0, *rng.integers(-128, 128, 2)]))
    m, shift = np.array([quantize_multiplier(float(value)) for value in real], np.int64).T
    return np.full(channels, low), np.full(channels, high), bias, m, shift, zero_point, real


def compare(seed, multiply=None):
    """Returns whether a line was found; it must agree on all accumulators."""
    low, high, bias, m, shift, zero_point, real = problem(np.random.default_rng(seed))
    multiply = rounding_in_double(real) if multiply is None else multiply
    line = prove(low, high, bias, m, shift, zero_point, -128, 127, multiply)
    if line is None:
        return False
    acc = np.tile(np.arange(low[0], high[0] + 1), (len(m), 1))
    assert acc.size <= len(m) * 2 * REACH + len(m)
    exact = np.clip(multiply(acc + bias[:, None], m[:, None], shift[:, None]) + zero_point, -128, 127)
    np.testing.assert_array_equal(apply_line(line, acc), exact)
    u = (acc << requantize.SHIFT_IN) + line.offset[:, None]
    assert np.abs(np.where(u < 0, u - line.negative[:, None], u)).max() < 1 << 31, "u leaves int32"
    assert (line.multiplier < 1 << 31).all() and (line.multiplier > 0).all()
    assert np.abs(((u * line.multiplier[:, None]) >> 32) + line.center).max() < 1 << 31, "the sum leaves int32"
    return True


def test_line_equals_two_roundings():
    found = sum(compare(seed, multiply_by_quantized_multiplier) for seed in range(120))
    assert found >= 60, "lines are rare: nothing was compared"


def test_line_equals_one_rounding():
    found = sum(compare(seed) for seed in range(120))
    assert found >= 60, "lines are rare: nothing was compared"


@pytest.mark.slow
def test_line_equals_both_forms_under_more_scales():
    for seed in range(1000, 2200):
        compare(seed, multiply_by_quantized_multiplier)
        compare(seed)


def lines(count, seed=0):
    """Layers with a line, and the arguments of `_holds`."""
    found = []
    while len(found) < count:
        seed += 1
        low, high, bias, m, shift, zero_point, _ = problem(np.random.default_rng(seed))
        line = prove(low, high, bias, m, shift, zero_point, -128, 127)
        if line is not None:
            q = np.arange(-127, 128, dtype=np.int64)
            steps = requantize._steps(low, high, bias, m, shift, zero_point, q, multiply_by_quantized_multiplier)
            found.append((line, (steps, low, high, q), (low, high, bias, m, shift, zero_point)))
    return found


def agrees(line, low, high, bias, m, shift, zero_point):
    """By every accumulator, not by steps."""
    acc = np.tile(np.arange(low[0], high[0] + 1), (len(m), 1))
    exact = multiply_by_quantized_multiplier(acc + bias[:, None], m[:, None], shift[:, None]) + zero_point
    return (apply_line(line, acc) == np.clip(exact, -128, 127)).all()


def test_check_of_a_line_says_what_every_accumulator_says():
    """Broken on purpose, by little and by much: `_holds` must be right about each, and refuse some."""
    refused = 0
    for line, arguments, layer in lines(15):
        assert requantize._holds(line, *arguments)
        for step in (1, -1, 40, -40, 700, -700, 1 << 14, -(1 << 14)):
            for part in ("offset", "multiplier", "negative"):
                broken = replace(line, **{part: getattr(line, part) + step})
                holds = requantize._holds(broken, *arguments)
                assert holds == agrees(broken, *layer), (part, step)
                refused += not holds
        far = replace(line, offset=line.offset + (1 << 31))
        assert not requantize._holds(far, *arguments), "u outside int32"
    assert refused > 150


def test_no_line_where_it_cannot_hold():
    one = np.ones(1, np.int64)
    m, shift = quantize_multiplier(0.01)
    layer = one * m, one * shift, 0
    assert prove(-one * 1000, one * 1000, one * 0, *layer, -128, 127) is not None
    assert prove(-one * 1000, one * 1000, one * 0, *layer, 0, 127) is None, "a clamp that is not the saturation"
    assert prove(-one << 20, one << 20, one * 0, *layer, -128, 127) is None, "u outside int32"
    assert prove(-one * 1000, one * 1000, one << 20, *layer, -128, 127) is None, "u outside int32"
    assert prove(-one * 1000, one * 1000, one * 0, one * 0, one * 0, 0, -128, 127) is None, "a multiplier of 0"


@pytest.mark.parametrize("real", [0.25, 1 / 3, 0.1, 1.5, 3e-6, 2.0**-31, 0.99999999999])
def test_fine_multiplier_is_just_above_the_real_one(real):
    m, fine, shift = quantize_finely(real)
    value = (m + fine / (1 << requantize.FINE)) * 2.0 ** (shift - 31)
    assert real <= value <= real * (1 + 2.0**-45)
    assert 1 << 30 <= m < 1 << 31 and 0 <= fine < 1 << requantize.FINE


def test_fine_integer_form_equals_double_where_it_says_so():
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(60):
        real = 10 ** rng.uniform(-3, 0) if rng.random() < 0.7 else int(rng.integers(1, 9)) / int(rng.integers(9, 64))
        reach = min(int(200 / real), 4000)
        low, high, bias, point = -reach, reach, int(rng.integers(-reach, reach)), int(rng.integers(-128, 128))
        x = np.arange(low, high + 1)
        exact = np.clip(rounding_in_double(np.array([real]))((x + bias)[None], None, None)[0] + point, -128, 127)
        form = quantize_finely(real)
        mine = np.clip([multiply_finely(int(value) + bias, *form) + point for value in x], -128, 127)
        assert finely_equal(low, high, bias, real, point) == (mine == exact).all()
        held += (mine == exact).all()
    assert held >= 50


def test_fine_integer_form_is_refused_where_double_rounds_halves_down():
    """180 * 0.175 is 31.5, in double just below it, while 20 * 0.175 comes out at 3.5: no multiplier does both."""
    assert math.floor(180 * 0.175 + 0.5) == 31 and math.floor(20 * 0.175 + 0.5) == 4
    assert not finely_equal(-200, 200, 0, 0.175, 0)


@pytest.mark.parametrize("real", [2.0**-33, 2.0**31])
def test_fine_multiplier_out_of_range(real):
    with pytest.raises(ValueError, match="outside"):
        quantize_finely(real)
    assert not finely_equal(-100, 100, 0, real, 0)
