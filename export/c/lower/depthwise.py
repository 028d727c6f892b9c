"""DEPTHWISE_CONV_2D."""

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c import temporal
from kws_dendrite.export.c.lower.output import OUTPUT_BYTES, lower_output, sum_bounds
from kws_dendrite.export.c.lower.positions import find_pads
from kws_dendrite.export.c.lower.scale import lower_scale
from kws_dendrite.export.c.lower.step import Constants, Step, spatial
from kws_dendrite.export.c.lower.weights import LINE_WEIGHT, read_bias, read_weights, real_multipliers
from kws_dendrite.export.c.program import Operator, Program

DEPTHWISE_SOURCES = (
    "kws_depthwise.h", "kws_depthwise_dsp.h", "kws_depthwise_helium.h", "kws_core_helium.h", "kws_depthwise.c",
)  # fmt: skip
DEPTHWISE_BYTES = OUTPUT_BYTES + 36  # sizeof(kws_depthwise) on a 32-bit core


def lower_depthwise(program: Program, operator: Operator, constants: Constants) -> Step:
    """DEPTHWISE_CONV_2D with a multiplier of 1: weights (1, kh, kw, C)."""
    source, target = program.tensors[operator.inputs[0]], program.tensors[operator.outputs[0]]
    weights = read_weights(program, operator, rank=4)
    in_h, in_w, channels = spatial(source, program)
    out_h, out_w, out_c = spatial(target, program)
    if weights.shape[0] != 1 or weights.shape[3] != channels or out_c != channels:
        raise ExportError(
            f"DEPTHWISE_CONV_2D at {operator.index} has weights {weights.shape} for {channels} -> {out_c} channels; "
            "there is a C kernel for a depth multiplier of 1"
        )
    kernel = weights.shape[1:3]
    pads = find_pads(operator, (in_h, in_w), (out_h, out_w), kernel)
    scale = lower_scale(program, operator, constants)
    if scale is not None:
        return scale
    flat = weights.data.reshape(-1, channels).T  # (C, kh * kw)
    sums, low, high = sum_bounds(flat)
    output = lower_output(
        operator, sums, low, high, read_bias(program, operator, channels),
        real_multipliers(source, weights, target, channels), source, target,
    )  # fmt: skip
    shape = temporal.Shape(
        kernel[0], operator.stride[0], operator.dilation[0], channels, in_h, out_h, pads[0]
    )  # fmt: skip
    is_temporal = in_w == 1 and kernel[1] == 1 and output.is_line and shape.is_served
    if is_temporal:
        pairs = temporal.pair_stream(flat.astype(np.int16) * LINE_WEIGHT)
        variants = [("KWS_DSP", "int32_t", pairs), ("", "int8_t", weights.data)]
        name = constants.either(("temporal", weights.buffer, weights.shape), f"weights_{operator.index}", variants)
        line = temporal.constant_stream(output.columns[0], output.columns[1], output.third)
        line_name = constants.on_dsp(("line", operator.index), f"line_{operator.index}", "int32_t", line)
    else:
        name = constants.array(("depthwise", weights.buffer), f"weights_{operator.index}", "int8_t", weights.data)
    result = output.text(constants, operator.index, off_dsp=is_temporal)
    fields = f"""\
    .weights = (const int8_t *)(const void *){name},
    .output = {result},
    .in_h = {in_h}, .in_w = {in_w}, .channels = {channels},
    .out_h = {out_h}, .out_w = {out_w},
    .kernel_h = {kernel[0]}, .kernel_w = {kernel[1]},
    .stride_h = {operator.stride[0]}, .stride_w = {operator.stride[1]},
    .dilation_h = {operator.dilation[0]}, .dilation_w = {operator.dilation[1]},
    .pad_top = {pads[0]}, .pad_left = {pads[1]},
    .zero_point = {source.zero_point},"""
    layer = constants.struct(
        ("layer", operator.index), f"depthwise_{operator.index}", "kws_depthwise", fields, DEPTHWISE_BYTES
    )  # fmt: skip
    call, scratch = f"kws_depthwise_s8(&{layer}, {{0}}, {{out}});", 0
    if is_temporal:
        function = temporal.function_name(shape, line=output.third is not None)
        constants.functions[function] = temporal.function_text(shape, line=output.third is not None)
        call = (
            f"kws_depthwise_temporal({function}, &{layer}, {line_name}, {{0}}, {{out}}, {{scratch}}, {shape.lanes}u);"
        )
        scratch = 2 * shape.lanes
    return Step(
        operator=operator,
        kernel="kws_depthwise_s8",
        calls=(call,),
        scratch=scratch,
        reads=(source.index,),
        writes=target.index,
        sources=DEPTHWISE_SOURCES,
        macs=out_h * out_w * weights.size,
    )
