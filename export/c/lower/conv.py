"""CONV_2D and FULLY_CONNECTED."""

import math

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.lower.output import OUTPUT_BYTES, TILE, Output, lower_output, sum_bounds
from kws_dendrite.export.c.lower.positions import find_pads
from kws_dendrite.export.c.lower.step import Constants, Step, small, spatial
from kws_dendrite.export.c.lower.weights import LINE_WEIGHT, is_shared, read_bias, read_weights, real_multipliers
from kws_dendrite.export.c.narrow import fits, function_name, function_text, stream
from kws_dendrite.export.c.program import Operator, Program, Tensor

HELIUM_ROW = 16  # int8 lanes of a vector: rows of at most so many weights are padded to it
HELIUM_SLOTS, HELIUM_SLOT = 4, 64  # patches that Helium gathers at a time where they have at most so many taps
CONV_SOURCES = (
    "kws_conv.h", "kws_conv_portable.h", "kws_conv_dsp.h", "kws_conv_helium.h", "kws_core_helium.h", "kws_conv.c",
)  # fmt: skip
CONV_BYTES = OUTPUT_BYTES + 40  # sizeof(kws_conv) on a 32-bit core


def lower_conv(program: Program, operator: Operator, constants: Constants) -> Step:
    """CONV_2D: weights (out_c, kh, kw, in_c), per-channel or per-tensor scales."""
    source, target = program.tensors[operator.inputs[0]], program.tensors[operator.outputs[0]]
    weights = read_weights(program, operator, rank=4)
    in_h, in_w, in_c = spatial(source, program)
    out_h, out_w, out_c = spatial(target, program)
    kernel = weights.shape[1:3]
    if weights.shape[0] != out_c or weights.shape[3] != in_c:
        raise ExportError(
            f"{operator.kind} at {operator.index} has weights {weights.shape} for {in_c} -> {out_c} channels"
        )
    pads = find_pads(operator, (in_h, in_w), (out_h, out_w), kernel)
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
        pads, one_piece=one_piece, contiguous=inside and one_piece,
        multipliers=real_multipliers(source, weights, target, out_c),
    )  # fmt: skip


def lower_dense(program: Program, operator: Operator, constants: Constants) -> Step:
    """FULLY_CONNECTED as a convolution at one position: weights (out_c, K), one scale."""
    source, target = program.tensors[operator.inputs[0]], program.tensors[operator.outputs[0]]
    weights = read_weights(program, operator, rank=2)
    out_c, taps = weights.shape
    if source.size != taps or target.size != out_c:
        raise ExportError(
            f"FULLY_CONNECTED at {operator.index} has weights {weights.shape} for an input of {source.shape} and an "
            f"output of {target.shape}; expected a batch of 1"
        )
    if len(weights.scales) != 1:
        raise ExportError(
            f"FULLY_CONNECTED at {operator.index} has {len(weights.scales)} weight scales, expected one; micro "
            "runtimes misread per-channel ones there"
        )
    small(weights.name, taps, out_c)
    real = real_multipliers(source, weights, target, out_c)
    return _conv_step(
        program, operator, constants, weights, weights.data, (1, 1, taps, 1, 1, out_c, 1, 1), (0, 0),
        one_piece=True, contiguous=True, multipliers=real, in_double=True,
    )  # fmt: skip


def _conv_step(
    program: Program, operator: Operator, constants: Constants, weights: Tensor, flat: np.ndarray,
    sizes: tuple[int, ...], pads: tuple[int, int], *, one_piece: bool, contiguous: bool,
    multipliers: np.ndarray, in_double: bool = False,
) -> Step:  # fmt: skip
    source, target = program.tensors[operator.inputs[0]], program.tensors[operator.outputs[0]]
    out_c, taps = flat.shape
    padded = math.ceil(taps / TILE) * TILE
    sums, low, high = sum_bounds(flat)
    output = lower_output(
        operator, sums, low, high, read_bias(program, operator, out_c), multipliers, source, target,
        in_double=in_double,
    )  # fmt: skip
    in_h, in_w, in_c, out_h, out_w, _, kernel_h, kernel_w = sizes
    one_column = out_w == 1 and in_w == 1 and kernel_h == 1 and kernel_w == 1
    is_narrow = fits(taps) and contiguous and one_column and output.is_line and not is_shared(program, weights)
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


def tiled_pairs(flat: np.ndarray) -> np.ndarray:
    """(C, K) of at most 16 bits -> int32 [ceil(C / 4)][ceil4(K) / 2][4]: pairs along K, four channels side by side."""
    channels, taps = flat.shape
    padded = np.zeros((math.ceil(channels / TILE) * TILE, math.ceil(taps / TILE) * TILE), np.int64)
    padded[:channels, :taps] = flat
    pairs = (padded[:, 0::2] & 0xFFFF) | ((padded[:, 1::2] & 0xFFFF) << 16)  # (C, K / 2), the first in the low half
    pairs = pairs.reshape(-1, TILE, pairs.shape[1]).transpose(0, 2, 1)
    return pairs.astype(np.uint32).view(np.int32)
