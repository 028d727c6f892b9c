"""What a dendrite adds to its neurons, z + t * a: compiled kernel and PyTorch twin."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kws_dendrite.models.kernels.functions import _call, _compiled


def add_weighted(z: Tensor, t: Tensor, a: Tensor) -> Tensor:
    """z + t * a: (P, C, ...), (P, C) and (P, C, ...) -> (P, C, ...).

    The layout in memory stays z's, on which the rounding of what follows depends: others than the plain one are the
    twin's.
    """
    if z.shape != a.shape or not (z.is_contiguous() and a.is_contiguous()) or not _compiled(z, t, a):
        return add_weighted_twin(z, t, a)
    return _AddWeighted.apply(z, t, a)


def add_weighted_twin(z: Tensor, t: Tensor, a: Tensor) -> Tensor:
    """The same in PyTorch."""
    return z + t.reshape(*t.shape, *(1,) * (a.dim() - 2)) * a


class _AddWeighted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, t: Tensor, a: Tensor) -> Tensor:
        t = t.contiguous()
        ctx.save_for_backward(t, a)
        y = torch.empty_like(z)
        _call("join_forward", y, z, t, a, t.numel(), z.numel() // t.numel())
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        t, a = ctx.saved_tensors
        g, gt = gy.contiguous(), torch.empty_like(t)
        ga = torch.empty_like(a) if ctx.needs_input_grad[2] else None
        _call("join_backward", g, t, a, ga, gt, t.numel(), a.numel() // t.numel())
        return gy, gt, ga
