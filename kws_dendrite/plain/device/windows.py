"""Where a window's taps lie, and how its output is rounded: what the kernels of every core ask."""

import numpy as np

from kws_dendrite.plain.device.emitted import Emitted


def inside_counts(operator: Emitted) -> tuple[list[int], list[int]]:
    """By output row and by output column, how many of the window's taps lie inside the input."""
    axes = []
    for axis in range(2):
        starts = np.arange(operator.out_plane[axis]) * operator.stride[axis] - operator.pads[axis]
        taps = starts[:, None] + np.arange(operator.window[axis]) * operator.dilation[axis]
        axes.append(((taps >= 0) & (taps < operator.plane[axis])).sum(1).tolist())
    return axes[0], axes[1]


def tap_runs(operator: Emitted, *, whole_rows: bool = False, every: bool = False) -> list[int]:
    """Taps of each run that is all inside or all outside the input; of positions that are gathered, or of every one."""
    before, inside, behind = (axis.tolist() for axis in tap_spans(operator, 1))
    above, within, below = (axis.tolist() for axis in tap_spans(operator, 0))
    runs = []
    for top, middle, bottom in zip(above, within, below, strict=True):
        for left, center, right in zip(before, inside, behind, strict=True):
            if whole_rows and not every and not (top or bottom or left or right):
                continue
            runs += [operator.window[1]] * (top + bottom)
            runs += middle * [run for run in (left, center, right) if run]
    return runs


def tap_spans(operator: Emitted, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By output position along an axis, taps before the input, inside and behind it."""
    starts = np.arange(operator.out_plane[axis]) * operator.stride[axis] - operator.pads[axis]
    taps = starts[:, None] + np.arange(operator.window[axis]) * operator.dilation[axis]
    before, behind = (taps < 0).sum(1), (taps >= operator.plane[axis]).sum(1)
    return before, operator.window[axis] - before - behind, behind


def rounding(operator: Emitted) -> str:
    """The form of the output; FULLY_CONNECTED has a rounding of its own."""
    return "once" if operator.form == "round" and operator.operator == "FULLY_CONNECTED" else operator.form
