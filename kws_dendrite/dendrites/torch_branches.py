"""What a dendrite of a plain torch layer computes before its nonlinearity: candidates of a neuron as one tensor.

A pool of P candidates at a layer is one widened map of P * C outputs, (1, Cin, B, ...) -> (P, C, B, ...): all of them
read the same input, which comes expanded to P and is read once. Once chosen, P is 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kws_dendrite.dendrites import torch_layers as plain
from kws_dendrite.dendrites.layer import Spec

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class MemberLinear(nn.Module):
    """(P, Cin, B, ...), the same for every member, -> (P, C, B, ...)."""

    def __init__(self, weight: Tensor, outputs: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.new_zeros(1, outputs, *weight.shape[1:]))
        self.bias = nn.Parameter(weight.new_zeros(1, outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        P, C = weight.shape[:2]
        bias = None if self.bias is None else self.bias.flatten()
        y = F.linear(x[0].movedim(0, -1), weight.flatten(0, 1), bias)  # (B, ..., P * C)
        return y.unflatten(-1, (P, C)).movedim((-2, -1), (0, 1))


class MemberConv(nn.Module):
    """(P, Cin, B, *S), the same for every member, -> (P, C, B, *S'), with the geometry of `like`."""

    def __init__(self, like: plain.Convolution, outputs: int, *, bias: bool) -> None:
        super().__init__()
        self.behave_as(like)
        self.weight = nn.Parameter(like.weight.detach().new_zeros(1, outputs, *like.weight.shape[1:]))
        self.bias = nn.Parameter(like.weight.detach().new_zeros(1, outputs)) if bias else None

    def behave_as(self, like: plain.Convolution) -> None:
        """Take over its geometry."""
        self.stride, self.padding, self.dilation = like.stride, like.padding, like.dilation
        self.groups, self.padding_mode = like.groups, like.padding_mode
        self.around = tuple(like._reversed_padding_repeated_twice)

    def forward(self, x: Tensor) -> Tensor:
        x = x[0].transpose(0, 1)  # (B, Cin, *S)
        weight, padding = self.weight, self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, self.around, mode=self.padding_mode), 0
        P, C = weight.shape[:2]
        apart = (P, self.groups, C // self.groups)
        wide = weight.unflatten(1, apart[1:]).transpose(0, 1).flatten(0, 2)  # a group's outputs stand together
        bias = None if self.bias is None else self.bias.unflatten(1, apart[1:]).transpose(0, 1).flatten()
        y = _CONVOLVE[x.dim() - 2](x, wide, bias, self.stride, padding, self.dilation, self.groups)
        y = y.unflatten(1, (apart[1], apart[0], apart[2])).movedim((2, 1, 3), (0, 1, 2))  # (P, groups, C / groups, B)
        return y.flatten(1, 2)


class FewInputs(nn.Module):
    """Weights (P, C, n) of the n inputs (P, C, n) that each neuron keeps; the others are 0 and stay it."""

    def keep(self, like: Tensor, C: int, fan_in: int) -> None:
        """Make room for C neurons of `fan_in` inputs."""
        self.inputs, self.shape = like.shape[1], like.shape[2:]
        self.values = nn.Parameter(like.new_zeros(1, C, fan_in))
        self.register_buffer("index", torch.arange(fan_in, device=like.device).expand(1, C, fan_in).clone())

    @property
    def weight(self) -> Tensor:
        """(P, C, Cin, ...), dense."""
        P, C, _ = self.values.shape
        dense = self.values.new_zeros(P, C, self.inputs).scatter(2, self.index, self.values)
        return dense.view(P, C, self.inputs, *self.shape)


class SparseLinear(FewInputs, MemberLinear):
    """A linear layer of few inputs a neuron."""

    def __init__(self, weight: Tensor, outputs: int, fan_in: int, *, bias: bool) -> None:
        nn.Module.__init__(self)
        self.bias = nn.Parameter(weight.new_zeros(1, outputs)) if bias else None
        self.keep(weight, outputs, fan_in)


class SparseConv(FewInputs, MemberConv):
    """A 1 x 1 convolution of few inputs a neuron."""

    def __init__(self, like: plain.Convolution, outputs: int, fan_in: int, *, bias: bool) -> None:
        nn.Module.__init__(self)
        self.behave_as(like)
        self.bias = nn.Parameter(like.weight.detach().new_zeros(1, outputs)) if bias else None
        self.keep(like.weight.detach(), outputs, fan_in)


class MemberTemporal(nn.Module):
    """A dilated look back and ahead along the first axis of positions of one's own channel: (P, C, B, *S) -> same."""

    def __init__(self, like: Tensor, taps: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.weight = nn.Parameter(like.new_zeros(1, len(like), taps))

    def forward(self, z: Tensor) -> Tensor:
        z = z[0].transpose(0, 1)  # (B, C, *S)
        P, C, taps = self.weight.shape
        axes = z.dim() - 2
        wide = self.weight.transpose(0, 1).reshape(C * P, 1, taps, *(1,) * (axes - 1))
        rest = (0,) * (axes - 1)
        padding, dilation = ((taps - 1) * self.dilation // 2, *rest), (self.dilation, *(1,) * (axes - 1))
        y = _CONVOLVE[axes](z, wide, None, 1, padding, dilation, C)
        return y.unflatten(1, (C, P)).movedim((2, 1), (0, 1))


class MemberNorm(nn.Module):
    """BatchNorm of every channel of every member: (P, C, B, ...) -> the same."""

    def __init__(self, like: Tensor, outputs: int, eps: float, momentum: float) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(like.new_ones(1, outputs))
        self.bias = nn.Parameter(like.new_zeros(1, outputs))
        self.register_buffer("running_mean", like.new_zeros(1, outputs))
        self.register_buffer("running_var", like.new_ones(1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        P, C = x.shape[:2]
        flat = x.flatten(0, 1).transpose(0, 1)  # (B, P * C, ...)
        y = F.batch_norm(
            flat,
            self.running_mean.view(-1),
            self.running_var.view(-1),
            self.weight.flatten(),
            self.bias.flatten(),
            self.training,
            self.momentum,
            self.eps,
        )
        return y.transpose(0, 1).unflatten(0, (P, C))


def branch(base: nn.Module, spec: Spec) -> nn.Module:
    """A branch of the right structure for a plain torch layer, P = 1, its weights still to be drawn."""
    layer, norm = plain.split(base)
    like = layer.weight.detach()
    outputs = spec.units or len(like)
    has_norm = norm is not None or spec.kind == "temporal"
    if spec.kind == "temporal":
        body: nn.Module = MemberTemporal(like, spec.taps, spec.dilation)
    elif spec.kind == "sparse":
        fan_in = min(spec.fan_in, like.shape[1])
        if plain.spatial(base):
            body = SparseConv(layer, outputs, fan_in, bias=not has_norm)
        else:
            body = SparseLinear(like, outputs, fan_in, bias=not has_norm)
    elif plain.spatial(base):
        body = MemberConv(layer, outputs, bias=not has_norm)
    else:
        body = MemberLinear(like, outputs, bias=not has_norm)
    if not has_norm:
        return body
    eps, momentum = (1e-5, 0.1) if norm is None else (norm.eps, norm.momentum or 0.1)
    return nn.Sequential(body, MemberNorm(like, outputs, eps, momentum))
