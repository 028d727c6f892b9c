"""The way from accumulator to int8 of a convolution or dense layer, as constants of the C."""

from dataclasses import dataclass

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.lower.step import Constants, activation_range
from kws_dendrite.export.c.program import Operator, Tensor
from kws_dendrite.export.c.requantize import (
    center_of,
    finely_equal,
    multiply_by_quantized_multiplier,
    prove,
    quantize_finely,
    quantize_multiplier,
    rounding_in_double,
)

TILE = 4  # the per-channel constants are read four at a time
MAX_ROUNDED = 2048  # outputs of a FULLY_CONNECTED without a line, each of which is proven by itself
OUTPUT_BYTES = 28  # sizeof(kws_output) on a 32-bit core


@dataclass(frozen=True)
class Output:
    """A kws_output.

    Attributes:
        form: "KWS_RISING", "KWS_LINE", "KWS_ROUND_TWICE" or "KWS_ROUND_ONCE".
        fine: of KWS_ROUND_ONCE, the multiplier's bits below its 31.
        columns: first, multiplier, third, each (C,) int64.
        zero_point, q_min, q_max: of the output.
    """

    form: str
    columns: tuple[np.ndarray, np.ndarray, np.ndarray]
    zero_point: int
    q_min: int
    q_max: int
    fine: int = 0

    def text(self, constants: Constants, index: int, *, off_dsp: bool = False) -> str:
        """The initialiser, its columns declared. `off_dsp`: on the DSP extension a kernel brings its own constants."""
        names = []
        for role, values in zip(("first", "multiplier", "third"), self.columns, strict=True):
            if role == "third" and self.form == "KWS_RISING":
                names.append("0")
                continue
            padded = np.zeros(-(-len(values) // TILE) * TILE, np.int32)
            padded[: len(values)] = values
            name = constants.array((role, index), f"{role}_{index}", "int32_t", padded, off_dsp=off_dsp)
            names.append(f"KWS_OFF_DSP({name})" if off_dsp else name)
        numbers = (center_of(self.zero_point), self.zero_point, self.q_min, self.q_max)
        return f"{{{', '.join(names)}, {', '.join(map(str, numbers))}, {self.form}, {self.fine}}}"

    @property
    def third(self) -> np.ndarray | None:
        """The correction below zero, None for KWS_RISING."""
        return None if self.form == "KWS_RISING" else self.columns[2]

    @property
    def is_line(self) -> bool:
        """Whether u, begun at `first`, gives the output."""
        return self.form in ("KWS_RISING", "KWS_LINE")


def lower_output(
    operator: Operator, sums: np.ndarray, low: np.ndarray, high: np.ndarray, bias: np.ndarray,
    multipliers: np.ndarray, source: Tensor, target: Tensor, *, in_double: bool = False,
) -> Output:  # fmt: skip
    """A layer's kws_output.

    Args:
        operator: whose output.
        sums: (C,) sums of each channel's weights, for the zero point's share.
        low, high: (C,) bounds of the sum of weight * input.
        bias: (C,) int32.
        multipliers: (C,) real, input scale * weight scale / output scale.
        source, target: the tensors it reads and writes.
        in_double: LiteRT's FULLY_CONNECTED: one scale, multiplied in double, rounded once; convolutions round twice.
    """
    shifted = bias.astype(np.int64) - source.zero_point * sums.astype(np.int64)
    q_min, q_max = activation_range(operator, target.scale, target.zero_point)
    pairs = [quantize_multiplier(float(value)) for value in multipliers]
    m, shift = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    multiply = rounding_in_double(multipliers) if in_double else multiply_by_quantized_multiplier
    line = prove(low, high, shifted, m, shift, target.zero_point, q_min, q_max, multiply)
    if line is not None:
        form = "KWS_LINE" if line.negative.any() else "KWS_RISING"
        columns = (line.offset, line.multiplier, line.negative)
        return Output(form, columns, target.zero_point, q_min, q_max)
    if not in_double:
        return Output("KWS_ROUND_TWICE", (shifted, m, shift), target.zero_point, q_min, q_max)
    real = float(multipliers[0])  # FULLY_CONNECTED has one weight scale
    if len(shifted) > MAX_ROUNDED:
        raise ExportError(
            f"{operator.kind} at {operator.index} has {len(shifted):,} outputs, expected at most {MAX_ROUNDED:,}"
        )
    for channel in range(len(shifted)):
        if not finely_equal(int(low[channel]), int(high[channel]), int(shifted[channel]), real, target.zero_point):
            raise ExportError(f"{operator.kind} at {operator.index}: no integer form equals its scale of {real!r}")
    wide, fine, exponent = quantize_finely(real)
    same = np.ones_like(shifted)
    return Output("KWS_ROUND_ONCE", (shifted, wide * same, exponent * same), target.zero_point, q_min, q_max, fine)


def sum_bounds(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(C, K) int8 weights -> (sum of weights, least and largest sum of weight * input over int8 inputs), each (C,)."""
    wide = weights.astype(np.int64)
    positive, negative = np.maximum(wide, 0).sum(1), np.minimum(wide, 0).sum(1)
    return wide.sum(1), -128 * positive + 127 * negative, 127 * positive - 128 * negative
