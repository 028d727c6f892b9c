"""SOFTMAX, CONCATENATION and RESHAPE."""

import math

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.lower.step import Constants, Step, one_scale
from kws_dendrite.export.c.program import Operator, Program
from kws_dendrite.export.c.requantize import quantize_multiplier

INTEGER_BITS = 5  # of a logit's distance from the largest, in TFLite's softmax
SOFTMAX_BYTES = 16
MAX_CLASSES = 511  # with more, equal logits need a shift of 32 bits and beyond, which is not defined


def lower_softmax(program: Program, operator: Operator, constants: Constants) -> Step:
    """One row; the output is 1/256 a step from -128, as TFLite fixes it."""
    source, target = program.tensors[operator.inputs[0]], program.tensors[operator.outputs[0]]
    classes = source.shape[-1] if source.shape else 0
    if source.size != classes or target.size != classes:
        raise ExportError(f"SOFTMAX at {operator.index} has the shape {source.shape}, expected one row")
    if one_scale(target) != (1 / 256, -128):
        raise ExportError(
            f"SOFTMAX at {operator.index} has an output scale of {target.scale:g} and zero point {target.zero_point}, "
            "expected 1/256 and -128"
        )
    if classes > MAX_CLASSES:
        raise ExportError(f"SOFTMAX at {operator.index} has {classes:,} classes; the C kernel has up to {MAX_CLASSES}")
    if not 0 < operator.beta < math.inf:
        raise ExportError(f"SOFTMAX at {operator.index} has the beta {operator.beta:g}, expected a positive number")
    real = min(operator.beta * one_scale(source)[0] * (1 << (31 - INTEGER_BITS)), float((1 << 31) - 1))
    m, shift = quantize_multiplier(real)
    if not 0 <= shift <= 30:
        raise ExportError(f"SOFTMAX at {operator.index}: an input scale of {source.scale:g} is outside TFLite's range")
    minimum = -math.floor(((1 << INTEGER_BITS) - 1) * (1 << (31 - INTEGER_BITS)) / (1 << shift))
    fields = f"    .classes = {classes}, .multiplier = {m}, .left_shift = {shift}, .minimum = {minimum},"
    layer = constants.struct(
        ("layer", operator.index), f"softmax_{operator.index}", "kws_softmax", fields, SOFTMAX_BYTES
    )
    return Step(
        operator=operator,
        kernel="kws_softmax_s8",
        calls=(f"kws_softmax_s8(&{layer}, {{0}}, {{out}}, {{scratch}});",),
        reads=(source.index,),
        writes=target.index,
        sources=("kws_softmax.h", "kws_softmax.c"),
        scratch=4 * classes,
    )


def lower_concat(program: Program, operator: Operator, constants: Constants) -> Step:
    """A copy per input; TFLite's int8 kernel copies bytes, so scales must be equal."""
    target = program.tensors[operator.outputs[0]]
    sources = [program.tensors[index] for index in operator.inputs]
    rank = len(target.shape)
    axis = operator.axis + rank if operator.axis < 0 else operator.axis
    if not 0 <= axis < rank or any(len(tensor.shape) != rank for tensor in sources) or operator.activation != "none":
        raise ExportError(f"CONCATENATION at {operator.index} has axis {operator.axis} and output shape {target.shape}")
    for tensor in sources:
        if one_scale(tensor) != one_scale(target):
            raise ExportError(
                f"CONCATENATION at {operator.index}: {tensor.name!r} has scale {tensor.scale:g} and zero point "
                f"{tensor.zero_point}, its output {target.scale:g} and {target.zero_point}; int8 runtimes copy bytes"
            )
    rows = math.prod(target.shape[:axis])
    widths = [math.prod(tensor.shape[axis:]) for tensor in sources]
    pitch = math.prod(target.shape[axis:])
    beside = target.shape[:axis] + target.shape[axis + 1 :]
    if sum(widths) != pitch or any(tensor.shape[:axis] + tensor.shape[axis + 1 :] != beside for tensor in sources):
        raise ExportError(f"CONCATENATION at {operator.index}: inputs do not fill the output {target.shape}")
    calls, reads, start = [], [], 0
    for tensor, width in zip(sources, widths, strict=True):
        if tensor.data is None:
            operand = f"{{{len(reads)}}}"
            reads.append(tensor.index)
        else:
            operand = constants.array(("operand", tensor.buffer), f"operand_{operator.index}", "int8_t", tensor.data)
        calls.append(f"kws_concat_s8({operand}, {{out}} + {start}, {rows}u, {width}u, {pitch}u);")
        start += width
    return Step(
        operator=operator,
        kernel="kws_concat_s8",
        calls=tuple(calls),
        reads=tuple(reads),
        writes=target.index,
        sources=("kws_concat.h",),
    )


def lower_reshape(program: Program, operator: Operator, constants: Constants) -> Step:
    """Nothing to compute: the same bytes under another shape."""
    source, target = program.tensors[operator.inputs[0]], program.tensors[operator.outputs[0]]
    if source.size != target.size or one_scale(source) != one_scale(target) or source.data is not None:
        raise ExportError(f"RESHAPE at {operator.index} changes size or scale, which no RESHAPE does")
    return Step(operator=operator, kernel="", calls=(), reads=(source.index,), writes=target.index)
