"""What candidates have in common with their neurons' errors, and its gradient: compiled kernel and PyTorch twin."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from kws_dendrite.models.kernels.functions import _call, _compiled

Inner = Literal["", "relu", "hard_tanh"]  # the nonlinearities that are taken along
_NUMBER = {"": 0, "relu": 1, "hard_tanh": 2}
Sums = tuple[Tensor, Tensor, Tensor]


def centred_sums(u: Tensor, delta: Tensor, others: Tensor | None = None, inner: Inner = "") -> Sums:
    """Sums of v = f(u) less its mean over clips and samples.

    Args:
        u: (P, K, C, B, L), K candidates of every neuron.
        delta: (P, C, B, L) errors; no gradient reaches them, nor `others`.
        others: (P, C, R, B, L), each of mean 0 over clips and samples.
        inner: f.

    Returns:
        (P, K, C) of v^2, (P, K, C, B) of v delta, a clip, and (P, K, C, R) of v others; R is 0 without them.
    """
    tensors = (u, delta) if others is None else (u, delta, others)
    if not _compiled(*tensors):
        return centred_sums_twin(u, delta, others, inner)
    return _CentredSums.apply(u, delta, others, inner)


def centred_sums_twin(u: Tensor, delta: Tensor, others: Tensor | None = None, inner: Inner = "") -> Sums:
    """The same in PyTorch."""
    a = F.relu(u) if inner == "relu" else F.hardtanh(u) if inner == "hard_tanh" else u
    # Written so that autograd makes nothing as large as a but what it has to: a.mean() and minus would each have a
    # gradient of that size, and so would the power in square().
    a = a + a.sum((-2, -1), keepdim=True) / -(a.shape[-1] * a.shape[-2])
    cross = (a * delta[:, None]).sum(-1)  # twice as fast as a product of many small matrices
    rest = [] if others is None else [(a * one[:, None]).sum((-2, -1)) for one in others.unbind(2)]
    found = torch.stack(rest, -1) if rest else a.new_zeros(*a.shape[:3], 0)
    return (a * a).sum((-2, -1)), cross, found


class _CentredSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, delta: Tensor, others: Tensor | None, inner: Inner) -> Sums:
        u, delta = u.contiguous(), delta.contiguous()
        others = None if others is None else others.contiguous()
        P, K, C, B, L = u.shape
        R = 0 if others is None else others.shape[2]
        mean, square, cross = u.new_empty(P, K, C), u.new_empty(P, K, C), u.new_empty(P, K, C, B)
        found, clip_delta = u.new_empty(P, K, C, R), delta.sum(-1)
        ctx.sizes = (P, K, C, B, L, R, _NUMBER[inner])
        _call("moments_forward", u, delta, others, clip_delta, mean, square, cross, found, *ctx.sizes)
        ctx.save_for_backward(u, delta, others, clip_delta, mean)
        return square, cross, found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gsquare: Tensor, gcross: Tensor, gothers: Tensor) -> tuple[Tensor, None, None, None]:
        u, delta, others, clip_delta, mean = ctx.saved_tensors
        gsquare, gcross, gothers = gsquare.contiguous(), gcross.contiguous(), gothers.contiguous()
        gu = torch.empty_like(u)
        _call("moments_backward", u, delta, others, clip_delta, mean, gsquare, gcross, gothers, gu, *ctx.sizes)
        return gu, None, None, None
