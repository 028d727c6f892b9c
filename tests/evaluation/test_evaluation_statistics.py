import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.evaluation import clip_bootstrap, holm, paired_difference, t_interval, wilson_interval


@pytest.mark.parametrize(("right", "low", "high"), [(154, 0.885, 0.962), (152, 0.870, 0.953)])
def test_wilson_of_two_published_accuracies(right, low, high):
    got = wilson_interval(right, 165)
    assert (round(got[0], 3), round(got[1], 3)) == (low, high)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_equals_scipy(counts, level):
    right, clips = counts
    expected = stats.binomtest(right, clips).proportion_ci(level, method="wilson")
    assert wilson_interval(right, clips, level) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_ends_are_exact():
    assert wilson_interval(0, 20)[0] == 0.0
    assert wilson_interval(20, 20)[1] == 1.0


@pytest.mark.parametrize(("right", "clips", "level", "error"), [
    (0, 0, 0.95, DataError), (-1, 5, 0.95, DataError), (6, 5, 0.95, DataError), (float("nan"), 5, 0.95, DataError),
    (3, 5, 95, ConfigError), (3, 5, 0.0, ConfigError),
])  # fmt: skip
def test_wilson_refuses(right, clips, level, error):
    with pytest.raises(error):
        wilson_interval(right, clips, level)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12).filter(lambda v: np.std(v) > 1e-6))
def test_t_interval_equals_scipy(values):
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert t_interval(values) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_t_interval_refuses_one_value_and_nan():
    with pytest.raises(DataError, match="two values"):
        t_interval([0.9])
    with pytest.raises(DataError, match="finite"):
        t_interval([0.9, float("nan")])


def test_paired_difference_equals_scipy():
    rng = np.random.default_rng(3)
    first, second = rng.normal(0.88, 0.01, 6), rng.normal(0.87, 0.01, 6)
    got, expected = paired_difference(first, second), stats.ttest_rel(first, second)
    interval = expected.confidence_interval(0.95)
    assert got.p_value == pytest.approx(expected.pvalue)
    assert got.interval == pytest.approx((interval.low, interval.high))
    assert got.mean == pytest.approx(np.mean(first - second))
    assert got.wins == (first > second).sum()
    assert got.pairs == 6
    assert got.to_json()["interval"] == list(got.interval)


def test_paired_difference_without_spread():
    assert paired_difference([0.5, 0.5], [0.5, 0.5]).p_value == 1.0
    assert paired_difference([0.75, 0.75], [0.5, 0.5]).p_value == 0.0
    with pytest.raises(DataError, match="equal shapes"):
        paired_difference([0.5, 0.5], [0.5])


def test_clip_bootstrap_equals_drawing_clips():
    rng = np.random.default_rng(7)
    first, second = rng.random((3, 400)) < 0.9, rng.random((2, 400)) < 0.86
    got = clip_bootstrap(first, second, np.random.default_rng(0), resamples=20_000)
    difference = first.mean(0) - second.mean(0)
    drawn = difference[np.random.default_rng(1).integers(0, 400, (20_000, 400))].mean(1)
    assert got.mean == pytest.approx(difference.mean())
    assert got.interval == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1.5e-3)


def test_clip_bootstrap_draws_whole_speakers():
    """Each clip four times, a speaker's: the interval is that of the clips once, not half as wide."""
    rng = np.random.default_rng(4)
    first, second = rng.random((3, 80)) < 0.8, rng.random((3, 80)) < 0.7
    once = clip_bootstrap(first, second, np.random.default_rng(0)).interval
    groups = np.tile(np.arange(80), 4)
    copied = clip_bootstrap(np.tile(first, 4), np.tile(second, 4), np.random.default_rng(0), groups=groups).interval
    single = clip_bootstrap(np.tile(first, 4), np.tile(second, 4), np.random.default_rng(0)).interval
    assert copied == pytest.approx(once, abs=0.01)
    assert np.diff(copied) > 1.8 * np.diff(single)


def test_clip_bootstrap_is_paired_and_repeats():
    right = np.random.default_rng(0).random(200) < 0.8
    same = clip_bootstrap(right, right, np.random.default_rng(0))
    assert same.interval == (0.0, 0.0)  # unpaired, this would be several points wide
    other = np.roll(right, 1)
    runs = [clip_bootstrap(right, other, np.random.default_rng(5)).to_json() for _ in range(2)]
    assert runs[0] == runs[1]


def test_clip_bootstrap_refuses():
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="same clips"):
        clip_bootstrap([1, 0], [1, 0, 1], rng)
    with pytest.raises(DataError, match="right"):
        clip_bootstrap([0.3, 0.1], [1, 0], rng)
    with pytest.raises(DataError):
        clip_bootstrap([], [], rng)
    with pytest.raises(ConfigError, match="resamples"):
        clip_bootstrap([1], [1], rng, resamples=3)


def test_holm_of_an_example_by_hand():
    """0.01 x 4, 0.02 x 3, 0.03 x 2 raised to the one before it, 0.4 x 1; in the order given."""
    assert holm([0.03, 0.4, 0.01, 0.02]) == pytest.approx([0.06, 0.4, 0.04, 0.06])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_p_value_and_bonferronis(values):
    corrected = holm(values)
    assert (corrected >= np.array(values) - 1e-12).all()
    assert (corrected <= np.minimum(np.array(values) * len(values), 1) + 1e-12).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(corrected[order]) >= 0).all()
    assert corrected[order[0]] == pytest.approx(min(values[order[0]] * len(values), 1))


def test_holm_keeps_the_familywise_error():
    """2,000 families of six true null hypotheses: at most 5 % of families, give or take, call any of them real."""
    rng = np.random.default_rng(8)
    wrong = np.mean([(holm(rng.random(6)) < 0.05).any() for _ in range(2000)])
    assert 0.03 < wrong < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)


def test_holm_of_none():
    assert holm([]).shape == (0,)


@pytest.mark.parametrize("values", [[0.1, 1.1], [-0.1], [float("nan")], [[0.1]]])
def test_holm_refuses(values):
    with pytest.raises(DataError, match="p values"):
        holm(values)
