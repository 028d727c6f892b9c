"""The way from accumulator to int8 of a convolution or dense layer, as constants of the C."""

import numpy as np

from kws_dendrite.export.c.lower.step import Constants, activation_range, c_integer
from kws_dendrite.export.c.program import Operator, Tensor
from kws_dendrite.export.c.requantize import (
    center_of,
    multiply_by_quantized_multiplier,
    multiply_rounding_once,
    prove,
    quantize_multiplier,
)

FORM_BYTES = 20  # sizeof(kws_output) on a 32-bit core
CHANNEL_BYTES = 12


def lower_output(
    constants: Constants, operator: Operator, sums: np.ndarray, low: np.ndarray, high: np.ndarray, bias: np.ndarray,
    multipliers: np.ndarray, source: Tensor, target: Tensor, *, rounds_once: bool = False,
) -> str:  # fmt: skip
    """The initialiser of a kws_output.

    Args:
        constants: takes the channels' table.
        operator: whose output.
        sums: (C,) sums of each channel's weights, for the zero point's share.
        low, high: (C,) bounds of the sum of weight * input.
        bias: (C,) int32.
        multipliers: (C,) real, input scale * weight scale / output scale.
        source, target: the tensors it reads and writes.
        rounds_once: LiteRT's FULLY_CONNECTED; convolutions round twice.
    """
    shifted = bias.astype(np.int64) - source.zero_point * sums.astype(np.int64)
    pairs = [quantize_multiplier(float(value)) for value in multipliers]
    m, shift = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    q_min, q_max = activation_range(operator, target.scale, target.zero_point)
    multiply = multiply_rounding_once if rounds_once else multiply_by_quantized_multiplier
    line = prove(low, high, shifted, m, shift, target.zero_point, q_min, q_max, multiply)
    if line is None:
        form, columns = "KWS_ROUND_ONCE" if rounds_once else "KWS_ROUND_TWICE", (shifted, m, shift)
    else:
        form = "KWS_LINE" if line.negative.any() else "KWS_RISING"
        columns = (line.offset, line.multiplier, line.negative)
    rows = [f"{{{', '.join(c_integer(int(value)) for value in row)}}}" for row in zip(*columns, strict=True)]
    table = constants.text(
        ("channels", operator.index), f"channels_{operator.index}", "kws_channel", rows, len(rows),
        CHANNEL_BYTES * len(rows),
    )  # fmt: skip
    center = center_of(target.zero_point)
    return f"{{{table}, {center}, {target.zero_point}, {q_min}, {q_max}, {form}}}"


def sum_bounds(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(C, K) int8 weights -> (sum of weights, least and largest sum of weight * input over int8 inputs), each (C,)."""
    wide = weights.astype(np.int64)
    positive, negative = np.maximum(wide, 0).sum(1), np.minimum(wide, 0).sum(1)
    return wide.sum(1), -128 * positive + 127 * negative, 127 * positive - 128 * negative
