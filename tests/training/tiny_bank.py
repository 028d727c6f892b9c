"""A bank of small, learnable features, and a net of a hundred parameters to train on it."""

import numpy as np
import torch

from kws_dendrite.data.bank import FeatureBank
from kws_dendrite.models import SeparableConfig, build_model

A, N, M, T, F, K = 2, 48, 30, 8, 4, 3  # copies, training and validation clips, frames, coefficients, classes
LABELS = ("yes", "no", "_unknown_")
CONFIG = SeparableConfig(T, F, K, channels=3, kernel=3)


def features(count, seed, noise=1.0):
    """Clips scattered around one spectrum a class, (count, T, F), and their labels."""
    patterns = np.random.default_rng(0).normal(size=(K, 1, F))
    random = np.random.default_rng(seed)
    labels = np.arange(count) % K
    return (patterns[labels] + noise * random.normal(size=(count, T, F))).astype(np.float32), labels.astype(np.int64)


def make_bank(noise=1.0, copies=A, dtype=np.float16):
    clean, labels = features(N, 1, noise)
    random = np.random.default_rng(3)
    train = np.stack([clean + (0.1 * random.normal(size=clean.shape) if a else 0) for a in range(copies)])
    validation, validation_labels = features(M, 2, noise)
    return FeatureBank(train.astype(dtype), labels, validation, validation_labels, LABELS, {"block": "mfcc"}, {})


def numbered_bank(copies=3, clips=7):
    """Every value tells its copy, clip, frame and coefficient: 1000 a + 100 n + 10 t + f, labels 0 .. clips - 1."""
    a, n, t, f = np.ogrid[:copies, :clips, :T, :F]
    values = (1000 * a + 100 * n + 10 * t + f).astype(np.float32)
    return FeatureBank(values, np.arange(clips), values[0], np.arange(clips), LABELS, {}, {})


def net(members=2, seed=0):
    return build_model(CONFIG, members, seed)


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
