"""Bytes that an operator's constants take in flash, and its scratch in RAM, by instruction set."""

import math
from collections.abc import Sequence

from kws_dendrite.plain.arena import Use
from kws_dendrite.plain.device.emitted import Emitted
from kws_dendrite.plain.device.helium import NARROW, SLOT
from kws_dendrite.plain.device.kernels import TILE, Isa, kernel_of, lanes, pairs

# sizeof of each kernel's layer on a 32-bit core; the compiler takes the narrow and the temporal kernels' apart
LAYER = {
    "conv": 64, "narrow": 0, "depthwise": 60, "temporal": 0, "sum": 56, "product": 40, "average_pool": 24,
    "max_pool": 24, "running_max": 24, "scale": 24, "softmax": 16, "table": 0, "concat": 0, "": 0,
}  # fmt: skip
TABLE_BYTES = 256
SLOTS = 4  # patches that Helium gathers at a time


def constant_bytes(operators: Sequence[Emitted], isa: Isa) -> int:
    """Weights, channels' constants, layers and tables, each weight once."""
    stored: dict[tuple[str, str, str], int] = {}
    total = 0
    for operator in operators:
        kernel = kernel_of(operator, isa)
        layout = operator.form == "round" if kernel == "conv" and isa == "dsp" else False
        if operator.weight:
            stored[operator.weight, kernel, str(layout)] = _words(_weight_bytes(operator, kernel, isa))
        total += LAYER[kernel] + _words(operator.constant) + _column_bytes(operator, kernel)
        total += TABLE_BYTES if kernel == "table" else 0
    return total + sum(stored.values())


def _weight_bytes(operator: Emitted, kernel: str, isa: Isa) -> int:
    outputs, taps = operator.shape[-1], operator.taps
    match kernel:
        case "narrow":
            registers = 2 * (taps // 4) + (taps % 4 > 0)
            return 4 * outputs * (registers + 2 + (operator.form == "line"))
        case "temporal":
            return 4 * outputs * pairs(operator.window[0])
        case "scale":
            return 0
        case "depthwise":
            return outputs * math.prod(operator.window)
    if isa == "dsp":
        return 2 * _tiled(outputs) * _tiled(taps)
    return outputs * (NARROW if isa == "helium" and taps <= NARROW else taps)


def _column_bytes(operator: Emitted, kernel: str) -> int:
    """The channels' way from accumulator to int8."""
    columns = 2 if operator.form == "rising" else 3
    if kernel == "scale":
        return 4 * 3 * _tiled(operator.shape[-1])
    if kernel in ("conv", "depthwise"):
        return 4 * columns * _tiled(operator.shape[-1])
    return 4 * columns * operator.shape[-1] if kernel == "temporal" else 0


def use_of(operator: Emitted) -> Use:
    """What an operator holds of the arena, in a plan that serves every instruction set."""
    scratch, overwrites = 0, ()
    size = math.prod(operator.shape)
    match operator.operator:
        case "CONV_2D" | "FULLY_CONNECTED":
            gathers = operator.taps <= SLOT and not operator.contiguous
            scratch = max(2 * _tiled(operator.taps), SLOTS * operator.taps if gathers else 0)
        case "DEPTHWISE_CONV_2D" if kernel_of(operator, "dsp") == "scale":
            overwrites = operator.reads
        case "DEPTHWISE_CONV_2D" if kernel_of(operator, "dsp") == "temporal":
            scratch = 2 * lanes(operator)
        case "SOFTMAX":
            scratch = 4 * size
        case "ADD" | "SUB" | "MUL":
            overwrites = tuple(
                read for read, shape in zip(operator.reads, operator.inputs, strict=False) if math.prod(shape) == size
            )
        case "TANH" | "LOGISTIC" | "RELU":
            overwrites = operator.reads
    return Use(operator.reads, operator.writes, size, scratch, overwrites, operator.operator != "RESHAPE")


def _tiled(count: int) -> int:
    return math.ceil(count / TILE) * TILE


def _words(size: int) -> int:
    return math.ceil(size / 4) * 4
