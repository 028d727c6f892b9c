"""A study in the small: features scattered around one spectrum a class, and arms of about a hundred parameters."""

from dataclasses import replace

import numpy as np

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.study.arms import parse_arms
from kws_dendrite.study.runner import Study, StudyConfig
from kws_dendrite.study.source import FeatureArrays, TestClips
from kws_dendrite.training.config import TrainConfig

N, M, TESTED, T, F, K = 32, 24, 30, 8, 4, 3
LABELS = ("yes", "no", "_unknown_")
RECIPE = TrainConfig(epochs=2, batch_size=16, warmup_epochs=0.0)


def clips(count, seed):
    patterns = np.random.default_rng(0).normal(size=(K, 1, F))
    labels = np.arange(count) % K
    noise = np.random.default_rng(seed).normal(size=(count, T, F))
    return (patterns[labels] + noise).astype(np.float32), labels.astype(np.int64)


def make_source(summary=None, test=True):
    train, labels = clips(N, 1)
    validation, validation_labels = clips(M, 2)
    bank = FeatureBank(train[None], labels, validation, validation_labels, LABELS, {}, summary or {"digest": "d"})
    return FeatureArrays(bank, "arrays", TestClips(*clips(TESTED, 3)) if test else None)


def make_config(arms="plain,gradient", sizes=(150, 250), **changed):
    return replace(StudyConfig(sizes, parse_arms(arms), members=2, train=RECIPE), **changed)


def make_study(folder, arms="plain,gradient", sizes=(150, 250), source=None, **changed):
    return Study(folder, source or make_source(), make_config(arms, sizes, **changed))
