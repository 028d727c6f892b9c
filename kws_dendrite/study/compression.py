"""Parameters at equal accuracy: how many a plain net would need to be as good, against how many the arm has."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from kws_dendrite.errors import DataError
from kws_dendrite.study.comparison import Scored

DRAWS = 2_000
EDGE = 0.05  # of the logarithm: so far outside the plain curve its end still stands for it
BLOCK = 500  # draws at once: a draw of 4,890 clips is 20 kB


@dataclass(frozen=True)
class Compression:
    """An arm at a size against the curve of plain nets over all sizes.

    Attributes:
        arm, title, size, reference: what is compared with which curve.
        parameters: the arm's, folded, mean over members.
        plain_parameters: of a plain net of the same accuracy; inf where none of the study is as good, 0 where all are
            better.
        factor: plain_parameters / parameters; above 1 the arm saves parameters.
        interval: of the factor, 95 %, bootstrapped over seeds and clips; its ends may be 0 or inf, None for one seed.
        gain: accuracy of the arm - accuracy of the plain curve at the arm's own parameters; None outside the curve.
        gain_interval: of it, from the same draws.
    """

    arm: str
    title: str
    size: int
    reference: str
    parameters: float
    plain_parameters: float
    factor: float
    interval: tuple[float, float] | None
    gain: float | None
    gain_interval: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        """Plain values; "below" and "above" stand for 0 and inf, beyond the plain curve."""
        return {
            "arm": self.arm,
            "title": self.title,
            "size": self.size,
            "reference": self.reference,
            "parameters": self.parameters,
            "plain_parameters": _finite(self.plain_parameters),
            "factor": _finite(self.factor),
            "interval": None if self.interval is None else [_finite(end) for end in self.interval],
            "gain": self.gain,
            "gain_interval": None if self.gain_interval is None else list(self.gain_interval),
        }


def _finite(value: float) -> float | str:
    if value == 0:
        return "below"
    return "above" if math.isinf(value) else value


def isotonic(values: Sequence[float]) -> np.ndarray:
    """The non-decreasing sequence nearest in squares: pool adjacent violators (Barlow et al. 1972, section 1.2)."""
    blocks: list[list[float]] = []  # sum, count
    for value in values:
        blocks.append([float(value), 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    return np.concatenate([np.full(int(count), total / count) for total, count in blocks])


def parameters_at(accuracy: float, logs: np.ndarray, curve: np.ndarray) -> float:
    """Logarithm of the fewest parameters at which a non-decreasing curve reaches `accuracy`.

    Linear between the curve's points; -inf below its first, inf above its last.
    """
    if accuracy > curve[-1]:
        return math.inf
    if accuracy < curve[0]:
        return -math.inf
    index = int(np.argmax(curve >= accuracy))
    if index == 0:
        return float(logs[0])
    low, high = curve[index - 1], curve[index]
    share = (accuracy - low) / (high - low)
    return float(logs[index - 1] + share * (logs[index] - logs[index - 1]))


def compress(
    arms: Sequence[Scored], plain: Sequence[Scored], reference: str, rng: np.random.Generator, draws: int = DRAWS
) -> list[Compression]:
    """Every arm against the curve of `plain`, one net a size.

    The plain nets' accuracies are made non-decreasing in their parameters, then joined by straight lines over the
    logarithm of the parameters. For the intervals seeds and clips are drawn with replacement, the same ones for every
    net (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1 (2007), 386-411); each draw has its own curve.
    Draws of seeds are stretched about the mean by `widening`.

    Raises:
        DataError: fewer than two plain nets, or two of the same size: no curve.
    """
    plain = sorted(plain, key=lambda one: one.row.mean_parameters)
    logs = np.log([one.row.mean_parameters for one in plain])
    if len(plain) < 2 or len(np.unique(logs)) < len(logs):
        raise DataError(f"a curve of plain nets needs two sizes, got {len(np.unique(logs))}; study more sizes")
    nets = [*plain, *arms]
    means = np.array([one.accuracies.mean() for one in nets])
    drawn = _draw(nets, rng, draws)  # (draws, nets), or None for one seed
    found = []
    for place, one in enumerate(arms, start=len(plain)):
        own = math.log(one.row.mean_parameters)
        log, gain = _against(means, place, own, logs)
        interval = gain_interval = None
        if drawn is not None:
            pairs = [_against(row, place, own, logs) for row in drawn]
            interval = _quantiles(np.exp([pair[0] - own for pair in pairs]))
            if gain is not None:
                gain_interval = _quantiles(np.array([pair[1] for pair in pairs]))
        found.append(
            Compression(
                arm=one.row.arm,
                title=one.row.title,
                size=one.row.size,
                reference=reference,
                parameters=one.row.mean_parameters,
                plain_parameters=math.exp(log),
                factor=math.exp(log - own),
                interval=interval,
                gain=gain,
                gain_interval=gain_interval,
            )
        )
    return found


def _against(accuracies: np.ndarray, place: int, own: float, logs: np.ndarray) -> tuple[float, float | None]:
    """Logarithm of the plain parameters at equal accuracy; and the accuracy gained at the arm's own parameters."""
    curve = isotonic(accuracies[: len(logs)])
    log = parameters_at(float(accuracies[place]), logs, curve)
    inside = logs[0] - EDGE <= own <= logs[-1] + EDGE
    gain = float(accuracies[place] - np.interp(own, logs, curve)) if inside else None
    return log, gain


def _draw(nets: Sequence[Scored], rng: np.random.Generator, draws: int) -> np.ndarray | None:
    """Accuracies of every net on `draws` draws of seeds and, where they were read, of clips: (draws, nets)."""
    P = min(len(one.accuracies) for one in nets)
    if P < 2:
        return None
    seeds = rng.multinomial(P, np.full(P, 1 / P), size=draws) / P  # (draws, P)
    seeds = 1 / P + widening(P) * (seeds - 1 / P)
    if any(one.correct is None for one in nets):
        return np.stack([seeds @ one.accuracies[:P] for one in nets], 1)
    N = nets[0].correct.shape[1]
    _, speaker = np.unique(np.arange(N) if nets[0].speakers is None else nets[0].speakers, return_inverse=True)
    S = int(speaker.max()) + 1
    found = np.empty((draws, len(nets)))
    for first in range(0, draws, BLOCK):
        block = seeds[first : first + BLOCK].astype(np.float32)
        clips = rng.multinomial(S, np.full(S, 1 / S), size=len(block))[:, speaker].astype(np.float32)  # (block, N)
        clips /= clips.sum(1, keepdims=True)  # whole speakers, so that the number of clips varies
        for place, one in enumerate(nets):
            by_clip = block @ one.correct[:P].astype(np.float32)  # (block, N)
            found[first : first + BLOCK, place] = np.einsum("bn,bn->b", by_clip, clips)
    return found


def widening(P: int) -> float:
    """By what draws of P seeds have to be stretched so that percentiles of their means lie where Student's t has them.

    Drawn from P values, means vary by sqrt((P - 1) / P) of what they should, and percentiles know nothing of the
    uncertain deviation: of ten seeds an interval of 95 % holds 90 %, of three 73 %. After Hesterberg, "What Teachers
    Should Know About the Bootstrap", The American Statistician 69 (2015), 371-386, on expanded percentile intervals.
    """
    return float(math.sqrt(P / (P - 1)) * special.stdtrit(P - 1, 0.975) / special.ndtri(0.975))


def _quantiles(values: np.ndarray) -> tuple[float, float]:
    """2.5 and 97.5 %, each a value that was drawn: between a number and infinity there is no middle."""
    low, high = np.quantile(values, [0.025, 0.975], method="inverted_cdf")
    return float(low), float(high)
