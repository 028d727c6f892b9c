import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression
from tiny_rows import scored

from kws_dendrite.errors import DataError
from kws_dendrite.study.comparison import Scored
from kws_dendrite.study.compression import compress, isotonic, parameters_at

LOGS = np.log([500.0, 1000.0, 2000.0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_isotonic_equals_scipys(values):
    assert isotonic(values) == pytest.approx(isotonic_regression(np.array(values)).x, abs=1e-12)


@pytest.mark.parametrize(
    ("accuracy", "parameters"),
    [(0.8, 500), (0.85, 500 * math.sqrt(2)), (0.9, 1000), (0.95, 2000)],
)
def test_parameters_at_an_accuracy(accuracy, parameters):
    assert math.exp(parameters_at(accuracy, LOGS, np.array([0.8, 0.9, 0.95]))) == pytest.approx(parameters)


def test_beyond_the_curve_there_is_no_number():
    curve = np.array([0.8, 0.9, 0.95])
    assert parameters_at(0.96, LOGS, curve) == math.inf
    assert parameters_at(0.79, LOGS, curve) == -math.inf


def test_on_a_level_stretch_the_fewest_parameters_count():
    assert parameters_at(0.9, LOGS, np.array([0.8, 0.9, 0.9])) == LOGS[1]
    assert parameters_at(0.9, LOGS, np.array([0.9, 0.9, 0.9])) == LOGS[0]


def curve_of(shares, spread=0.01, P=6):
    rng = np.random.default_rng(0)
    return [
        scored("plain", tuple(share + spread * rng.standard_normal(P)), size=size, seed=size)
        for size, share in shares.items()
    ]


def test_half_the_parameters_at_equal_accuracy_is_a_factor_of_two():
    plain = curve_of({500: 0.7, 1000: 0.8, 2000: 0.9}, spread=0.004)
    arm = scored("gradient", (0.8,) * 6, size=500, seed=5)
    (one,) = compress([arm], plain, "plain", np.random.default_rng(0), draws=400)
    assert one.factor == pytest.approx(2, rel=0.08)
    assert one.interval[0] < one.factor < one.interval[1]
    assert one.interval[0] > 1.3
    assert one.gain == pytest.approx(0.1, abs=0.01)
    assert one.gain_interval[0] < one.gain < one.gain_interval[1]


@pytest.mark.parametrize(("seeds", "least", "most"), [(3, 0.92, 0.97), (10, 0.93, 0.97)])
def test_an_interval_of_few_seeds_holds_as_often_as_it_says(seeds, least, most):
    """Studies of an arm that gains nothing over the plain nets."""
    rng = np.random.default_rng(1)
    sizes = {500: 0.7, 1000: 0.8}
    plain = [scored("plain", (share,) * seeds, size=size, tested=False) for size, share in sizes.items()]
    held = 0
    for _ in range(400):
        arm = scored("gradient", tuple(0.7 + 0.01 * rng.standard_normal(seeds)), size=500, tested=False)
        (one,) = compress([arm], plain, "plain", rng, draws=300)
        held += one.gain_interval[0] <= 0 <= one.gain_interval[1]
    assert least < held / 400 < most


def test_clips_of_one_speaker_are_drawn_together():
    """Four clips a speaker, alike: twice the width of clips drawn one by one."""
    rng = np.random.default_rng(3)
    nets = [
        Scored(one.row, table.mean(1), np.repeat(table, 4, 1), None, None, np.repeat(np.arange(200), 4))
        for one, table in (
            (scored("plain", (0.7,) * 4, size=500), np.repeat(rng.random((1, 200)) < 0.7, 4, 0)),
            (scored("plain", (0.8,) * 4, size=1000), np.repeat(rng.random((1, 200)) < 0.8, 4, 0)),
            (scored("gradient", (0.7,) * 4, size=500), np.repeat(rng.random((1, 200)) < 0.7, 4, 0)),
        )
    ]
    loose = [replace(net, speakers=None) for net in nets]
    (together,), (apart,) = (
        compress(found[2:], found[:2], "plain", np.random.default_rng(0)) for found in (nets, loose)
    )
    assert np.diff(together.gain_interval) == pytest.approx(2 * np.diff(apart.gain_interval), rel=0.1)


def test_a_plain_net_against_its_own_curve_saves_nothing():
    plain = curve_of({500: 0.7, 1000: 0.8, 2000: 0.9})
    (one,) = compress([plain[1]], plain, "plain", np.random.default_rng(0), draws=400)
    assert (one.factor, one.gain) == (pytest.approx(1), pytest.approx(0))
    assert one.interval == pytest.approx((1, 1))  # the same draws for the same net


def test_a_curve_that_falls_is_levelled_first():
    plain = curve_of({500: 0.7, 1000: 0.9, 2000: 0.8}, spread=0.0)
    arm = scored("gradient", (0.84,) * 6, size=500, seed=5)
    (one,) = compress([arm], plain, "plain", np.random.default_rng(0), draws=400)
    assert 500 < one.plain_parameters < 1000


def test_out_of_reach_is_said_in_words():
    plain = curve_of({500: 0.7, 1000: 0.8})
    best = scored("gradient", (0.95,) * 6, size=500, seed=5)
    worst = scored("perforated", (0.4,) * 6, size=500, seed=6)
    above, below = (
        one.to_json() for one in compress([best, worst], plain, "plain", np.random.default_rng(0), draws=200)
    )
    assert above["factor"] == "above" and above["interval"][1] == "above"
    assert below["factor"] == "below" and below["interval"][0] == "below"


def test_outside_the_sizes_of_the_curve_there_is_no_gain():
    plain = curve_of({500: 0.7, 1000: 0.8})
    arm = scored("gradient", (0.75,) * 6, size=300, seed=5)
    (one,) = compress([arm], plain, "plain", np.random.default_rng(0), draws=200)
    assert one.gain is None and one.gain_interval is None and one.factor > 1


def test_one_seed_has_no_interval():
    plain = [scored("plain", (0.7,), size=500), scored("plain", (0.8,), size=1000)]
    (one,) = compress([scored("gradient", (0.75,), size=500)], plain, "plain", np.random.default_rng(0))
    assert one.interval is None and one.factor > 1


def test_one_size_is_no_curve():
    with pytest.raises(DataError, match="two sizes"):
        compress([], [scored("plain")], "plain", np.random.default_rng(0))
