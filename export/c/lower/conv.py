"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED."""

import math

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c import temporal
from kws_dendrite.export.c.lower.output import OUTPUT_BYTES, TILE, Output, lower_output, sum_bounds
from kws_dendrite.export.c.lower.step import Constants, Step, constant, one_scale, small, spatial
from kws_dendrite.export.c.narrow import fits, function_name, function_text, stream
from kws_dendrite.export.c.program import Operator, Program, Tensor

LINE_WEIGHT = 4  # a line's u is 2^10 times the sum: the DSP's lanes hold 2^8 times the input, its weights the rest
HELIUM_ROW = 16  # int8 lanes of a vector: rows of at most so many weights are padded to it
HELIUM_SLOTS, HELIUM_SLOT = (
    4,
    64,
)  # patches that the Helium kernel gathers at a time where they have at most so many taps
CONV_SOURCES = (
    "kws_conv.h", "kws_conv_portable.h", "kws_conv_dsp.h", "kws_conv_helium.h", "kws_core_helium.h", "kws_conv.c",
)  # fmt: skip
DEPTHWISE_SOURCES = (
    "kws_depthwise.h", "kws_depthwise_dsp.h", "kws_depthwise_helium.h", "kws_core_helium.h", "kws_depthwise.c",
)  # fmt: skip
CONV_BYTES, DEPTHWISE_BYTES = OUTPUT_BYTES + 40, OUTPUT_BYTES + 36


def lower_conv(program: Program, operator: Operator, constants: Constants) -> Step:
    """CONV_2D: weights (out_c, kh, kw, in_c), per-channel or per-tensor scales."""
    source, target = program.tensors[operator.inputs[0]], program.tensors[operator.outputs[0]]
    weights = _weights(program, operator, rank=4)
    in_h, in_w, in_c = spatial(source, program)
    out_h, out_w, out_c = spatial(target, program)
    kernel = weights.shape[1:3]
    if weights.shape[0] != out_c or weights.shape[3] != in_c:
        raise ExportError(
            f"{operator.kind} at {operator.index} has weights {weights.shape} for {in_c} -> {out_c} channels"
        )
    pads = _pads(operator, (in_h, in_w), (out_h, out_w), kernel)
    inside = all(
        pad == 0 and (out - 1) * stride + (k - 1) * dilation < size
        for pad, out, stride, k, dilation, size in zip(
            pads, (out_h, out_w), operator.stride, kernel, operator.dilation, (in_h, in_w), strict=True
        )
    )
    one_piece = (kernel[0] == 1 or (in_w == kernel[1] and operator.dilation[0] == 1)) and (
        kernel[1] == 1 or operator.dilation[1] == 1
    )
    flat = weights.data.reshape(out_c, -1)
    return _conv_step(
        program, operator, constants, weights, flat, (in_h, in_w, in_c, out_h, out_w, out_c, *kernel),
        pads, one_piece=one_piece, contiguous=inside and one_piece, multipliers=_multipliers(source, weights, target, out_c),
    )  # fmt: skip


def lower_dense(program: Program, operator: Operator, constants: Constants) -> Step:
    """FULLY_CONNECTED as a convolution at one position: weights (out_c, K), one scale."""
    source, target = program.tensors[operator.inputs[0]], program.tensors[operator.outputs[0]]
    weights = _weights(program, operator, rank=2)
    out_c, taps = weights.shape
    if source.size != taps or target.size != out_c:
        raise ExportError(
            f"FULLY_CONNECTED at {operator.index} has weights {weights.shape} for an input of {source.shape} and an "
            f"output of {target.shape}; expected a batch of 1"
        )
    if len(weights.scales) != 1:
        raise ExportError(
            f"FULLY_CONNECTED at {operator.index} has {len(weights.scales)} weight scales, expected one; micro runtimes "
            "misread per-channel ones there"
        )
    small(weights.name, taps, out_c)
    # TFLite multiplies the two float32 scales in float32 here, in double for convolutions
    product = float(np.float32(one_scale(source)[0]) * np.float32(weights.scale))
    real = np.full(out_c, product / one_scale(target)[0])
    return _conv_step(
        program, operator, constants, weights, weights.data, (1, 1, taps, 1, 1, out_c, 1, 1), (0, 0),
        one_piece=True, contiguous=True, multipliers=real, rounds_once=True,
    )  # fmt: skip


def _conv_step(
    program: Program, operator: Operator, constants: Constants, weights: Tensor, flat: np.ndarray,
    sizes: tuple[int, ...], pads: tuple[int, int], *, one_piece: bool, contiguous: bool,
    multipliers: np.ndarray, rounds_once: bool = False,
) -> Step:  # fmt: skip
    source, target = program.tensors[operator.inputs[0]], program.tensors[operator.outputs[0]]
    out_c, taps = flat.shape
    padded = math.ceil(taps / TILE) * TILE
    sums, low, high = sum_bounds(flat)
    output = lower_output(
        operator, sums, low, high, _bias(program, operator, out_c), multipliers, source, target,
        rounds_once=rounds_once,
    )  # fmt: skip
    in_h, in_w, in_c, out_h, out_w, _, kernel_h, kernel_w = sizes
    one_column = out_w == 1 and in_w == 1 and kernel_h == 1 and kernel_w == 1
    is_narrow = fits(taps) and contiguous and one_column and output.is_line and not _is_shared(program, weights)
    name = _weight_name(constants, operator, weights, flat, output, is_narrow=is_narrow)
    result = output.text(constants, operator.index, off_dsp=is_narrow)
    stride, dilation = operator.stride, operator.dilation
    fields = f"""\
    .weights = {name},
    .output = {result},
    .in_h = {in_h}, .in_w = {in_w}, .in_c = {in_c},
    .out_h = {out_h}, .out_w = {out_w}, .out_c = {out_c},
    .kernel_h = {kernel_h}, .kernel_w = {kernel_w},
    .stride_h = {stride[0]}, .stride_w = {stride[1]},
    .dilation_h = {dilation[0]}, .dilation_w = {dilation[1]},
    .pad_top = {pads[0]}, .pad_left = {pads[1]},
    .one_piece = {int(one_piece)}, .contiguous = {int(contiguous)}, .zero_point = {source.zero_point},"""
    layer = constants.struct(("layer", operator.index), f"conv_{operator.index}", "kws_conv", fields, CONV_BYTES)
    call = f"kws_conv_s8(&{layer}, {{0}}, {{out}}, {{scratch}});"
    if is_narrow:
        function = function_name(taps, line=output.third is not None)
        constants.functions[function] = function_text(taps, line=output.third is not None)
        call = f"KWS_CONV_NARROW({function}, &{layer}, {{0}}, {{out}}, {{scratch}});"
    return Step(
        operator=operator,
        kernel="kws_conv_s8",
        calls=(call,),
        reads=(source.index,),
        writes=target.index,
        sources=CONV_SOURCES,
        scratch=max(2 * padded, HELIUM_SLOTS * taps if taps <= HELIUM_SLOT and not contiguous else 0),
        macs=out_h * out_w * flat.size,
    )


def _weight_name(
    constants: Constants, operator: Operator, weights: Tensor, flat: np.ndarray, output: Output, *, is_narrow: bool
) -> str:
    """The const weights, in the layout of each instruction set."""
    scaled = flat.astype(np.int16) * (LINE_WEIGHT if output.is_line else 1)
    if is_narrow:
        first, multiplier, _ = output.columns
        dsp = stream(scaled, first, multiplier, output.third)
    else:
        dsp = tiled_pairs(scaled)
    variants = [("KWS_DSP", "kws_conv_weight", dsp), ("", "kws_conv_weight", flat)]
    if flat.shape[1] <= HELIUM_ROW:
        helium = np.pad(flat, ((0, 0), (0, HELIUM_ROW - flat.shape[1])))
        variants.insert(1, ("KWS_HELIUM", "kws_conv_weight", helium))
    return constants.either(("conv", weights.buffer, flat.shape, output.is_line), f"weights_{operator.index}", variants)


def lower_depthwise(program: Program, operator: Operator, constants: Constants) -> Step:
    """DEPTHWISE_CONV_2D with a multiplier of 1: weights (1, kh, kw, C)."""
    source, target = program.tensors[operator.inputs[0]], program.tensors[operator.outputs[0]]
    weights = _weights(program, operator, rank=4)
    in_h, in_w, channels = spatial(source, program)
    out_h, out_w, out_c = spatial(target, program)
    if weights.shape[0] != 1 or weights.shape[3] != channels or out_c != channels:
        raise ExportError(
            f"DEPTHWISE_CONV_2D at {operator.index} has weights {weights.shape} for {channels} -> {out_c} channels; "
            "there is a C kernel for a depth multiplier of 1"
        )
    kernel = weights.shape[1:3]
    pads = _pads(operator, (in_h, in_w), (out_h, out_w), kernel)
    flat = weights.data.reshape(-1, channels).T  # (C, kh * kw)
    sums, low, high = sum_bounds(flat)
    output = lower_output(
        operator, sums, low, high, _bias(program, operator, channels),
        _multipliers(source, weights, target, channels), source, target,
    )  # fmt: skip
    shape = temporal.Shape(
        kernel[0], operator.stride[0], operator.dilation[0], channels, in_h, out_h, pads[0]
    )  # fmt: skip
    is_temporal = in_w == 1 and kernel[1] == 1 and output.is_line and shape.is_served
    if is_temporal:
        pairs = temporal.pair_stream(flat.astype(np.int16) * LINE_WEIGHT)
        variants = [("KWS_DSP", "int32_t", pairs), ("", "int8_t", weights.data)]
        name = constants.either(("temporal", weights.buffer), f"weights_{operator.index}", variants)
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


def tiled_pairs(flat: np.ndarray) -> np.ndarray:
    """(C, K) of at most 16 bits -> int32 [ceil(C / 4)][ceil4(K) / 2][4]: pairs along K as two int16, four channels side by side."""
    channels, taps = flat.shape
    padded = np.zeros((math.ceil(channels / TILE) * TILE, math.ceil(taps / TILE) * TILE), np.int64)
    padded[:channels, :taps] = flat
    pairs = (padded[:, 0::2] & 0xFFFF) | ((padded[:, 1::2] & 0xFFFF) << 16)  # (C, K / 2), the first in the low half
    pairs = pairs.reshape(-1, TILE, pairs.shape[1]).transpose(0, 2, 1)
    return pairs.astype(np.uint32).view(np.int32)


def _is_shared(program: Program, weights: Tensor) -> bool:
    """Whether several layers use the same weights: then they are stored apart from any layer's constants."""
    users = (program.tensors[index].buffer for other in program.operators for index in other.inputs[1:2] if index >= 0)
    return sum(buffer == weights.buffer for buffer in users) > 1


def _weights(program: Program, operator: Operator, rank: int) -> Tensor:
    if len(operator.inputs) not in (2, 3):
        raise ExportError(f"{operator.kind} at {operator.index} has {len(operator.inputs)} inputs, expected 2 or 3")
    weights = constant(program, operator.inputs[1], operator, "weights")
    if weights.dtype != "int8" or len(weights.shape) != rank or not len(weights.scales) or weights.zero_points.any():
        raise ExportError(
            f"{operator.kind} at {operator.index} has {weights.dtype} weights of {weights.shape} with zero points "
            f"{sorted(set(weights.zero_points.tolist()))}, expected symmetric int8 of rank {rank}"
        )
    return weights


def _bias(program: Program, operator: Operator, channels: int) -> np.ndarray:
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return np.zeros(channels, np.int32)
    bias = constant(program, operator.inputs[2], operator, "bias")
    if bias.dtype != "int32" or bias.size != channels:
        raise ExportError(
            f"{operator.kind} at {operator.index} has a {bias.dtype} bias of {bias.size}, expected int32 of {channels}"
        )
    return bias.data.reshape(-1)


def _multipliers(source: Tensor, weights: Tensor, target: Tensor, channels: int) -> np.ndarray:
    if len(weights.scales) not in (1, channels):
        raise ExportError(f"{weights.name!r} has {len(weights.scales)} scales for {channels} channels")
    scales = np.broadcast_to(weights.scales.astype(np.float64), channels)
    return one_scale(source)[0] * scales / one_scale(target)[0]


def _pads(
    operator: Operator, sizes: tuple[int, int], outputs: tuple[int, int], kernel: tuple[int, ...]
) -> tuple[int, int]:
    """(top, left), TensorFlow's rule; ExportError when the output's shape is another one."""
    pads = []
    for size, output, k, stride, dilation in zip(
        sizes, outputs, kernel, operator.stride, operator.dilation, strict=True
    ):  # fmt: skip
        reach = (k - 1) * dilation + 1
        small(operator.kind, k, stride, dilation, reach)
        if operator.padding == "same":
            expected = math.ceil(size / stride)
            pads.append(max((expected - 1) * stride + reach - size, 0) // 2)
        else:
            expected = (size - reach) // stride + 1
            pads.append(0)
        if expected != output:
            raise ExportError(
                f"{operator.kind} at {operator.index} gives {expected} positions, but its output tensor has {output}"
            )
    return pads[0], pads[1]


pool_pads = _pads  # pools follow the same rule
