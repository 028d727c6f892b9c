"""A constant on the logit of `_unknown_`, chosen after training: how readily the net says that it knows a word.

Training meets a few other words; in use any word may come. Clips of no word, made by turning round and splicing
validation clips, stand for those that no net was trained on. The constant maximises the mean of the classes' recalls in
which being called `_unknown_` is the recall of one class more, the made clips; it goes into the head's bias: no
parameter more, no operation more.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from kws_dendrite.data import Dataset, read_signals
from kws_dendrite.data.augment_unknown import PseudoKind, make_pseudo_unknown
from kws_dendrite.data.task import UNKNOWN
from kws_dendrite.errors import ConfigError, DataError
from kws_dendrite.frontend import FrontEndConfig, extract
from kws_dendrite.training.loop import predict

UNSEEN_CLIPS = 1000
KINDS: tuple[PseudoKind, ...] = ("reversed", "spliced")
LARGEST = 3.0  # nat; beyond it a net says nothing else


@dataclass(frozen=True)
class UnknownBias:
    """Attributes:
    bias: what is added to the logit, nat.
    score_before, score_after: mean recall as above without and with it, on the clips that it was chosen by.
    balanced_before, balanced_after: mean recall of the classes alone.
    unseen_before, unseen_after: share of the made clips that are called `_unknown_`.
    """

    bias: float
    score_before: float
    score_after: float
    balanced_before: float
    balanced_after: float
    unseen_before: float
    unseen_after: float

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)


def unseen_features(
    dataset: Dataset, frontend: FrontEndConfig, *, count: int = UNSEEN_CLIPS, seed: int = 0
) -> np.ndarray:
    """Features (count, T, F) of words that do not exist, made of the validation clips' voices.

    Raises:
        DataError: no clips to make them of.
    """
    signals = read_signals(dataset, "validation")
    rng = np.random.default_rng([seed, 3])
    made = make_pseudo_unknown(signals, 0, count, KINDS, dataset.task.sampling_freq, rng)
    return extract(made.samples, frontend)


def choose_unknown_bias(
    logits: np.ndarray, labels: np.ndarray, unseen: np.ndarray, unknown: int, weight: float = 1.0
) -> UnknownBias:
    """The best constant of one net; of equal ones the nearest to zero.

    Args:
        logits: (N, K) of validation clips.
        labels: (N,) of theirs.
        unseen: logits (M, K) of words that are none of the net's.
        unknown: index of `_unknown_`.
        weight: of `unseen` in the mean, in classes.

    Raises:
        DataError: arrays that do not fit, are not finite, or lack a class.
        ConfigError: a weight that is none.
    """
    if not (np.isfinite(weight) and weight >= 0):
        raise ConfigError(f"the weight of unseen words is finite and at least 0, in classes; got {weight}")
    K = logits.shape[-1]
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or unseen.ndim != 2 or unseen.shape[1] != K:
        raise DataError(
            f"expected logits (N, K), labels (N,) and logits (M, K); got {logits.shape}, {labels.shape} and "
            f"{unseen.shape}"
        )
    if not np.isfinite(logits).all() or not np.isfinite(unseen).all():
        raise DataError("the logits hold values that are not finite; train again with a lower learning rate")
    counts = np.bincount(labels, minlength=K)
    if len(counts) > K or not counts.all() or not len(unseen):
        raise DataError(f"a bias for {UNKNOWN} is chosen on clips of every class and some of unseen words")
    decided, margin = _without(logits, unknown)
    _, unseen_margin = _without(unseen, unknown)
    other = labels == unknown

    def measure(bias: float) -> tuple[float, float]:
        """Mean recall of the classes, and share of the unseen that is called unknown."""
        right = np.where(margin < bias, other, decided == labels)
        recall = np.bincount(labels, weights=right, minlength=K) / counts
        return float(recall.mean()), float((unseen_margin < bias).mean())

    steps = np.unique(np.clip(np.concatenate([margin, unseen_margin]), -LARGEST, LARGEST))
    candidates = np.concatenate([[0.0], (steps[1:] + steps[:-1]) / 2])
    candidates = candidates[np.argsort(np.abs(candidates), kind="stable")]
    measured = [measure(bias) for bias in candidates]
    scores = np.array([(K * balanced + weight * found) / (K + weight) for balanced, found in measured])
    best = int(np.argmax(scores > scores.max() - 1e-12))  # the first of equals
    (balanced, found), (balanced_after, found_after) = measured[0], measured[best]
    return UnknownBias(
        float(candidates[best]), float(scores[0]), float(scores[best]), balanced, balanced_after, found, found_after
    )


def _without(logits: np.ndarray, unknown: int) -> tuple[np.ndarray, np.ndarray]:
    """Which class leads beside `_unknown_`, and by how much it leads it: above that constant the clip is unknown."""
    others = np.delete(logits, unknown, axis=1)
    return np.delete(np.arange(logits.shape[1]), unknown)[others.argmax(1)], others.max(1) - logits[:, unknown]


def calibrate_unknown(
    model: nn.Module,
    labels: tuple[str, ...],
    features: np.ndarray,
    targets: np.ndarray,
    unseen: np.ndarray,
    weight: float = 1.0,
) -> list[UnknownBias]:
    """Choose every member's constant and add it to the head's bias, in place.

    Args:
        model: a trained population whose `head` is its last layer.
        labels: K class names.
        features: (N, T, F) of the validation clips, `targets` (N,) theirs.
        unseen: features (M, T, F) of words that are none of the net's.
        weight: of them, in classes.

    Raises:
        ConfigError: no `_unknown_` among the labels; a head without a bias that reaches the logits as it is (gated).
        DataError: as `choose_unknown_bias`.
    """
    if UNKNOWN not in labels:
        raise ConfigError(f"a bias for {UNKNOWN} needs that class; the model has {', '.join(labels)}")
    index = labels.index(UNKNOWN)
    before, made = (predict(model, torch.from_numpy(np.asarray(x, np.float32))) for x in (features, unseen))
    chosen = [
        choose_unknown_bias(one.double().numpy(), targets, other.double().numpy(), index, weight)
        for one, other in zip(before, made, strict=True)
    ]
    added = torch.tensor([one.bias for one in chosen])
    head = getattr(model, "head", None)
    bias = getattr(getattr(head, "base", head), "bias", None)  # a dendritic head's own neurons are its base
    if bias is None:
        raise ConfigError(f"the model has no head with a bias to add {UNKNOWN}'s constant to")
    with torch.no_grad():
        bias[:, index] += added
    few = torch.from_numpy(np.asarray(features[:32], np.float32))
    expected = before[:, : len(few)].clone()
    expected[:, :, index] += added[:, None]
    if not torch.allclose(predict(model, few), expected, rtol=1e-4, atol=1e-4):
        with torch.no_grad():
            bias[:, index] -= added
        raise ConfigError(f"the head's bias does not reach the logit of {UNKNOWN} as it is: dendrites gate the head")
    return chosen
