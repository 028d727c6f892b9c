"""model_quantized_int8_io.tflite -> Program, or one line that says why not.

Field numbers are those of TensorFlow Lite's schema, version 3 (schema.fbs), written beside each access.
"""

import hashlib
from pathlib import Path

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.flatbuffer import Table, read_root
from kws_dendrite.export.c.program import Activation, Operator, Padding, Program, Tensor

IDENTIFIER = b"TFL3"
MAX_ELEMENTS = 1 << 22  # of one tensor; far above any microcontroller's memory
MAX_TENSORS, MAX_OPERATORS = 4096, 2048
MAX_OUTPUTS = 1 << 16  # scores, each with a label
MAX_RANK, MAX_INPUTS, MAX_LABEL = 8, 64, 200
LEAST_SCALE, LARGEST_SCALE = 1e-20, 1e6  # of int8; beyond them TFLite's own float32 steps overflow

OPERATORS = {
    0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 9: "FULLY_CONNECTED",
    14: "LOGISTIC", 17: "MAX_POOL_2D", 18: "MUL", 19: "RELU", 21: "RELU6", 22: "RESHAPE", 25: "SOFTMAX", 28: "TANH",
    41: "SUB", 114: "QUANTIZE",
}  # fmt: skip
_TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8"}
_PADDINGS: dict[int, Padding] = {0: "same", 1: "valid"}
_ACTIVATIONS: dict[int, Activation] = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6"}
_INPUTS = {  # least and largest number; the last may be left out where there are three
    "ADD": (2, 2), "SUB": (2, 2), "MUL": (2, 2), "RESHAPE": (1, 2), "CONCATENATION": (1, MAX_INPUTS), "CONV_2D": (2, 3),
    "DEPTHWISE_CONV_2D": (2, 3), "FULLY_CONNECTED": (2, 3),
}  # fmt: skip
_FUSED_FIELD = {  # where each kind's options hold fused_activation_function
    "ADD": 0, "SUB": 0, "MUL": 0, "FULLY_CONNECTED": 0, "CONCATENATION": 1, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4,
    "AVERAGE_POOL_2D": 5, "MAX_POOL_2D": 5,
}  # fmt: skip


def read_program(path: Path | str) -> Program:
    """Read an int8 TFLite file.

    Raises:
        ExportError: missing, damaged, an operator that has no C kernel, float or dynamic tensors, other borders.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror or error}") from error
    return parse_program(content, name=path.name)


def parse_program(content: bytes, *, name: str = "model") -> Program:
    """The same from bytes. `name` stands in messages."""
    model = read_root(content, IDENTIFIER, name)
    version = model.number(0, "uint32")
    if version != 3:
        raise ExportError(f"{name} is of schema version {version}, expected 3")
    subgraphs = model.tables(2)
    if len(subgraphs) != 1:
        raise ExportError(f"{name} has {len(subgraphs)} subgraphs, expected 1")
    buffers = model.tables(4)
    tables = subgraphs[0].tables(0)
    if len(tables) > MAX_TENSORS:
        raise ExportError(f"{name} has {len(tables):,} tensors, expected at most {MAX_TENSORS:,}")
    tensors = tuple(_tensor(table, index, buffers, name) for index, table in enumerate(tables))
    codes = [max(int(code.number(3, "int32")), int(code.number(0, "int8"))) for code in model.tables(1)]
    operators = subgraphs[0].tables(3)
    if not 0 < len(operators) <= MAX_OPERATORS:
        raise ExportError(f"{name} has {len(operators):,} operators, expected 1 to {MAX_OPERATORS:,}")
    program = Program(
        tensors=tensors,
        operators=tuple(_operator(table, index, codes, tensors, name) for index, table in enumerate(operators)),
        input=_border(subgraphs[0], 1, tensors, "input", name),
        output=_border(subgraphs[0], 2, tensors, "output", name),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    _check_flow(program, name)
    return program


def _tensor(table: Table, index: int, buffers: list[Table], name: str) -> Tensor:
    label = table.text(3)[:MAX_LABEL] or str(index)
    extents = _array(table, 0, "int32")
    if len(extents) > MAX_RANK:
        raise ExportError(f"{name}: tensor {label!r} has {len(extents):,} axes, expected at most {MAX_RANK}")
    shape = tuple(int(size) for size in extents)
    signature = table.array(7, "int32")
    if any(size < 0 for size in shape) or (signature is not None and (signature < 0).any()):
        raise ExportError(f"{name}: tensor {label!r} has a dynamic shape; export it with a batch of 1 and fixed sizes")
    size = 1
    for extent in shape:
        size *= extent
        if not 0 < size <= MAX_ELEMENTS:
            raise ExportError(
                f"{name}: tensor {label!r} of shape {shape} is not between 1 and {MAX_ELEMENTS:,} elements"
            )
    code = int(table.number(1, "int8"))
    dtype = _TYPES.get(code, f"type {code}")
    if dtype not in ("int8", "int32"):
        raise ExportError(f"{name}: tensor {label!r} is {dtype}, expected int8; write it as a full int8 model")
    quantization = table.table(4)
    scales, zero_points = _quantization(quantization, dtype, label, name)
    buffer = int(table.number(2, "uint32"))
    if buffer >= len(buffers):
        raise ExportError(f"{name} is damaged: tensor {label!r} names buffer {buffer} of {len(buffers)}")
    content = buffers[buffer].array(0, "uint8")
    data = None
    if content is not None and len(content):
        kind = np.dtype(dtype).newbyteorder("<")
        if len(content) != size * kind.itemsize:
            raise ExportError(
                f"{name} is damaged: tensor {label!r} of shape {shape} has {len(content):,} bytes, "
                f"expected {size * kind.itemsize:,}"
            )
        data = content.view(kind).astype(dtype, copy=False).reshape(shape)  # many tensors may share one buffer
        data.setflags(write=False)
    elif buffers[buffer].number(1, "uint64") > 1:
        raise ExportError(f"{name}: tensor {label!r} lies outside the flatbuffer; expected a file below 2 GB")
    return Tensor(index, label, shape, dtype, scales, zero_points, buffer, data)


def _quantization(table: Table | None, dtype: str, label: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    if table is None:
        return np.empty(0, np.float32), np.empty(0, np.int64)
    scales, zero_points = _array(table, 2, "float32"), _array(table, 3, "int64")
    if len(scales) != len(zero_points):
        raise ExportError(f"{name}: tensor {label!r} has {len(scales)} scales and {len(zero_points)} zero points")
    if len(scales) and not (np.isfinite(scales).all() and (scales > 0).all()):
        raise ExportError(f"{name}: tensor {label!r} has a quantisation scale that is not a positive number")
    if dtype == "int8" and len(scales) and not (scales.min() >= LEAST_SCALE and scales.max() <= LARGEST_SCALE):
        raise ExportError(
            f"{name}: tensor {label!r} has quantisation scales of {scales.min():g} to {scales.max():g}, expected "
            f"{LEAST_SCALE:g} to {LARGEST_SCALE:g}"
        )
    if dtype == "int8" and len(zero_points) and not (zero_points.min() >= -128 and zero_points.max() <= 127):
        raise ExportError(f"{name}: tensor {label!r} has a zero point outside int8")
    return scales, zero_points


def _operator(table: Table, index: int, codes: list[int], tensors: tuple[Tensor, ...], name: str) -> Operator:
    opcode = int(table.number(0, "uint32"))
    if opcode >= len(codes):
        raise ExportError(f"{name} is damaged: operator {index} names code {opcode} of {len(codes)}")
    code = codes[opcode]
    if code not in OPERATORS:
        raise ExportError(
            f"{name}: operator {index} is builtin {code}, which has no C kernel; there are kernels for "
            f"{', '.join(sorted(OPERATORS.values()))}"
        )
    kind = OPERATORS[code]
    inputs, outputs = _indices(table, 1), _indices(table, 2)
    if len(inputs) > MAX_INPUTS or len(outputs) > MAX_INPUTS:
        raise ExportError(f"{name}: {kind} at {index} has {len(inputs):,} inputs and {len(outputs):,} outputs")
    for tensor in (*inputs, *outputs):
        if not -1 <= tensor < len(tensors):
            raise ExportError(f"{name} is damaged: operator {index} names tensor {tensor} of {len(tensors)}")
    least, most = _INPUTS.get(kind, (1, 1))
    left_out = [place for place, tensor in enumerate(inputs) if tensor < 0]
    if not least <= len(inputs) <= most or any(place != 2 or most != 3 for place in left_out):
        raise ExportError(f"{name}: {kind} at {index} has the inputs {inputs}, expected {least} to {most}")
    if len(outputs) != 1 or outputs[0] < 0:
        raise ExportError(f"{name}: {kind} at {index} has the outputs {outputs}, expected 1")
    return Operator(index, kind, inputs, outputs, **_options(table.table(4), kind, index, name))


def _options(options: Table | None, kind: str, index: int, name: str) -> dict:
    found: dict = {}

    def number(field: int, type_: str = "int32", default: float = 0) -> float:
        return default if options is None else options.number(field, type_, default)

    if kind in _FUSED_FIELD:
        code = int(number(_FUSED_FIELD[kind], "int8"))
        if code not in _ACTIVATIONS:
            raise ExportError(f"{name}: {kind} at {index} has the fused activation {code}, which has no C kernel")
        found["activation"] = _ACTIVATIONS[code]
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"):
        code = int(number(0, "int8"))
        if code not in _PADDINGS:
            raise ExportError(f"{name}: {kind} at {index} has the padding {code}, expected 0 or 1")
        found["padding"] = _PADDINGS[code]
        found["stride"] = (int(number(2)), int(number(1)))
    if kind == "CONV_2D":
        found["dilation"] = (int(number(5, default=1)), int(number(4, default=1)))
    if kind == "DEPTHWISE_CONV_2D":
        found["depth_multiplier"] = int(number(3))
        found["dilation"] = (int(number(6, default=1)), int(number(5, default=1)))
    if kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        found["window"] = (int(number(4)), int(number(3)))
    if kind == "SOFTMAX":
        found["beta"] = float(number(0, "float32"))
    if kind == "FULLY_CONNECTED" and int(number(1, "int8")) != 0:
        raise ExportError(f"{name}: FULLY_CONNECTED at {index} has shuffled weights, which have no C kernel")
    if kind == "CONCATENATION":
        found["axis"] = int(number(0))
    for key in ("stride", "dilation", "window"):
        if key in found and not all(1 <= value <= MAX_ELEMENTS for value in found[key]):
            raise ExportError(f"{name}: {kind} at {index} has the {key} {found[key]}, expected at least 1")
    return found


def _border(subgraph: Table, field: int, tensors: tuple[Tensor, ...], which: str, name: str) -> int:
    indices = _array(subgraph, field, "int32")
    if len(indices) != 1 or not 0 <= indices[0] < len(tensors):
        raise ExportError(f"{name} has {len(indices)} {which} tensors, expected 1")
    tensor = tensors[int(indices[0])]
    if tensor.data is not None:
        raise ExportError(f"{name}: the {which} is a constant, expected a tensor that is computed")
    if tensor.dtype != "int8" or len(tensor.scales) != 1:
        raise ExportError(f"{name}: the {which} is {tensor.dtype}, expected int8 with one scale")
    if not tensor.shape or tensor.shape[0] != 1:
        raise ExportError(f"{name}: the {which} has the shape {tensor.shape}, expected a batch of 1")
    if which == "output" and tensor.size > MAX_OUTPUTS:
        raise ExportError(f"{name}: the output has {tensor.size:,} elements, expected at most {MAX_OUTPUTS:,}")
    return int(indices[0])


def _check_flow(program: Program, name: str) -> None:
    """Every activation is written once, before it is read, and the output is one that an operator writes."""
    known = {program.input} | {tensor.index for tensor in program.tensors if tensor.data is not None}
    for operator in program.operators:
        for index in operator.inputs:
            if index >= 0 and index not in known:
                raise ExportError(
                    f"{name}: {operator.kind} at {operator.index} reads a tensor that nothing has written"
                )
        output = operator.outputs[0]
        if output in known:
            raise ExportError(f"{name}: {operator.kind} at {operator.index} writes a tensor that already has a value")
        known.add(output)
    if program.output not in {operator.outputs[0] for operator in program.operators}:
        raise ExportError(f"{name}: no operator writes the output")


def _array(table: Table, field: int, dtype: str) -> np.ndarray:
    found = table.array(field, dtype)
    return np.empty(0, dtype) if found is None else found


def _indices(table: Table, field: int) -> tuple[int, ...]:
    return tuple(int(value) for value in _array(table, field, "int32"))
