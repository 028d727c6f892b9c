"""Weights, biases and multipliers of the layers that have them."""

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.lower.step import constant, one_scale
from kws_dendrite.export.c.program import Operator, Program, Tensor

LINE_WEIGHT = 4  # a line's u is 2^10 times the sum: the DSP's lanes hold 2^8 times the input, its weights the rest


def read_weights(program: Program, operator: Operator, rank: int) -> Tensor:
    """The constant weights.

    Raises:
        ExportError: not symmetric int8 of this rank.
    """
    if len(operator.inputs) not in (2, 3):
        raise ExportError(f"{operator.kind} at {operator.index} has {len(operator.inputs)} inputs, expected 2 or 3")
    weights = constant(program, operator.inputs[1], operator, "weights")
    if weights.dtype != "int8" or len(weights.shape) != rank or not len(weights.scales) or weights.zero_points.any():
        raise ExportError(
            f"{operator.kind} at {operator.index} has {weights.dtype} weights of {weights.shape} with zero points "
            f"{sorted(set(weights.zero_points.tolist()))}, expected symmetric int8 of rank {rank}"
        )
    return weights


def read_bias(program: Program, operator: Operator, channels: int) -> np.ndarray:
    """(C,) int32, zeros where there is none."""
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return np.zeros(channels, np.int32)
    bias = constant(program, operator.inputs[2], operator, "bias")
    if bias.dtype != "int32" or bias.size != channels:
        raise ExportError(
            f"{operator.kind} at {operator.index} has a {bias.dtype} bias of {bias.size}, expected int32 of {channels}"
        )
    return bias.data.reshape(-1)


def real_multipliers(source: Tensor, weights: Tensor, target: Tensor, channels: int) -> np.ndarray:
    """(C,) input scale * weight scale / output scale, in double as TFLite has them."""
    if len(weights.scales) not in (1, channels):
        raise ExportError(f"{weights.name!r} has {len(weights.scales)} scales for {channels} channels")
    scales = np.broadcast_to(weights.scales.astype(np.float64), channels)
    return one_scale(source)[0] * scales / one_scale(target)[0]


def is_shared(program: Program, weights: Tensor) -> bool:
    """Whether several layers use the same weights: then they are stored apart from any layer's constants."""
    users = (program.tensors[index].buffer for other in program.operators for index in other.inputs[1:2] if index >= 0)
    return sum(buffer == weights.buffer for buffer in users) > 1
