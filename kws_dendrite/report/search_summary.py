"""What is said of a search in a few words: counts, reasons, the best at each size, time left, what stopping saved."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kws_dendrite.report.fields import mapping, number
from kws_dendrite.report.search_trials import COUNTED, ENDED, STATES, SearchTrial, Spot
from kws_dendrite.report.svg import log_ticks
from kws_dendrite.report.trials import PARAMETERS
from kws_dendrite.report.wording import tick

NUMBER = re.compile(r"(?<![\w.-])\d+(?:,\d{3})*(?:\.\d+)?")  # not the 4 of cortex-m4, nor the sign of -0.5


@dataclass(frozen=True)
class Plan:
    """What a search is to be, out of search.json.

    Attributes:
        arms: in the order of their turns.
        trials: of each arm; None where nothing says how many there will be.
        epochs, members: of a trial.
        label: of the axis of sizes.
        name: of the data or the study.
        maximise: "accuracy" or "loss".
    """

    arms: tuple[str, ...] = ()
    trials: int | None = None
    epochs: int | None = None
    members: int | None = None
    label: str = PARAMETERS
    name: str = ""
    maximise: str = "accuracy"

    @property
    def total(self) -> int | None:
        """Trials of all arms."""
        return None if self.trials is None else self.trials * max(1, len(self.arms))


def plan_from(settings: Mapping[str, Any], where: str = "search.json") -> Plan:
    """The plan that search.json tells; what it does not tell is None."""
    objective = settings.get("objective")
    stated = objective if isinstance(objective, Mapping) else {}
    arms = settings.get("arms")
    counts = {name: number(settings, name, where) for name in ("trials", "epochs", "members")}
    return Plan(
        arms=tuple(str(arm) for arm in arms) if isinstance(arms, list | tuple) else (),
        **{name: None if value is None else int(value) for name, value in counts.items()},
        label=str(stated.get("label") or PARAMETERS),
        name=str(mapping(settings, "data", where).get("name") or settings.get("study") or ""),
        maximise=str(settings.get("maximise") or stated.get("maximise") or "accuracy"),
    )


def counts(trials: Sequence[SearchTrial]) -> dict[str, int]:
    """How many are in each state, in the order of STATES; "skipped" counts draws, every other state trials."""
    found = Counter(trial.state for trial in trials)
    return {state: found[state] for state in STATES}


def reasons(trials: Sequence[SearchTrial], state: str) -> list[tuple[str, int]]:
    """Why trials are in `state`, most frequent first.

    Reasons that differ in their numbers alone are told together, with the lowest and the highest: "RAM 8,310 to 13,904
    B is over --max-ram 8,192 B".
    """
    groups: dict[str, list[list[str]]] = {}
    for trial in trials:
        if trial.state == state:
            why = trial.why or "no reason was written"
            groups.setdefault(NUMBER.sub("{}", why.replace("{", "(").replace("}", ")")), []).append(NUMBER.findall(why))
    found = [(shape.format(*map(_span, zip(*rows, strict=True))), len(rows)) for shape, rows in groups.items()]
    return sorted(found, key=lambda pair: -pair[1])


def _span(values: Sequence[str]) -> str:
    """The lowest and highest of numbers as they were written."""
    ordered = sorted(values, key=lambda text: float(text.replace(",", "")))
    low, high = ordered[0], ordered[-1]
    return low if float(low.replace(",", "")) == float(high.replace(",", "")) else f"{low} to {high}"


@dataclass(frozen=True)
class Bin:
    """Sizes above `low` and up to `high`, and the best spot of each arm in it."""

    low: float
    high: float
    best: Mapping[str, Spot]

    @property
    def words(self) -> str:
        """As a row's heading."""
        return f"{tick(self.low)} to {tick(self.high)}"

    @property
    def leader(self) -> Spot:
        """The best of all arms."""
        return max(self.best.values(), key=lambda spot: (spot.merit, -spot.size))


def best_by_size(trials: Sequence[SearchTrial], target: int = 8) -> list[Bin]:
    """About `target` bins of round edges, evenly spaced by the logarithm; those without a spot are left out."""
    spots = [spot for trial in trials if trial.state in COUNTED for spot in trial.spots]
    if not spots:
        return []
    low, high = min(spot.size for spot in spots), max(spot.size for spot in spots)
    edges = log_ticks(low / 1.5, high * 1.5, target + 1)
    edges = [edge for edge in edges if low < edge < high]
    edges = [_rounded(low, down=True), *edges, _rounded(high, down=False)]
    bins = []
    for bottom, top in itertools.pairwise(sorted(set(edges))):
        best: dict[str, Spot] = {}
        for spot in spots:
            if bottom < spot.size <= top and (spot.arm not in best or spot.merit > best[spot.arm].merit):
                best[spot.arm] = spot
        if best:
            bins.append(Bin(bottom, top, best))
    return bins


def _rounded(value: float, down: bool) -> float:
    """Two digits, strictly below the value or at least it."""
    power = 10.0 ** (math.floor(math.log10(value)) - 1)
    place = math.floor(value / power)
    if down:
        return (place if place * power < value else place - 1) * power
    return place * power if place * power >= value else (place + 1) * power


def done(trials: Sequence[SearchTrial], epochs: int | None = None) -> float:
    """Trials' worth of work done: those that ended, and of each running one its share of epochs."""
    whole = sum(trial.state in ENDED for trial in trials)
    running = [trial for trial in trials if trial.state == "running" and trial.epoch]
    return whole + sum(min(1.0, t.epoch / (t.epochs or epochs or math.inf)) for t in running)


def time_left(
    trials: Sequence[SearchTrial], plan: Plan, work: float = 0.0, elapsed: float = 0.0, workers: int | None = None
) -> float | None:
    """Seconds until the last trial has ended, None where nothing tells.

    By the rate at which work was done since whoever asks began to look; before that is one trial's worth, by the mean
    time of the trials that ended and the number of workers.

    Args:
        work: trials' worth done in `elapsed` seconds of a clock that does not step.
        workers: that train; those of the running trials where it is not given.
    """
    if plan.total is None:
        return None
    rest = max(0.0, plan.total - done(trials, plan.epochs))
    if rest == 0:
        return 0.0
    if work >= 1 and elapsed > 0:
        return rest * elapsed / work
    known = [trial.seconds for trial in trials if trial.state in COUNTED and trial.seconds]
    running = workers or len({trial.worker or trial.key for trial in trials if trial.state == "running"})
    return rest * sum(known) / len(known) / running if known and running else None


@dataclass(frozen=True)
class Saving:
    """What stopping hopeless trials saved.

    Attributes:
        trials: stopped.
        epochs, spent: not trained, and trained by all trials that ended.
        seconds: not trained, at the speed of each stopped trial.
    """

    trials: int
    epochs: int
    spent: int
    seconds: float

    @property
    def share(self) -> float:
        """Of the epochs that there would have been."""
        return self.epochs / (self.epochs + self.spent) if self.epochs else 0.0


def saving(trials: Sequence[SearchTrial]) -> Saving:
    """What stopping saved so far."""
    stopped = [trial for trial in trials if trial.state == "stopped"]
    seconds = sum(t.saved * t.seconds / t.epoch for t in stopped if t.epoch and t.seconds)
    spent = sum(trial.epoch or 0 for trial in trials if trial.state in COUNTED)
    return Saving(len(stopped), sum(trial.saved for trial in stopped), spent, seconds)


def worked(trials: Sequence[SearchTrial]) -> dict[str, float]:
    """Key of each trial that counts -> hours into the search at which it ended, pauses left out.

    Time runs only while some trial does: a night between two runs counts for nothing. A trial without both moments,
    or one whose clock was set back, is left out.
    """
    spans = sorted(
        (trial.started, trial.ended, trial.key)
        for trial in trials
        if trial.state in COUNTED and trial.started is not None and trial.ended is not None
        if trial.ended >= trial.started
    )
    found, passed, edge = {}, 0.0, -math.inf
    before: list[tuple[float, float]] = []  # (edge of a stretch of work, time worked before it)
    for start, end, key in spans:
        if start > edge:
            passed += 0.0 if edge == -math.inf else edge - before[-1][0]
            before.append((start, passed))
        edge = max(edge, end)
        found[key] = (end - before[-1][0] + before[-1][1]) / 3600
    return found


FEW = 5  # trials of an arm by which it says something of the sizes that it comes to


def sizes(trials: Sequence[SearchTrial]) -> tuple[float, float] | None:
    """The smallest size that every arm has come to, and the largest of any; None without a net.

    An arm that happened upon a net smaller than all others would else lead by that alone: below the smallest common
    size nothing can be compared. Arms with few trials yet are not asked.
    """
    least: dict[str, list[float]] = {}
    largest = 0.0
    for trial in trials:
        if trial.state in COUNTED and trial.spots:
            least.setdefault(trial.arm, []).append(min(spot.size for spot in trial.spots))
            largest = max(largest, *(spot.size for spot in trial.spots))
    if not least:
        return None
    known = [min(found) for found in least.values() if len(found) >= FEW]
    return max(known) if known else min(min(found) for found in least.values()), largest
