import math

import pytest
from test_report_search_trials import point, trial

from kws_dendrite.evaluation.hypervolume import Reference, hypervolume
from kws_dendrite.report.search_progress import growths, hypervolume_charts, states_table
from kws_dendrite.report.search_trials import read_trials

BOX = Reference(100, 1000, 0.1)


def ended(number, start, end, *points, **more):
    return trial(number, *points, started=3600.0 * start, ended=3600.0 * end, **more)


def test_each_arm_by_the_order_in_which_trials_ended():
    trials = read_trials([
        ended(0, 0, 3, point(0.5, 100)), ended(1, 0, 1, point(0.4, 100)),
        ended(2, 1, 2, state="failed"), ended(3, 0, 2, point(0.9, 200), arm="growth"),
        trial(4, point(0.99, 100), state="running"),
    ])  # fmt: skip
    plain, growth = growths(trials, BOX)
    assert (plain.arm, plain.trials, plain.hours) == ("plain", (1, 2), pytest.approx((1, 3)))
    first, last = hypervolume([(100, 0.4)], BOX), hypervolume([(100, 0.5)], BOX)
    assert plain.values == pytest.approx((first, last))
    assert growth.hours == pytest.approx((2,))
    assert growth.values == pytest.approx((hypervolume([(200, 0.9)], BOX),))


def test_every_net_of_a_trial_counts_and_values_never_fall():
    trials = read_trials(
        [ended(k, k, k + 1, point(0.3 + 0.05 * (k % 3), 500 - 40 * k), point(0.4, 600, 1)) for k in range(9)]
    )
    (found,) = growths(trials, BOX)
    assert list(found.values) == sorted(found.values)
    assert found.values[-1] == pytest.approx(
        hypervolume([(spot.size, spot.accuracy) for t in trials for spot in t.spots], BOX)
    )


def test_without_moments_there_is_the_picture_over_trials_alone():
    trials = read_trials([trial(k, point(0.5, 300)) for k in range(3)])
    (found,) = growths(trials, BOX)
    assert found.trials == (1, 2, 3) and all(math.isnan(hour) for hour in found.hours)
    drawn = hypervolume_charts(trials, BOX)
    assert drawn.count("<figure") == 1 and "nan" not in drawn
    assert hypervolume_charts(read_trials([trial(0, state="running")]), BOX) == ""


def test_states_count_what_has_not_begun():
    table = states_table(read_trials([trial(0), trial(1, state="stopped"), trial(2, state="skipped")]), {"plain": 10})
    cells = [cell.split("<")[0] for cell in table.split('<td class="n">')[1:]]
    assert cells == ["1", "1", "0", "8", "0", "1"]  # complete, stopped, running, waiting, failed, draws skipped
