"""Rules on what goes in and what comes out: how many tensors, of which type and shape, with how many labels."""

from collections.abc import Iterator

from kws_dendrite.export.check.case import QUANTISED, Case
from kws_dendrite.export.check.findings import Finding
from kws_dendrite.export.check.model import Tensor
from kws_dendrite.export.check.targets import EDGE_IMPULSE, ESPHOME, TFLITE_MICRO

FEATURES = 40  # a slice of ESPHome's front end, PREPROCESSOR_FEATURE_SIZE


def check_counts(case: Case) -> Iterator[Finding]:
    """One tensor in, one out."""
    for which, indices in (("input", case.graph.inputs), ("output", case.graph.outputs)):
        if len(indices) == 1:
            continue
        names = ", ".join(case.graph.tensors[index].name for index in indices[:4])
        strict = not indices or case.target.key in (EDGE_IMPULSE, ESPHOME)
        yield case.finding(
            f"{which}s",
            "fails" if strict else "note",
            what=f"{len(indices)} {which}s{f' ({names})' if names else ''}; expected 1",
            why=f"the runtime fills and reads {which} 0 alone" if indices else f"there is no {which} to use",
            fix=f"export the model with one {which}",
            source={EDGE_IMPULSE: "ei-byom", ESPHOME: "esphome"}.get(case.target.key, ""),
        )
    extra = len(case.model.graphs) - 1
    if extra:
        yield case.finding(
            "subgraphs",
            "note",
            what=f"{extra + 1} subgraphs; the first is the model",
            why="IF, WHILE and CALL_ONCE run the others; without one of them they are dead weight",
            fix="export one signature from one function without control flow",
        )


def check_shapes(case: Case) -> Iterator[Finding]:
    """Batch of 1, nothing dynamic."""
    graph = case.graph
    dynamic = [tensor for tensor in graph.tensors if tensor.dynamic]
    if dynamic:
        first = next(
            (graph.tensors[i] for i in (*graph.inputs, *graph.outputs) if graph.tensors[i].dynamic), dynamic[0]
        )
        stored = all(extent >= 0 for tensor in dynamic for extent in tensor.shape)
        others = f" and {len(dynamic) - 1} tensors more" if len(dynamic) > 1 else ""
        yield case.finding(
            "dynamic-shape",
            "fails" if case.target.key == EDGE_IMPULSE or not stored else "note",
            what=f"{first.name!r} has the dynamic shape {list(first.signature or first.shape)}{others}",
            why="Studio takes static shapes and a batch of exactly 1; a microcontroller cannot resize, it runs the "
            f"shape that is stored, {list(first.shape)}"
            if case.target.key == EDGE_IMPULSE
            else f"nothing is resized on a microcontroller: it runs the shape that is stored, {list(first.shape)}",
            fix="fix the batch before converting: keras.Input(batch_shape=(1, ...)) or set_shape([1, ...])",
            source="ei-byom" if case.target.key == EDGE_IMPULSE else "",
            tensor=first,
        )
    for which, indices in (("input", graph.inputs), ("output", graph.outputs)):
        for index in indices:
            tensor = graph.tensors[index]
            if tensor.shape and tensor.shape[0] not in (1, -1):
                yield case.finding(
                    "batch",
                    "note" if case.target.key == TFLITE_MICRO else "fails",
                    what=f"the {which} {tensor.name!r} has a batch of {tensor.shape[0]}: {list(tensor.shape)}",
                    why="one window is classified at a time; the batch has to be there and be 1",
                    fix="export with a batch of 1",
                    source={EDGE_IMPULSE: "ei-byom", ESPHOME: "esphome"}.get(case.target.key, ""),
                    tensor=tensor,
                )


def check_types(case: Case) -> Iterator[Finding]:
    """int8 at both ends, where the target wants that."""
    graph = case.graph
    if case.target.key == EDGE_IMPULSE:
        for which, indices in (("input", graph.inputs), ("output", graph.outputs)):
            for index in indices:
                yield from _edge_impulse_type(case, which, graph.tensors[index])
    elif case.target.key == TFLITE_MICRO:
        for which, indices in (("input", graph.inputs), ("output", graph.outputs)):
            for index in indices:
                tensor = graph.tensors[index]
                if tensor.dtype in ("float32", "uint8") and _quantised_inside(case):
                    yield case.finding(
                        "border-type",
                        "note",
                        what=f"the {which} {tensor.name!r} is {tensor.dtype}, the model inside is quantised",
                        why="it is converted on the device, once an inference",
                        fix="inference_input_type = inference_output_type = tf.int8",
                        source="tflm-quantize",
                        tensor=tensor,
                    )


def _edge_impulse_type(case: Case, which: str, tensor: Tensor) -> Iterator[Finding]:
    int8 = "inference_input_type = inference_output_type = tf.int8 with representative data"
    if tensor.dtype == "uint8":
        yield case.finding(
            "border-type",
            "fails",
            what=f"the {which} {tensor.name!r} is uint8; expected int8",
            why="Studio takes int8 in and out for a quantised file; uint8 is not handled",
            fix=int8,
            source="ei-block",
            tensor=tensor,
        )
    elif tensor.dtype == "float32" and _quantised_inside(case):
        yield case.finding(
            "border-type",
            "fails",
            what=f"the {which} {tensor.name!r} is float32, the model inside is quantised",
            why="Studio takes int8 in and out for a quantised file, and never converts an uploaded TFLite: this one "
            "would stand there as the float32 variant",
            fix=int8,
            source="ei-block",
            tensor=tensor,
        )
    elif tensor.dtype == "float32" and which == "input":
        yield case.finding(
            "float-model",
            "slow",
            what="the whole model is float32",
            why="Studio never quantises an uploaded TFLite: it stays float32, four times the memory, no int8 kernels",
            fix="upload an int8 file as well, int8 in and out; Studio quantises only SavedModel and ONNX",
            source="ei-byom",
            tensor=tensor,
        )
    elif tensor.dtype not in ("int8", "float32"):
        yield case.finding(
            "border-type",
            "fails",
            what=f"the {which} {tensor.name!r} is {tensor.dtype}; expected int8",
            why="the SDK fills and reads float32, int8 and uint8 tensors and returns an error for any other",
            fix=int8,
            source="ei-fill",
            tensor=tensor,
        )


def check_form(case: Case) -> Iterator[Finding]:
    """The shapes that a target's own code expects."""
    graph = case.graph
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return
    source, target = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    if case.target.key == EDGE_IMPULSE:
        if len(target.shape) != 2:
            yield case.finding(
                "output-rank",
                "fails",
                what=f"the output {target.name!r} has the shape {list(target.shape)}; expected (1, classes)",
                why="a classifier's output is one row, a score a label",
                fix="end with a dense layer and a softmax on (1, classes)",
                source="ei-byom",
                tensor=target,
            )
        if len(source.shape) > 2:
            yield case.finding(
                "input-rank",
                "note",
                what=f"the input {source.name!r} has the shape {list(source.shape)}, not flat",
                why="features come as one row, frame by frame, and are copied in that order: right where frames stand "
                "before coefficients, as in (1, frames, coefficients, 1), silently wrong for any other order",
                fix="take (1, frames x coefficients) and begin with a reshape",
                source="ei-fill",
                tensor=source,
            )
    if case.target.key == ESPHOME:
        yield from _esphome_form(case, source, target)


def _esphome_form(case: Case, source: Tensor, target: Tensor) -> Iterator[Finding]:
    streaming = "export a streaming model as microWakeWord does: it keeps its own past in variables"
    if len(source.shape) != 3 or source.shape[0] != 1 or source.shape[2] != FEATURES:
        yield case.finding(
            "input-form",
            "fails",
            what=f"the input {source.name!r} has the shape {list(source.shape)}; expected (1, stride, {FEATURES})",
            why=f"micro_wake_word feeds each {FEATURES} features of its own front end as they come, and refuses any "
            "other input",
            fix=streaming,
            source="esphome",
            tensor=source,
        )
    if source.dtype != "int8":
        yield case.finding(
            "border-type",
            "fails",
            what=f"the input {source.name!r} is {source.dtype}; expected int8",
            why="micro_wake_word refuses any other input",
            fix="inference_input_type = tf.int8",
            source="esphome",
            tensor=source,
        )
    if target.dtype != "uint8":
        yield case.finding(
            "border-type",
            "fails",
            what=f"the output {target.name!r} is {target.dtype}; expected uint8",
            why="micro_wake_word reads one uint8 probability and refuses any other output",
            fix="inference_output_type = tf.uint8",
            source="esphome",
            tensor=target,
        )
    if target.shape != (1, 1):
        yield case.finding(
            "output-form",
            "wrong",
            what=f"the output {target.name!r} has the shape {list(target.shape)}; expected (1, 1)",
            why="micro_wake_word logs this and goes on: of several classes only the first is read",
            fix="train one wake word with a sigmoid at the end",
            source="esphome",
            tensor=target,
        )


def check_labels(case: Case) -> Iterator[Finding]:
    """As many labels as scores."""
    if case.labels is None or len(case.graph.outputs) != 1:
        return
    target = case.graph.tensors[case.graph.outputs[0]]
    classes = target.shape[-1] if target.shape else 0
    if classes != case.labels:
        yield case.finding(
            "labels",
            "fails",
            what=f"{case.labels} labels for {classes} scores",
            why="labels are matched to scores by their order, so both have to be equally many",
            fix="give one label a score, in the order of the model's outputs",
            source="ei-byom" if case.target.key == EDGE_IMPULSE else "",
            tensor=target,
        )


def _quantised_inside(case: Case) -> bool:
    """Whether an operator that computes works on quantised numbers."""
    for operator in case.graph.operators:
        if operator.kind not in ("QUANTIZE", "DEQUANTIZE"):
            tensor = case.data(operator)
            if tensor is not None and tensor.dtype in QUANTISED and len(tensor.scales):
                return True
    return False
