"""A TFLite file as objects: which operators it has, its scales, and storing equal buffers once.

Written against the schema (version 3) that LiteRT ships; no TensorFlow is loaded.
"""

from typing import Any

import numpy as np

from kws_dendrite.errors import ExportError

CONSTANT_ROLES = {
    ("CONV_2D", 1): "weight",
    ("CONV_2D", 2): "bias",
    ("DEPTHWISE_CONV_2D", 1): "weight",
    ("DEPTHWISE_CONV_2D", 2): "bias",
    ("FULLY_CONNECTED", 1): "weight",
    ("FULLY_CONNECTED", 2): "bias",
    ("RESHAPE", 1): "shape",
}
MAX_SCALE = 1e6  # a quantisation scale above this is a calibration that saw an overflow, not data


def read_model(content: bytes) -> Any:
    """Flatbuffer bytes -> ModelT."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))


def pack_model(model: Any) -> bytes:
    """ModelT -> flatbuffer bytes."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def operator_names(model: Any) -> list[str]:
    """Builtin operators of the one subgraph, in order of execution."""
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    return [names[codes[operator.opcodeIndex]] for operator in model.subgraphs[0].operators]


def share_buffers(model: Any) -> int:
    """Point every constant tensor at the first buffer with the same bytes; returns the bytes saved.

    Lossless: the interpreter reads the very same numbers. It is how a weight used by several layers is stored once.
    """
    first: dict[bytes, int] = {}
    kept: list[Any] = []
    index_of: dict[int, int] = {}
    saved = 0
    for index, buffer in enumerate(model.buffers):
        content = b"" if buffer.data is None else np.asarray(buffer.data, np.uint8).tobytes()
        # an empty buffer means "no data" and may stand for a variable; buffer 0 is empty by the schema's rule
        if content and content in first:
            index_of[index] = first[content]
            saved += len(content)
            continue
        index_of[index] = len(kept)
        if content:
            first[content] = len(kept)
        kept.append(buffer)
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            tensor.buffer = index_of[tensor.buffer]
    for entry in model.metadata or []:
        entry.buffer = index_of[entry.buffer]
    model.buffers = kept
    return saved


def name_tensors(model: Any, scopes: dict[str, str], *, output: str) -> None:
    """Give tensors short names: a node's output the node's own, its constants "node/weight", "node/bias".

    The converter's own names join every operator it fused; they say no more, and are a third of a small file.

    Args:
        model: changed in place.
        scopes: TensorFlow scope -> node name, in the graph's order. A fused tensor is the last of its nodes'.
        output: the name of the output tensor.
    """
    subgraph = model.subgraphs[0]
    order = list(scopes)
    names: dict[int, str] = {}
    for operator in subgraph.operators:
        index = operator.outputs[0]
        found = [scope for scope in order if scope in _name(subgraph.tensors[index])]
        names[index] = scopes[found[-1]] if found else _name(subgraph.tensors[index])
    for index in subgraph.outputs:
        names[index] = output
    last = {name: index for index, name in names.items()}  # in order of execution: the last operator owns the name
    for index, name in names.items():
        subgraph.tensors[index].name = name if last[name] == index else f"{name}/{index}"
    for kind, operator in zip(operator_names(model), subgraph.operators, strict=True):
        owner = _name(subgraph.tensors[operator.outputs[0]])
        for position, index in enumerate(operator.inputs):
            if index >= 0 and index not in names and index not in subgraph.inputs:
                role = CONSTANT_ROLES.get((kind, position), f"constant_{position}")
                names[index] = f"{owner}/{role}"
                subgraph.tensors[index].name = names[index]


def check_scales(model: Any, *, artefact: str) -> None:
    """Refuse scales that are not finite and positive or beyond `MAX_SCALE`, and per-channel FULLY_CONNECTED weights.

    Edge Impulse's and older micro runtimes read a FULLY_CONNECTED's first scale for all its channels, silently.

    Raises:
        ExportError: naming the tensor.
    """
    names = operator_names(model)
    subgraph = model.subgraphs[0]
    for tensor in subgraph.tensors:
        scales = _scales(tensor)
        if len(scales) and not (np.isfinite(scales).all() and (scales > 0).all() and (scales <= MAX_SCALE).all()):
            raise ExportError(
                f"{artefact}: tensor {_name(tensor)!r} has a quantisation scale of {float(np.max(scales)):g}, expected "
                f"(0, {MAX_SCALE:g}]; look for infinite or all-zero features in the calibration clips"
            )
    for name, operator in zip(names, subgraph.operators, strict=True):
        if name == "FULLY_CONNECTED":
            weight = subgraph.tensors[operator.inputs[1]]
            if len(_scales(weight)) > 1:
                raise ExportError(
                    f"{artefact}: FULLY_CONNECTED weight {_name(weight)!r} has {len(_scales(weight))} scales, expected "
                    "one; per-channel weights there are silently misread on the device"
                )


def check_form(model: Any, *, size: int, classes: int, dtype: str, artefact: str) -> None:
    """Refuse anything but one subgraph, (1, size) in, (1, classes) out, both of `dtype` ("FLOAT32" or "INT8").

    Raises:
        ExportError: saying what came.
    """
    from ai_edge_litert import schema_py_generated as schema

    if len(model.subgraphs) != 1:
        raise ExportError(f"{artefact} has {len(model.subgraphs)} subgraphs, expected 1")
    subgraph = model.subgraphs[0]
    for kind, indices, width in (("input", subgraph.inputs, size), ("output", subgraph.outputs, classes)):
        tensors = [subgraph.tensors[index] for index in indices]
        shapes = [tuple(tensor.shape.tolist()) for tensor in tensors]
        if shapes != [(1, width)] or tensors[0].type != getattr(schema.TensorType, dtype):
            raise ExportError(f"{artefact} has the {kind} shapes {shapes}, expected one {dtype} of (1, {width})")
    for tensor in subgraph.tensors:
        if tensor.shapeSignature is not None and any(size < 0 for size in tensor.shapeSignature):
            raise ExportError(f"{artefact}: tensor {_name(tensor)!r} has a dynamic shape")


def _scales(tensor: Any) -> np.ndarray:
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None:
        return np.empty(0, np.float32)
    return np.atleast_1d(np.asarray(quantization.scale, np.float32))


def _name(tensor: Any) -> str:
    return tensor.name.decode() if isinstance(tensor.name, bytes) else str(tensor.name)
