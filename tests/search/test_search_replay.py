"""A replay counts what the rule saves, and what it costs, of trials whose ends are known."""

import json
from dataclasses import replace

import pytest
from made_up_trials import point, population, trial

from kws_dendrite.search.replay import replay
from kws_dendrite.search.stopping import StoppingRule

RULE = StoppingRule(checks=(0.25, 0.5), risk=0.2, audit=4)
WARM = [trial(k, [0.5, 0.6, 0.65, 0.7], 200) for k in range(9)]
STEADY = [0.7, 0.77, 0.8, 0.83]  # gains as the warm-up's


def test_a_hopeless_trial_is_counted_with_what_was_left_of_it():
    best = trial(9, STEADY, 200)
    poor = trial(10, [0.3, 0.4, 0.4, 0.45], 200)
    found = replay([*WARM, best, poor], RULE)
    assert [stop.number for stop in found.stopped] == [10]
    stop = found.stopped[0]
    assert (stop.epochs, stop.seconds, stop.reached, stop.owned, stop.beyond) == (3, 7.5, False, 0, False)
    assert found.saved_epochs == pytest.approx(3 / 44) and found.saved_seconds == pytest.approx(7.5 / 110)
    assert (found.trials, found.looked_at, found.false_stops, found.lost, found.beyond) == (11, 2, 0, 0, 0.0)
    assert found.full_front == found.kept_front == ((200, 0.83),)


def test_a_false_stop_is_told_with_what_it_costs():
    best = trial(9, STEADY, 200)
    slow = trial(10, [0.3, 0.4, 0.6, 0.95], 200)
    found = replay([*WARM, best, slow], RULE)
    assert found.false_stops == 1 and found.lost == 1 and found.beyond == 0.5
    assert found.stopped[0].reached and found.stopped[0].beyond
    assert found.full_front == ((200, 0.95),) and found.kept_front == ((200, 0.83),)


def test_what_is_stopped_helps_to_stop_nobody():
    slow = trial(9, [0.3, 0.4, 0.6, 0.95], 200)  # of an arm whose bound says that it cannot
    rival = trial(10, [0.65, 0.75, 0.76, 0.77], 200)  # would be hopeless against what that came to
    found = replay([*WARM, trial(8, [0.8] * 4, 200, arm="growth"), slow, rival], RULE)
    assert [stop.number for stop in found.stopped] == [9]


def test_every_check_counts_and_the_first_hopeless_one_ends():
    best = trial(9, STEADY, 200)
    late = trial(10, [0.7, 0.7, 0.7, 0.7], 200)
    found = replay([*WARM, best, late], RULE)
    assert [(stop.verdict.share, stop.epochs) for stop in found.stopped] == [(0.5, 2)]


def test_nothing_is_stopped_without_a_warm_up_of_the_same_arm():
    best = trial(9, STEADY, 200)
    poor = trial(10, [0.1] * 4, 200, arm="gradient")
    assert replay([*WARM, best, poor], RULE).looked_at == 1
    assert not replay([*WARM[1:], best, poor], RULE).looked_at


def test_audits_are_told_apart():
    best = trial(9, STEADY, 200)
    poor = [trial(k, [0.3, 0.4, 0.4, 0.45], 200) for k in (10, 12)]
    found = replay([*WARM, best, *poor], RULE)
    assert [stop.number for stop in found.stopped] == [10]
    assert [stop.number for stop in found.audit_stops] == [12] and found.audited == 1


def test_a_search_that_stopped_trials_still_has_its_audits():
    best = trial(9, STEADY, 200)
    poor = [trial(k, [0.3, 0.4, 0.4, 0.45], 200) for k in (10, 12)]
    live = replace(poor[0], state="stopped", curve=poor[0].curve[:1], points=())
    found = replay([*WARM, best, live, poor[1]], RULE)
    assert not found.stopped and [stop.number for stop in found.audit_stops] == [12]


def test_the_size_looked_at_is_the_smallest_of_its_nets():
    best = [trial(9, STEADY, 200), trial(11, STEADY, 100)]
    small = trial(10, [0.3, 0.4, 0.4, 0.45], 90)
    small = replace(small, points=(*small.points, point(300, 0.5, dendrites=1)))
    assert not replay([*WARM, *best, small], RULE).stopped


def test_trials_without_a_curve_are_passed_over():
    odd = [replace(WARM[0], curve=()), replace(WARM[1], planned=None)]
    assert replay(odd, RULE).trials == 0 and replay([], RULE).saved_epochs == 0


def test_much_is_saved_and_little_lost_of_many():
    rule = StoppingRule(checks=(0.25, 0.5, 0.75), risk=0.1)
    found = replay(population(300, seed=1), rule)
    assert found.saved_epochs > 0.05
    assert found.beyond <= 0.15  # 0.1 and two standard errors of 270 trials
    assert found.false_stops <= 0.05 * found.looked_at
    json.dumps(found.to_json(), allow_nan=False)
