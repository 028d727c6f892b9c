"""How much memory a file's activations take in TFLite Micro, estimated before there is a firmware.

The plan is the plain graph's own (largest blocks first, bytes shared by what is not alive together), with the
interpreter's alignment, and with the model's input and output in the arena, as there. What the interpreter keeps
beside them is modelled from the three int8 files of tests/golden/tflite, whose arenas were measured on a Cortex-M4.
"""

from kws_dendrite.export.check.findings import Arena
from kws_dendrite.export.check.model import Graph
from kws_dendrite.plain.arena import Use, plan_arena

MOST_OPERATORS = 1000
ALIGNMENT = 16  # MicroArenaBufferAlignment
BASE, PER_OPERATOR, PER_TENSOR, PER_CHANNEL = 640, 116, 12, 8  # bytes; see tests/export/test_check_arena.py
SOURCE, TARGET = "caller", "caller's"


def estimate_arena(graph: Graph) -> Arena | None:
    """Plan one subgraph; None where its order or its sizes do not allow it."""
    if len(graph.operators) > MOST_OPERATORS:
        return None
    uses = [Use((SOURCE,), index, _aligned(graph.tensors[index].bytes)) for index in dict.fromkeys(graph.inputs)]
    known = {SOURCE, *graph.inputs}
    for operator in graph.operators:
        reads = tuple(index for index in dict.fromkeys(operator.inputs) if index >= 0 and _computed(graph, index))
        if not set(reads) <= known:
            return None
        for index in operator.outputs:
            if index in known:
                return None
            if index >= 0:
                uses.append(Use(reads, index, _aligned(graph.tensors[index].bytes)))
                known.add(index)
    if not set(graph.outputs) <= known:
        return None
    uses.append(Use(tuple(dict.fromkeys(graph.outputs)), TARGET, 0))
    # the last step's size of 0 leaves the outputs alive to the end without a block of its own
    activations = plan_arena(uses, SOURCE, TARGET).size
    kept = BASE + PER_OPERATOR * len(graph.operators) + PER_TENSOR * len(graph.tensors) + PER_CHANNEL * _channels(graph)
    return Arena(activations, activations + kept)


def _computed(graph: Graph, index: int) -> bool:
    tensor = graph.tensors[index]
    return tensor.content is None and not tensor.variable


def _channels(graph: Graph) -> int:
    """Per-channel multipliers that the convolutions hold."""
    total = 0
    for operator in graph.operators:
        if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            written = graph.written(operator)
            total += written.shape[-1] if written is not None and written.shape and written.shape[-1] > 0 else 0
    return total


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
