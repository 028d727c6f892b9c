"""Intervals and paired comparisons, each a pure function that cites where it comes from.

Two kinds of chance stand behind an accuracy: which clips were tested (`wilson_interval`, `clip_bootstrap`) and which
seed trained the net (`t_interval`, `paired_difference`). An interval over one says nothing of the other.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from kws_dendrite.errors import ConfigError, DataError

Interval = tuple[float, float]
GROUP_DRAWS = 500  # at once: a draw is a count for every speaker


@dataclass(frozen=True)
class PairedDifference:
    """What `paired_difference` found.

    Attributes:
        mean: mean of first - second, in the units of the scores.
        interval: t interval of that mean; it covers seeds, not clips.
        p_value: two-sided, of "the mean difference is zero"; not corrected for several comparisons.
        wins: pairs in which first > second.
        pairs: number of pairs P.
    """

    mean: float
    interval: Interval
    p_value: float
    wins: int
    pairs: int

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        return {
            "mean": self.mean,
            "interval": list(self.interval),
            "p_value": self.p_value,
            "wins": self.wins,
            "pairs": self.pairs,
        }


@dataclass(frozen=True)
class BootstrapDifference:
    """What `clip_bootstrap` found.

    Attributes:
        mean: accuracy of first - accuracy of second, over all clips and members.
        interval: percentile interval of it; it covers clips, for these very models.
        clips: number of clips N.
        resamples: how often the clips were drawn again.
    """

    mean: float
    interval: Interval
    clips: int
    resamples: int

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        return {
            "mean": self.mean,
            "interval": list(self.interval),
            "clips": self.clips,
            "resamples": self.resamples,
        }


def wilson_interval(successes: float, trials: int, level: float = 0.95) -> Interval:
    """Score interval of a proportion.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212; preferred
    to the normal interval by Brown, Cai and DasGupta, Statistical Science 16 (2001), 101-133, section 5.

    Args:
        successes: clips that were right, 0..trials; a fraction (the mean over several models) is allowed.
        trials: number of clips, at least 1.
        level: coverage, between 0 and 1.

    Raises:
        DataError: no trials, or successes out of range.
        ConfigError: level out of range.
    """
    _check_level(level)
    if trials < 1:
        raise DataError(f"an accuracy needs at least one clip, got {trials}; give a partition that has clips")
    if not 0 <= successes <= trials:
        raise DataError(f"successes must lie in 0..{trials}, got {successes}")
    z = float(special.ndtri(0.5 + level / 2))
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # At 0 and at N the end is exact by definition; rounding would leave 1e-17.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


def t_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Interval of the mean of a few independent values, such as one accuracy per seed.

    Student, "The probable error of a mean", Biometrika 6 (1908), 1-25: mean +- t(P-1) * s / sqrt(P).

    Args:
        values: (P,), P at least 2, finite.
        level: coverage, between 0 and 1.

    Raises:
        DataError: fewer than two values, or one that is not finite.
        ConfigError: level out of range.
    """
    _check_level(level)
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size < 2:
        raise DataError(f"a t interval needs a row of at least two values, got shape {values.shape}; train more seeds")
    if not np.isfinite(values).all():
        raise DataError("a t interval needs finite values, got NaN or infinity; drop the seed that failed")
    mean = float(values.mean())
    half = float(special.stdtrit(values.size - 1, 0.5 + level / 2) * values.std(ddof=1) / math.sqrt(values.size))
    return mean - half, mean + half


def paired_difference(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> PairedDifference:
    """Paired t comparison of two arms over seeds: the pair shares its seed, hence its data order and augmentation.

    Student (1908), section on paired observations; Dietterich, "Approximate statistical tests for comparing supervised
    classification learning algorithms", Neural Computation 10 (1998), 1895-1923, on what such a test may claim.

    Args:
        first: (P,) scores, one per seed.
        second: (P,) scores of the same seeds, in the same order.
        level: coverage, between 0 and 1.

    Raises:
        DataError: unequal lengths, fewer than two pairs, values that are not finite.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape:
        raise DataError(f"paired scores must have equal shapes, got {first.shape} and {second.shape}")
    difference = first - second
    interval = t_interval(difference, level)
    mean, spread = float(difference.mean()), float(difference.std(ddof=1))
    if spread == 0:
        p_value = 1.0 if mean == 0 else 0.0
    else:
        statistic = abs(mean) / spread * math.sqrt(difference.size)
        p_value = float(2 * special.stdtr(difference.size - 1, -statistic))
    return PairedDifference(mean, interval, p_value, int((difference > 0).sum()), int(difference.size))


def clip_bootstrap(
    first_correct: ArrayLike,
    second_correct: ArrayLike,
    rng: np.random.Generator,
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    groups: ArrayLike | None = None,
) -> BootstrapDifference:
    """Percentile bootstrap of an accuracy difference, paired over clips.

    Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 6 and 13. Clips are drawn with
    replacement and both models are scored on the same draw. The mean of a draw depends only on how often each value
    of the per-clip difference comes up, and those counts are multinomial: drawing them is the same distribution as
    drawing clips, without the N x resamples indices.

    Args:
        first_correct: (N,) or (P, N) true where the clip was right; P seeds are averaged per clip.
        second_correct: (N,) or (Q, N) over the same clips in the same order.
        rng: source of the draws; the same state gives the same interval.
        resamples: number of draws, at least 100.
        level: coverage, between 0 and 1.
        groups: (N,) a number for the speaker of each clip: speakers are then drawn, with all their clips.

    Raises:
        DataError: no clips, or different numbers of clips.
        ConfigError: level or resamples out of range.
    """
    _check_level(level)
    if resamples < 100:
        raise ConfigError(f"resamples must be at least 100 for a percentile interval, got {resamples}")
    first, second = _per_clip(first_correct), _per_clip(second_correct)
    if first.shape != second.shape:
        raise DataError(f"both models must be scored on the same clips, got {first.size} and {second.size} clips")
    if groups is not None:
        means = _group_means(first - second, np.asarray(groups), rng, resamples)
        low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
        return BootstrapDifference(
            float(first.mean() - second.mean()), (float(low), float(high)), first.size, resamples
        )
    # Rounded so that equal differences reached by different sums fall together.
    values, counts = np.unique(np.round(first - second, 12), return_counts=True)
    draws = rng.multinomial(first.size, counts / first.size, size=resamples)  # (resamples, distinct values)
    means = draws @ values / first.size
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return BootstrapDifference(float(first.mean() - second.mean()), (float(low), float(high)), first.size, resamples)


def holm(p_values: ArrayLike) -> np.ndarray:
    """p values corrected for how many there are: (M,) -> (M,), in the same order.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979), 65-70:
    the k-th smallest times M - k + 1, never below a smaller one's. Calling all below 0.05 real is wrong about even one
    of them in at most 5 % of such families, however the comparisons depend on each other.

    Raises:
        DataError: not a row of values in 0..1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise DataError(f"p values are a row of numbers in 0..1, got shape {values.shape}")
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(values.size, 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if values.size else steps
    return corrected


def _group_means(values: np.ndarray, groups: np.ndarray, rng: np.random.Generator, resamples: int) -> np.ndarray:
    """Means of (N,) values over draws of whole groups: (resamples,)."""
    _, index = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(index, values), np.bincount(index)
    share = np.full(sizes.size, 1 / sizes.size)
    means = []
    for start in range(0, resamples, GROUP_DRAWS):
        drawn = rng.multinomial(sizes.size, share, size=min(GROUP_DRAWS, resamples - start))
        means.append(drawn @ sums / (drawn @ sizes))
    return np.concatenate(means)


def _per_clip(correct: ArrayLike) -> np.ndarray:
    correct = np.asarray(correct, dtype=np.float64)
    if correct.ndim == 1:
        correct = correct[None]
    if correct.ndim != 2 or correct.size == 0:
        raise DataError(f"expected (N,) or (P, N) of right and wrong, at least one clip, got shape {correct.shape}")
    if not np.isin(correct, (0.0, 1.0)).all():
        raise DataError("expected only right (1) and wrong (0) per clip; compare predictions with labels first")
    return correct.mean(axis=0)  # (N,)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1 (0.95 for 95 %), got {level}")
