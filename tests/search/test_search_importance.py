import numpy as np
import pytest

from kws_dendrite.search.front import TrialResult
from kws_dendrite.search.importance import LEAST, importances, near_the_front


def trial(number, accuracy, parameters, params, arm="plain", state="complete"):
    return TrialResult(
        number=number, arm=arm, validation_accuracy=accuracy, validation_accuracy_members=(accuracy,),
        parameters=parameters, macs=1, params=params, architecture={}, growth=None, state=state, seconds=1.0,
    )  # fmt: skip


def drawn(n, seed=0, arm="plain"):
    """Accuracy follows the learning rate and, of one family, its kernel; the other names mean nothing."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        family = str(rng.choice(["separable", "paper"]))
        params = {"train.rate": float(10 ** rng.uniform(-3, -1)), "model.family": family, "seed": int(rng.integers(99)),
                  "augment.mask": [0, int(rng.integers(3))]}  # fmt: skip
        loss = (np.log10(params["train.rate"]) + 2) ** 2
        if family == "separable":
            params["separable.kernel"] = int(rng.choice([3, 5, 7, 9]))
            loss += 0.1 * (9 - params["separable.kernel"])
        else:
            loss += 0.5
        found.append(trial(number, 0.9 - 0.3 * loss, 500, params, arm))
    return found


def test_what_matters_is_found_and_the_rest_is_within_chance():
    found = importances(drawn(150))["all"]["parameters"]
    assert next(iter(found)) == "train.rate"  # told first, as it tells most
    assert sum(entry["share"] for entry in found.values()) == pytest.approx(1, abs=0.01)
    for name in ("train.rate", "model.family", "separable.kernel"):
        assert found[name]["share"] > 2 * found[name]["chance"], name
    for name in ("seed", "augment.mask"):
        assert found[name]["share"] < 2 * found[name]["chance"], name


def test_arms_are_told_alone_and_together():
    trials = drawn(30, 1) + drawn(LEAST - 1, 2, "growth")
    found = importances(trials)
    assert list(found) == ["all", "plain"]
    assert (found["all"]["trials"], found["plain"]["trials"]) == (49, 30)
    assert list(importances(drawn(30))) == ["all"]


def test_too_few_trials_say_nothing_and_only_those_that_ended_count():
    assert importances(drawn(LEAST - 1)) == {}
    failed = [trial(100 + k, None, None, {"a": 1}, state="failed") for k in range(9)]
    assert importances(drawn(LEAST - 1) + failed) == {}


def test_the_same_again():
    assert importances(drawn(40)) == importances(drawn(40))


def test_the_nearest_are_the_front_then_the_next():
    pairs = [(0.9, 100), (0.8, 50), (0.7, 110), (0.85, 100), (0.7, 60), (0.1, 500), (0.1, 600)]
    trials = [trial(k, accuracy, size, {"a": k}) for k, (accuracy, size) in enumerate(pairs)]
    assert near_the_front(trials) == {0, 1, 3, 4, 2}  # the front, the next, and the next until there are five


def test_all_alike_are_no_reason_to_stop():
    same = [trial(k, 0.5, 100, {"a": 1}) for k in range(30)]
    found = importances(same)["all"]
    assert found["parameters"]["a"]["share"] == 0
