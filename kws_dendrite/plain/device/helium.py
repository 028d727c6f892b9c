"""How often each part of the Helium kernels' loops runs."""

import math
from collections import Counter

from kws_dendrite.plain.device.emitted import Emitted, is_one_piece
from kws_dendrite.plain.device.windows import inside_counts, rounding, tap_runs

NARROW, SLOT, COLUMN_BYTES = 16, 64, 192  # taps of a vector, of a slot of four; a channel's inputs in time


def count_conv(operator: Emitted) -> dict[str, float]:
    height, width, outputs = operator.out_plane
    positions, taps, channels, form = height * width, operator.taps, operator.plane[2], operator.form
    even = height == 1 or width == 1 or operator.stride[1] * width == operator.stride[0] * operator.plane[1]
    whole = operator.contiguous and even and taps <= NARROW
    if whole and form != "round" and outputs >= 2 and positions >= 4:
        groups = math.ceil(positions / 4)
        steps = groups * (outputs // 2 + outputs % 2)
        return {
            "narrow calls": 1, "narrow groups": groups, "narrow steps": steps, "narrow odd": groups * (outputs % 2),
            "narrow corrections": steps * (form == "line"),
        }  # fmt: skip
    counts: Counter[str] = Counter({"calls": 1, "positions": positions})
    kind = rounding(operator)
    rows, columns = inside_counts(operator)
    gathers = [
        not is_one_piece(operator) or row < operator.window[0] or column < operator.window[1]
        for row in rows
        for column in columns
    ]
    vectors = math.ceil(taps / 16)
    for size in _groups(gathers, 4 if taps <= SLOT else 2):
        name = "single" if size == 1 else "group"
        steps = math.ceil(outputs / 4) if size == 1 else outputs
        counts[f"{name}s"] += 1
        counts[f"{name} {kind} steps"] += steps
        counts[f"{name} vectors"] += steps * vectors
        counts["copies of the last"] += 0 if size == 1 else 4 - size
    counts["gathers"] += sum(gathers)
    if operator.dilation[1] == 1:
        runs = tap_runs(operator, whole_rows=is_one_piece(operator))
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


def count_depthwise(operator: Emitted) -> dict[str, float]:
    """A channel at a time along time, 16 channels at a time elsewhere."""
    height, width, channels = operator.out_plane
    size, positions, form = math.prod(operator.window), height * width, operator.form
    counts: Counter[str] = Counter({"calls": 1})
    if is_column(operator):
        apart, stride = operator.dilation[0], operator.stride[0]
        most = (COLUMN_BYTES - NARROW) // stride + 1
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
    runs = tap_runs(operator, every=True)
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
    one_column = operator.plane[1] == 1 and operator.window[1] == 1 and operator.window[0] <= NARROW
    apart = operator.dilation[0] == 1 or operator.stride[0] == 1
    return one_column and apart and operator.plane[2] * operator.dilation[0] <= 8192 and operator.stride[0] <= 16
