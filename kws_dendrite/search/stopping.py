"""When a trial is hopeless: a learning-curve bound against the front at the trial's size.

Optuna's pruners compare one value with others' at the same step. Here two count: a small net need not be as accurate
as a large one. So the question is another: may this trial, from where it stands at a share f of its epochs, still reach
the front at its size?

    merit
      |                   . . . . . . bound: what so far + the gain that only a share `risk` / checks exceed
      |         front at the size - - - - - - - - - - - - - - - - -
      |     ________ best so far                 stopped where the bound lies below the front
      +-----|---------------------------> share of the epochs

Let g_i be what finished trial i still gained after f, up to the best of all its points (dendrites that came later are
counted), on a scale on which gains compare (`scaled`). Of n of them and one more from the same source, the one more
exceeds the k-th smallest, k = ceil((1 - a) (n + 1)), with a chance of a at most (split conformal prediction: Vovk et
al. 2005, chapter 2; Lei et al. 2018, theorem 2.2). With a = risk / checks at each check, at most `risk` of all trials
ever lie above their own bound, so at most that share is stopped that would have reached the front.

That holds as long as trials are exchangeable. Two things are done for it: trials that are stopped have no final figure,
so the bound is learned only from slots that were never to be stopped, the first `warmup` of each arm and one in
`audit` after them, whatever their curves. And arms are kept apart, as their schedules differ. What is not covered is a
sampler that moves on to better regions, which the audit slots follow only slowly; a replay shows what it does.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kws_dendrite.errors import ConfigError
from kws_dendrite.search.points import Point

HALF_CLIP = 1e-3  # keeps log odds finite at 0 and 1; half a clip of five hundred
Curve = Sequence[Mapping[str, Any]]  # an entry an epoch
Pair = tuple[float, float]  # size, merit


class Finished(Protocol):
    """What the rule reads of a trial."""

    arm: str
    slot: int | None
    state: str
    planned: int | None
    points: tuple[Point, ...]
    curve: Curve


@dataclass(frozen=True)
class StoppingRule:
    """Attributes:
    checks: shares of a trial's epochs (candidate phases and probes not counted) after which it is looked at.
    risk: largest share of all trials that may be stopped although they would have come above their bound.
    audit: one slot in so many is trained to its end all the same; the bound goes on learning from these.
    """

    checks: tuple[float, ...] = (0.25, 0.5, 0.75)
    risk: float = 0.1
    audit: int = 8

    def __post_init__(self) -> None:
        if not self.checks or list(self.checks) != sorted(set(self.checks)):
            raise ConfigError(f"checks are shares of the epochs, each once, in order; got {self.checks}")
        if not self.checks[0] > 0 or not self.checks[-1] < 1:
            raise ConfigError(f"checks are shares of the epochs between 0 and 1; got {self.checks}")
        if not 0 < self.risk < 1:
            raise ConfigError(f"risk is a share of trials between 0 and 1; got {self.risk}")
        if self.audit < 2:
            raise ConfigError(f"audit trains one slot in so many to its end, at least 2; got {self.audit}")

    @property
    def warmup(self) -> int:
        """Finished trials of an arm without which there is no bound at this risk."""
        return math.ceil(len(self.checks) / self.risk - 1e-9) - 1

    def may_stop(self, slot: int) -> bool:
        """Whether the trial of this slot of its arm may be stopped; else the bound learns from it."""
        return slot >= self.warmup and slot % self.audit != 0

    def epochs(self, planned: int) -> dict[int, int]:
        """Epochs done -> number of the check that is due then, of a trial of `planned` epochs in its cycles.

        A check at an epoch where another one is due, or after the last, is left out.
        """
        due: dict[int, int] = {}
        for number, share in enumerate(self.checks):
            done = max(1, math.ceil(share * planned - 1e-9))
            if done < planned:
                due.setdefault(done, number)
        return due

    def quantile(self, gains: Sequence[float]) -> float:
        """The gain that one more trial exceeds with a chance of risk / checks at most; infinite of too few."""
        n = len(gains)
        k = math.ceil((1 - self.risk / len(self.checks)) * (n + 1) - 1e-9)
        return sorted(gains)[k - 1] if k <= n else math.inf


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        share: of the epochs, that the check is at.
        epochs, planned: done by then, and in all.
        so_far, bound, front: merit of the trial, the most that it may still reach, and of the front at its size; of
            `maximise`.
        size: of the smallest net of the trial; the front asks no less of a larger one.
        learned_from: finished trials behind the bound.
        gain: from `so_far` to `bound`, on the scale of `scaled`; infinite where too few trials have finished.
    """

    share: float
    epochs: int
    planned: int
    so_far: float
    bound: float
    front: float
    size: float
    learned_from: int
    gain: float
    maximise: str = "accuracy"

    @property
    def hopeless(self) -> bool:
        """Whether even the bound lies below the front."""
        return self.bound < self.front

    @property
    def known(self) -> bool:
        """Whether there was enough to learn a bound from."""
        return math.isfinite(self.gain)

    @property
    def why(self) -> str:
        """In one clause."""

        def show(merit: float) -> str:
            return f"a loss of {-merit:.3f}" if self.maximise == "loss" else f"{merit:.1%}"

        return (
            f"{show(self.so_far)} after {self.epochs} of {self.planned} epochs and {show(self.bound)} at most by the "
            f"end, as {self.learned_from} finished trials went; the front has {show(self.front)} at {self.size:,.8g}"
        )


@dataclass(frozen=True)
class Standing:
    """How a search stands: its front, and what finished trials of an arm still gained after each check.

    Attributes:
        front: (size, merit) of every point that is not beaten, smallest first.
        gains: by number of the check.
        maximise: "accuracy", or "loss" (then merit is its negative).
    """

    front: tuple[Pair, ...] = ()
    gains: tuple[tuple[float, ...], ...] = ()
    maximise: str = "accuracy"

    def front_at(self, size: float) -> float:
        """The largest merit of all points that are no larger than `size`; minus infinity where there is none."""
        return max((merit for held, merit in self.front if held <= size), default=-math.inf)

    def look(self, rule: StoppingRule, curve: Curve, planned: int, size: float) -> Verdict | None:
        """The verdict on a trial whose curve has come so far; None where no check is due.

        Args:
            planned: epochs of all its cycles.
            size: of its smallest net.
        """
        number = rule.epochs(planned).get(len(curve))
        if number is None:
            return None
        so_far = best_so_far(curve, self.maximise)
        gains = self.gains[number] if number < len(self.gains) else ()
        gain = rule.quantile(gains)
        bound = max(so_far, unscaled(scaled(so_far, self.maximise) + gain, self.maximise))
        front = self.front_at(size)
        share = rule.checks[number]
        return Verdict(share, len(curve), planned, so_far, bound, front, size, len(gains), gain, self.maximise)


class Board:
    """How a search stands, kept as trials end: the front of all arms, the gains of each."""

    def __init__(self, rule: StoppingRule, maximise: str = "accuracy") -> None:
        self.rule, self.maximise = rule, maximise
        self.pairs: list[Pair] = []
        self.gains: dict[str, list[list[float]]] = {}

    def add(self, trial: Finished) -> None:
        """A trial in any state; the bound learns from those alone that were never to be stopped."""
        if trial.points:
            self.pairs = undominated([*self.pairs, *pairs_of(trial.points, self.maximise)])
        if trial.state != "complete" or trial.slot is None or self.rule.may_stop(trial.slot):
            return
        own = self.gains.setdefault(trial.arm, [[] for _ in self.rule.checks])
        for number, gain in gains_of(trial, self.rule, self.maximise).items():
            own[number].append(gain)

    def standing(self, arm: str) -> Standing:
        """For a trial of `arm`."""
        own = self.gains.get(arm, [])
        return Standing(tuple(self.pairs), tuple(tuple(each) for each in own), self.maximise)


def standing(trials: Iterable[Finished], arm: str, rule: StoppingRule, maximise: str = "accuracy") -> Standing:
    """How a search with these trials stands for one of `arm`."""
    board = Board(rule, maximise)
    for trial in trials:
        board.add(trial)
    return board.standing(arm)


def pairs_of(points: Iterable[Point], maximise: str) -> list[Pair]:
    """(size, merit) of each."""
    return [(point.value, point.merit(maximise)) for point in points]


def undominated(pairs: Iterable[Pair]) -> list[Pair]:
    """Those that no other is at most as large and at least as good as, smallest first."""
    front: list[Pair] = []
    for size, merit in sorted(pairs, key=lambda pair: (pair[0], -pair[1])):
        if not front or merit > front[-1][1]:
            front.append((size, merit))
    return front


def gains_of(trial: Finished, rule: StoppingRule, maximise: str = "accuracy") -> dict[int, float]:
    """Number of each check that the trial went on from -> what it gained after it, on the scale of `scaled`."""
    if not trial.points or not trial.planned:
        return {}
    final = scaled(max(point.merit(maximise) for point in trial.points), maximise)
    return {
        number: final - scaled(best_so_far(trial.curve[:done], maximise), maximise)
        for done, number in rule.epochs(trial.planned).items()
        if done < len(trial.curve)
    }


def best_so_far(curve: Curve, maximise: str = "accuracy") -> float:
    """The merit that a trial would have if it ended here: mean over the members, each at its lowest validation loss."""
    losses, accuracies = zip(
        *((entry["validation_loss"], entry["validation_accuracy"]) for entry in curve), strict=True
    )
    best = [min(range(len(curve)), key=lambda e, p=p: losses[e][p]) for p in range(len(losses[0]))]
    if maximise == "loss":
        return -sum(losses[e][p] for p, e in enumerate(best)) / len(best)
    return sum(accuracies[e][p] for p, e in enumerate(best)) / len(best)


def scaled(merit: float, maximise: str = "accuracy") -> float:
    """Merit on a scale on which gains from low and from high compare: log odds, or the negative log of the loss."""
    if maximise == "loss":
        return -math.log(max(-merit, 1e-9))
    return math.log((merit + HALF_CLIP) / (1 - merit + HALF_CLIP))


def unscaled(value: float, maximise: str = "accuracy") -> float:
    """The inverse of `scaled`."""
    if maximise == "loss":
        return -math.exp(-value)
    if value == math.inf:
        return 1.0
    odds = math.exp(min(value, 700.0))
    return min(1.0, (odds * (1 + HALF_CLIP) - HALF_CLIP) / (1 + odds))
