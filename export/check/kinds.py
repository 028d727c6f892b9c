"""Rules on operators as such: whether the target has them, for which types, how fast."""

import math
from collections.abc import Callable, Iterator

from kws_dendrite.export.check.case import COPYING, Case, listed
from kws_dendrite.export.check.findings import Finding
from kws_dendrite.export.check.model import Operator
from kws_dendrite.export.check.targets import EDGE_IMPULSE, ESP_DL, load_table

VARIABLES = frozenset({"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"})
FREE = (
    COPYING | {"QUANTIZE", "DEQUANTIZE", "SHAPE", "CALL_ONCE", "CONCATENATION"} | VARIABLES
)  # no arithmetic to speed up


def check_format(case: Case) -> Iterator[Finding]:
    """A file that the target loads at all."""
    if case.model.version != 3:
        yield case.finding(
            "schema",
            "fails",
            what=f"schema version {case.model.version}; expected 3",
            why="every runtime compares it with its own and stops",
            fix="convert again with TensorFlow 2",
            source="ei-run" if case.target.key == EDGE_IMPULSE else "",
        )
    if case.target.key == ESP_DL:
        yield case.finding(
            "format",
            "fails",
            what="a TFLite file",
            why="ESP-DL loads .espdl files, which ESP-PPQ quantises from ONNX or PyTorch with symmetric scales that "
            "are powers of two; a TFLite file's scales are not carried over",
            fix="give model.onnx and calibration features to ESP-PPQ's espdl_quantize_onnx",
            source="esp-dl-quantize",
        )
    for tensor in case.graph.tensors:
        if tensor.external:
            yield case.finding(
                "external-data",
                "fails",
                what=f"{tensor.name!r} lies outside the flatbuffer",
                why="a microcontroller maps the flatbuffer and nothing else",
                fix="export a file below 2 GB",
                tensor=tensor,
            )
            return


def check_operators(case: Case) -> Iterator[Finding]:
    """Operators that the target does not have, in any subgraph."""
    idle = frozenset() if case.micro else frozenset({"QUANTIZE", "DEQUANTIZE", "SHAPE", "PACK"})  # no ONNX has them
    everywhere: dict[str, list[Operator]] = {}
    for graph in case.model.graphs:
        for operator in graph.operators:
            everywhere.setdefault(operator.kind, []).append(operator)
    for kind, operators in everywhere.items():
        if kind in idle:
            continue
        known = case.target.custom if operators[0].custom else case.target.operators
        if kind in known:
            continue
        name = f"{kind}{' (custom)' if operators[0].custom else ''}"
        flex = kind.startswith("Flex")
        yield case.finding(
            "operator",
            "fails",
            what=f"{case.target.title} has no {name}: operator {listed(operators)}",
            why="it is TensorFlow's own operator, which only the Flex delegate of a phone or desktop runs"
            if flex
            else ("no operator of its list does this" if case.target.key == ESP_DL else "its resolver does not hold it")
            + "; nothing runs without every operator",
            fix="convert with TFLITE_BUILTINS_INT8 alone and replace the layer" if flex else "replace the layer",
            source=case.target.resolver,
            operators=operators,
        )


def check_types(case: Case) -> Iterator[Finding]:
    """Operators that the target has, for other types; Edge Impulse's were looked up for int8 alone."""
    if not case.micro or case.target.key == EDGE_IMPULSE:
        return

    def foreign(operator: Operator) -> bool:
        tensor, types = case.data(operator), case.target.cell(operator.kind).types
        return tensor is not None and bool(types) and not operator.custom and tensor.dtype not in types

    for kind, operators in _by_kind(case, foreign).items():
        if kind not in case.target.operators:
            continue
        dtype, cell = case.data(operators[0]).dtype, case.target.cell(kind)
        yield case.finding(
            "type",
            "fails",
            what=f"{kind} on {dtype}: operator {listed(operators)}",
            why=f"the kernel takes {', '.join(cell.types)}",
            fix="quantise the whole model to int8, weights and activations",
            source=cell.sources[0] if cell.sources else case.target.resolver,
            operators=operators,
            tensor=case.data(operators[0]),
        )


def check_int16(case: Case) -> Iterator[Finding]:
    """int16 activations on Edge Impulse."""
    if case.target.key != EDGE_IMPULSE:
        return

    operators = [o for o in case.graph.operators if (tensor := case.data(o)) is not None and tensor.dtype == "int16"]
    if operators:
        yield case.finding(
            "int16",
            "fails",
            what=f"int16 activations: operator {listed(operators)}",
            why="the SDK's kernels take int16 in part only, and its own code fills and reads no int16 tensor",
            fix="quantise activations to int8",
            source="ei-fill",
            operators=operators,
            tensor=case.data(operators[0]),
        )


def check_variables(case: Case) -> Iterator[Finding]:
    """State that Edge Impulse's interpreter has no room for."""
    operators = [operator for operator in case.graph.operators if operator.kind in VARIABLES]
    if operators and case.target.key == EDGE_IMPULSE:
        yield case.finding(
            "variables",
            "fails",
            what=f"a model with a state: operator {listed(operators)}",
            why="the SDK makes a new interpreter for every window and gives it no resource variables",
            fix="export the model that sees a whole window, not the streaming one",
            source="ei-run",
            operators=operators,
        )


def check_versions(case: Case) -> Iterator[Finding]:
    """Operators newer than any that is known."""
    newest = load_table().newest
    if not case.micro:
        return
    late = _by_kind(
        case, lambda operator: not operator.custom and operator.version > newest.get(operator.kind, math.inf)
    )
    for kind, operators in late.items():
        yield case.finding(
            "version",
            "note",
            what=f"{kind} version {operators[0].version}, newer than {newest[kind]}: operator {listed(operators)}",
            why="the runtime looks operators up by code and ignores the version: what is new in it is not done",
            fix="convert with an older TensorFlow, or compare the device's scores with the desktop's",
            source="litert-register",
            operators=operators,
        )


def check_speed(case: Case) -> Iterator[Finding]:
    """Operators that run on reference kernels."""
    if not case.target.fast:
        return

    def slow(operator: Operator) -> bool:
        tensor = case.data(operator)
        plain = tensor is not None and tensor.dtype == "int8"
        return plain and operator.kind not in case.target.fast | FREE and not operator.custom

    for kind, operators in _by_kind(case, slow).items():
        if kind not in case.target.operators:
            continue
        written = sum(t.size for o in operators if (t := case.graph.written(o)) is not None)
        yield case.finding(
            "reference-kernel",
            "slow",
            what=f"{kind} has no {case.target.fast_name} kernel: operator {listed(operators)}, {written:,} values",
            why="it runs on the portable reference kernel",
            fix=_INSTEAD.get(kind, "fine on a few values; on large maps choose a layer that has a fast kernel"),
            source=case.target.fast_source,
            operators=operators,
        )


_INSTEAD = {
    "MEAN": "average with AVERAGE_POOL_2D over the whole map",
    "TRANSPOSE": "convert from channels-last, so that nothing is transposed",
    "LOGISTIC": "fine on a few values; on large maps use ReLU",
    "TANH": "fine on a few values; on large maps use ReLU or a clip that the convolution before it takes in",
}


def _by_kind(case: Case, chosen: Callable[[Operator], bool]) -> dict[str, list[Operator]]:
    """The main subgraph's operators that are chosen, by kind, in order."""
    found: dict[str, list[Operator]] = {}
    for operator in case.graph.operators:
        if chosen(operator):
            found.setdefault(operator.kind, []).append(operator)
    return found
