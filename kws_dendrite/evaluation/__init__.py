"""Accuracy with its interval, and paired statistics. It knows scores, not who made them; numpy and scipy only."""

from kws_dendrite.evaluation.accuracy import Evaluation, evaluate_scores
from kws_dendrite.evaluation.statistics import (
    BootstrapDifference,
    PairedDifference,
    clip_bootstrap,
    paired_difference,
    t_interval,
    wilson_interval,
)

__all__ = [
    "BootstrapDifference",
    "Evaluation",
    "PairedDifference",
    "clip_bootstrap",
    "evaluate_scores",
    "paired_difference",
    "t_interval",
    "wilson_interval",
]
