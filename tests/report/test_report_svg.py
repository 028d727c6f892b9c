import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws_dendrite.report.svg import Scale, arm_order, linear_ticks, log_ticks, marker, padded, padded_log, text


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4))
def test_linear_ticks_are_inside_and_even(low, width):
    ticks = linear_ticks(low, low + width)
    assert 3 <= len(ticks) <= 10
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in ticks)


@given(st.floats(1, 1e5), st.floats(1.35, 1e4))
def test_log_ticks_are_inside(low, factor):
    low, high = padded_log(low, low * factor)
    ticks = log_ticks(low, high)
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(ticks)
    assert 3 <= len(ticks) <= 9


def test_round_values():
    assert linear_ticks(0.76, 0.93) == pytest.approx([0.76, 0.78, 0.8, 0.82, 0.84, 0.86, 0.88, 0.9, 0.92])
    assert log_ticks(80, 12_000) == [100, 300, 1000, 3000, 10_000]


def test_scale():
    scale = Scale(100, 10_000, 0, 200, log=True)
    assert scale(1000) == 100
    assert Scale(0, 1, 100, 0)(0.25) == 75


def test_padding_gives_a_width_to_a_point():
    low, high = padded(0.9, 0.9, least=0.02)
    assert high - low == pytest.approx(0.02)
    low, high = padded_log(700, 700)
    assert low < 700 < high and math.isfinite(high)


def test_arms_keep_their_order_and_markers_differ():
    assert arm_order({"gradient", "plain", "growth"}) == ["plain", "gradient", "growth"]
    assert len({marker(k) for k in range(6)}) == 6


def test_text_is_escaped():
    assert "<b>" not in text(0, 0, "<b>&")
