"""A refit in the small: points of about a hundred parameters on features scattered around one spectrum a class."""

from dataclasses import replace

import numpy as np

from kws_dendrite.data import AugmentConfig, FeatureBank
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.frontend import LogMelConfig
from kws_dendrite.models import SeparableConfig
from kws_dendrite.search.objective import PARAMETERS
from kws_dendrite.search.proposal import Proposal
from kws_dendrite.search.refit import FRESH, Refit, RefitPlan
from kws_dendrite.search.refitted import Refitted
from kws_dendrite.training.config import TrainConfig

N, M, T, F, K = 32, 24, 8, 4, 3
LABELS = ("yes", "no", "_unknown_")
CONFIG = SeparableConfig(T, F, K, channels=3, kernel=3)
RECIPE = TrainConfig(epochs=2, batch_size=16, warmup_epochs=0.0)


def clips(count, seed):
    patterns = np.random.default_rng(0).normal(size=(K, 1, F))
    labels = np.arange(count) % K
    noise = np.random.default_rng(seed).normal(size=(count, T, F))
    return (patterns[labels] + noise).astype(np.float32), labels.astype(np.int64)


def make_bank():
    train, labels = clips(N, 1)
    return FeatureBank(train[None], labels, *clips(M, 2), LABELS, {"block": "mfcc"}, {"digest": "d"})


def make_plan(trial=0, dendrites=0, arm=None, channels=3, epochs=4, **changed):
    growth = DendriteConfig("gradient", dendrites, layers="head") if dendrites else None
    net = replace(CONFIG, channels=channels)
    plan = RefitPlan(
        trial=trial,
        arm=arm or ("gradient" if dendrites else "plain"),
        slot=trial,
        dendrites=dendrites,
        proposal=Proposal(net, replace(RECIPE, epochs=epochs), growth, LogMelConfig(), AugmentConfig()),
        restarts=1 if growth is None else 0,
        members=5,
        seed=FRESH,
        said={"accuracy": 0.9, "accuracy_members": [0.9, 0.9], "parameters": 99, "value": 99, "epochs": epochs},
    )
    return replace(plan, **changed)


PLANS = [make_plan(0), make_plan(1, 1), make_plan(2, channels=4)]


def make_refit(folder, plans=None, bank_of=None):
    bank = make_bank()
    return Refit(folder, PLANS if plans is None else plans, bank_of or (lambda proposal: bank), PARAMETERS)


def made_up(trial, size, accuracy, arm="plain", said=0.9, epochs=4, **changed):
    """A refitted point without its training."""
    point = Refitted(
        name=f"{arm}-{trial}-0", trial=trial, arm=arm, slot=trial, dendrites=0,
        said={"accuracy": said, "accuracy_members": [said, said], "parameters": size, "value": size, "epochs": 4},
        made_of={"epochs": epochs}, accuracy=tuple(accuracy), loss=tuple(1 - a for a in accuracy),
        parameters=(size,) * len(accuracy), costs={"parameters": size, "macs": 10 * size}, value=float(size),
        dendrites_kept=0, exported=0, epochs=4, seconds=1.0, weights=f"weights of {trial}",
    )  # fmt: skip
    return replace(point, **changed)
