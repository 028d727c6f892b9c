import csv
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws_dendrite.errors import ConfigError
from kws_dendrite.search import TrialResult, pareto_front, pick, write_front_csv


def trial(number: int, parameters: int, accuracy: float, arm: str = "plain", **params) -> TrialResult:
    return TrialResult(
        number, arm, accuracy, (accuracy,), parameters, 10 * parameters, params, {}, None, "complete", 1.0
    )


# Few values each, so that ties in one and in both objectives are common.
many = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 5)), max_size=20).map(
    lambda pairs: [trial(number, 100 * size, grade / 5) for number, (size, grade) in enumerate(pairs)]
)
some = many.filter(bool)


def beats(one: TrialResult, other: TrialResult) -> bool:
    """At least as good in both, better in one."""
    ours, theirs = (one.parameters, -one.validation_accuracy), (other.parameters, -other.validation_accuracy)
    return ours != theirs and ours[0] <= theirs[0] and ours[1] <= theirs[1]


@given(many)
def test_the_front_is_what_no_trial_beats(trials):
    front = pareto_front(trials)
    values = {(t.parameters, t.validation_accuracy) for t in trials if not any(beats(other, t) for other in trials)}
    assert {(t.parameters, t.validation_accuracy) for t in front} == values
    assert len(front) == len(values)


@given(many)
def test_the_front_rises_in_both(trials):
    front = pareto_front(trials)
    for small, large in pairwise(front):
        assert small.parameters < large.parameters and small.validation_accuracy < large.validation_accuracy


@given(some, st.randoms(use_true_random=False))
def test_the_order_of_the_trials_does_not_matter(trials, random):
    shuffled = random.sample(trials, len(trials))
    assert pareto_front(shuffled) == pareto_front(trials)


@given(many)
def test_of_equal_trials_the_first_stays(trials):
    for chosen in pareto_front(trials):
        equal = [
            t.number
            for t in trials
            if (t.parameters, t.validation_accuracy) == (chosen.parameters, chosen.validation_accuracy)
        ]
        assert chosen.number == min(equal)


@given(some, st.integers(0, 900))
def test_pick_is_the_most_accurate_that_fits(trials, most):
    fitting = [t for t in trials if t.parameters <= most]
    if not fitting:
        with pytest.raises(ConfigError, match="no trial has at most"):
            pick(trials, most)
        return
    picked = pick(trials, most)
    best = max(t.validation_accuracy for t in fitting)
    assert picked.validation_accuracy == best
    assert picked.parameters == min(t.parameters for t in fitting if t.validation_accuracy == best)


def test_pick_without_a_limit_or_without_trials():
    assert pick([trial(0, 100, 0.5), trial(1, 900, 0.6)]).number == 1
    with pytest.raises(ConfigError, match="no finished trial"):
        pick([])


def test_the_csv_has_a_line_a_trial_of_the_front(tmp_path):
    trials = [
        trial(0, 700, 0.8, channels=8, layout="once"),
        trial(1, 900, 0.7, "gradient", channels=9, layers="head"),
        trial(2, 900, 0.9, "gradient", channels=9, layers="a,b"),
    ]
    write_front_csv(tmp_path / "front.csv", trials)
    with (tmp_path / "front.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == ["0", "2"]
    assert rows[1] | {"seconds": ""} == {
        "number": "2", "arm": "gradient", "dendrites": "", "parameters": "900", "macs": "9000",
        "validation_accuracy": "0.9", "seconds": "", "channels": "9", "layers": "a,b", "layout": "",
    }  # fmt: skip


def test_a_trial_as_json_is_plain_values():
    values = trial(3, 700, 0.8, channels=8).to_json()
    assert values["validation_accuracy_members"] == [0.8] and values["params"] == {"channels": 8}
