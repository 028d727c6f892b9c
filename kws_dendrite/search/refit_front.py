"""The front of the refitted means: intervals, what the search had said, and the arms against each other, as front.json.

What each stage may choose by:

    search   each arm's trials -> points -> its front       a maximum of noisy figures: high by luck, too
    refit    the points of those fronts, P fresh seeds      means without that luck; the front is drawn anew from them
    test     all refitted points, once, after that          nothing is chosen by it
"""

import fcntl
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kws_dendrite.errors import ConfigError
from kws_dendrite.evaluation import crossed_difference, holm, t_interval
from kws_dendrite.evaluation.hypervolume import undominated
from kws_dendrite.output import write_json
from kws_dendrite.search.objective import Objective
from kws_dendrite.search.refitted import RefitStore, Refitted, both_interval

FRONT, FORMAT = "front.json", 1
MOST_LIMITS = 6  # at which arms are compared: more say the same again, and cost each comparison its power


class Scores(Protocol):
    """How one point did on the test clips: bool (P, N), as trained and as int8; (N,) who spoke, where known."""

    correct: np.ndarray
    int8_correct: np.ndarray | None
    speakers: np.ndarray | None


def summarise(
    points: Sequence[Refitted],
    correct: Mapping[str, np.ndarray],
    scores: Mapping[str, Scores | None],
    *,
    objective: Objective,
    planned: int,
    readings: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that front.json holds, from refitted points alone: nothing is trained or scored here.

    Args:
        points: refitted, all with the same seeds.
        correct: by name, bool (P, N) on the validation clips.
        scores: by name, on the test clips; None where they were not read.
        objective: of the search.
        planned: how many points the refit was to have.
        readings: of the test clips, as `study.reading.summary` gives them.
    """
    merits = [objective.merit(point.mean_accuracy, point.mean_loss) for point in points]
    pairs = [(point.value, merit) for point, merit in zip(points, merits, strict=True)]
    on_front = {points[k].name for k in undominated(pairs)}
    tested = bool(points) and all(scores.get(point.name) is not None for point in points)
    return {
        "format": FORMAT,
        "objective": {"name": objective.name, "label": objective.label, "maximise": objective.maximise},
        "members": min((point.members for point in points), default=None),
        "validation_clips": next((int(held.shape[1]) for held in correct.values()), None),
        "test_clips": next((int(one.correct.shape[1]) for one in scores.values() if one is not None), None),
        "planned": planned,
        "finished": len(points),
        "points": [_row(p, correct[p.name], scores.get(p.name), p.name in on_front) for p in points],
        "optimism": optimism(points),
        "arms_on": "test" if tested else "validation",
        "arms": compare_arms(points, {p.name: scores[p.name].correct for p in points} if tested else correct),
        "readings": dict(readings),
    }


def _row(point: Refitted, correct: np.ndarray, scores: Scores | None, on_front: bool) -> dict[str, Any]:
    return {
        "name": point.name,
        "trial": point.trial,
        "arm": point.arm,
        "slot": point.slot,
        "dendrites": point.dendrites,
        "dendrites_kept": point.dendrites_kept,
        "front": on_front,
        "accuracy": point.mean_accuracy,
        "accuracy_members": list(point.accuracy),
        "loss": point.mean_loss,
        "seed_interval": list(point.seed_interval),
        "interval": list(both_interval(correct)),
        "said": point.said,
        "parameters": max(point.parameters),
        "parameters_members": list(point.parameters),
        "macs": int(point.costs["macs"]),
        "costs": point.costs,
        "value": point.value,
        "exported": point.exported,
        "epochs": point.made_of["epochs"],
        "seconds": point.seconds,
        "weights": point.weights,
        "folder": f"front/{point.name}",
        "test": None if scores is None else _tested(scores),
    }


def _tested(scores: Scores) -> dict[str, Any]:
    members = scores.correct.mean(1)
    low, high = t_interval(members)
    value = {
        "accuracy": float(members.mean()),
        "accuracy_members": members.tolist(),
        "seed_interval": [max(0.0, low), min(1.0, high)],
        "interval": list(both_interval(scores.correct, scores.speakers)),
    }
    if scores.int8_correct is not None:
        value["int8_accuracy"] = float(scores.int8_correct.mean())
        value["int8_accuracy_members"] = scores.int8_correct.mean(1).tolist()
    return value


def optimism(points: Sequence[Refitted]) -> dict[str, Any] | None:
    """What the search said of its front, less what fresh seeds say of the same nets, trained as long.

    The interval is over the fresh seeds: each gives one mean over the points. Points that were refitted with other
    epochs than the search gave them are left out; None where that leaves none.
    """
    alike = [point for point in points if point.made_of["epochs"] == point.said["epochs"]]
    if not alike:
        return None
    said = float(np.mean([point.said["accuracy"] for point in alike]))
    seeds = np.mean([point.accuracy for point in alike], axis=0)  # (P,)
    low, high = t_interval(said - seeds)
    return {
        "points": len(alike),
        "said": said,
        "refitted": float(seeds.mean()),
        "difference": said - float(seeds.mean()),
        "interval": [low, high],
        "said_members": sorted({len(point.said["accuracy_members"]) for point in alike}),
    }


def compare_arms(points: Sequence[Refitted], correct: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """At each of a few size limits, each arm's best net against the plain arm's (else the first arm's), paired.

    An arm's best is chosen by its refitted mean on validation clips; `correct` is what the difference is taken on. The
    intervals are over seeds and clips; the p values are Holm's over all rows.
    """
    arms = list(dict.fromkeys(point.arm for point in sorted(points, key=lambda p: (p.arm != "plain", p.trial))))
    if len(arms) < 2:
        return []
    base, others = arms[0], arms[1:]
    rows, seen = [], set()
    for limit in _limits([point.value for point in points]):
        against = _best(points, base, limit)
        for arm in others:
            best = _best(points, arm, limit)
            if against is None or best is None or (best.name, against.name) in seen:
                continue
            seen.add((best.name, against.name))
            found = crossed_difference(correct[best.name], correct[against.name])
            rows.append(
                {
                    "limit": limit,
                    "arm": arm,
                    "point": best.name,
                    "size": best.value,
                    "against": base,
                    "against_point": against.name,
                    "against_size": against.value,
                    "epochs": best.made_of["epochs"],
                    "against_epochs": against.made_of["epochs"],
                    "difference": found.mean,
                    "interval": list(found.interval),
                    "p_value": found.p_value,
                }
            )
    corrected = holm([row["p_value"] for row in rows])
    return [row | {"p_holm": float(p)} for row, p in zip(rows, corrected, strict=True)]


def _best(points: Sequence[Refitted], arm: str, limit: float) -> Refitted | None:
    fitting = [point for point in points if point.arm == arm and point.value <= limit]
    return max(fitting, key=lambda point: (point.mean_accuracy, -point.value, -point.trial), default=None)


def _limits(sizes: Sequence[float]) -> list[float]:
    """The sizes that there are, thinned to `MOST_LIMITS`, evenly on a logarithmic scale; the largest stays."""
    known = sorted({size for size in sizes if size > 0})
    if len(known) <= MOST_LIMITS:
        return known
    steps = np.geomspace(known[0], known[-1], MOST_LIMITS)
    return sorted({min(known, key=lambda size: abs(math.log(size / step))) for step in steps})


def write_front(
    folder: Path | str,
    *,
    objective: Objective,
    planned: int,
    scores: Callable[[Refitted], Scores | None],
    readings: Mapping[str, Any],
    numbers: Mapping[tuple[str, int], int] | None = None,
) -> dict[str, Any]:
    """Write front.json from all points that are finished; the lock keeps an older view from replacing a newer one.

    `numbers` has the trials' numbers as they are now, by arm and slot.
    """
    store = RefitStore(folder)
    store.folder.mkdir(parents=True, exist_ok=True)
    with (store.folder / "writing").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        points = [
            replace(point, trial=(numbers or {}).get((point.arm, point.slot), point.trial)) for point in store.all()
        ]
        value = summarise(
            points,
            {point.name: store.correct(point.name) for point in points},
            {point.name: scores(point) for point in points},
            objective=objective,
            planned=planned,
            readings=readings,
        )
        write_json(Path(folder) / FRONT, value)
    return value


def read_front(folder: Path | str) -> dict[str, Any] | None:
    """A search's front.json, None where nothing was refitted.

    Raises:
        ConfigError: it is not what this version writes.
    """
    path = Path(folder) / FRONT
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ConfigError(
            f"{path} is not JSON ({error}); refit again, which trains nothing that is finished"
        ) from error
    if not isinstance(value, dict) or value.get("format") != FORMAT or not isinstance(value.get("points"), list):
        raise ConfigError(f"{path} is not a refitted front of format {FORMAT}, the one this version reads")
    return value
