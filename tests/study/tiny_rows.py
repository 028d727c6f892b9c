"""Finished rows that no training made, with chosen accuracies."""

import numpy as np

from kws_dendrite.study.arms import ARMS
from kws_dendrite.study.comparison import Scored
from kws_dendrite.study.rows import Row


def make_row(
    arm="plain", size=700, parameters=None, validation=(0.8, 0.8), base_of="", family="separable", weights="w"
):
    kind = ARMS.get(arm.partition(":")[0])
    parameters = size if parameters is None else parameters
    P = len(validation)
    return Row(
        name=f"{arm}-{size}",
        arm=arm,
        title=kind.title if kind else arm,
        size=size,
        control=bool(kind and kind.control),
        base_of=base_of,
        parameters=(parameters,) * P,
        macs=(50 * parameters,) * P,
        planned=parameters,
        made_of={"architecture": {"family": family}, "frontend": None},
        validation_loss=tuple(1 - value for value in validation),
        validation_accuracy=tuple(validation),
        growth=(),
        epochs=60,
        seconds=10.0,
        cpu_seconds=9.0,
        weights=weights,
    )


def right(shares, clips=400, seed=0):
    """(P, N): each seed right on its share of the clips, easier clips first, a little at random."""
    rng = np.random.default_rng([seed, len(shares)])
    ease = np.linspace(1, 0, clips)
    table = []
    for share in shares:
        order = np.argsort(-(ease + 0.3 * rng.random(clips)))
        row = np.zeros(clips, bool)
        row[order[: round(share * clips)]] = True
        table.append(row)
    return np.array(table)


def scored(arm="plain", shares=(0.8, 0.82, 0.81), size=700, seed=0, tested=True, **changed):
    row = make_row(arm, size, validation=changed.pop("validation", shares), **changed)
    if not tested:
        return Scored(row, np.array(shares))
    correct = right(shares, seed=seed)
    return Scored(row, correct.mean(1), correct, correct.copy(), np.array([0.5, 0.6]))
