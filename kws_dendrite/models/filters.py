"""Convolutions of one input channel over time and frequency, and weighted sums over frequency, as fast matrix products.

The same functions as `Conv2d` with those settings, which is what they fold as; its own forward pass serves any shape
and takes several times as long here.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from kws_dendrite.models.layers import Conv2d
from kws_dendrite.plain import same_padding


class FilterBank(Conv2d):
    """C filters over one channel, "same": (P, 1, B, T, F) -> (P, C, B, T, F'), F' = ceil(F / stride)."""

    def __init__(
        self, members: int, filters: int, kernel: tuple[int, int], generator: torch.Generator, *, stride: int = 1
    ) -> None:
        super().__init__(members, 1, filters, kernel, generator, stride=(1, stride))

    def forward(self, x: Tensor) -> Tensor:
        P, _, B, T, W = x.shape
        (rows, columns), stride = self.kernel, self.stride[1]
        out = -(-W // stride)
        x = F.pad(x[:, 0], (*same_padding(W, columns, stride), *same_padding(T, rows)))  # (P, B, T + .., W + ..)
        reach = (out - 1) * stride + 1
        taps = [x[:, :, i : i + T, j : j + reach : stride] for i in range(rows) for j in range(columns)]
        patches = torch.stack(taps, 1).view(P, rows * columns, B * T * out)
        return torch.bmm(self.weight.flatten(2), patches).view(P, -1, B, T, out)  # weight: (P, C, 1, rows, columns)


class FrequencySum(Conv2d):
    """Each channel's weighted sum over all of its frequencies: (P, C, B, T, W) -> (P, C, B, T, 1)."""

    def __init__(self, members: int, channels: int, width: int, generator: torch.Generator) -> None:
        super().__init__(members, channels, channels, (1, width), generator, padding="valid", groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        P, C, B, T, W = x.shape
        rows = _RowSums.apply(x.reshape(P * C, B * T, W), self.weight.view(P * C, W))  # weight: (P, C, 1, 1, W)
        return rows.view(P, C, B, T, 1)


class _RowSums(torch.autograd.Function):
    """(R, N, W), (R, W) -> (R, N): a matrix times a vector for each row, several times as fast as one bmm."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.stack([matrix @ vector for matrix, vector in zip(x, weight, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        gweight = torch.stack([vector @ matrix for matrix, vector in zip(x, gy, strict=True)])
        return gy[:, :, None] * weight[:, None], gweight
