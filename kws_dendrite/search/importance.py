"""Which drawn parameters matter for reaching the front: Optuna's PED-ANOVA over a search's trials."""

import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator

from kws_dendrite.evaluation.hypervolume import undominated
from kws_dendrite.search.front import TrialResult

LEAST = 20  # trials without which nothing is said
BEST = 5  # trials that are "the best" at least, as the evaluator's documentation asks
SHARE = 0.1  # of all trials, else; its own default
CHOICES = 8  # more different numbers than that are a range
SHUFFLES = 10


def importances(trials: Sequence[TrialResult], seed: int = 0) -> dict[str, Any] | None:
    """How much each parameter tells the trials near the front from the others, in the whole search and in each arm.

    PED-ANOVA (Watanabe et al., IJCAI 2023) compares where the best trials lie with where all do; conditional parameters
    count by the trials that have them (Optuna 5). The best are those on the front, then those that would be without
    them, and so on until there are enough. What is found among so many trials by chance is found the same way, with
    "the best" dealt to the trials at random.

    Args:
        trials: in any state.
        seed: of the dealing.

    Returns:
        {"all": {"trials": N, "best": n, "parameters": {name: {"share": of 1, "chance": of the same 1}}}, arm: ...};
        arms, or the whole, with too few trials left out; None of an Optuna that cannot do it.
    """
    if int(optuna.__version__.split(".")[0]) < 5:
        return None
    ended = [trial for trial in trials if trial.params and trial.candidates()]
    arms = list(dict.fromkeys(trial.arm for trial in ended))
    groups = {"all": ended} | {arm: [t for t in ended if t.arm == arm] for arm in arms if len(arms) > 1}
    return {name: _of(group, seed) for name, group in groups.items() if len(group) >= LEAST}


def _of(trials: Sequence[TrialResult], seed: int) -> dict[str, Any]:
    study, best = _study(trials), near_the_front(trials)
    found = _evaluate(study, best)
    generator = np.random.default_rng(seed)
    dealt = [_evaluate(study, set(generator.permutation(len(trials))[: len(best)].tolist())) for _ in range(SHUFFLES)]
    total = sum(found.values()) or 1.0
    return {
        "trials": len(trials),
        "best": len(best),
        "parameters": {
            name: {
                "share": round(value / total, 4),
                "chance": round(sum(drawn[name] for drawn in dealt) / SHUFFLES / total, 4),
            }
            for name, value in sorted(found.items(), key=lambda pair: -pair[1])
        },
    }


def near_the_front(trials: Sequence[TrialResult]) -> set[int]:
    """Places of the trials with a net on the front, then of those that would have one without these, and so on."""
    wanted = min(len(trials), max(BEST, round(SHARE * len(trials))))
    rest = [(place, net) for place, trial in enumerate(trials) for net in trial.candidates()]
    best: set[int] = set()
    while len(best) < wanted:
        best |= {rest[k][0] for k in undominated([(net.size, net.merit) for _, net in rest])}
        rest = [(place, net) for place, net in rest if place not in best]
    return best


def _study(trials: Sequence[TrialResult]) -> optuna.Study:
    """A study in memory that holds what was drawn; its values mean nothing."""
    rows = [{name: _value(value) for name, value in trial.params.items()} for trial in trials]
    names = sorted({name for row in rows for name in row})
    given = {name: _distribution([row[name] for row in rows if name in row]) for name in names}
    shown = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study()
        study.add_trials([
            optuna.trial.create_trial(params=dict(row), distributions={name: given[name] for name in row}, value=0.0)
            for row in rows
        ])  # fmt: skip
        return study
    finally:
        optuna.logging.set_verbosity(shown)


def _evaluate(study: optuna.Study, best: set[int]) -> dict[str, float]:
    """Importance of each parameter for being among the best, not normalised."""
    every = len(study.get_trials(deepcopy=False))
    if len(best) == every:
        return {}  # nothing to tell them from
    evaluator = PedAnovaImportanceEvaluator(target_quantile=len(best) / every)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of branches with few trials; the chance beside the share tells as much
        return optuna.importance.get_param_importances(
            study, evaluator=evaluator, target=lambda trial: float(trial.number not in best), normalize=False
        )


def _value(value: Any) -> Any:
    """A value that a distribution takes: a list or an object as its text."""
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)


def _distribution(values: Sequence[Any]) -> BaseDistribution:
    """The range of numbers, logarithmic where they span more than a decade; or the values as choices."""
    different = sorted(set(values), key=lambda value: (str(type(value)), value is not None and value))
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in different)
    if not numeric or len(different) <= CHOICES:
        return CategoricalDistribution(different)
    low, high = float(min(different)), float(max(different))
    return FloatDistribution(low, high, log=low > 0 and high / low > 10)
