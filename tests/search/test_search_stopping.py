"""The rule for hopeless trials: what it learns from, when it may act, and that it is wrong as rarely as it says."""

import math
from dataclasses import replace

import numpy as np
import pytest
from made_up_trials import curve, point, population, trial

from kws_dendrite.errors import ConfigError
from kws_dendrite.search.stopping import (
    Standing,
    StoppingRule,
    best_so_far,
    gains_of,
    scaled,
    standing,
    undominated,
    unscaled,
)

RULE = StoppingRule(checks=(0.25, 0.5), risk=0.2, audit=4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checks": ()}, "shares of the epochs"),
        ({"checks": (0.5, 0.25)}, "each once, in order"),
        ({"checks": (0.5, 0.5)}, "each once, in order"),
        ({"checks": (0.0, 0.5)}, "between 0 and 1"),
        ({"checks": (0.5, 1.0)}, "between 0 and 1"),
        ({"risk": 0.0}, "risk is a share"),
        ({"risk": 1.0}, "risk is a share"),
        ({"audit": 1}, "at least 2"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        StoppingRule(**settings)


@pytest.mark.parametrize("maximise", ["accuracy", "loss"])
def test_the_scale_goes_up_and_comes_back(maximise):
    merits = np.linspace(0, 1, 21) if maximise == "accuracy" else -np.linspace(2, 0.01, 21)
    values = [scaled(merit, maximise) for merit in merits]
    assert np.all(np.diff(values) > 0)
    assert [unscaled(value, maximise) for value in values] == pytest.approx(list(merits))
    assert unscaled(math.inf, maximise) == pytest.approx(1.0 if maximise == "accuracy" else 0.0)


def test_a_warm_up_is_as_long_as_the_risk_needs():
    for rule in (RULE, StoppingRule(), StoppingRule(checks=(0.5,), risk=0.05)):
        n = rule.warmup
        assert math.isfinite(rule.quantile([0.1] * n)) and math.isinf(rule.quantile([0.1] * (n - 1)))
        assert not any(rule.may_stop(slot) for slot in range(n))
        assert sum(rule.may_stop(slot) for slot in range(n, n + 10 * rule.audit)) == 10 * (rule.audit - 1)


def test_the_quantile_is_the_one_of_split_conformal_prediction():
    gains = list(np.random.default_rng(0).permutation(np.arange(1.0, 20.0)))  # n = 19
    assert StoppingRule(checks=(0.5,), risk=0.05).quantile(gains) == 19  # k = ceil(0.95 * 20)
    assert StoppingRule(checks=(0.5,), risk=0.1).quantile(gains) == 18
    assert StoppingRule(checks=(0.25, 0.5), risk=0.1).quantile(gains) == 19


def test_checks_are_at_whole_epochs_and_never_at_the_last():
    assert RULE.epochs(16) == {4: 0, 8: 1}
    assert RULE.epochs(15) == {4: 0, 8: 1}
    assert RULE.epochs(2) == {1: 0}
    assert RULE.epochs(1) == {}
    assert StoppingRule(checks=(0.1, 0.3)).epochs(10) == {1: 0, 3: 1}  # 0.3 * 10 is 3.0000000000000004


def test_best_so_far_is_each_member_at_its_own_lowest_loss():
    rows = (
        {"validation_loss": [0.5, 0.9], "validation_accuracy": [0.8, 0.6]},
        {"validation_loss": [0.7, 0.4], "validation_accuracy": [0.9, 0.7]},
        {"validation_loss": [0.6, 0.6], "validation_accuracy": [0.9, 0.9]},
    )
    assert best_so_far(rows) == pytest.approx((0.8 + 0.7) / 2)
    assert best_so_far(rows, "loss") == pytest.approx(-(0.5 + 0.4) / 2)
    assert best_so_far(rows[:1]) == pytest.approx(0.7)


def test_gains_count_the_growth_that_comes_later():
    grown = trial(0, [0.5, 0.6, 0.7, 0.7], final=0.7)
    grown = replace(grown, points=(*grown.points, point(150, 0.9, dendrites=1)))
    gains = gains_of(grown, RULE)
    assert gains == {0: scaled(0.9) - scaled(0.5), 1: scaled(0.9) - scaled(0.6)}


def test_a_trial_that_ended_at_a_check_says_nothing_about_going_on_from_it():
    short = trial(0, [0.5, 0.6], planned=4)
    assert set(gains_of(short, RULE)) == {0}
    assert gains_of(replace(short, points=()), RULE) == {} and gains_of(replace(short, planned=None), RULE) == {}


def test_the_bound_learns_only_from_what_was_never_to_be_stopped():
    some = [trial(k, [0.5, 0.6, 0.7, 0.8]) for k in range(24)]
    free = [k for k in range(24) if not RULE.may_stop(k)]
    assert len(standing(some, "plain", RULE).gains[0]) == len(free) < 24
    assert standing(some, "gradient", RULE).gains == ()
    assert standing([replace(each, state="stopped") for each in some], "plain", RULE).gains == ()


def test_the_front_is_of_all_arms_and_states_and_asks_of_a_size_what_smaller_nets_reach():
    some = [
        trial(0, [0.8], 100),
        trial(1, [0.9], 200, arm="gradient"),
        trial(2, [0.7], 150),
        trial(3, [0.95], 400, state="stopped"),
    ]
    now = standing(some, "plain", RULE)
    assert now.front == ((100, 0.8), (200, 0.9), (400, 0.95))
    assert [now.front_at(size) for size in (99, 100, 199, 1000)] == [-math.inf, 0.8, 0.8, 0.95]
    assert undominated([(2, 0.5), (1, 0.5), (1, 0.4)]) == [(1, 0.5)]


def test_a_trial_far_below_the_front_at_its_size_is_hopeless_and_a_smaller_one_is_not():
    warm = [trial(k, [0.5, 0.6, 0.65, 0.7], 100) for k in range(RULE.warmup)]
    now = standing([*warm, trial(90, [0.9, 0.95, 0.95, 0.95], 300)], "plain", RULE)
    verdict = now.look(RULE, curve([0.3]), 4, 300)
    assert verdict.hopeless and verdict.known and verdict.front == 0.95 and verdict.learned_from == RULE.warmup
    assert verdict.bound == pytest.approx(unscaled(scaled(0.3) + scaled(0.7) - scaled(0.5)))
    assert "30.0% after 1 of 4 epochs" in verdict.why and "the front has 95.0% at 300" in verdict.why
    assert not now.look(RULE, curve([0.3]), 4, 99).hopeless  # the front has nothing so small
    assert not now.look(RULE, curve([0.9]), 4, 300).hopeless
    assert now.look(RULE, curve([0.3, 0.3, 0.3]), 4, 300) is None  # no check is due


def test_before_the_warm_up_nothing_is_hopeless():
    few = [trial(k, [0.5, 0.6, 0.65, 0.99], 100) for k in range(RULE.warmup - 1)]
    verdict = standing(few, "plain", RULE).look(RULE, curve([0.01]), 4, 100)
    assert not verdict.known and not verdict.hopeless and verdict.bound == 1.0
    assert not Standing().look(RULE, curve([0.01]), 4, 100).hopeless


def test_what_so_far_is_never_above_the_bound():
    falls = [trial(k, [0.9, 0.9, 0.9, 0.9], final=0.8) for k in range(RULE.warmup)]
    verdict = standing(falls, "plain", RULE).look(RULE, curve([0.7]), 4, 100)
    assert verdict.bound == verdict.so_far == pytest.approx(0.7)


def test_by_the_loss():
    warm = [replace(trial(k, [0.5, 0.6, 0.65, 0.7]), points=(point(100, 0.7, loss=0.3),)) for k in range(9)]
    now = standing([*warm, replace(trial(90, [0.9] * 4), points=(point(100, 0.9, loss=0.1),))], "plain", RULE, "loss")
    assert now.front == ((100, -0.1),)
    verdict = now.look(RULE, curve([0.3]), 4, 100)
    assert verdict.so_far == pytest.approx(-0.7) and verdict.bound == pytest.approx(-0.7 * 0.3 / 0.5)
    assert verdict.hopeless and "a loss of 0.700 after 1 of 4 epochs" in verdict.why


def test_as_many_come_above_their_bound_as_the_risk_says():
    """Exchangeable trials: over many draws of a warm-up and one more, the share above a bound is at most `risk`."""
    rule = StoppingRule(checks=(0.25, 0.5, 0.75), risk=0.2)
    beyond = []
    for seed in range(400):
        *warm, new = population(rule.warmup + 1, seed)
        now = standing(warm, "plain", rule)
        verdicts = [now.look(rule, new.curve[:done], 16, 1.0) for done in rule.epochs(16)]
        assert all(verdict.known for verdict in verdicts)
        beyond.append(any(new.points[0].validation_accuracy > verdict.bound for verdict in verdicts))
    spread = math.sqrt(0.2 * 0.8 / 400)
    assert 0.02 < np.mean(beyond) < 0.2 + 2 * spread  # it acts, and is not wildly careful either
