"""Which net of a front to ship: the most accurate within limits, or the cheapest that is accurate enough."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kws_dendrite.errors import ConfigError
from kws_dendrite.evaluation.statistics import Interval
from kws_dendrite.search.limits import ABOUT, Limits

RUNNERS_UP = 4


@dataclass(frozen=True)
class Candidate:
    """A point of a search that could be shipped.

    Attributes:
        name: "<trial>-<dendrites>".
        trial, arm, dendrites: which.
        accuracy: mean over the seeds, on validation clips.
        members: P.
        interval: 95 % of the mean; None of a single seed.
        refitted: whether the figures come from fresh seeds, and the interval covers seeds and clips; else they are the
            search's own, high by the luck of a maximum, and the interval covers seeds alone.
        costs: by name, as limits know them; "parameters" is one.
        price: what is to be cheap.
        test: as in front.json; None where the test clips were not read.
    """

    name: str
    trial: int
    arm: str
    dendrites: int
    accuracy: float
    members: int
    interval: Interval | None
    refitted: bool
    costs: dict[str, float]
    price: float
    test: dict[str, Any] | None = field(default=None, compare=False)

    @property
    def low(self) -> float:
        """The accuracy that may be promised: the lower end of the interval; 0 where there is none."""
        return self.interval[0] if self.interval else 0.0

    @property
    def title(self) -> str:
        """As a sentence has it."""
        grown = f" with {self.dendrites} dendrite{'s' * (self.dendrites > 1)} a neuron" if self.dendrites else ""
        return f"trial {self.trial} ({self.arm}{grown})"


@dataclass(frozen=True)
class Wish:
    """Attributes:
    limits: what it may cost.
    min_accuracy: the lower end of the interval is to reach it; None takes the most accurate.
    price: what `Candidate.price` is, in words.
    by_mean: whether the mean is enough where there are no fresh seeds, to find what is worth training again.
    """

    limits: Limits = field(default_factory=Limits)
    min_accuracy: float | None = None
    price: str = "parameters"
    by_mean: bool = False

    def reach(self, one: Candidate) -> float:
        """What of a candidate is held against `min_accuracy`."""
        return one.accuracy if self.by_mean and not one.refitted else one.low


@dataclass(frozen=True)
class Choice:
    """Attributes:
    picked: the one to ship.
    why: in words.
    others: what else was there, the nearest first, each with the reason against it.
    """

    picked: Candidate
    why: str
    others: tuple[tuple[Candidate, str], ...]


def choose(candidates: Sequence[Candidate], wish: Wish) -> Choice:
    """Pick one.

    Without `min_accuracy` the most accurate within the limits, of equals the cheaper. With it the cheapest within the
    limits whose lower interval end reaches it, of equals the more accurate.

    Raises:
        ConfigError: no candidate, or none that fits; the message names the one that comes nearest.
    """
    if not candidates:
        raise ConfigError("the search has no finished trial to pick from; let it run longer")
    fitting = [one for one in candidates if wish.limits.broken_by(one.costs) is None]
    if not fitting:
        nearest = min(
            candidates, key=lambda one: (excess(wish.limits, one.costs), -one.accuracy, one.trial, one.dendrites)
        )
        raise ConfigError(
            f"nothing fits: of {len(candidates)} nets {nearest.title} comes nearest, {percent(nearest.accuracy)}, and "
            f"its {wish.limits.broken_by(nearest.costs)}; raise the limit or search longer"
        )
    if wish.min_accuracy is None:
        picked = min(fitting, key=_by_accuracy)
        why = "the most accurate" + (" within the limits" if wish.limits else "")
        return Choice(picked, why, _others(candidates, fitting, picked, wish))
    reaching = [one for one in fitting if wish.reach(one) >= wish.min_accuracy]
    if not reaching:
        nearest = max(fitting, key=lambda one: (wish.reach(one), one.accuracy, -one.price))
        within = " within the limits" if len(fitting) < len(candidates) else ""
        interval = "has one seed and no interval" if nearest.interval is None else f"has {percents(nearest.interval)}"
        if wish.by_mean and not nearest.refitted:
            raise ConfigError(
                f"no net{within} has {percent(wish.min_accuracy)}: {nearest.title} comes nearest, "
                f"{percent(nearest.accuracy)} in the search; lower --min-accuracy or search longer"
            )
        raise ConfigError(
            f"no net{within} has a lower interval end of {percent(wish.min_accuracy)}: {nearest.title} comes nearest, "
            f"{percent(nearest.accuracy)}, and {interval}; lower --min-accuracy or search longer"
        )
    picked = min(reaching, key=lambda one: (one.price, -one.accuracy, one.trial, one.dendrites))
    why = f"the least {wish.price} of {len(reaching)} net{'s' * (len(reaching) > 1)} that reach "
    why += f"{percent(wish.min_accuracy)} with the {'lower end of the interval' if picked.refitted else 'mean'}"
    return Choice(picked, why, _others(candidates, fitting, picked, wish))


def excess(limits: Limits, costs: dict[str, float]) -> float:
    """How far the worst cost is over its limit, as a share: 0.1 is a tenth over; below 0 is within all."""
    bounds = {ABOUT[name][0]: getattr(limits, name) for name in ABOUT}
    return max((costs[key] / bound - 1 for key, bound in bounds.items() if bound is not None), default=-1.0)


def _by_accuracy(one: Candidate) -> tuple[float, float, int, int]:
    return -one.accuracy, one.price, one.trial, one.dendrites


def _others(
    candidates: Sequence[Candidate], fitting: Sequence[Candidate], picked: Candidate, wish: Wish
) -> tuple[tuple[Candidate, str], ...]:
    """The runners-up, those that fit first."""

    def against(one: Candidate) -> str:
        broken = wish.limits.broken_by(one.costs)
        if broken is not None:
            return broken
        if wish.min_accuracy is not None and wish.reach(one) < wish.min_accuracy:
            what = "mean" if wish.by_mean and not one.refitted else "lower end"
            return f"{what} {percent(wish.reach(one))}, under {percent(wish.min_accuracy)}"
        return f"more {wish.price}" if wish.min_accuracy is not None else "less accurate"

    if wish.min_accuracy is None:
        order = sorted(candidates, key=lambda one: (one not in fitting, *_by_accuracy(one)))
    else:
        order = sorted(candidates, key=lambda one: (one not in fitting, abs(one.price - picked.price), -one.accuracy))
    return tuple((one, against(one)) for one in order if one.name != picked.name)[:RUNNERS_UP]


def percent(value: float) -> str:
    """0.9 as "90.0 %"."""
    return f"{100 * value:.1f} %"


def percents(interval: Interval) -> str:
    """Two ends, in percent."""
    return f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}] %"
