"""Accuracy with its interval, and paired statistics. It knows scores, not who made them; numpy and scipy only."""

from kws_dendrite.evaluation.accuracy import Evaluation, evaluate_scores
from kws_dendrite.evaluation.crossed import CrossedDifference, crossed_difference
from kws_dendrite.evaluation.statistics import (
    BootstrapDifference,
    PairedDifference,
    clip_bootstrap,
    holm,
    paired_difference,
    t_interval,
    wilson_interval,
)

__all__ = [
    "BootstrapDifference",
    "CrossedDifference",
    "Evaluation",
    "PairedDifference",
    "clip_bootstrap",
    "crossed_difference",
    "evaluate_scores",
    "holm",
    "paired_difference",
    "t_interval",
    "wilson_interval",
]
