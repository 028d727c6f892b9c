import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_report_search_trials import point, trial

from kws_dendrite.report.search_summary import (
    Plan,
    best_by_size,
    counts,
    done,
    plan_from,
    reasons,
    saving,
    time_left,
    worked,
)
from kws_dendrite.report.search_trials import read_trials

PLAN = Plan(arms=("plain", "growth"), trials=5, epochs=10)


def test_counts_are_of_every_state():
    trials = read_trials([trial(0), trial(1, state="stopped"), trial(2, state="skipped"), trial(2, state="waiting")])
    assert counts(trials) == {"complete": 1, "stopped": 1, "running": 0, "waiting": 1, "skipped": 1, "failed": 0}


def test_reasons_that_differ_in_numbers_alone_are_told_together():
    whys = ["RAM 9,120 B is over --max-ram 8,192 B", "RAM 10,000 B is over --max-ram 8,192 B", "12 {odd} %", None,
            "latency on cortex-m4 7.5 ms", "latency on cortex-m4 12 ms"]  # fmt: skip
    trials = read_trials([trial(k, state="skipped", why=why) for k, why in enumerate(whys)])
    assert reasons(trials, "skipped") == [
        ("RAM 9,120 to 10,000 B is over --max-ram 8,192 B", 2),
        ("latency on cortex-m4 7.5 to 12 ms", 2),
        ("12 (odd) %", 1),
        ("no reason was written", 1),
    ]
    assert reasons(trials, "stopped") == []


def test_the_best_at_each_size_by_hand():
    trials = read_trials([
        trial(0, point(0.80, 150), point(0.85, 480, 1)), trial(1, point(0.82, 160), arm="growth"),
        trial(2, point(0.9, 4000)), trial(3, point(0.99, 150), state="running"),
    ])  # fmt: skip
    found = best_by_size(trials)
    assert [(b.words, b.leader.trial, sorted(b.best)) for b in found] == [
        ("140 to 200", 1, ["growth", "plain"]), ("200 to 500", 0, ["plain"]), ("2,000 to 4,000", 2, ["plain"]),
    ]  # fmt: skip
    assert best_by_size([]) == []


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 100)), min_size=1, max_size=30))
def test_every_point_is_in_one_bin_and_none_in_it_is_better(pairs):
    bins = best_by_size(read_trials([trial(k, point(a / 100, size)) for k, (size, a) in enumerate(pairs)]))
    for size, accuracy in pairs:
        (found,) = [b for b in bins if b.low < size <= b.high]
        assert found.leader.accuracy >= accuracy / 100
    assert all(a.high <= b.low for a, b in itertools.pairwise(bins))


def test_work_done_counts_running_trials_by_their_epochs():
    running = trial(2, state="running", progress={"epoch": 5})
    trials = read_trials([trial(0), trial(1, state="failed"), running, trial(3, state="skipped")])
    assert done(trials, 10) == 2.5
    assert done(trials) == 2


def test_time_left_by_the_rate_seen_else_by_what_trials_took():
    ended = [trial(k, seconds=100.0) for k in range(4)]
    running = [trial(4 + k, state="running", worker=f"w{k}") for k in range(2)]
    trials = read_trials(ended + running)
    assert time_left(trials, PLAN, work=2, elapsed=50) == 6 * 25
    assert time_left(trials, PLAN, work=0.5, elapsed=50) == 6 * 100 / 2
    assert time_left(trials, PLAN, workers=3) == 6 * 100 / 3
    assert time_left(read_trials(ended), PLAN) is None  # nobody works
    assert time_left(trials, Plan()) is None
    assert time_left(read_trials([trial(k) for k in range(10)]), PLAN) == 0


def test_saving_is_in_epochs_and_at_each_trials_own_speed():
    found = saving(read_trials([
        trial(0, epochs=30, seconds=60.0), trial(1, state="stopped", epochs=10, saved=20, seconds=50.0),
        trial(2, state="running", epochs=7),
    ]))  # fmt: skip
    assert (found.trials, found.epochs, found.spent, found.seconds) == (1, 20, 40, 100.0)
    assert found.share == pytest.approx(20 / 60)
    assert saving([]).share == 0


def test_hours_of_work_leave_out_pauses():
    def ended(number, start, end):
        return trial(number, started=3600.0 * start, ended=3600.0 * end)

    trials = read_trials([
        ended(0, 10, 11), ended(1, 10.5, 12), ended(2, 11, 11.5),  # two workers, two hours
        ended(3, 20, 21), ended(4, 21, 22),  # after a night
        ended(5, 23, 22.5), trial(6), trial(7, started=0.0, state="running"),
    ])  # fmt: skip
    assert worked(trials) == pytest.approx({"0": 1, "2": 1.5, "1": 2, "3": 3, "4": 4})


def test_plan_takes_what_the_settings_tell():
    plan = plan_from({"arms": ["plain"], "trials": 7, "objective": {"label": "RAM"}, "data": {"name": "office"}})
    assert plan == Plan(("plain",), 7, None, None, "RAM", "office")
    assert plan.total == 7 and plan_from({}).total is None
