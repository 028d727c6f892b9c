"""What a candidate dendrite learns: to move with the error of the neuron that it will feed.

For neuron c with error delta = dL/dz' (L summed over clips) and candidate output a, over samples p:

    covariance   S = | mean_p (a - mean a) (delta - mean delta) |       arXiv 2501.18018, eq. 4; Fahlman & Lebiere 1990
    correlation  S / (std a * std delta)
    partial      the correlation of what is left of a and of delta once z and the earlier dendrites are regressed out:
                 a candidate that says again what the neuron says already ("substitutes" it) scores nothing
    gain         1/2 (E_n g)^2 / E_n g^2 with g_n = sum of a~ delta over the samples of clip n, the gradient of clip n's
                 loss by t: the decrease of the loss by one Newton step in t with the empirical Fisher information as
                 curvature, in nats a clip, comparable across layers (as G^2 / (H + lambda) of gradient boosting)

A minibatch's own moments are mostly noise (a correlation of 1 / sqrt(n)); so objectives are evaluated at moments
smoothed over batches, and only their gradient comes from the batch at hand.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from kws_dendrite.dendrites.config import Objective
from kws_dendrite.dendrites.layer import activate
from kws_dendrite.models.kernels.moments import Inner, Sums, centred_sums

EPSILON = 1e-8  # keeps a constant candidate's or an error-free neuron's score at 0
SMOOTHING = 0.99  # of the running moments; the published package names the same factor
RIDGE = 1e-4  # of the regression on the neuron and its dendrites, relative to their variances
LEAST_NEW = 1e-2  # of a variance that counts as left: the ridge's share of a copy would else be scaled up to a score

Moments = dict[str, Tensor]


def moments(a: Tensor, delta: Tensor, others: Tensor | None = None, inner: Inner = "") -> Moments:
    """A batch's moments.

    Args:
        a: (P, K, A, B, ...) outputs of K candidates, one a neuron (A = C) or each for all neurons (A = 1).
        delta: (P, C, B, ...) errors.
        others: (P, C, R, B, ...) what each neuron has already, for the partial correlation.
        inner: a nonlinearity that `a` has yet to go through.

    Returns:
        covariance (P, K, C), variance_a (P, K, A), variance_delta (P, C), first and second moment g1, g2 (P, K, C) of
        the clips' gradients; with `others` also their covariances with a (P, K, C, R), delta (P, C, R), each other.
    """
    a, delta = a.flatten(4) if a.dim() > 4 else a[..., None], delta.flatten(3) if delta.dim() > 3 else delta[..., None]
    samples = a.shape[-1] * a.shape[-2]
    if others is not None:
        others = others.flatten(4) if others.dim() > 4 else others[..., None]
        others = others - others.mean((-2, -1), keepdim=True)  # (P, C, R, B, L)
    centred = delta - delta.mean((-2, -1), keepdim=True)  # (P, C, B, L)
    if a.shape[2] == delta.shape[1]:
        square, g, others_a = centred_sums(a, delta, others, inner)
    else:
        square, g, others_a = _sums_of_units(activate(a, inner) if inner else a, delta, others)
    found = {
        "covariance": g.sum(-1) / samples,
        "variance_a": square / samples,
        "variance_delta": centred.square().mean((-2, -1)),
        "g1": g.mean(-1),
        "g2": g.square().mean(-1),
    }
    if others is not None:
        found["others_a"] = others_a / samples
        found["others_delta"] = torch.einsum("pcrbl,pcbl->pcr", others, centred) / samples
        found["others"] = torch.einsum("pcrbl,pcsbl->pcrs", others, others) / samples
    return found


def _sums_of_units(a: Tensor, delta: Tensor, others: Tensor | None) -> Sums:
    """`centred_sums` of units (P, K, 1, B, L) that reach every neuron."""
    a = a + a.sum((-2, -1), keepdim=True) / -(a.shape[-1] * a.shape[-2])
    cross = torch.einsum("pkbl,pcbl->pkcb", a[:, :, 0], delta)
    rest = cross[..., :0] if others is None else torch.einsum("pkbl,pcrbl->pkcr", a[:, :, 0], others)
    return (a * a).sum((-2, -1)), cross, rest


def score(m: Moments, objective: Objective) -> Tensor:
    """(P, K, C), at least 0: how well each candidate follows each neuron's error."""
    if objective == "covariance":
        return m["covariance"].abs()
    if objective == "gain":
        return 0.5 * m["g1"].square() / (m["g2"] + EPSILON**2)
    covariance, variance_a, variance_delta = m["covariance"], m["variance_a"], m["variance_delta"]
    if objective == "partial":
        covariance, variance_a, variance_delta = _residual(m)
    return (covariance / torch.sqrt(variance_a * variance_delta[:, None] + EPSILON**2)).abs()


def _residual(m: Moments) -> tuple[Tensor, Tensor, Tensor]:
    """Covariance and variances once the neuron's own output and its dendrites are regressed out: Schur complements."""
    gram = m["others"]
    ridge = RIDGE * gram.diagonal(dim1=-2, dim2=-1).clamp_min(EPSILON)
    inverse = torch.linalg.inv(gram + torch.diag_embed(ridge))  # (P, C, R, R)
    a, delta = m["others_a"], m["others_delta"]
    solved = torch.einsum("pkcr,pcrs->pkcs", a, inverse)
    covariance = m["covariance"] - torch.einsum("pkcs,pcs->pkc", solved, delta)
    variance_a = m["variance_a"] - torch.einsum("pkcs,pkcs->pkc", solved, a)
    variance_delta = m["variance_delta"] - torch.einsum("pcr,pcrs,pcs->pc", delta, inverse, delta)
    variance_a = torch.maximum(variance_a, LEAST_NEW * m["variance_a"])
    return covariance, variance_a, torch.maximum(variance_delta, LEAST_NEW * m["variance_delta"])


def standard_score(m: Moments, clips: int) -> Tensor:
    """(P, K, C): the mean gradient of t in its standard errors over `clips` clips; clips are independent, samples are
    not, so it is clips that count."""
    spread = (m["g2"] - m["g1"].square()).clamp_min(EPSILON**2)
    return m["g1"].abs() / torch.sqrt(spread / clips)


@dataclass
class SmoothedMoments:
    """Exponential averages of a layer's moments over batches, bias-corrected; `decay` 1 is the plain mean."""

    decay: float = SMOOTHING
    weight: float = 0.0
    sums: Moments = field(default_factory=dict)

    def update(self, values: Moments) -> None:
        """Take one batch's moments."""
        share = 1 - self.decay if self.decay < 1 else 1.0
        fresh = {name: value.detach() * share for name, value in values.items()}
        if self.sums:
            fresh = {name: self.sums[name] * self.decay + value for name, value in fresh.items()}
        self.sums = fresh
        self.weight = self.weight * self.decay + share

    def read(self) -> Moments:
        """The averages."""
        return {name: value / self.weight for name, value in self.sums.items()}

    def with_gradient_of(self, values: Moments) -> Moments:
        """The averages, with the gradient of one batch's moments."""
        return {name: value + values[name] - values[name].detach() for name, value in self.read().items()}
