"""Which file lowers which operator."""

from collections.abc import Callable

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.lower.binary import lower_binary
from kws_dendrite.export.c.lower.conv import lower_conv, lower_dense
from kws_dendrite.export.c.lower.depthwise import lower_depthwise
from kws_dendrite.export.c.lower.pool import lower_pool
from kws_dendrite.export.c.lower.rest import lower_concat, lower_reshape, lower_softmax
from kws_dendrite.export.c.lower.step import Constants, Step
from kws_dendrite.export.c.lower.table import lower_table
from kws_dendrite.export.c.program import Operator, Program

READS_CONSTANTS = ("ADD", "SUB", "MUL", "CONCATENATION")  # their first input may be one
_LOWER: dict[str, Callable[[Program, Operator, Constants], Step]] = {
    "ADD": lower_binary,
    "SUB": lower_binary,
    "MUL": lower_binary,
    "CONV_2D": lower_conv,
    "DEPTHWISE_CONV_2D": lower_depthwise,
    "FULLY_CONNECTED": lower_dense,
    "AVERAGE_POOL_2D": lower_pool,
    "MAX_POOL_2D": lower_pool,
    "TANH": lower_table,
    "LOGISTIC": lower_table,
    "RELU": lower_table,
    "RELU6": lower_table,
    "QUANTIZE": lower_table,
    "SOFTMAX": lower_softmax,
    "CONCATENATION": lower_concat,
    "RESHAPE": lower_reshape,
}


def lower(program: Program) -> tuple[tuple[Step, ...], Constants]:
    """Every operator of the program as a step, and the constants they share.

    Raises:
        ExportError: an operator, or a form of one, that has no C kernel.
    """
    constants = Constants()
    steps = []
    for operator in program.operators:
        if operator.kind not in _LOWER:
            raise ExportError(f"{operator.kind} has no C kernel; there are kernels for {', '.join(sorted(_LOWER))}")
        if program.tensors[operator.inputs[0]].data is not None and operator.kind not in READS_CONSTANTS:
            raise ExportError(f"{operator.kind} at {operator.index} reads a constant; expected an activation")
        steps.append(_LOWER[operator.kind](program, operator, constants))
    return tuple(steps), constants
