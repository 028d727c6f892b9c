"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.lower.positions import find_pads
from kws_dendrite.export.c.lower.step import Constants, Step, activation_range, one_scale, spatial
from kws_dendrite.export.c.program import Operator, Program

KERNELS = {"AVERAGE_POOL_2D": "kws_average_pool", "MAX_POOL_2D": "kws_max_pool"}
POOL_BYTES = 26


def lower_pool(program: Program, operator: Operator, constants: Constants) -> Step:
    """A pool over (H, W); scale and zero point must pass through."""
    source, target = program.tensors[operator.inputs[0]], program.tensors[operator.outputs[0]]
    in_h, in_w, channels = spatial(source, program)
    out_h, out_w, out_c = spatial(target, program)
    if channels != out_c or one_scale(source) != one_scale(target):
        raise ExportError(
            f"{operator.kind} at {operator.index} changes scale, zero point or channels, which no pool does"
        )
    pads = find_pads(operator, (in_h, in_w), (out_h, out_w), operator.window)
    q_min, q_max = activation_range(operator, *one_scale(target))
    fields = f"""\
    .in_h = {in_h}, .in_w = {in_w}, .channels = {channels},
    .out_h = {out_h}, .out_w = {out_w},
    .window_h = {operator.window[0]}, .window_w = {operator.window[1]},
    .stride_h = {operator.stride[0]}, .stride_w = {operator.stride[1]},
    .pad_top = {pads[0]}, .pad_left = {pads[1]},
    .minimum = {q_min}, .maximum = {q_max},"""
    layer = constants.struct(("layer", operator.index), f"pool_{operator.index}", "kws_pool", fields, POOL_BYTES)
    kernel = KERNELS[operator.kind]
    return Step(
        operator=operator,
        kernel=f"{kernel}_s8",
        calls=(f"{kernel}_s8(&{layer}, {{0}}, {{out}});",),
        reads=(source.index,),
        writes=target.index,
        sources=("kws_pool.h", f"{kernel}_helium.h", f"{kernel}.c"),
    )
