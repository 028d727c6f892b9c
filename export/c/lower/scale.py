"""DEPTHWISE_CONV_2D of one tap: a factor and a constant a channel."""

import numpy as np

from kws_dendrite.export.c.lower.step import Constants, Step, activation_range, spatial
from kws_dendrite.export.c.lower.weights import read_bias, read_weights, real_multipliers
from kws_dendrite.export.c.program import Operator, Program, Tensor
from kws_dendrite.export.c.requantize import multiply_by_quantized_multiplier, quantize_multiplier, wrap_int32

SHIFT = 20  # of the kernel: the finer the factor, the fewer the channels' range
REACH = 32  # factors tried on either side of the nominal one
OPEN = 1 << 30  # where nothing binds a line's constant
TILE = 4  # constants are read four at a time
SCALE_BYTES = 24
SCALE_SOURCES = ("kws_scale.h", "kws_scale_helium.h", "kws_scale.c")


def lower_scale(program: Program, operator: Operator, constants: Constants) -> Step | None:
    """The layer as a kws_scale; None where it has more taps or a stride, or where a channel has no line."""
    source, target = program.tensors[operator.inputs[0]], program.tensors[operator.outputs[0]]
    weights = read_weights(program, operator, rank=4)
    height, width, channels = spatial(source, program)
    if weights.shape != (1, 1, 1, channels) or operator.stride != (1, 1) or source.shape != target.shape:
        return None
    taps = weights.data.reshape(-1).astype(np.int64)
    real = real_multipliers(source, weights, target, channels)
    accumulators = taps[:, None] * (np.arange(-128, 128) - source.zero_point)
    accumulators = wrap_int32(accumulators + read_bias(program, operator, channels).astype(np.int64)[:, None])
    limits = activation_range(operator, target.scale, target.zero_point)
    reached = _reached(program, source)
    lines = []
    for channel in range(channels):
        multiplier, shift = quantize_multiplier(float(real[channel]))
        scaled = multiply_by_quantized_multiplier(accumulators[channel], np.int64(multiplier), np.int64(shift))
        answers = np.clip(scaled + target.zero_point, *limits)
        ratio = float(real[channel] * taps[channel])
        line = prove_scale(answers, accumulators[channel], ratio, target.zero_point, reached)
        if line is None:
            return None
        lines.append(line)
    padded = np.zeros((3, -(-channels // TILE) * TILE), np.int32)
    padded[:, :channels] = np.array(lines).T
    names = [
        constants.array((role, operator.index), f"{role}_{operator.index}", "int32_t", column)
        if role != "third" or column.any()
        else "0"
        for role, column in zip(("factor", "constant", "third"), padded, strict=True)
    ]
    fields = f"""\
    .factor = {names[0]}, .constant = {names[1]}, .third = {names[2]},
    .center = {_center(target.zero_point)}, .channels = {channels}, .positions = {height * width},"""
    layer = constants.struct(("layer", operator.index), f"scale_{operator.index}", "kws_scale", fields, SCALE_BYTES)
    return Step(
        operator=operator,
        kernel="kws_scale_s8",
        calls=(f"kws_scale_s8(&{layer}, {{0}}, {{out}});",),
        reads=(source.index,),
        writes=target.index,
        sources=SCALE_SOURCES,
        macs=source.size,
        overwrites=(source.index,),
    )


def _reached(program: Program, source: Tensor) -> np.ndarray:
    """(256,) which values from -128 to 127 the source can have, behind what clips them."""
    low, high = -128, 127
    for operator in program.operators:
        if source.index in operator.outputs:
            low, high = activation_range(operator, source.scale, source.zero_point)
    x = np.arange(-128, 128)
    return (low <= x) & (x <= high)


def prove_scale(
    answers: np.ndarray, accumulators: np.ndarray, ratio: float, zero_point: int, reached: np.ndarray | None = None
) -> tuple[int, int, int] | None:
    """(factor, constant, third) of a channel whose line has the same steps, third 0 where it needs none; or None.

    Args:
        answers: (256,) for x from -128 to 127.
        accumulators: (256,) TFLite's, whose sign says which way a half is rounded.
        ratio: the real factor.
        zero_point: of the output.
        reached: (256,) which of these x there are; None for all.
    """
    reached = np.ones(256, bool) if reached is None else reached
    x = np.arange(-128, 128, dtype=np.int64)
    center = _center(zero_point)
    factors = round(ratio * (1 << SHIFT)) + np.arange(-REACH, REACH + 1)
    lines = factors[:, None] * x + center
    least = np.where(answers > -128, (answers << SHIFT) - lines, -OPEN)  # an end binds on one side only: beyond it
    most = np.where(answers < 127, ((answers + 1) << SHIFT) - 1 - lines, OPEN)  # the kernel saturates
    below = accumulators < 0
    for sides in ([reached], [reached & ~below, reached & below]):
        low = np.stack([least[:, side].max(1, initial=-OPEN) for side in sides])
        high = np.stack([most[:, side].min(1, initial=OPEN) for side in sides])
        best = int((high - low).min(0).argmax())
        constants = (low[:, best] + high[:, best]) // 2
        line = int(factors[best]), int(constants[0]), int(constants[0] - constants[-1])
        if _is_equal(line, x[reached], center, answers[reached]):
            return line
    return None


def _center(zero_point: int) -> int:
    """The zero point in u, and a half, so that a shift rounds."""
    return (zero_point << SHIFT) + (1 << (SHIFT - 1))


def _is_equal(line: tuple[int, int, int], x: np.ndarray, center: int, answers: np.ndarray) -> bool:
    """Whether the kernel gives the answers, and nothing on its way leaves int32."""
    factor, constant, third = line
    u = factor * x + constant
    corrected = u - np.where(u < 0, third, 0)
    steps = (factor * x, u, u + center, corrected, corrected + center, np.array([constant, constant + center, third]))
    fits = max(int(np.abs(step).max()) for step in steps) < 1 << 31
    return fits and bool((np.clip((corrected + center) >> SHIFT, -128, 127) == answers).all())
