"""All numbers of a study as one JSON value, from what its folder holds: nothing is trained or scored here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kws_dendrite.dendrites.config import TRAINED_CANDIDATES
from kws_dendrite.errors import ConfigError
from kws_dendrite.evaluation import crossed_difference, t_interval, wilson_interval
from kws_dendrite.study.arms import ARMS
from kws_dendrite.study.comparison import Scored, best_plain_of, compare, plain_of
from kws_dendrite.study.compression import Compression, compress
from kws_dendrite.study.folder import read_description
from kws_dendrite.study.protocol_paper import conclude, is_paper
from kws_dendrite.study.reading import TestRecord, summary
from kws_dendrite.study.rows import Row, RowStore
from kws_dendrite.study.verdict import conclusion, verdicts

FORMAT = 1


def gather(folder: Path | str, rows: Sequence[Row] | None = None) -> dict[str, Any]:
    """Every result of a study as JSON values; on test clips where all rows were read, else on validation clips.

    Args:
        folder: of the study.
        rows: which; every finished row by default.

    Raises:
        ConfigError: no study, or no finished row.
    """
    made_of = read_description(folder)
    rows = RowStore(folder).all() if rows is None else list(rows)
    if not rows:
        raise ConfigError(f"no row of the study in {folder} is finished; train some first")
    record = TestRecord(folder)
    read = {row.name: record.scores(row) for row in rows}
    tested = all(scores is not None for scores in read.values())
    scored = [
        Scored(row, scores.correct.mean(1), scores.correct, scores.int8_correct, scores.recall, scores.speakers)
        if tested and (scores := read[row.name]) is not None
        else Scored(row, np.array(row.validation_accuracy))
        for row in sorted(rows, key=_place)
    ]
    trials = [one for one in scored if is_paper(one.row.arm)]
    scored = [one for one in scored if not is_paper(one.row.arm)]
    if not scored:
        raise ConfigError(f"no row of the study in {folder} but the paper's trials is finished; train some first")
    sized = [one for one in scored if not _published(one)]
    comparisons = compare(sized)
    grown = list(dict.fromkeys(one.row.arm for one in sized if not one.row.control and not one.row.base_of))
    return {
        "format": FORMAT,
        "measured_on": "test" if tested else "validation",
        "clips": int(scored[0].correct.shape[1]) if tested else made_of.get("clips", {}).get("validation"),
        "members": min(one.row.members for one in scored),
        "made_of": made_of,
        "readings": summary(record.readings()),
        "rows": [_row(one) for one in scored],
        "comparisons": [one.to_json() for one in comparisons],
        "compression": [one.to_json() for one in _compressions(sized)],
        "paper": conclude(trials, sized, made_of["seed"]) if tested else [],
        "verdicts": {str(size): line for size, line in verdicts(comparisons, grown).items()},
        "conclusion": conclusion(comparisons, grown),
        "best_plain": {
            str(size): best.row.name
            for size in sorted({one.row.size for one in sized})
            if (best := best_plain_of(sized, size)) is not None
        },
    }


def _place(row: Row) -> tuple[bool, int, int, str]:
    """Sized arms first, size by size, in the order of the registry."""
    kind = row.arm.partition(":")[0].removesuffix("-base")
    order = list(ARMS)
    known = order.index(kind) if kind in order else len(order)
    return row.made_of["architecture"]["family"] != "separable", row.size, known, row.arm


def _published(one: Scored) -> bool:
    return one.row.made_of["architecture"]["family"] != "separable"


def _compressions(sized: Sequence[Scored]) -> list[Compression]:
    """Against the curve of the plain arm, and against that of the best plain nets where it is another."""
    sizes = sorted({one.row.size for one in sized})
    plain = [net for size in sizes if (net := plain_of(sized, size)) is not None]
    best = [net for size in sizes if (net := best_plain_of(sized, size)) is not None]
    found: list[Compression] = []
    others = [one for one in sized if not one.row.base_of and all(one is not net for net in plain)]
    curve = _one_a_size(plain)
    if len(curve) < 2:
        return found
    found += compress(others, curve, "plain", np.random.default_rng(1))
    if [one.row.name for one in best] != [one.row.name for one in plain]:
        grown = [one for one in sized if not one.row.base_of and not one.row.control]
        curve = _one_a_size(best)
        if grown and len(curve) > 1:
            found += compress(grown, curve, "best plain", np.random.default_rng(1))
    return found


def _one_a_size(nets: Sequence[Scored]) -> list[Scored]:
    """Of nets with equally many parameters, as neighbouring sizes may have, the one with the best validation
    accuracy: a curve has one point at each."""
    best: dict[float, Scored] = {}
    for net in nets:
        there = best.setdefault(net.row.mean_parameters, net)
        if np.mean(net.row.validation_accuracy) > np.mean(there.row.validation_accuracy):
            best[net.row.mean_parameters] = net
    return list(best.values())


def _candidate_epochs(row: Row) -> int:
    """Epochs of candidate phases and probes, in which the net itself is not trained."""
    growth = row.made_of.get("growth") or {}
    if not growth or growth["insertion"] == "start":
        return 0
    candidates = growth["candidate_epochs"] if growth["mode"] in TRAINED_CANDIDATES else 0
    return len(row.growth) * (candidates + len(growth["probe"]))


def _row(one: Scored) -> dict[str, Any]:
    row = one.row
    several = row.members > 1
    value: dict[str, Any] = {
        "name": row.name,
        "arm": row.arm,
        "title": row.title,
        "size": row.size,
        "control": row.control,
        "base_of": row.base_of,
        "published": _published(one),
        "parameters": row.mean_parameters,
        "parameters_members": list(row.parameters),
        "planned": row.planned,
        "macs": row.mean_macs,
        "members": row.members,
        "accuracy": float(one.accuracies.mean()),
        "accuracy_members": one.accuracies.tolist(),
        "interval": list(t_interval(one.accuracies)) if several else None,
        "validation_accuracy": float(np.mean(row.validation_accuracy)),
        "growth_kept": sum(bool(step.get("accepted")) for step in row.growth),
        "growth_tried": len(row.growth),
        "epochs": row.epochs,
        "candidate_epochs": _candidate_epochs(row),
        "seconds": row.seconds,
        "cpu_seconds": row.cpu_seconds,
    }
    if one.correct is not None:
        value["clip_interval"] = list(wilson_interval(one.correct.mean() * one.correct.shape[1], one.correct.shape[1]))
        value["recall"] = [None if np.isnan(share) else float(share) for share in one.recall]
        int8 = one.int8_correct.mean(1)
        value["int8_accuracy"] = float(int8.mean())
        value["int8_accuracy_members"] = int8.tolist()
        value["int8_change"] = float(int8.mean() - one.accuracies.mean())
        if several:
            nothing, groups = np.zeros_like(one.correct), one.speakers
            value["both_interval"] = list(crossed_difference(one.correct, nothing, groups=groups).interval)
            value["int8_interval"] = list(crossed_difference(one.int8_correct, one.correct, groups=groups).interval)
    return value
