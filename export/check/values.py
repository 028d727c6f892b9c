"""Rules on what the numbers do: weights that are computed, hybrid or zero, float islands, and what comes last."""

from collections.abc import Iterator

import numpy as np

from kws_dendrite.export.check.builtins import BYTES
from kws_dendrite.export.check.case import QUANTISED, WEIGHTED, Case, listed
from kws_dendrite.export.check.findings import Finding
from kws_dendrite.export.check.model import Graph, Operator, Tensor
from kws_dendrite.export.check.targets import EDGE_IMPULSE, ESP_DL, ESPHOME

MOST_SCANNED = 1 << 28  # bytes of weights; many tensors may name the same ones
_PASSING = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "QUANTIZE", "DEQUANTIZE"})
_STATEFUL = frozenset({"VAR_HANDLE", "READ_VARIABLE"})


def check_hybrid(case: Case) -> Iterator[Finding]:
    """int8 weights with float activations, and weights that are unpacked on the device."""
    if not case.micro:
        return
    graph = case.graph
    hybrid = []
    for operator in graph.operators:
        place = WEIGHTED.get(operator.kind)
        weight, source = (graph.read(operator, place), case.data(operator)) if place is not None else (None, None)
        if weight is not None and source is not None and source.dtype == "float32" and weight.dtype in QUANTISED:
            hybrid.append(operator)
    if hybrid:
        yield case.finding(
            "hybrid",
            "fails",
            what=f"{graph.read(hybrid[0], 1).dtype} weights on float32 activations: operator {listed(hybrid)}",
            why="dynamic-range models are for phones: micro kernels take both as int8, or both as float32",
            fix="set converter.representative_dataset and supported_ops = [TFLITE_BUILTINS_INT8]",
            source="tflm-conv",
            operators=hybrid,
            tensor=graph.read(hybrid[0], 1),
        )
    packed = [operator for operator in graph.operators if operator.kind == "DEQUANTIZE" and _stored(graph, operator)]
    if packed:
        source = graph.read(packed[0], 0)
        yield case.finding(
            "packed-weights",
            "fails" if source.dtype == "float16" else "slow",
            what=f"weights stored as {source.dtype} and unpacked to float32: operator {listed(packed)}",
            why="DEQUANTIZE takes int8 and int16 alone"
            if source.dtype == "float16"
            else "every inference unpacks them into memory and computes in float32",
            fix="set converter.representative_dataset and supported_ops = [TFLITE_BUILTINS_INT8]",
            source="tflm-dequantize",
            operators=packed,
            tensor=source,
        )


def _stored(graph: Graph, operator: Operator) -> bool:
    """Whether an operator reads a constant."""
    tensor = graph.read(operator, 0)
    return tensor is not None and tensor.content is not None


def check_computed(case: Case) -> Iterator[Finding]:
    """Weights that are not constants, such as a MaxNorm left in the graph."""
    graph = case.graph
    for operator in graph.operators:
        place = WEIGHTED.get(operator.kind)
        weight = graph.read(operator, place) if place is not None else None
        if weight is None or weight.content is not None or weight.external:
            continue
        misread = weight.dtype == "int8" and bool(weight.zero_points.any()) and operator.kind != "FULLY_CONNECTED"
        maker = graph.producers.get(weight.index)
        packed = maker is not None and maker.kind == "DEQUANTIZE" and _stored(graph, maker)
        if packed and case.micro:  # constants after all: check_hybrid has them
            continue
        yield case.finding(
            "computed-weights",
            "wrong" if misread else "slow",
            what=f"{operator.kind} {operator.index} computes its weights {weight.name!r}"
            f"{f' (by {maker.kind} {maker.index})' if maker else ''}",
            why="computed weights have a zero point, which int8 convolutions do not read"
            if misread
            else "they are computed anew at every inference, and lie in RAM",
            fix="fold what acts on the weights (MaxNorm, weight normalisation) into constants before converting",
            source="tflm-conv" if misread else "",
            operators=[operator],
            tensor=weight,
        )


def check_zero(case: Case) -> Iterator[Finding]:
    """A model of zeros: scores that are the same whatever comes in."""
    graph = case.graph
    zero = _zero_operators(graph)
    if not zero:
        return
    layers = [
        o
        for o in graph.operators
        if o.kind in WEIGHTED and (w := graph.read(o, 1)) is not None and w.content is not None
    ]
    heard = set(graph.inputs)
    for operator in graph.operators:
        carries = any(index in heard for index in operator.inputs) or operator.kind in _STATEFUL
        if carries and operator not in zero and operator.kind != "SHAPE":
            heard.update(operator.outputs)
    dead = bool(graph.outputs) and not heard & set(graph.outputs)
    weight = graph.read(zero[0], 1)
    everything = len(zero) >= len(layers)
    yield case.finding(
        "zero-weights",
        "wrong" if dead else "note",
        what=f"all weights are zero: operator {listed(zero)}"
        if everything
        else f"weights are all zero: operator {listed(zero)}",
        why="the scores are the same whatever is heard" if dead else "what these operators read does not matter",
        fix="the conversion or the training failed; export the trained weights again",
        operators=zero,
        tensor=weight,
    )


def _zero_operators(graph: Graph) -> list[Operator]:
    found, left = [], MOST_SCANNED
    for operator in graph.operators:
        if operator.kind in WEIGHTED:
            candidates = [graph.read(operator, WEIGHTED[operator.kind])]
        elif operator.kind == "MUL":
            candidates = [graph.read(operator, 0), graph.read(operator, 1)]
        else:
            continue
        for tensor in candidates:
            if tensor is None or tensor.content is None:
                continue
            left -= len(tensor.content)
            if left < 0:
                return found
            if _is_zero(tensor):
                found.append(operator)
                break
    return found


def _is_zero(tensor: Tensor) -> bool:
    """Whether a constant stands for zeros alone."""
    if tensor.dtype == "float32":
        return not (tensor.content.view("<u4") & 0x7FFFFFFF).any() if len(tensor.content) % 4 == 0 else False
    if tensor.dtype not in BYTES or not tensor.zero_points.any():
        return not tensor.content.any()
    if tensor.zero_point is None or BYTES[tensor.dtype] != 1 or not -128 <= tensor.zero_point <= 255:
        return False
    return bool((tensor.content == np.uint8(tensor.zero_point & 0xFF)).all())


def check_islands(case: Case) -> Iterator[Finding]:
    """Float arithmetic in the middle of a quantised model."""
    if not case.micro:
        return
    graph = case.graph
    islands = [
        operator
        for operator in graph.operators
        if operator.kind == "DEQUANTIZE"
        and not set(operator.outputs) & set(graph.outputs)
        and (tensor := graph.read(operator, 0)) is not None
        and tensor.content is None
    ]
    if islands:
        first = graph.readers.get(islands[0].outputs[0], [])
        doing = f" for {first[0].kind} {first[0].index}" if first else ""
        yield case.finding(
            "float-island",
            "slow",
            what=f"float32 in the middle{doing}: DEQUANTIZE at operator {listed(islands)}",
            why="that part runs in float32, with four times the memory and no int8 kernel",
            fix="replace the layer by one that has an int8 form, and convert with TFLITE_BUILTINS_INT8 alone",
            operators=islands,
            tensor=graph.read(islands[0], 0),
        )


def check_last(case: Case) -> Iterator[Finding]:
    """Probabilities at the end."""
    graph = case.graph
    if len(graph.outputs) != 1 or case.target.key == ESP_DL:
        return
    target = graph.tensors[graph.outputs[0]]
    last = graph.producers.get(target.index)
    for _ in graph.operators:  # no more steps than there are operators, whatever the file says
        if last is None or last.kind not in _PASSING or not last.inputs:
            break
        last = graph.producers.get(last.inputs[0])
    kind = "nothing" if last is None else last.kind
    classes = target.shape[-1] if target.shape else 1
    softmax = [operator for operator in graph.operators if operator.kind == "SOFTMAX"]
    shared = {"operators": [last] if last is not None else [], "tensor": target}
    if case.target.key == ESPHOME:
        if kind != "LOGISTIC":
            yield case.finding(
                "sigmoid",
                "wrong",
                what=f"the model ends with {kind}, not with a sigmoid",
                why="micro_wake_word takes the number as a probability of 0 to 255",
                fix="end with one sigmoid",
                source="esphome",
                **shared,
            )
    elif kind == "SOFTMAX":
        return
    elif softmax:
        yield case.finding(
            "softmax-not-last",
            "wrong" if case.target.key == EDGE_IMPULSE else "note",
            what=f"after the softmax (operator {listed(softmax)}) comes {kind}",
            why="the scores that are shown are this output as it is",
            fix="let the softmax be the last operator",
            source="ei-byom" if case.target.key == EDGE_IMPULSE else "",
            **shared,
        )
    elif kind == "LOGISTIC" or classes == 1:
        yield case.finding(
            "softmax-missing",
            "note",
            what=f"the model ends with {kind}, not with a softmax",
            why="each score stands for itself; they do not sum to 1",
            fix="nothing, where that is meant",
            **shared,
        )
    else:
        yield case.finding(
            "softmax-missing",
            "wrong" if case.target.key == EDGE_IMPULSE else "note",
            what=f"the model ends with {kind}; there is no softmax",
            why="no softmax is added: the label scores are this output as it is, so thresholds mean nothing"
            if case.target.key == EDGE_IMPULSE
            else "the application gets logits; the largest is still the decision",
            fix="add a softmax as the last layer before converting (activation='softmax')",
            source="ei-byom" if case.target.key == EDGE_IMPULSE else "",
            **shared,
        )
