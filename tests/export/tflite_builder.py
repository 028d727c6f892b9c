"""Int8 TFLite files from a list of operators, written against the schema alone: milliseconds, no TensorFlow."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kws_dendrite.export.tflite_model import pack_model

PADDINGS = {"same": 0, "valid": 1}
ACTIVATIONS = {"none": 0, "relu": 1, "relu_n1_to_1": 2, "relu6": 3}
_OPTIONS = {
    "ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions", "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions", "SOFTMAX": "SoftmaxOptions", "CONCATENATION": "ConcatenationOptions",
    "RESHAPE": "ReshapeOptions", "QUANTIZE": "QuantizeOptions",
}  # fmt: skip
_VERSIONS = {  # the operator version whose int8 kernel this is
    "RELU": 2, "RELU6": 2, "TANH": 2, "LOGISTIC": 2, "QUANTIZE": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4, "SOFTMAX": 2, "ADD": 2, "SUB": 3, "MUL": 2, "CONCATENATION": 2, "MAX_POOL_2D": 2,
    "AVERAGE_POOL_2D": 2,
}  # fmt: skip


class TFLiteBuilder:
    """One subgraph. `model` is the schema's ModelT, open to whoever wants to spoil it before `content`."""

    def __init__(self):
        subgraph = schema.SubGraphT()
        subgraph.tensors, subgraph.operators, subgraph.inputs, subgraph.outputs = [], [], [], []
        model = schema.ModelT()
        model.version, model.subgraphs, model.operatorCodes = 3, [subgraph], []
        model.buffers = [schema.BufferT()]  # buffer 0 is empty by the schema's rule
        self.model, self.subgraph = model, subgraph
        self._codes = {}

    def activation(self, shape, scale, zero_point):
        """An int8 tensor that is computed; returns its index."""
        return self._tensor(shape, schema.TensorType.INT8, 0, [scale], [zero_point])

    def constant(self, values, scales=(), zero_point=0, axis=0):
        """An int8 or int32 constant with no, one, or one scale a slice along `axis`; returns its index."""
        values = np.ascontiguousarray(values)
        kind = {"int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}[values.dtype.name]
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        scales = np.atleast_1d(np.asarray(scales, np.float32))
        points = [zero_point] * len(scales)
        return self._tensor(values.shape, kind, len(self.model.buffers) - 1, scales, points, axis)

    def operator(self, kind, inputs, output, **options):
        """Append an operator. Options: activation, padding, stride, dilation, window (rows, columns), beta, axis,
        new_shape, depth_multiplier."""
        if kind not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, kind)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = _VERSIONS.get(kind, 1)
            self._codes[kind] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes[kind]
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        if kind in _OPTIONS:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, _OPTIONS[kind])
            operator.builtinOptions = _options(getattr(schema, f"{_OPTIONS[kind]}T")(), kind, options)
        self.subgraph.operators.append(operator)
        return output

    def content(self, source, target):
        """The file, from tensor `source` to tensor `target`."""
        self.subgraph.inputs, self.subgraph.outputs = np.array([source], np.int32), np.array([target], np.int32)
        return pack_model(self.model)

    def _tensor(self, shape, kind, buffer, scales, zero_points, axis=0):
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = np.array(shape, np.int32), kind, buffer
        tensor.name = f"tensor_{len(self.subgraph.tensors)}".encode()
        if len(scales):
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.array(scales, np.float32)
            tensor.quantization.zeroPoint = np.array(zero_points, np.int64)
            tensor.quantization.quantizedDimension = axis
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1


def _options(made, kind, options):
    """Fill the options object from keyword arguments."""
    unused = dict(options)
    if "activation" in unused:
        made.fusedActivationFunction = ACTIVATIONS[unused.pop("activation")]
    if "padding" in unused:
        made.padding = PADDINGS[unused.pop("padding")]
    if hasattr(made, "strideH"):
        made.strideH, made.strideW = unused.pop("stride", (1, 1))
    if hasattr(made, "dilationHFactor"):
        made.dilationHFactor, made.dilationWFactor = unused.pop("dilation", (1, 1))
    if hasattr(made, "filterHeight"):
        made.filterHeight, made.filterWidth = unused.pop("window", (1, 1))
    if kind == "DEPTHWISE_CONV_2D":
        made.depthMultiplier = unused.pop("depth_multiplier", 1)
    if kind == "SOFTMAX":
        made.beta = unused.pop("beta", 1.0)
    if kind == "CONCATENATION":
        made.axis = unused.pop("axis")
    if kind == "RESHAPE":
        made.newShape = np.array(unused.pop("new_shape", ()), np.int32)
    assert not unused, f"{kind} has no options {sorted(unused)}"
    return made
