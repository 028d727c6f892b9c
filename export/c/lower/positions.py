"""How a window steps over its input."""

import math

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.lower.step import small
from kws_dendrite.export.c.program import Operator


def find_pads(
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
