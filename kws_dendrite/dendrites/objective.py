"""What a candidate dendrite learns: to move with the error of the one neuron that it will feed.

Perforated Backpropagation (arXiv 2501.18018, eq. 4), after Cascade-Correlation (Fahlman & Lebiere 1990): for neuron c
with error delta = dL/dz' and candidate output a, over samples p,

    S_c = | mean_p (a_p - mean a) (delta_p - mean delta) |            covariance
    R_c = S_c / (std a * std delta)                                   correlation

A minibatch's own covariance is mostly noise, so its sign is taken from moments smoothed over batches.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from kws_dendrite.dendrites.config import Objective

EPSILON = 1e-8  # keeps a constant candidate's or an error-free neuron's correlation at 0
SMOOTHING = 0.99  # of the running moments; the published package names the same factor


def moments(a: Tensor, delta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Covariance of a with delta and the variances of both, (P, C) each, from a and delta (P, C, ...)."""
    a, delta = a.flatten(2), delta.flatten(2)
    a = a - a.mean(-1, keepdim=True)
    delta = delta - delta.mean(-1, keepdim=True)
    return (a * delta).mean(-1), a.square().mean(-1), delta.square().mean(-1)


def correlation(covariance: Tensor, variance_a: Tensor, variance_delta: Tensor) -> Tensor:
    """Signed correlation, (P, C); 0 where either variance vanishes."""
    return covariance / torch.sqrt(variance_a * variance_delta + EPSILON**2)


@dataclass
class SmoothedMoments:
    """Exponential averages of a layer's moments over batches, bias-corrected. `update` once a batch."""

    weight: float = 0.0
    sums: list[Tensor] = field(default_factory=list)

    def update(self, values: tuple[Tensor, Tensor, Tensor]) -> None:
        """Take one batch's moments."""
        fresh = [value.detach() * (1 - SMOOTHING) for value in values]
        self.sums = [s * SMOOTHING + v for s, v in zip(self.sums, fresh, strict=True)] if self.sums else fresh
        self.weight = self.weight * SMOOTHING + (1 - SMOOTHING)

    def read(self) -> tuple[Tensor, Tensor, Tensor]:
        """Covariance, variance of a, variance of delta: (P, C) each."""
        covariance, variance_a, variance_delta = (value / self.weight for value in self.sums)
        return covariance, variance_a, variance_delta

    def scores(self, objective: Objective) -> Tensor:
        """|covariance| or |correlation| of every neuron's candidate: (P, C)."""
        covariance, variance_a, variance_delta = self.read()
        if objective == "covariance":
            return covariance.abs()
        return correlation(covariance, variance_a, variance_delta).abs()


def candidate_loss(a: Tensor, delta: Tensor, sign: Tensor, objective: Objective) -> tuple[Tensor, tuple]:
    """Minus the summed signed objective of a batch, to minimise, and the batch's moments.

    Args:
        a: (P, C, ...) candidate outputs, with gradient.
        delta: (P, C, ...) errors dL/dz', constant.
        sign: (P, C) sign of the smoothed covariance; the gradient of |S| is sign(S) times that of S.
    """
    values = moments(a, delta)
    covariance, variance_a, variance_delta = values
    score = covariance if objective == "covariance" else correlation(covariance, variance_a, variance_delta.detach())
    return -(sign * score).sum(), values
