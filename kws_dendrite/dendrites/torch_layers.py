"""Plain torch layers that can take dendrites: Linear, Conv1d to Conv3d, each alone or with the BatchNorm behind it.

Such a layer is a population of one. Its neurons stand on axis -1 (Linear) or before the positions (convolutions).
"""

from typing import Any

import torch
from torch import Tensor, nn

from kws_dendrite.dendrites.layer import Layout, Spec

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
SERVED = (nn.Linear, *CONVOLUTIONS)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
NAMES = "Linear, Conv1d, Conv2d and Conv3d"


def is_plain(base: nn.Module) -> bool:
    """Whether this is a torch layer rather than a population's."""
    return isinstance(base, SERVED) or (
        isinstance(base, nn.Sequential)
        and len(base) == 2
        and isinstance(base[0], SERVED)
        and isinstance(base[1], NORMS)
    )


def split(base: nn.Module) -> tuple[nn.Linear | Convolution, nn.Module | None]:
    """The linear map, and the BatchNorm behind it."""
    return (base[0], base[1]) if isinstance(base, nn.Sequential) else (base, None)  # type: ignore[return-value]


def outputs(base: nn.Module) -> int:
    """C."""
    return split(base)[0].weight.shape[0]


def groups(base: nn.Module) -> int:
    """Of a convolution; 1 for a linear layer."""
    return getattr(split(base)[0], "groups", 1)


def spatial(base: nn.Module) -> int:
    """How many axes of positions a convolution has; 0 for a linear layer."""
    return split(base)[0].weight.dim() - 2


def layout(base: nn.Module, norm: str = "") -> Layout:
    """Where the neurons are; `norm` is the place that the layer's BatchNorm stood at."""
    return Layout(-1 - spatial(base), norm)


def input_weight(base: nn.Module) -> Tensor:
    """(1, C, Cin) of a layer of one position a neuron."""
    return split(base)[0].weight.flatten(1)[None]


def mixes_channels_alone(base: nn.Module) -> bool:
    """A linear layer, or a 1 x 1 convolution of one group."""
    layer = split(base)[0]
    return groups(base) == 1 and layer.weight[0, 0].numel() == 1


def available(base: nn.Module, spec: Spec) -> str | None:
    """Why `base` cannot take a dendrite of this kind; None where it can."""
    if spec.kind == "temporal" and not spatial(base):
        return "a linear layer has no axis of time"
    if spec.kind == "sparse" and not mixes_channels_alone(base):
        return "sparse fan-in is for linear layers and 1 x 1 convolutions"
    if spec.kind == "lowrank" and groups(base) > 1:
        return "neurons of different groups read different inputs, so they share no units"
    if spec.kind not in ("copy", "lean", "sparse", "temporal", "lowrank"):
        return f"kind {spec.kind!r} is for this project's own nets"
    return None


def geometry(layer: Convolution) -> dict[str, Any]:
    """A convolution's settings but for its channels."""
    return {
        "kernel_size": layer.kernel_size,
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
        "padding_mode": layer.padding_mode,
    }


@torch.no_grad()
def folded(base: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight (C, ...) and bias (C,) of the layer with its BatchNorm in evaluation, in double precision."""
    layer, norm = split(base)
    weight = layer.weight.double()
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.double()
    if norm is None:
        return weight, bias
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    bias = (bias - norm.running_mean.double()) * scale
    if norm.bias is not None:
        bias = bias + norm.bias.double()
    return weight * scale.view(-1, *(1,) * (weight.dim() - 1)), bias
