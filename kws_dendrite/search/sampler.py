"""Who draws a trial: random at first, then Optuna's TPE, seeded by what is drawn and not by when."""

import hashlib
from typing import Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from kws_dendrite.search.queue import ATTEMPT, SLOT

STARTUP_TRIALS = 10  # random ones before the sampler learns, of Optuna's TPE; its own default


def draw_seed(seed: int, arm: str, slot: int, attempt: int) -> int:
    """Of one draw: in the random start the same for every arm."""
    text = f"{seed} {'first' if slot < STARTUP_TRIALS else arm} {slot}" + (f" {attempt}" if attempt else "")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def random_trial(seed: int) -> optuna.Trial:
    """Asks for what a `SlotSampler` draws by that seed in the random start."""
    return optuna.create_study(sampler=RandomSampler(seed=seed)).ask()


class SlotSampler(BaseSampler):
    """Draws for one entry: seeded by its slot and attempt, so that it does not matter who draws, nor when in a random
    start. In the random start the same slot of every arm draws the same shared choices."""

    def __init__(self, seed: int, arm: str) -> None:
        self.seed, self.arm = seed, arm
        self.inner: BaseSampler = RandomSampler(seed=seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Take the entry's own seed."""
        slot, attempt = trial.user_attrs.get(SLOT, 0), trial.user_attrs.get(ATTEMPT, 0)
        seed = draw_seed(self.seed, self.arm, slot, attempt)
        if slot < STARTUP_TRIALS:
            self.inner = RandomSampler(seed=seed)
        else:
            # What others run now counts as bad until it is known: workers spread.
            self.inner = TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=False, constant_liar=True)
        self.inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """As the inner sampler's."""
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        """As the inner sampler's."""
        return self.inner.sample_relative(study, trial, search_space)

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str, distribution: Any) -> Any:
        """As the inner sampler's."""
        return self.inner.sample_independent(study, trial, param_name, distribution)

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: Any, values: Any) -> None:
        """As the inner sampler's."""
        self.inner.after_trial(study, trial, state, values)
