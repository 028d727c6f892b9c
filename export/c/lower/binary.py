"""ADD, SUB and MUL, broadcast included."""

import math

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.lower.step import Constants, Step, activation_range, one_scale, small
from kws_dendrite.export.c.program import Operator, Program, Tensor
from kws_dendrite.export.c.requantize import multiply_by_quantized_multiplier, quantize_multiplier

LEFT_SHIFT = 20  # TFLite widens both inputs by it before it scales them
SUM_SHIFT = 21  # KWS_SUM_SHIFT, for which there is an instruction less
REACH = 4  # factors tried on either side of the nominal ones
SUM_BYTES, PRODUCT_BYTES = 52, 40


def lower_binary(program: Program, operator: Operator, constants: Constants) -> Step:
    """One kernel call; a constant operand becomes a const array."""
    if len(operator.inputs) != 2 or operator.inputs[1] < 0:
        raise ExportError(f"{operator.kind} at {operator.index} has {len(operator.inputs)} inputs, expected 2")
    a, b = (program.tensors[index] for index in operator.inputs)
    target = program.tensors[operator.outputs[0]]
    scales = [one_scale(tensor) for tensor in (a, b, target)]
    q_range = activation_range(operator, *scales[2])
    loops = _loops(operator, a, b, target)
    lower = _product if operator.kind == "MUL" else _sum
    kernel, c_type, fields, size, source = lower(operator, scales, q_range)
    layer = constants.struct(
        ("layer", operator.index), f"{c_type.removeprefix('kws_')}_{operator.index}", c_type,
        f"    .loops = {loops},\n{fields}", size,
    )  # fmt: skip
    operands, reads = [], []
    for tensor in (a, b):
        if tensor.data is None:
            operands.append(f"{{{len(reads)}}}")
            reads.append(tensor.index)
        else:
            operands.append(
                constants.array(("operand", tensor.buffer), f"operand_{operator.index}", "int8_t", tensor.data)
            )
    return Step(
        operator=operator,
        kernel=kernel,
        calls=(f"{kernel}(&{layer}, {', '.join(operands)}, {{out}});",),
        reads=tuple(reads),
        writes=target.index,
        sources=("kws_binary.h", source, *(("kws_sum_helium.h",) if lower is _sum else ())),
        overwrites=tuple(t.index for t in (a, b) if t.data is None and t.size == target.size),
    )


def _sum(
    operator: Operator, scales: list[tuple[float, int]], q_range: tuple[int, int]
) -> tuple[str, str, str, int, str]:
    sign = -1 if operator.kind == "SUB" else 1
    (scale_a, zero_a), (scale_b, zero_b), (scale_out, zero_out) = scales
    q = np.arange(-128, 128, dtype=np.int64)
    if 2 * max(scale_a, scale_b) >= (1 << LEFT_SHIFT) * scale_out:
        raise ExportError(
            f"{operator.kind} at {operator.index} has scales of {scale_a:g} and {scale_b:g} before and {scale_out:g} "
            "behind it, more apart than TFLite computes"
        )
    three = sum_multipliers(scale_a, scale_b, scale_out)
    total = tflite_sum(q[:, None] - zero_a, q[None, :] - zero_b, three, sign) + zero_out
    found = None
    if q_range == (-128, 127):
        found = prove_sum(np.clip(total, -128, 127), scale_a / scale_out, sign * scale_b / scale_out)
    if found is None:
        factors, shift = tuple(m for m, _ in three), 0
    else:
        shift, factors = found[0], found[1:]
    fields = f"""\
    .proven = {int(found is not None)}, .shift = {shift}, .sign_b = {sign},
    .minimum = {q_range[0]}, .maximum = {q_range[1]},
    .zero_a = {zero_a}, .zero_b = {zero_b}, .zero_out = {zero_out},
    .factor_a = {factors[0]}, .factor_b = {factors[1]}, .constant = {factors[2]},
    .shift_a = {three[0][1]}, .shift_b = {three[1][1]}, .shift_out = {three[2][1]},"""
    return "kws_sum_s8", "kws_sum", fields, SUM_BYTES, "kws_sum.c"


def _product(
    operator: Operator, scales: list[tuple[float, int]], q_range: tuple[int, int]
) -> tuple[str, str, str, int, str]:
    (scale_a, zero_a), (scale_b, zero_b), (scale_out, zero_out) = scales
    # TFLite multiplies and divides these scales in float32
    real = float(np.float32(scale_a) * np.float32(scale_b) / np.float32(scale_out))
    m, shift = quantize_multiplier(real)
    fields = f"""\
    .multiplier = {m}, .shift = {shift},
    .zero_a = {zero_a}, .zero_b = {zero_b}, .zero_out = {zero_out},
    .minimum = {q_range[0]}, .maximum = {q_range[1]},"""
    return "kws_product_s8", "kws_product", fields, PRODUCT_BYTES, "kws_product.c"


def sum_multipliers(scale_a: float, scale_b: float, scale_out: float) -> tuple[tuple[int, int], ...]:
    """The three (multiplier, shift) of TFLite's quantised addition: of a, of b, of the sum."""
    twice = 2 * max(scale_a, scale_b)
    reals = (scale_a / twice, scale_b / twice, twice / ((1 << LEFT_SHIFT) * scale_out))
    return tuple(quantize_multiplier(real) for real in reals)


def tflite_sum(a: np.ndarray, b: np.ndarray, multipliers: tuple[tuple[int, int], ...], sign: int) -> np.ndarray:
    """TFLite's a + sign * b of values without their zero points, before the output's zero point and clamp."""

    def scaled(value: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
        return multiply_by_quantized_multiplier(value, np.int64(pair[0]), np.int64(pair[1]))

    wide = scaled(a << LEFT_SHIFT, multipliers[0]) + sign * scaled(b << LEFT_SHIFT, multipliers[1])
    return scaled(wide, multipliers[2])


def prove_sum(answers: np.ndarray, ratio_a: float, ratio_b: float) -> tuple[int, int, int, int] | None:
    """(shift, factor_a, factor_b, constant) with saturate8((a fa + b fb + constant) >> shift) == answers, or None.

    Args:
        answers: (256, 256) for a and b from -128 to 127.
        ratio_a, ratio_b: the real factors.
    """
    finest = math.floor(math.log2((1 << 30) / (128 * (abs(ratio_a) + abs(ratio_b)) + 256)))
    for shift in (SUM_SHIFT, finest):
        found = _prove_at(answers, ratio_a, ratio_b, shift) if 8 <= shift <= 30 else None
        if found is not None:
            return found
    return None


def _prove_at(answers: np.ndarray, ratio_a: float, ratio_b: float, shift: int) -> tuple[int, int, int, int] | None:
    q = np.arange(-128, 128, dtype=np.int64)
    nominal = round(ratio_a * (1 << shift)), round(ratio_b * (1 << shift))
    if 128 * (abs(nominal[0]) + abs(nominal[1])) >= 1 << 31:
        return None
    above, below = answers > -128, answers < 127  # the ends bind on one side only: beyond them it saturates
    best = None
    for step_a in range(-REACH, REACH + 1):
        for step_b in range(-REACH, REACH + 1):
            factors = nominal[0] + step_a, nominal[1] + step_b
            line = factors[0] * q[:, None] + factors[1] * q[None, :]
            least = int(((answers << shift) - line)[above].max(initial=-(1 << 30)))  # none above: everything saturates
            most = int((((answers + 1) << shift) - 1 - line)[below].min(initial=1 << 30))
            if least <= most and (best is None or most - least > best[0]):
                best = most - least, factors, (least + most) // 2
    if best is None:
        return None
    _, factors, constant = best
    products = factors[0] * q[:, None], factors[1] * q[None, :]
    total = products[0] + products[1] + constant
    steps = (*products, products[0] + products[1], products[0] + constant, products[1] + constant, total)
    fits = max(int(np.abs(step).max()) for step in steps) < 1 << 31 and abs(constant) < 1 << 31
    return (shift, *factors, constant) if fits and (np.clip(total >> shift, -128, 127) == answers).all() else None


def _loops(operator: Operator, a: Tensor, b: Tensor, target: Tensor) -> str:
    """The initialiser of kws_loops."""
    rank = max(len(tensor.shape) for tensor in (a, b, target))
    shapes = [(1,) * (rank - len(tensor.shape)) + tensor.shape for tensor in (a, b, target)]
    for size_a, size_b, size in zip(*shapes, strict=True):
        if {size_a, size_b} - {1, size} or size not in (size_a, size_b):
            raise ExportError(
                f"{operator.kind} at {operator.index}: {a.shape} and {b.shape} do not broadcast to {target.shape}"
            )
    strides = [_strides(shape, shapes[2]) for shape in shapes[:2]]
    merged: list[list[int]] = []  # [extent, stride_a, stride_b], outermost first
    for extent, stride_a, stride_b in zip(shapes[2], *strides, strict=True):
        if extent == 1:
            continue
        outer = merged[-1] if merged else None
        if outer and outer[1] == stride_a * extent and outer[2] == stride_b * extent and outer[0] * extent < 1 << 16:
            merged[-1] = [outer[0] * extent, stride_a, stride_b]
        else:
            merged.append([extent, stride_a, stride_b])
    if len(merged) > 4:
        raise ExportError(f"{operator.kind} at {operator.index} broadcasts over {len(merged)} axes; the C kernel has 4")
    merged = [[1, 0, 0]] * (4 - len(merged)) + merged
    for row in merged:
        small(operator.kind, *row)
    columns = ["{" + ", ".join(str(row[column]) for row in merged) + "}" for column in range(3)]
    return "{" + ", ".join(columns) + "}"


def _strides(shape: tuple[int, ...], output: tuple[int, ...]) -> list[int]:
    strides, step = [], 1
    for size, extent in zip(reversed(shape), reversed(output), strict=True):
        strides.append(0 if size == 1 and extent > 1 else step)
        step *= size
    return strides[::-1]
