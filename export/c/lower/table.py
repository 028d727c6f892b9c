"""Functions of one value: TANH, LOGISTIC, RELU, RELU6 and QUANTIZE become 256 answers each."""

import math

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.lower.step import Constants, Step, one_scale
from kws_dendrite.export.c.program import Operator, Program
from kws_dendrite.export.c.requantize import multiply_by_quantized_multiplier, quantize_multiplier

FIXED_OUTPUTS = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}  # LiteRT takes no others


def lower_table(program: Program, operator: Operator, constants: Constants) -> Step:
    """A table of the outputs for -128 to 127."""
    source, target = program.tensors[operator.inputs[0]], program.tensors[operator.outputs[0]]
    if source.size != target.size:
        raise ExportError(f"{operator.kind} at {operator.index} changes its size from {source.size} to {target.size}")
    fixed = FIXED_OUTPUTS.get(operator.kind)
    if fixed and one_scale(target) != fixed:
        raise ExportError(
            f"{operator.kind} at {operator.index} has an output scale of {target.scale:g} and zero point "
            f"{target.zero_point}, expected {fixed[0]:g} and {fixed[1]}"
        )
    values = answers(operator.kind, *one_scale(source), *one_scale(target))
    table = constants.array(("table", values.tobytes()), f"table_{operator.index}", "int8_t", values)
    return Step(
        operator=operator,
        kernel="kws_table_s8",
        calls=(f"kws_table_s8({table}, {{0}}, {{out}}, {source.size}u);",),
        reads=(source.index,),
        writes=target.index,
        sources=("kws_table.h", "kws_table_helium.h", "kws_table.c"),
        overwrites=(source.index,),
    )


def answers(kind: str, scale_in: float, zero_in: int, scale_out: float, zero_out: int) -> np.ndarray:
    """(256,) int8: the output for each int8 input, as TFLite's kernel computes it."""
    q = np.arange(-128, 128, dtype=np.int64) - zero_in
    if kind in ("TANH", "LOGISTIC"):
        return _transformed(kind, q, scale_in, scale_out, zero_out)
    in_float = float(np.float32(scale_in) / np.float32(scale_out))  # as TFLite has it for the others
    real = scale_in / scale_out if kind == "QUANTIZE" else in_float
    m, shift = quantize_multiplier(real)
    value = multiply_by_quantized_multiplier(q, np.int64(m), np.int64(shift)) + zero_out
    low, high = -128, 127
    if kind in ("RELU", "RELU6"):
        low = max(low, zero_out)
    if kind == "RELU6":
        high = min(high, zero_out + math.floor(float(np.float32(6) / np.float32(scale_out)) + 0.5))
    return np.clip(value, low, high).astype(np.int8)


def _transformed(kind: str, q: np.ndarray, scale_in: float, scale_out: float, zero_out: int) -> np.ndarray:
    """TFLite's LUTPopulate: float32 throughout, halves away from zero."""
    real = (np.float32(scale_in) * q.astype(np.float32)).astype(np.float32)
    if kind == "TANH":
        image = np.array([math.tanh(float(value)) for value in real], np.float32)
    else:
        with np.errstate(over="ignore"):  # infinite in float32, as there: the answer is 0
            exps = np.array([math.exp(min(-float(value), 700.0)) for value in real]).astype(np.float32)
        image = np.float32(1) / (np.float32(1) + exps)
    scaled = image * (np.float32(1) / np.float32(scale_out))
    rounded = np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5))
    return np.clip((rounded + np.float32(zero_out)).astype(np.int64), -128, 127).astype(np.int8)
