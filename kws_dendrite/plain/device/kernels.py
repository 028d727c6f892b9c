"""Which kernel runs an operator, and how often each part of its loops runs: the counts that cost is linear in.

A count is what the C's own loops do (positions, tiles of four channels, words copied, taps inside the input); what one
of each costs is measured by core (`scripts/measure_device_costs.py`), never written here.
"""

import math
from collections import Counter
from collections.abc import Callable
from typing import Literal

import numpy as np

from kws_dendrite.plain.device.emitted import Emitted, is_one_piece
from kws_dendrite.plain.graph import Shape

Isa = Literal["portable", "dsp", "helium"]
Counts = dict[str, float]
ISAS: dict[str, Isa] = {
    "cortex-m3": "portable", "cortex-m4": "dsp", "cortex-m7": "dsp", "cortex-m33": "dsp", "cortex-m55": "helium",
}  # fmt: skip
TILE, BLOCK = 4, 8
SEGMENTS = 32
NARROW_TAPS = 14
TEMPORAL_PAIRS, TEMPORAL_STEP, TEMPORAL_NEAR = 5, 4095, 255
HELIUM_NARROW, HELIUM_SLOT, COLUMN_BYTES = 16, 64, 192
DSP_MEAN = 255  # values of which two sums fit a word


def kernel_of(operator: Emitted, isa: Isa) -> str:
    """The kernel that runs the operator; "" where nothing runs."""
    match operator.operator:
        case "RESHAPE":
            return ""
        case "CONV_2D" | "FULLY_CONNECTED":
            return "narrow" if isa == "dsp" and is_narrow(operator) else "conv"
        case "DEPTHWISE_CONV_2D":
            return "temporal" if isa == "dsp" and is_temporal(operator) else "depthwise"
        case "ADD" | "SUB":
            return "sum"
        case "MUL":
            return "product"
        case "AVERAGE_POOL_2D":
            return "average_pool"
        case "MAX_POOL_2D":
            return "max_pool"
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


def _inside(operator: Emitted) -> tuple[list[int], list[int]]:
    """By output row and by output column, how many of the window's taps lie inside the input."""
    axes = []
    for axis in range(2):
        starts = np.arange(operator.out_plane[axis]) * operator.stride[axis] - operator.pads[axis]
        taps = starts[:, None] + np.arange(operator.window[axis]) * operator.dilation[axis]
        axes.append(((taps >= 0) & (taps < operator.plane[axis])).sum(1).tolist())
    return axes[0], axes[1]


def _conv(operator: Emitted, isa: Isa) -> Counts:
    if isa == "helium":
        return _conv_helium(operator)
    height, width, outputs = operator.out_plane
    positions, taps, form = height * width, operator.taps, operator.form
    counts: Counter[str] = Counter({"calls": 1, "rows": height, "positions": positions})
    if not operator.contiguous:
        _gathers(operator, isa, counts)
    elif isa == "dsp":
        _copies("", positions, taps, operator, isa, counts)
    if isa == "portable":
        counts[f"{_rounding(operator)} outputs"] += positions * outputs
        counts["four products"] += positions * outputs * (taps // 4)
        counts["products"] += positions * outputs * (taps % 4)
        counts["product ends"] += positions * outputs * (taps % 4 > 0)
        return dict(counts)
    steps = math.ceil(taps / TILE)
    whole = outputs // TILE if form != "round" else 0
    rest = outputs - TILE * whole
    tiles = positions * math.ceil(rest / TILE)
    counts["positions in tiles"] += positions * (whole > 0)
    counts["tiles"] += positions * whole
    counts["tile corrections"] += positions * whole * (form == "line")
    counts["tile steps"] += positions * whole * steps
    counts["single tiles"] += tiles
    counts["single tile steps"] += tiles * steps
    counts[f"{_rounding(operator)} outputs"] += positions * rest
    return dict(counts)


def _rounding(operator: Emitted) -> str:
    """The form of the output; FULLY_CONNECTED has a rounding of its own."""
    return "once" if operator.form == "round" and operator.operator == "FULLY_CONNECTED" else operator.form


def _gathers(operator: Emitted, isa: Isa, counts: Counter[str]) -> None:
    """Patches that are put together, a whole one at once where it lies in one piece inside the input."""
    rows, columns = _inside(operator)
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


def _conv_helium(operator: Emitted) -> Counts:
    height, width, outputs = operator.out_plane
    positions, taps, channels, form = height * width, operator.taps, operator.plane[2], operator.form
    even = height == 1 or width == 1 or operator.stride[1] * width == operator.stride[0] * operator.plane[1]
    whole = operator.contiguous and even and taps <= HELIUM_NARROW
    if whole and form != "round" and outputs >= 2 and positions >= 4:
        groups = math.ceil(positions / 4)
        steps = groups * (outputs // 2 + outputs % 2)
        return {
            "narrow calls": 1, "narrow groups": groups, "narrow steps": steps, "narrow odd": groups * (outputs % 2),
            "narrow corrections": steps * (form == "line"),
        }  # fmt: skip
    counts: Counter[str] = Counter({"calls": 1, "positions": positions})
    kind = _rounding(operator)
    rows, columns = _inside(operator)
    gathers = [
        not is_one_piece(operator) or row < operator.window[0] or column < operator.window[1]
        for row in rows
        for column in columns
    ]
    vectors = math.ceil(taps / 16)
    for size in _groups(gathers, 4 if taps <= HELIUM_SLOT else 2):
        name = "single" if size == 1 else "group"
        steps = math.ceil(outputs / 4) if size == 1 else outputs
        counts[f"{name}s"] += 1
        counts[f"{name} {kind} steps"] += steps
        counts[f"{name} vectors"] += steps * vectors
        counts["copies of the last"] += 0 if size == 1 else 4 - size
    counts["gathers"] += sum(gathers)
    if operator.dilation[1] == 1:
        runs = _runs(operator, whole_rows=is_one_piece(operator))
        counts["gathered rows"] += sum(gathers) * operator.window[0]
        counts["gathered runs"] += len(runs)
        counts["gathered vectors"] += sum(math.ceil(run * channels / 16) for run in runs)
    else:
        tap_vectors = sum(gathers) * math.prod(operator.window)
        counts["gathered taps"] += tap_vectors
        counts["tap vectors"] += tap_vectors * math.ceil(channels / 16)
    return dict(counts)


def _groups(gathers: list[bool], slots: int) -> list[int]:
    """Sizes of the groups of at most four positions, as many of them gathered as there are slots."""
    sizes, size, gathered = [], 0, 0
    for gather in gathers:
        if size == 4 or (gather and gathered == slots):
            sizes.append(size)
            size, gathered = 0, 0
        size, gathered = size + 1, gathered + gather
    return [*sizes, size]


def _runs(operator: Emitted, *, whole_rows: bool = False, every: bool = False) -> list[int]:
    """Taps of each run that is all inside or all outside the input; of positions that are gathered, or of every one."""
    before, inside, behind = (axis.tolist() for axis in _spans(operator, 1))
    above, within, below = (axis.tolist() for axis in _spans(operator, 0))
    runs = []
    for top, middle, bottom in zip(above, within, below, strict=True):
        for left, center, right in zip(before, inside, behind, strict=True):
            if whole_rows and not every and not (top or bottom or left or right):
                continue
            runs += [operator.window[1]] * (top + bottom)
            runs += middle * [run for run in (left, center, right) if run]
    return runs


def _spans(operator: Emitted, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By output position along an axis, taps before the input, inside and behind it."""
    starts = np.arange(operator.out_plane[axis]) * operator.stride[axis] - operator.pads[axis]
    taps = starts[:, None] + np.arange(operator.window[axis]) * operator.dilation[axis]
    before, behind = (taps < 0).sum(1), (taps >= operator.plane[axis]).sum(1)
    return before, operator.window[axis] - before - behind, behind


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
        return _depthwise_helium(operator)
    height, width, channels = operator.out_plane
    window, positions, form = operator.window, height * width, operator.form
    rows, columns = _inside(operator)
    counts: Counter[str] = Counter({"calls": 1, "rows": height, "positions": positions})
    done = 0
    if isa == "dsp" and form != "round" and channels >= 4 and 3 * window[0] <= SEGMENTS:
        groups, segments = channels // 4, len(_runs(operator, every=True))
        counts["grouped positions"] += positions
        counts["kernel rows"] += positions * window[0]
        counts["segments"] += segments
        counts["groups"] += positions * groups
        counts["group segments"] += segments * groups
        counts["group taps"] += positions * groups * math.prod(window)
        counts["group corrections"] += positions * groups * (form == "line")
        done = 4 * groups
    rest = channels - done
    blocks, taps = math.ceil(rest / BLOCK), sum(rows) * sum(columns)
    empty = positions * math.prod(window) - taps
    counts["blocks"] += positions * blocks
    counts["block rows"] += positions * blocks * window[0]
    counts["block taps"] += taps * blocks
    counts["block empty taps"] += empty * blocks
    counts["values"] += taps * rest
    counts["empty values"] += empty * rest
    counts[f"{form} outputs"] += positions * rest
    return dict(counts)


def _depthwise_helium(operator: Emitted) -> Counts:
    """A channel at a time along time, 16 channels at a time elsewhere."""
    height, width, channels = operator.out_plane
    size, positions, form = math.prod(operator.window), height * width, operator.form
    counts: Counter[str] = Counter({"calls": 1})
    if is_column(operator):
        apart, stride = operator.dilation[0], operator.stride[0]
        most = (COLUMN_BYTES - HELIUM_NARROW) // stride + 1
        for phase in range(min(apart, height)):
            outputs = len(range(phase, height, apart))
            parts = [min(most, outputs - begin) for begin in range(0, outputs, most)]
            for index, part in enumerate(parts):
                top = phase + index * most * stride - operator.pads[0]
                first = -(top // apart) if top < 0 else 0
                length = (part - 1) * stride + operator.window[0]
                inside = (operator.plane[0] - 1 - top) // apart + 1
                loads = max(0, min(inside, length) - first)
                fast = part if form != "round" and part >= 8 else 0
                fast -= fast % 8 if fast % 8 <= 2 else 0
                counts["columns"] += 1
                counts["column channels"] += channels
                counts["column loads"] += channels * math.ceil(loads / 8)
                counts["column runs"] += channels * (fast > 0)
                counts["column steps"] += channels * math.ceil(fast / 8)
                counts["column corrections"] += channels * math.ceil(fast / 8) * (form == "line")
                counts[f"column {form} values"] += channels * (part - fast)
        return dict(counts)
    runs = _runs(operator, every=True)
    counts["weights"] += math.ceil(size * channels / 16)
    for name, blocks in (("whole", channels // 16), ("part", int(channels % 16 > 0))):
        counts[f"{name} blocks"] += blocks
        counts[f"{name} {form} outputs"] += blocks * positions
        counts[f"{name} rows"] += blocks * positions * operator.window[0]
        counts[f"{name} runs"] += blocks * len(runs)
        pairs_ = sum(run // 2 for run in runs) if name == "whole" else 0
        counts[f"{name} pairs"] += blocks * pairs_
        counts[f"{name} taps"] += blocks * (sum(runs) - 2 * pairs_)
    return dict(counts)


def is_column(operator: Emitted) -> bool:
    """Whether Helium lays a channel's inputs out in time."""
    one_column = operator.plane[1] == 1 and operator.window[1] == 1 and operator.window[0] <= HELIUM_NARROW
    apart = operator.dilation[0] == 1 or operator.stride[0] == 1
    return one_column and apart and operator.plane[2] * operator.dilation[0] <= 8192 and operator.stride[0] <= 16


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
        "outputs of many pairs": outputs * (n > 3), "corrections": outputs * line,
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
    rows, columns = _inside(operator)
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
            fours = channels // 4 if isa == "dsp" and not (average and row * column > DSP_MEAN) else 0
            singles = channels - 4 * fours
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
    "softmax": _softmax,
    "table": _table,
    "concat": _concat,
}
