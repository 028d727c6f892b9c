"""What the script of a search's page knows: words and places only, ready to be set as text or drawn."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kws_dendrite.report.search_axes import axes_of, best_spot, lines_of
from kws_dendrite.report.search_chart import arms_of, spoken
from kws_dendrite.report.search_results import SearchResults
from kws_dendrite.report.search_trials import Curve, SearchTrial, Spot, all_spots, the_front
from kws_dendrite.report.trials import PARAMETERS
from kws_dendrite.report.wording import UNKNOWN, count, duration, percent, percent_range, plain, tick, title

COSTS = {
    "flash": "Flash, bytes",
    "ram": "RAM, bytes",
    "instructions": "Instructions an inference",
    "latency_ms": "Modelled latency, ms",
}
OTHER = "drawn"  # of parameters without a group


def page_facts(results: SearchResults, importance: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Arms, trials, spots and axes; a spot's place is its place in `all_spots`, a trial's in the results."""
    trials, label = results.trials, results.plan.label
    arms, spots, front = arms_of(trials), all_spots(trials), the_front(trials)
    place = {id(spot): k for k, spot in enumerate(spots)}
    where = {id(spot): k for k, trial in enumerate(trials) for spot in trial.spots}
    weights = {
        name: entry["share"] for name, entry in ((importance or {}).get("all") or {}).get("parameters", {}).items()
    }
    lines = lines_of(trials)
    index = {id(trial): k for k, trial in enumerate(trials)}
    axes = axes_of(trials, label, weights)
    best = front[-1] if front else max(spots, key=lambda spot: spot.merit, default=None)
    return {
        "arms": arms,
        "held": "" if label == PARAMETERS else label,
        "best": None if best is None else place[id(best)],
        "trials": [_trial(trial, arms, place, results) for trial in trials],
        "spots": [_spot(spot, where[id(spot)], label) for spot in spots],
        "lines": {
            "axes": [axis.to_json() for axis in axes],
            "lines": [
                {"trial": index[id(t)], "arm": arms.index(t.arm), "front": any(s.arm_front for s in t.spots)}
                for t in lines
            ],
        }
        if axes
        else None,
    }


def _spot(spot: Spot, trial: int, label: str) -> dict[str, Any]:
    return {
        "t": trial,
        "d": UNKNOWN if spot.dendrites is None else str(spot.dendrites),
        "z": tick(spot.size),
        "p": count(spot.parameters),
        "a": percent(spot.accuracy),
        "v": round(10_000 * spot.accuracy),
        "i": percent_range(spot.interval),
        "f": "front" if spot.front else "front of its arm" if spot.arm_front else "",
        "e": spot.epochs or 0,
        "say": spoken(spot, label),
    }


def _trial(trial: SearchTrial, arms: list[str], place: Mapping[int, int], results: SearchResults) -> dict[str, Any]:
    on = "on the front" if any(s.front for s in trial.spots) else ""
    on = on or ("on the front of its arm" if any(s.arm_front for s in trial.spots) else "")
    best = trial.spots.index(best_spot(trial)) if trial.spots else 0
    return {
        "key": trial.key,
        "arm": arms.index(trial.arm),
        "state": trial.state,
        "place": on,
        "why": trial.why,
        "spots": [place[id(spot)] for spot in trial.spots],
        "best": best,
        "rows": _rows(trial),
        "drawn": _drawn(trial.params),
        "curve": _curve(trial, results.plan.epochs),
    }


def _rows(trial: SearchTrial) -> list[list[str]]:
    rows = []
    if trial.epoch:
        rows.append(["Epochs in cycles", f"{trial.epoch} of {trial.epochs}" if trial.epochs else str(trial.epoch)])
    if trial.saved:
        rows.append(["Epochs saved", str(trial.saved)])
    if trial.seconds:
        rows.append(["Time", duration(trial.seconds)])
    for name, moment in (("Started", trial.started), ("Ended", trial.ended)):
        if moment is not None:
            rows.append([name, f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"])
    if trial.worker:
        rows.append(["Worker", trial.worker])
    last = trial.spots[-1] if trial.spots else None
    if last is not None:
        rows += [["MACs", count(last.macs)]] if last.macs is not None else []
        known = {"parameters", "macs"}
        rows += [[COSTS.get(str(name), title(str(name))), tick(value)] for name, value in last.costs.items()
                 if name not in known and isinstance(value, int | float)]  # fmt: skip
    return rows


def _drawn(params: Mapping[str, Any]) -> list[list[Any]]:
    """Parameters by their group, as [[group, [[name, value], ...]], ...]."""
    groups: dict[str, list[list[str]]] = {}
    for name, value in params.items():
        group, dot, rest = str(name).partition(".")
        groups.setdefault(group if dot else OTHER, []).append([title(rest if dot else group), plain(value)])
    return [[group, rows] for group, rows in groups.items()]


def _curve(trial: SearchTrial, planned: int | None) -> dict[str, Any] | None:
    curve = trial.curve
    if not curve.epochs:
        return None

    def whole(values: tuple[float, ...]) -> list[int]:
        return [round(10_000 * value) for value in values]

    return {
        "e": list(curve.epochs),
        "a": whole(curve.accuracy),
        "lo": whole(curve.low),
        "hi": whole(curve.high),
        "ph": _phases(curve),
        "planned": trial.epochs or (planned if trial.state in ("stopped", "running") else None) or 0,
    }


def _phases(curve: Curve) -> list[list[Any]]:
    """Runs of epochs of one phase: name, first and last epoch; nothing where there is but one."""
    found = []
    for phase, group in itertools.groupby(zip(curve.phases, curve.epochs, strict=True), key=lambda pair: pair[0]):
        epochs = [epoch for _, epoch in group]
        found.append([phase or "training", epochs[0], epochs[-1]])
    return found if len(found) > 1 else []
