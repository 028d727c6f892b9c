"""Which kernel runs an operator, and how often each part of its loops runs: the counts that cost is linear in.

A count is what the C's own loops do (positions, tiles of four channels, words copied, taps inside the input); what one
of each costs is measured by core (`scripts/measure_device_costs.py`), never written here.
"""

import math
from collections import Counter
from collections.abc import Callable
from typing import Literal

from kws_dendrite.plain.device import helium, running_max
from kws_dendrite.plain.device.emitted import Emitted, is_one_piece
from kws_dendrite.plain.device.windows import inside_counts, rounding, tap_runs
from kws_dendrite.plain.graph import Shape

Isa = Literal["portable", "dsp", "helium"]
Counts = dict[str, float]
ISAS: dict[str, Isa] = {
    "cortex-m3": "portable", "cortex-m4": "dsp", "cortex-m7": "dsp", "cortex-m33": "dsp", "cortex-m55": "helium",
}  # fmt: skip
TILE = 4
SEGMENTS = 16
NARROW_TAPS = 14
TEMPORAL_PAIRS, TEMPORAL_STEP, TEMPORAL_NEAR = 8, 4095, 255
DSP_MEAN = 255  # values of which two sums fit a word


def kernel_of(operator: Emitted, isa: Isa) -> str:
    """The kernel that runs the operator; "" where nothing runs."""
    match operator.operator:
        case "RESHAPE":
            return ""
        case "CONV_2D" | "FULLY_CONNECTED":
            return "narrow" if isa == "dsp" and is_narrow(operator) else "conv"
        case "DEPTHWISE_CONV_2D":
            if is_scale(operator):
                return "scale"
            return "temporal" if isa == "dsp" and is_temporal(operator) else "depthwise"
        case "ADD" | "SUB":
            return "sum"
        case "MUL":
            return "product"
        case "AVERAGE_POOL_2D":
            return "average_pool"
        case "MAX_POOL_2D":
            return "running_max" if running_max.is_served(operator) else "max_pool"
        case "SOFTMAX":
            return "softmax"
        case "CONCATENATION":
            return "concat"
    return "table"


def is_narrow(operator: Emitted) -> bool:
    """Whether the DSP build has the inputs of a position in registers."""
    one_column = operator.out_plane[1] == 1 and operator.plane[1] == 1 and operator.window == (1, 1)
    served = operator.taps <= NARROW_TAPS and operator.taps % 4 != 3
    return served and operator.contiguous and one_column and operator.form != "round" and not operator.shared


def is_scale(operator: Emitted) -> bool:
    """Whether a depthwise convolution is a factor and a constant a channel."""
    return operator.window == (1, 1) and operator.stride == (1, 1) and operator.form in ("line", "rising")


def is_temporal(operator: Emitted) -> bool:
    """Whether the DSP build has the weights of a channel in registers; a dilation apart, as many undilated layers."""
    (kernel, across), stride, dilation = operator.window, operator.stride[0], operator.dilation[0]
    apart = dilation == 1 or (stride == 1 and operator.pads[0] % dilation == 0)
    served = pairs(kernel) <= TEMPORAL_PAIRS and stride in (1, 2) and apart
    served = served and 2 * operator.plane[2] * dilation <= TEMPORAL_STEP
    return served and operator.plane[1] == 1 and across == 1 and operator.form in ("line", "rising")


def pairs(kernel: int) -> int:
    """Registers of weights of a temporal kernel."""
    return kernel // 2 + 1


def lanes(operator: Emitted) -> int:
    """int16 lanes of a temporal kernel's row, of one of the layers that a dilation makes of it."""
    (kernel, _), (stride, _), (dilation, _) = operator.window, operator.stride, operator.dilation
    inputs, outputs = math.ceil(operator.plane[0] / dilation), math.ceil(operator.out_plane[0] / dilation)
    return max(operator.pads[0] // dilation + inputs, (outputs - 1) * stride + 2 * pairs(kernel)) + 1


def count(operator: Emitted, isa: Isa) -> Counts:
    """How often each part of the kernel runs."""
    return {name: float(value) for name, value in _COUNT[kernel_of(operator, isa)](operator, isa).items() if value}


def _conv(operator: Emitted, isa: Isa) -> Counts:
    if isa == "helium":
        return helium.count_conv(operator)
    height, width, outputs = operator.out_plane
    positions, taps, form = height * width, operator.taps, operator.form
    counts: Counter[str] = Counter({"calls": 1, "rows": height, "positions": positions})
    if not operator.contiguous:
        _gathers(operator, isa, counts)
    elif isa == "dsp":
        _copies("", positions, taps, operator, isa, counts)
    if isa == "portable":
        counts[f"{rounding(operator)} outputs"] += positions * outputs
        whole, rest = divmod(outputs, TILE)
        counts["tiles"] += positions * whole
        counts["tile taps"] += positions * whole * taps
        counts["single channels"] += positions * rest
        counts["single taps"] += positions * rest * taps
        return dict(counts)
    steps = math.ceil(taps / TILE)
    over = math.ceil(outputs / TILE)
    last = min(positions, math.ceil(TILE * over / outputs) - 1)  # without room for a tile beyond their outputs
    for share, whole in ((positions - last, over), (last, outputs // TILE)):
        whole = whole if form != "round" else 0
        rest = max(0, outputs - TILE * whole)
        tiles = share * math.ceil(rest / TILE)
        counts["positions in tiles"] += share * (whole > 0)
        counts["tiles"] += share * whole
        counts["tile corrections"] += share * whole * (form == "line")
        counts["tile steps"] += share * whole * steps
        counts["single tiles"] += tiles
        counts["single tile steps"] += tiles * steps
        counts[f"{rounding(operator)} outputs"] += share * rest
    return dict(counts)


def _gathers(operator: Emitted, isa: Isa, counts: Counter[str]) -> None:
    """Patches that are put together, a whole one at once where it lies in one piece inside the input."""
    rows, columns = inside_counts(operator)
    kernel, channels = operator.window, operator.plane[2]
    whole = sum(row == kernel[0] for row in rows) * sum(column == kernel[1] for column in columns)
    whole = whole if is_one_piece(operator) else 0
    parts = len(rows) * len(columns) - whole
    blocks = sum(rows) * sum(columns) - whole * math.prod(kernel)
    empty = parts * math.prod(kernel) - blocks
    counts["whole patches"] += whole
    _copies("whole ", whole, operator.taps, operator, isa, counts)
    counts["gathers"] += parts
    counts["gathered rows"] += parts * kernel[0]
    counts["gathered taps"] += blocks
    _copies("gathered ", blocks, channels, operator, isa, counts)
    counts["empty taps"] += empty
    counts["empty values"] += empty * channels


def _copies(kind: str, copies: int, size: int, operator: Emitted, isa: Isa, counts: Counter[str]) -> None:
    """`copies` runs of `size` values into a patch."""
    if isa == "dsp":
        to = "integers" if operator.form == "round" else "lines"
        counts[f"{kind}words to {to}"] += copies * (size // 4)
        counts[f"{kind}bytes to {to}"] += copies * (size % 4)
        counts[f"{kind}ends"] += copies * (size % 4 > 0)
    else:
        counts[f"{kind}blocks"] += copies * (size // 16)
        counts[f"{kind}words"] += copies * (size % 16 // 4)
        counts[f"{kind}bytes"] += copies * (size % 4)


def _narrow(operator: Emitted, _: Isa) -> Counts:
    height, width, outputs = operator.out_plane
    positions, taps = height * width, operator.taps
    registers = 2 * (taps // 4) + (taps % 4 > 0)
    words = registers + 2 + (operator.form == "line")
    return {
        "calls": 1, "positions": positions, "words": positions * (taps // 4),
        "single bytes": positions * (taps % 4 == 1), "two bytes": positions * (taps % 4 == 2),
        "outputs": positions * outputs, "pairs": positions * outputs * registers,
        "loads": positions * outputs * math.ceil(words / 3), "loaded words": positions * outputs * words,
        "corrections": positions * outputs * (operator.form == "line"),
    }  # fmt: skip


def _depthwise(operator: Emitted, isa: Isa) -> Counts:
    if isa == "helium":
        return helium.count_depthwise(operator)
    height, width, channels = operator.out_plane
    window, positions, form = operator.window, height * width, operator.form
    rows, columns = inside_counts(operator)
    counts: Counter[str] = Counter({"calls": 1, "rows": height, "positions": positions})
    done = 0
    if isa == "dsp" and form != "round" and channels >= 4 and 3 * window[0] <= SEGMENTS:
        groups, segments = channels // 4, len(tap_runs(operator, every=True))
        counts["grouped positions"] += positions
        counts["kernel rows"] += positions * window[0]
        counts["segments"] += segments
        counts["groups"] += positions * groups
        counts["group segments"] += segments * groups
        counts["group taps"] += positions * groups * math.prod(window)
        counts["group corrections"] += positions * groups * (form == "line")
        done = 4 * groups
    if done == channels:
        return dict(counts)
    lanes, blocks = ("single", channels - done) if channels < 4 else ("four", math.ceil((channels - done) / 4))
    column = window[1] == 1  # its taps are one row
    inner_rows = positions if column else sum(rows) * width
    taps = sum(rows) * sum(columns)
    counts[f"{lanes} blocks"] += positions * blocks
    counts[f"{lanes} rows"] += positions * blocks * (1 if column else window[0])
    counts[f"{lanes} inner rows"] += inner_rows * blocks
    counts[f"{lanes} taps"] += taps * blocks
    counts[f"{lanes} empty taps"] += (positions * math.prod(window) - taps) * blocks
    counts[f"{form} outputs"] += positions * blocks * (4 if lanes == "four" else 1)
    return dict(counts)


def _scale(operator: Emitted, isa: Isa) -> Counts:
    height, width, channels = operator.out_plane
    if isa == "helium":
        groups, kind = math.ceil(channels / 4), "corrected " if operator.form == "line" else ""
        return {"calls": 1, f"{kind}groups": groups, f"{kind}vectors": groups * height * width}
    if operator.form == "line":  # most channels round halves both ways
        return {"calls": 1, "channels": channels, "corrected values": channels * height * width}
    fours, rest = divmod(height * width, 4)
    return {"calls": 1, "channels": channels, "fours": channels * fours, "values": channels * rest}


def _temporal(operator: Emitted, _: Isa) -> Counts:
    (size, _), channels = operator.window, operator.plane[2]
    height, inputs = operator.out_plane[0], operator.plane[0]
    n, line, twice = pairs(size), operator.form == "line", operator.stride[0] == 1
    apart = min(operator.dilation[0], height)
    outputs, row, layers = channels * height, lanes(operator), channels * apart
    shares = [len(range(phase, inputs, apart)) for phase in range(apart)]  # inputs of each undilated layer
    outs = [len(range(phase, height, apart)) for phase in range(apart)]
    step = channels * apart
    return {
        "calls": 1, "layers": apart, "inner lanes": inputs, "empty lanes": row * apart - inputs,
        "channels": layers, "channels' pairs": layers * n, "channels' corrections": layers * line,
        "channels of many pairs": layers * (n > 3), "second passes": channels * twice * sum(out > 1 for out in outs),
        "second passes' pairs": layers * twice * (n - 1), "inputs": channels * inputs,
        "blocks of five": channels * sum(share // 5 for share in shares),
        "inputs beyond": channels * sum(share % 5 for share in shares),
        "channels without blocks": channels * sum(share < 5 for share in shares),
        "channels without rest": channels * sum(share % 5 == 0 for share in shares),
        "far inputs": channels * inputs * (step > TEMPORAL_NEAR),
        "outputs": outputs, "outputs' pairs": outputs * n, "outputs of some pairs": outputs * (n > 1),
        "outputs of many pairs": outputs * (n > 3), f"outputs of {n} pairs": outputs * (n > 5),
        "corrections": outputs * line, "corrections of most pairs": outputs * line * (n > 6),
        "far outputs": outputs * (step * (2 if twice else 1) > TEMPORAL_NEAR),
    }  # fmt: skip


def merged_loops(operator: Emitted) -> list[tuple[int, int, int]]:
    """A binary operator's loops, outermost first, neighbours merged: (extent, step of a, step of b)."""
    shapes = [_aligned(shape, operator.shape) for shape in operator.inputs]
    steps = [_strides(shape, operator.shape) for shape in shapes]
    merged: list[tuple[int, int, int]] = []
    for extent, a, b in zip(operator.shape, *steps, strict=True):
        if extent == 1:
            continue
        outer = merged[-1] if merged else None
        if outer and outer[1] == a * extent and outer[2] == b * extent and outer[0] * extent < 1 << 16:
            merged[-1] = (outer[0] * extent, a, b)
        else:
            merged.append((extent, a, b))
    return merged or [(1, 0, 0)]


def _aligned(shape: Shape, like: Shape) -> Shape:
    return (*(1,) * (len(like) - len(shape)), *shape)


def _strides(shape: Shape, output: Shape) -> list[int]:
    strides, step = [], 1
    for size, extent in zip(reversed(shape), reversed(output), strict=True):
        strides.append(0 if size == 1 and extent > 1 else step)
        step *= size
    return strides[::-1]


def _sum(operator: Emitted, isa: Isa) -> Counts:
    loops = merged_loops(operator)
    n, rows = loops[-1][0], math.prod(extent for extent, *_ in loops[:-1])
    counts: Counts = {"calls": 1, "rows": rows}
    if operator.form == "round":
        return counts | {"rounded values": rows * n}
    both = loops[-1][1] and loops[-1][2]
    if isa == "helium":
        kind = "both" if both else "one" if loops[-1][1] or loops[-1][2] else "neither"
        return counts | {f"rows of {kind}": rows, f"vectors of {kind}": rows * math.ceil(n / 4)}
    if both:
        return {"calls": 1, "whole rows": rows, "fours": rows * (n // 4), "whole values": rows * (n % 4)}
    return {"calls": 1, "broadcast rows": rows, "values": rows * n}


def _product(operator: Emitted, _: Isa) -> Counts:
    loops = merged_loops(operator)
    rows = math.prod(extent for extent, *_ in loops[:-1])
    return {"calls": 1, "rows": rows, "values": rows * loops[-1][0]}


def _pool(operator: Emitted, isa: Isa) -> Counts:
    height, width, channels = operator.out_plane
    rows, columns = inside_counts(operator)
    counts: Counter[str] = Counter({"calls": 1, "rows": height, "positions": height * width})
    average = operator.operator == "AVERAGE_POOL_2D"
    for row, times in Counter(rows).items():
        for column, again in Counter(columns).items():
            at = times * again
            if isa == "helium":
                blocks = math.ceil(channels / (8 if average else 16))
                wide = "wide " if row * column > DSP_MEAN and average else ""
                counts["blocks"] += at * blocks
                counts["blocks' rows"] += at * blocks * row
                counts[f"blocks' {wide}values"] += at * blocks * row * column
                counts["values"] += at * channels
                continue
            fours = isa == "dsp" and channels >= 4 and not (average and row * column > DSP_MEAN)
            fours = math.ceil(channels / 4) if fours else 0
            singles = 0 if fours else channels
            counts["fours"] += at * fours
            counts["fours' rows"] += at * fours * row
            counts["fours' values"] += at * fours * row * column
            counts["singles"] += at * singles
            counts["singles' rows"] += at * singles * row
            counts["singles' values"] += at * singles * row * column
    return counts


def _softmax(operator: Emitted, _: Isa) -> Counts:
    return {"calls": 1, "classes": math.prod(operator.shape)}


def _table(operator: Emitted, isa: Isa) -> Counts:
    values = math.prod(operator.shape)
    return {"calls": 1, "vectors": math.ceil(values / 16)} if isa == "helium" else {"calls": 1, "values": values}


def _concat(operator: Emitted, _: Isa) -> Counts:
    rows = math.prod(operator.shape[:-1])
    counts: Counter[str] = Counter({"operands": len(operator.inputs)})
    for shape in operator.inputs:
        width = shape[-1]
        counts["rows"] += rows
        counts["copied blocks"] += rows * (width // 16)
        counts["copied words"] += rows * (width % 16 // 4)
        counts["copied bytes"] += rows * (width % 4)
    return counts


_COUNT: dict[str, Callable[[Emitted, Isa], Counts]] = {
    "": lambda operator, isa: {},
    "conv": _conv,
    "narrow": _narrow,
    "depthwise": _depthwise,
    "temporal": _temporal,
    "sum": _sum,
    "product": _product,
    "average_pool": _pool,
    "max_pool": _pool,
    "running_max": running_max.count,
    "scale": _scale,
    "softmax": _softmax,
    "table": _table,
    "concat": _concat,
}
