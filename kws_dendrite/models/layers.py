"""Layers of a population: P networks of one architecture as one set of tensors.

Feature maps are (P, C, B, H, W) and vectors (P, C, B), member and channel first: a pointwise convolution is then one
batched matrix product, BatchNorm's statistics are means over contiguous rows, and the neuron axes of every layer's
output are its first two. H is time, W frequency (1 in the temporal nets). "same" padding is TensorFlow's: total // 2
before, the rest after, so that exporting needs no PAD.
"""

import functools
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kws_dendrite.errors import DataError
from kws_dendrite.models.kernels.convolution import (
    Windows,
    conv2d,
    conv_relu_pool,
    draw_codes,
    dropout,
    max_pool,
    relu_pool,
)
from kws_dendrite.models.kernels.functions import depthwise_time, mean_max_pool, norm_act
from kws_dendrite.plain import same_padding

Padding = Literal["same", "valid"]


def _uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> nn.Parameter:
    """Kaiming-uniform with ReLU gain, the same law for every member (He et al. 2015, eq. 10)."""
    bound = math.sqrt(6.0 / fan_in)
    return nn.Parameter((torch.rand(shape, generator=generator) * 2 - 1) * bound)


class Pointwise(nn.Module):
    """1 x 1 convolution: (P, Cin, B, H, W) -> (P, Cout, B, H', W); `stride` is in time."""

    def __init__(
        self,
        members: int,
        inputs: int,
        outputs: int,
        generator: torch.Generator,
        *,
        stride: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.weight = _uniform((members, outputs, inputs), inputs, generator)
        self.bias = nn.Parameter(torch.zeros(members, outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :, :: self.stride]
        P, C, B, H, W = x.shape
        flat = x.reshape(P, C, B * H * W)
        if self.bias is None:
            y = torch.bmm(self.weight, flat)
        else:
            y = torch.baddbmm(self.bias[:, :, None], self.weight, flat)
        return y.view(P, -1, B, H, W)


class DepthwiseTime(nn.Module):
    """Depthwise convolution over time, "same": (P, C, B, T, 1) -> (P, C, B, T', 1)."""

    def __init__(
        self,
        members: int,
        channels: int,
        kernel: int,
        generator: torch.Generator,
        *,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.weight = _uniform((members, channels, kernel), kernel, generator)

    def forward(self, x: Tensor, dilation: int = 1) -> Tensor:
        return depthwise_time(x, self.weight, stride=self.stride, dilation=dilation)


class Conv2d(nn.Module):
    """Convolution over time and frequency: (P, Cin, B, H, W) -> (P, Cout, B, H', W').

    The general case; `groups` is 1 or Cin (depthwise).
    """

    def __init__(
        self,
        members: int,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        generator: torch.Generator,
        *,
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        padding: Padding = "same",
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        assert groups in (1, inputs), "groups is 1 or the number of input channels"
        assert groups == 1 or inputs == outputs, "a depthwise convolution keeps its channels"
        self.kernel, self.stride, self.dilation = kernel, stride, dilation
        self.padding, self.groups = padding, groups
        fan_in = inputs // groups * kernel[0] * kernel[1]
        self.weight = _uniform((members, outputs, inputs // groups, *kernel), fan_in, generator)
        self.bias = nn.Parameter(torch.zeros(members, outputs)) if bias else None

    @property
    def is_plain(self) -> bool:
        """Whether it is what the kernels compute: "same", dense, each frame and coefficient."""
        return (self.stride, self.dilation, self.padding, self.groups) == ((1, 1), (1, 1), "same", 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.is_plain:
            return conv2d(x, self.weight, self.bias)
        _, _, _, H, W = x.shape
        padding: tuple[int, int] = (0, 0)
        if self.padding == "same":
            rows = same_padding(H, self.kernel[0], self.stride[0], self.dilation[0])
            columns = same_padding(W, self.kernel[1], self.stride[1], self.dilation[1])
            if rows[0] == rows[1] and columns[0] == columns[1]:
                padding = rows[0], columns[0]
            else:
                x = F.pad(x, (*columns, *rows))
        # One dense convolution a member: on a CPU several times as fast as one with P groups.
        y = [
            F.conv2d(
                member.transpose(0, 1),  # (B, Cin, H, W)
                self.weight[p],
                None if self.bias is None else self.bias[p],
                self.stride,
                padding,
                self.dilation,
                self.groups,
            )
            for p, member in enumerate(x.unbind())
        ]
        return torch.stack(y).transpose(1, 2).contiguous()


class BatchNorm(nn.Module):
    """BatchNorm of every channel of every member: (P, C, B, H, W) -> the same, or (P, C, B).

    With `positive`, the scale in use is |weight|: where one convolution serves several layers, each with a BatchNorm
    of its own, int8 per-channel scales have to share a sign.
    """

    def __init__(self, members: int, channels: int, *, positive: bool = False) -> None:
        super().__init__()
        self.positive = positive
        self.momentum, self.eps = 0.1, 1e-5
        self.weight = nn.Parameter(torch.ones(members, channels))
        self.bias = nn.Parameter(torch.zeros(members, channels))
        self.register_buffer("running_mean", torch.zeros(members, channels))
        self.register_buffer("running_var", torch.ones(members, channels))

    def forward(self, x: Tensor, residual: Tensor | None = None, *, relu: bool = False) -> Tensor:
        """bn(x), or residual + relu(bn(x)) in one pass over memory."""
        return norm_act(
            x,
            self.weight.abs() if self.positive else self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            residual,
            training=self.training,
            relu=relu,
            momentum=self.momentum,
            eps=self.eps,
        )

    def affine(self) -> tuple[Tensor, Tensor]:
        """What it does in evaluation: scale and shift, each (P, C)."""
        weight = self.weight.abs() if self.positive else self.weight
        scale = weight / torch.sqrt(self.running_var + self.eps)
        return scale, self.bias - scale * self.running_mean


class Dense(nn.Module):
    """Fully connected: (P, Cin, B) -> (P, Cout, B)."""

    def __init__(
        self, members: int, inputs: int, outputs: int, generator: torch.Generator, *, bias: bool = True
    ) -> None:
        super().__init__()
        bound = math.sqrt(1.0 / inputs)
        self.weight = nn.Parameter((torch.rand((members, outputs, inputs), generator=generator) * 2 - 1) * bound)
        self.bias = nn.Parameter(torch.zeros(members, outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is None:
            return torch.bmm(self.weight, x)
        return torch.baddbmm(self.bias[:, :, None], self.weight, x)


class ConvBn(nn.Module):
    """A convolution and the BatchNorm behind it: one set of neurons, the place where a dendrite attaches.

    The convolution may serve several `ConvBn` (weights shared across depth), each with a BatchNorm of its own.
    """

    def __init__(self, conv: nn.Module, norm: BatchNorm) -> None:
        super().__init__()
        self.conv, self.norm = conv, norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))

    def rectified(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """residual + relu(self(x))."""
        return self.norm(self.conv(x), residual, relu=True)


class SeparableBn(nn.Module):
    """Depthwise over time, pointwise over channels, BatchNorm: (P, C, B, T, 1) -> (P, Cout, B, T', 1)."""

    def __init__(self, depthwise: DepthwiseTime, pointwise: Pointwise, norm: BatchNorm, *, dilation: int) -> None:
        super().__init__()
        self.depthwise, self.pointwise, self.norm = depthwise, pointwise, norm
        self.dilation = dilation

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.pointwise(self.depthwise(x, self.dilation)))

    def rectified(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """residual + relu(self(x))."""
        return self.norm(self.pointwise(self.depthwise(x, self.dilation)), residual, relu=True)


def rectified(unit: nn.Module, x: Tensor, relu: nn.Module, residual: Tensor | None = None) -> Tensor:
    """residual + relu(unit(x)), with fewer passes over memory where that is the same thing.

    It is where `unit` has a `rectified` of its own, unless somebody looks at its output: a hook, or a tracer, to which
    a layer is one operation.
    """
    fused = getattr(unit, "rectified", None)
    if fused is not None and isinstance(x, Tensor) and not any(part._forward_hooks for part in unit.modules()):
        return fused(x, residual)
    y = relu(unit(x))
    return y if residual is None else residual + y


def pooled(unit: nn.Module, x: Tensor, relu: nn.Module, pool: "MaxPool", drop: "Dropout") -> Tensor:
    """drop(pool(relu(unit(x)))), with fewer passes over memory where nobody looks at what is between."""
    if not isinstance(x, Tensor) or any(part._forward_hooks for part in (relu, pool, drop)):
        return drop(pool(relu(unit(x))))
    fused = isinstance(unit, Conv2d) and unit.is_plain and not unit._forward_hooks
    z = None if fused else unit(x)
    codes = drop.codes(x.shape[0])
    if codes is not None:
        codes = codes.to(x.device)
    if z is None:
        return conv_relu_pool(x, unit.weight, unit.bias, pool.windows, codes)
    return relu_pool(z, pool.windows, codes)


class Features(nn.Module):
    """The network's door: (B, T, F) or (P, B, T, F) -> (P, C, B, H, W), centred and standardised on request.

    `as_channels` makes the F coefficients the channels of a temporal net, (P, F, B, T, 1); otherwise frequency stays
    an axis, (P, 1, B, T, F). `remove_mean` subtracts each clip's mean over time and frequency, its level on a
    logarithmic front end. `mean` and `std`, (F,) each, are the training set's; 0 and 1 leave the features as they are.
    """

    def __init__(
        self, members: int, frames: int, coefficients: int, *, as_channels: bool, remove_mean: bool = False
    ) -> None:
        super().__init__()
        self.members, self.frames, self.coefficients = members, frames, coefficients
        self.as_channels, self.remove_mean = as_channels, remove_mean
        self.register_buffer("mean", torch.zeros(coefficients))
        self.register_buffer("std", torch.ones(coefficients))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] != (self.frames, self.coefficients):
            raise DataError(
                f"this model takes features of {self.frames} frames by {self.coefficients} coefficients; got "
                f"{' by '.join(map(str, x.shape[-2:]))}; compute them with the model's own front end"
            )
        if x.dim() == 3:
            x = x.expand(self.members, *x.shape)
        if self.remove_mean:
            x = x - x.mean(dim=(2, 3), keepdim=True)
        x = (x - self.mean) / self.std
        if self.as_channels:
            return x.permute(0, 3, 1, 2).contiguous()[..., None]
        return x[:, None]


class Relu(nn.Module):
    """Elementwise."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


class HardTanh(nn.Module):
    """Clips to [-1, 1], elementwise."""

    def forward(self, x: Tensor) -> Tensor:
        return F.hardtanh(x)


class MaxPool(nn.Module):
    """Largest of each window, stride = kernel: (P, C, B, H, W) -> (P, C, B, H', W')."""

    def __init__(self, kernel: tuple[int, int], *, padding: Padding = "valid") -> None:
        super().__init__()
        self.kernel, self.padding = kernel, padding

    @property
    def windows(self) -> Windows:
        """What the kernels take."""
        return Windows(self.kernel, partial=self.padding == "same")

    def forward(self, x: Tensor) -> Tensor:
        return max_pool(x, self.windows)


@functools.lru_cache(maxsize=16)
def _counted(members: int) -> Tensor:
    return torch.arange(members)


class Dropout(nn.Module):
    """Training drops elements at `rate` and scales the rest by 1 / (1 - rate): (P, ...) -> the same.

    What member p loses depends on torch's global stream and on `draws[p]`, p unless set: a population of five holds
    the population of three. `rates` (P,), where set, are the members' own.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.draws: Tensor | None = None  # (P,) int64
        self.rates: Tensor | None = None  # (P,) float64

    @property
    def drops(self) -> bool:
        """Whether it drops anything in training."""
        return self.rate > 0 or self.rates is not None

    def codes(self, members: int) -> Tensor | None:
        """What the next forward pass drops, (P,); None for nothing."""
        if not self.training or not self.drops:
            return None
        draws = _counted(members) if self.draws is None else self.draws
        return draw_codes(draws, self.rate if self.rates is None else self.rates)

    def forward(self, x: Tensor) -> Tensor:
        codes = self.codes(x.shape[0])
        return x if codes is None else dropout(x, codes)


class GlobalPool(nn.Module):
    """Mean, maximum, or half of both over time and frequency: (P, C, B, H, W) -> (P, C, B)."""

    def __init__(self, kind: Literal["mean", "max", "mean_max"]) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        P, C, B, H, W = x.shape
        if self.kind == "mean":
            return x.flatten(3).mean(3)
        if self.kind == "max":
            return x.flatten(3).amax(3)
        return mean_max_pool(x.reshape(P, C, B, H * W, 1))


class Flatten(nn.Module):
    """(P, C, B, H, W) -> (P, H*W*C, B): the order in which an NHWC runtime flattens."""

    def forward(self, x: Tensor) -> Tensor:
        P, C, B, H, W = x.shape
        return x.permute(0, 3, 4, 1, 2).reshape(P, H * W * C, B)


class Logits(nn.Module):
    """The network's other door: (P, K, B) -> (P, B, K)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)
