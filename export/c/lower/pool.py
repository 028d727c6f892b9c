"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.lower.positions import find_pads
from kws_dendrite.export.c.lower.step import Constants, Step, activation_range, one_scale, spatial
from kws_dendrite.export.c.program import Operator, Program

RUNNING_MAX_BYTES = 24
RUNNING_MAX_SOURCES = (
    "kws_running_max.h", "kws_running_max_portable.h", "kws_running_max_dsp.h", "kws_running_max_helium.h",
    "kws_running_max.c",
)  # fmt: skip
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
    axis = _running_axis(operator)
    if axis is not None:
        return _running_max(operator, constants, (in_h, in_w, channels), axis, pads[axis], (q_min, q_max))
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


def _running_axis(operator: Operator) -> int | None:
    """The one axis along which a MAX_POOL_2D of stride 1 looks about each position, None for any other pool."""
    if operator.kind != "MAX_POOL_2D" or operator.padding != "same" or operator.stride != (1, 1):
        return None
    return {(True, False): 0, (False, True): 1}.get((operator.window[0] > 1, operator.window[1] > 1))


def _running_max(
    operator: Operator, constants: Constants, plane: tuple[int, int, int], axis: int, pad: int, limits: tuple[int, int]
) -> Step:
    height, width, channels = plane
    sequences, steps, step = ((1, height, width * channels), (height, width, channels))[axis]
    fields = f"""\
    .sequences = {sequences}, .steps = {steps}, .width = {step},
    .before = {pad}, .behind = {operator.window[axis] - 1 - pad},
    .minimum = {limits[0]}, .maximum = {limits[1]},"""
    layer = constants.struct(
        ("layer", operator.index), f"running_max_{operator.index}", "kws_running_max", fields, RUNNING_MAX_BYTES
    )
    return Step(
        operator=operator,
        kernel="kws_running_max_s8",
        calls=(f"kws_running_max_s8(&{layer}, {{0}}, {{out}});",),
        reads=operator.inputs,
        writes=operator.outputs[0],
        sources=RUNNING_MAX_SOURCES,
    )
