"""Convolution over time and frequency, ReLU, max pool and dropout on the CPU: compiled kernels and PyTorch twins.

As in functions.py, each public function picks the kernel for float32 tensors on the CPU and its twin otherwise; both
give the same values and gradients to rounding, and drop the same elements. Maps are (P, C, B, H, W).
"""

import functools
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from kws_dendrite.models.kernels.functions import _call, _compiled
from kws_dendrite.plain import same_padding

SHARES = 1 << 24  # steps of a dropout rate
KEY_STEP = 0x85157AF5  # between members' keys; any odd number of no pattern
WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class Windows:
    """Windows of `size` (height, width), side by side; where the map's size is no multiple, `partial` ones at the end
    count as well, else they are left out."""

    size: tuple[int, int]
    partial: bool = False

    def count(self, H: int, W: int) -> tuple[int, int]:
        """OH, OW."""
        h, w = self.size
        return (-(-H // h), -(-W // w)) if self.partial else (H // h, W // w)


def draw_codes(draws: Tensor, rate: float | Tensor) -> Tensor:
    """What a step's dropout is, a number a member, (P,) int64: the share that goes and a key that decides which.

    One number is drawn from torch's global stream whatever P: member p's code depends on `draws[p]` alone.
    """
    keys = (draws * KEY_STEP + int(torch.randint(0, WORD, ()))) & WORD
    share = round(rate * SHARES) if isinstance(rate, float) else (rate * SHARES).round().long()
    return keys + share * (WORD + 1)


def stays(codes: Tensor, size: int) -> Tensor:
    """Which of a member's `size` elements stay, (P, size) bool: an integer's mixed bits against the share.

    The finalizer of MurmurHash3 (A. Appleby, public domain), in 64-bit integers whose lower half is kept.
    """
    h = (torch.arange(size, device=codes.device) * 0x9E3779B1 + (codes[:, None] & WORD)) & WORD
    h = ((h ^ h >> 16) * 0x85EBCA6B) & WORD
    h = ((h ^ h >> 13) * 0xC2B2AE35) & WORD
    return (h ^ h >> 16) >> 8 >= codes[:, None] >> 32


def scales(codes: Tensor) -> Tensor:
    """What stays is multiplied by, (P, 1)."""
    return SHARES / (SHARES - (codes[:, None] >> 32)).float()


def dropout(x: Tensor, codes: Tensor) -> Tensor:
    """(P, ...) -> the same."""
    return _Dropout.apply(x, codes) if _compiled(x) else dropout_twin(x, codes)


def dropout_twin(x: Tensor, codes: Tensor) -> Tensor:
    """The same in PyTorch."""
    codes = codes.to(x.device)
    return x * (stays(codes, x[0].numel()) * scales(codes)).view(x.shape).to(x.dtype)


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolution, "same", stride 1: (P, Cin, B, H, W), (P, Cout, Cin, kh, kw) -> (P, Cout, B, H, W)."""
    if not _compiled(x, weight):
        return conv2d_twin(x, weight, bias)
    return _Conv.apply(x, weight, bias, None, None)


def conv2d_twin(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same in PyTorch, one dense convolution a member: on a CPU several times as fast as one with P groups."""
    rows, columns = same_padding(x.shape[3], weight.shape[3]), same_padding(x.shape[4], weight.shape[4])
    x = F.pad(x, (*columns, *rows))
    y = [
        F.conv2d(member.transpose(0, 1), weight[p], None if bias is None else bias[p])
        for p, member in enumerate(x.unbind())
    ]
    return torch.stack(y).transpose(1, 2).contiguous()


def relu_pool(x: Tensor, windows: Windows, codes: Tensor | None = None) -> Tensor:
    """Dropout of the largest of each window of relu(x): (P, C, B, H, W) -> (P, C, B, OH, OW).

    Of equal maxima the first takes the gradient (the twin shares it between them).
    """
    if not _compiled(x):
        return relu_pool_twin(x, windows, codes)
    return _ReluPool.apply(x, windows, codes)


def relu_pool_twin(x: Tensor, windows: Windows, codes: Tensor | None = None) -> Tensor:
    """The same in PyTorch."""
    y = max_pool(F.relu(x), windows)
    return y if codes is None else dropout_twin(y, codes)


def conv_relu_pool(
    x: Tensor, weight: Tensor, bias: Tensor | None, windows: Windows, codes: Tensor | None = None
) -> Tensor:
    """`relu_pool` of `conv2d`, in one pass: the whole map is never written."""
    if not _compiled(x, weight):
        return relu_pool_twin(conv2d_twin(x, weight, bias), windows, codes)
    return _Conv.apply(x, weight, bias, windows, codes)


def max_pool(x: Tensor, windows: Windows) -> Tensor:
    """Largest of each window: (P, C, B, H, W) -> (P, C, B, OH, OW).

    Pairwise maxima of strided views: several times as fast on a CPU as max_pool2d with its indices.
    """
    for axis, width in ((3, windows.size[0]), (4, windows.size[1])):
        if width > 1:
            x = _along(x, axis, width, windows.partial)
    return x


def _along(x: Tensor, axis: int, width: int, partial: bool) -> Tensor:
    whole = x.shape[axis] // width
    views = x.narrow(axis, 0, whole * width).unflatten(axis, (whole, width)).unbind(axis + 1)
    y = functools.reduce(torch.maximum, views)
    rest = x.shape[axis] - whole * width
    if rest and partial:
        y = torch.cat([y, x.narrow(axis, whole * width, rest).amax(axis, keepdim=True)], axis)
    return y


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, codes: Tensor) -> Tensor:
        x, ctx.codes = x.contiguous(), codes
        y = torch.empty_like(x)
        _call("dropout", y, x, codes, x.shape[0], x[0].numel())
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor, None]:
        gy = gy.contiguous()
        gx = torch.empty_like(gy)
        _call("dropout", gx, gy, ctx.codes, gy.shape[0], gy[0].numel())
        return gx, None


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, windows: Windows | None, codes: Tensor | None
    ) -> Tensor:
        x, weight = x.contiguous(), weight.contiguous()
        bias = None if bias is None else bias.contiguous()
        P, inputs, B, H, W = x.shape
        outputs, kh, kw = weight.shape[1], *weight.shape[3:]
        OH, OW = windows.count(H, W) if windows else (H, W)
        size = windows.size if windows else (1, 1)
        before = same_padding(H, kh)[0], same_padding(W, kw)[0]
        ctx.sizes = (P, B, inputs, outputs, H, W, kh, kw, *before, *size, OH, OW)
        ctx.codes, ctx.pooled, ctx.biased = codes, int(windows is not None), bias is not None
        y = x.new_empty(P, outputs, B, OH, OW)
        where = torch.empty(y.shape, dtype=torch.int32) if windows else None
        _call("conv_forward", y, x, weight, bias, where, codes, *ctx.sizes, ctx.pooled)
        ctx.save_for_backward(x, weight, where)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, where = ctx.saved_tensors
        gy = gy.contiguous()
        gx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        gweight, gbias = torch.empty_like(weight), weight.new_empty(weight.shape[:2])
        _call("conv_backward", gy, x, weight, where, ctx.codes, gx, gweight, gbias, *ctx.sizes, ctx.pooled)
        return gx, gweight, gbias if ctx.biased else None, None, None


class _ReluPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, windows: Windows, codes: Tensor | None) -> Tensor:
        x = x.contiguous()
        P, C, B, H, W = x.shape
        OH, OW = windows.count(H, W)
        ctx.shape, ctx.sizes = x.shape, (P, C, B, H, W, *windows.size, OH, OW)
        ctx.codes = codes
        y = x.new_empty(P, C, B, OH, OW)
        where = torch.empty(y.shape, dtype=torch.int32)
        _call("relu_pool_forward", x, y, where, codes, *ctx.sizes)
        ctx.save_for_backward(where)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor, None, None]:
        (where,) = ctx.saved_tensors
        gx = gy.new_empty(ctx.shape)
        _call("relu_pool_backward", gx, gy.contiguous(), where, ctx.codes, *ctx.sizes)
        return gx, None, None
