import numpy as np
import pytest
from scipy import stats

from kws_dendrite.errors import DataError
from kws_dendrite.evaluation import crossed_difference, paired_difference
from kws_dendrite.evaluation.crossed import by_group


def tables(rng, seeds, clips, seed_spread, clip_spread, gain=0.0):
    """Two nets whose chances of being right differ by `gain` on average, by seed and by clip more or less."""
    easy = rng.uniform(0.5, 0.95, clips)
    shift = gain + seed_spread * rng.standard_normal(seeds)[:, None] + clip_spread * rng.standard_normal(clips)
    first = rng.random((seeds, clips)) < np.clip(easy + shift / 2, 0, 1)
    return first, rng.random((seeds, clips)) < np.clip(easy - shift / 2, 0, 1)


def test_mean_squares_are_those_of_the_textbook():
    """Two-way layout without replication, by definition: sums over the whole table."""
    rng = np.random.default_rng(1)
    first, second = tables(rng, 12, 50, 0.1, 0.2)
    d = first.astype(float) - second
    P, N = d.shape
    ms_p = N * d.mean(1).var(ddof=1)
    ms_n = P * d.mean(0).var(ddof=1)
    rest = d - d.mean(1, keepdims=True) - d.mean(0, keepdims=True) + d.mean()
    ms_e = (rest**2).sum() / ((P - 1) * (N - 1))
    found = crossed_difference(first, second)
    variance = (ms_p + ms_n - ms_e) / (P * N)
    assert variance > max(ms_p, ms_n) / (P * N)  # else the floor would be what is tested
    freedom = (ms_p + ms_n - ms_e) ** 2 / (ms_p**2 / (P - 1) + ms_n**2 / (N - 1) + ms_e**2 / ((P - 1) * (N - 1)))
    half = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    assert found.interval == pytest.approx((d.mean() - half, d.mean() + half), abs=1e-12)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(d.mean()) / np.sqrt(variance), freedom))
    assert found.freedom == pytest.approx(freedom)


def test_seeds_alone_are_the_paired_t():
    """Where every clip of a seed has the same difference, clips bring no doubt of their own."""
    first = np.repeat([[1], [1], [0], [1]], 20, axis=1).astype(bool)
    second = np.repeat([[0], [1], [0], [0]], 20, axis=1).astype(bool)
    both, paired = crossed_difference(first, second), paired_difference(first.mean(1), second.mean(1))
    assert both.interval == pytest.approx(paired.interval)
    assert both.p_value == pytest.approx(paired.p_value)


def test_clips_alone_are_the_t_over_clips():
    difference = np.random.default_rng(2).random(60) < 0.3
    first, second = np.tile(difference, (3, 1)), np.zeros((3, 60), bool)
    found = crossed_difference(first, second)
    low, high = stats.t.interval(0.95, 59, difference.mean(), difference.std(ddof=1) / np.sqrt(60))
    assert found.interval == pytest.approx((low, high))


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_never_surer_than_seeds_or_clips_alone(seeds):
    rng = np.random.default_rng(3)
    for _ in range(50):
        first, second = tables(rng, seeds, 40, rng.uniform(0, 0.2), rng.uniform(0, 0.3))
        found = crossed_difference(first, second)
        difference = first.astype(float) - second
        for means in (difference.mean(0), difference.mean(1)):
            error, freedom = means.std(ddof=1) / np.sqrt(len(means)), len(means) - 1
            half = stats.t.ppf(0.975, freedom) * error
            assert (found.interval[1] - found.interval[0]) / 2 >= half - 1e-12
            if error > 1e-9:
                assert found.p_value >= 2 * stats.t.sf(abs(found.mean) / error, freedom) - 1e-9


@pytest.mark.parametrize(("seed_spread", "clip_spread"), [(0.0, 0.0), (0.05, 0.0), (0.0, 0.2), (0.05, 0.2)])
def test_covers_no_difference_about_as_often_as_it_says(seed_spread, clip_spread):
    """1,500 studies without a true difference: the share that calls one is near 5 %, and never far above."""
    rng = np.random.default_rng(4)
    wrong = sum(crossed_difference(*tables(rng, 5, 150, seed_spread, clip_spread)).p_value < 0.05 for _ in range(1500))
    assert wrong / 1500 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1500)  # three standard errors
    assert wrong > 0


def test_finds_a_difference_that_is_there():
    first, second = tables(np.random.default_rng(5), 10, 1000, 0.01, 0.05, gain=0.05)
    found = crossed_difference(first, second)
    assert found.interval[0] > 0 and found.p_value < 0.01


def test_the_same_net_does_not_differ():
    one = np.random.default_rng(6).random((3, 20)) < 0.8
    found = crossed_difference(one, one)
    assert (found.mean, found.interval, found.p_value) == (0.0, (0.0, 0.0), 1.0)


def test_swapping_turns_the_sign():
    first, second = tables(np.random.default_rng(7), 4, 30, 0.1, 0.1)
    one, other = crossed_difference(first, second), crossed_difference(second, first)
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))
    assert one.p_value == other.p_value


@pytest.mark.parametrize(("one", "other"), [((1, 20), (1, 20)), ((3, 1), (3, 1)), ((3, 20), (2, 20)), ((20,), (20,))])
def test_refuses_what_is_not_crossed(one, other):
    with pytest.raises(DataError, match="at least two seeds and two clips"):
        crossed_difference(np.zeros(one, bool), np.zeros(other, bool))


def test_clips_of_one_speaker_are_one_value():
    """Speakers whose clips all fare alike are as many values as there are speakers, however many clips each has."""
    rng = np.random.default_rng(5)
    first, second = tables(rng, 6, 30, 0.1, 0.3)
    once = crossed_difference(first, second)
    copied = crossed_difference(np.tile(first, 4), np.tile(second, 4), groups=np.tile(np.arange(30), 4))
    assert copied.interval == pytest.approx(once.interval)
    assert copied.p_value == pytest.approx(once.p_value)
    assert (copied.clips, once.clips) == (120, 30)
    alone = crossed_difference(first, second, groups=np.arange(30)[::-1])
    assert alone.interval == pytest.approx(once.interval)


def test_groups_of_several_sizes_keep_the_mean_and_are_linearised_as_a_ratio():
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    values = rng.random((3, groups.size))
    table = by_group(values, groups)
    assert table.mean(1) == pytest.approx(values.mean(1))
    p, s = 1, 4
    here = values[p, groups == s]
    assert table[p, s] == pytest.approx(values[p].mean() + 12 / groups.size * (here - values[p].mean()).sum())


@pytest.mark.parametrize("groups", [np.zeros(20), np.arange(19)])
def test_groups_that_are_none_are_refused(groups):
    with pytest.raises(DataError, match="at least two groups"):
        crossed_difference(np.zeros((2, 20), bool), np.ones((2, 20), bool), groups=groups)
