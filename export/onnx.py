"""Plain graph -> ONNX. One static input "features" (1, T*F), one output "probabilities" (1, K).

ONNX convolutions are NCHW, so a Transpose stands after the first Reshape to a map (none where one axis has a single
channel) and before a Reshape back to a vector. Every node's output carries the node's own name, so that a difference
can be traced to its layer.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from kws_dendrite import __version__
from kws_dendrite.errors import ExportError
from kws_dendrite.export.layers import averages_whole_map, per_channel, scaled_weight, weight_uses
from kws_dendrite.export.operators import ONNX, check_operators
from kws_dendrite.output import write_bytes
from kws_dendrite.plain import (
    Activation,
    Add,
    AvgPool,
    Concat,
    Conv2D,
    Dense,
    Graph,
    Input,
    MaxPool,
    Mul,
    Node,
    Reshape,
    Scale,
    Shape,
    Softmax,
    Sub,
    infer_shapes,
    window_padding,
)

OPSET = 17  # the newest that Edge Impulse's converter and onnxruntime since 1.12 both take
IR_VERSION = 8  # opset 17's own
INPUT, OUTPUT = "features", "probabilities"

ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}


def write_onnx(graph: Graph, path: Path | str) -> None:
    """Write the graph as float32 ONNX. A weight that several nodes use is one initialiser; their scales are Muls.

    Raises:
        ExportError: the model fails ONNX's own checker, or uses an operator off the list.
        GraphError: the graph is not well formed.
        OutputError: the file cannot be written.
    """
    write_bytes(path, build_onnx(graph).SerializeToString(deterministic=True))


def build_onnx(graph: Graph, *, for_int8: bool = False) -> onnx.ModelProto:
    """The float model in memory.

    Args:
        graph: what to convert.
        for_int8: the form to quantise, where fewer tensors are better: each use of a shared weight has its own scaled
            copy instead of a Mul, a Scale of a map is a depthwise convolution, a mean over a map is one pool.

    Raises:
        ExportError, GraphError: as `write_onnx`.
    """
    model = _Writer(graph, for_int8).model()
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"the ONNX model is not valid: {str(error).splitlines()[0]}") from error
    check_operators((node.op_type for node in model.graph.node), ONNX, artefact="the ONNX model")
    return model


def tensor_names(graph: Graph) -> dict[str, str]:
    """Node name -> the ONNX tensor that holds its output (maps are NCHW there)."""
    reserved = (INPUT, OUTPUT)
    names = {node.name: f"{node.name}." if node.name in reserved else node.name for node in graph.nodes}
    names[graph.input.name] = INPUT
    names[graph.output.name] = OUTPUT
    return names


class _Writer:
    def __init__(self, graph: Graph, for_int8: bool) -> None:
        self.graph = graph
        self.shapes = infer_shapes(graph)
        self.names = tensor_names(graph)
        if for_int8:
            # the quantiser derives "x_scale" from tensor "x", and must not meet a node of that name
            inner = {node.name for node in graph.nodes[1:-1]}
            self.names = {name: f"{tensor}:0" if name in inner else tensor for name, tensor in self.names.items()}
        self.uses = weight_uses(graph)
        self.for_int8 = for_int8
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def model(self) -> onnx.ModelProto:
        for node in self.graph.nodes:
            if not isinstance(node, Input):
                self._emit(node, [self.names[source] for source in node.inputs], self.names[node.name])
        K = self.shapes[self.graph.output.name]
        model = helper.make_model(
            helper.make_graph(
                self.nodes,
                "kws_dendrite",
                [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, self.graph.input.size])],
                [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, *K])],
                initializer=list(self.initializers.values()),
            ),
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="kws_dendrite",
            producer_version=__version__,
        )
        model.ir_version = IR_VERSION
        return model

    def _constant(self, name: str, array: np.ndarray) -> str:
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def _emit(self, node: Node, sources: list[str], out: str) -> None:
        shape = self.shapes[node.inputs[0]]
        match node:
            case Reshape():
                self._reshape(shape, node.shape, sources[0], out)
            case Conv2D():
                self._conv(node, shape, sources[0], out)
            case Dense():
                self._dense(node, sources[0], out)
            case Scale() if self.for_int8 and len(shape) == 3 and per_channel(node):
                self._depthwise_scale(node, shape, sources[0], out)
            case Scale():
                self._affine(node, sources[0], out, _channels_first(node.scale, shape), node.bias, shape)
            case Add() | Sub() | Mul():
                self._add(type(node).__name__, sources, out)
            case Concat():
                self._add("Concat", sources, out, axis=1 if len(shape) == 3 else len(shape))
            case Activation(kind="hard_tanh"):
                low = self._constant("minus_one", np.float32(-1))
                self._add("Clip", [sources[0], low, self._constant("one", np.float32(1))], out)
            case Activation():
                self._add(ACTIVATIONS[node.kind], sources, out)
            case AvgPool() if not self.for_int8 and averages_whole_map(node, shape):
                rows, columns = node.kernel
                result = self._add("AveragePool", sources, f"{out}/rows", kernel_shape=[1, columns])
                self._add("AveragePool", [result], out, kernel_shape=[rows, 1])
            case MaxPool() | AvgPool():
                extra = {"count_include_pad": 0} if isinstance(node, AvgPool) else {}
                operator = "AveragePool" if isinstance(node, AvgPool) else "MaxPool"
                pads = _pads(shape, node.kernel, node.stride, node.padding)
                windows = {"kernel_shape": list(node.kernel), "strides": list(node.stride), "pads": pads}
                self._add(operator, sources, out, **windows, **extra)
            case Softmax():
                self._add("Softmax", sources, out, axis=1 if len(shape) == 3 else len(shape))

    def _reshape(self, before: Shape, after: Shape, source: str, out: str) -> None:
        """Row-major over NHWC, whatever the layout on either side."""
        if len(before) == 3 and before[2] > 1 and before[0] * before[1] > 1:
            source = self._add("Transpose", [source], f"{out}/nhwc", perm=[0, 2, 3, 1])
        if len(after) == 3 and (after[2] == 1 or after[0] * after[1] == 1):
            after = (after[2], after[0], after[1])  # the same order in memory either way
        elif len(after) == 3:
            target = self._constant(f"{out}/shape", np.array([1, *after], np.int64))
            source = self._add("Reshape", [source, target], f"{out}/maps")
            self._add("Transpose", [source], out, perm=[0, 3, 1, 2])
            return
        target = self._constant(f"{out}/shape", np.array([1, *after], np.int64))
        self._add("Reshape", [source, target], out)

    def _weight(self, node: Conv2D | Dense) -> tuple[np.ndarray, str, bool]:
        """(array, initialiser name, whether the scale stays outside)."""
        shared = self.uses[node.weight] > 1
        if shared and not self.for_int8:
            name = f"{node.weight}/shared"  # a graph may name a weight as it names the node that uses it
            return np.asarray(self.graph.weights[node.weight], np.float32), name, node.scale is not None
        return scaled_weight(self.graph, node), f"{node.name}/weight", False

    def _conv(self, node: Conv2D, shape: Shape, source: str, out: str) -> None:
        weight, name, outside = self._weight(node)
        # (kh, kw, C) -> (C, 1, kh, kw); (kh, kw, Cin, Cout) -> (Cout, Cin, kh, kw)
        kernel = weight.transpose(2, 0, 1)[:, None] if node.depthwise else weight.transpose(3, 2, 0, 1)
        inputs = [source, self._constant(name, kernel)]
        if node.bias is not None and not outside:
            inputs.append(self._constant(f"{node.name}/bias", node.bias.astype(np.float32)))
        result = self._add(
            "Conv",
            inputs,
            f"{out}/conv" if outside else out,
            kernel_shape=list(weight.shape[:2]),
            strides=list(node.stride),
            dilations=list(node.dilation),
            group=shape[2] if node.depthwise else 1,
            pads=_pads(shape, weight.shape[:2], node.stride, node.padding, node.dilation),
        )
        if outside:
            assert node.scale is not None
            channels = (1, 1, len(node.scale))
            self._affine(node, result, out, node.scale.reshape(-1, 1, 1), node.bias, channels)

    def _dense(self, node: Dense, source: str, out: str) -> None:
        weight, name, outside = self._weight(node)
        plain = node.bias is None or outside
        result = f"{out}/matmul" if outside else out
        inputs = [source, self._constant(name, weight)]
        if plain:
            self._add("MatMul", inputs, result)
        else:
            assert node.bias is not None
            self._add("Gemm", [*inputs, self._constant(f"{node.name}/bias", node.bias.astype(np.float32))], result)
        if outside:
            assert node.scale is not None
            self._affine(node, result, out, node.scale, node.bias, (len(node.scale),))

    def _depthwise_scale(self, node: Scale, shape: Shape, source: str, out: str) -> None:
        C = shape[2]
        scale = np.broadcast_to(node.scale.reshape(-1), C).astype(np.float32)
        inputs = [source, self._constant(f"{node.name}/scale", scale.reshape(C, 1, 1, 1))]
        if node.bias is not None:
            bias = np.broadcast_to(node.bias.reshape(-1), C).astype(np.float32)
            inputs.append(self._constant(f"{node.name}/bias", bias))
        self._add("Conv", inputs, out, kernel_shape=[1, 1], group=C)

    def _affine(
        self, node: Node, source: str, out: str, scale: np.ndarray, bias: np.ndarray | None, shape: Shape
    ) -> None:
        target = out if bias is None else f"{out}/scaled"
        result = self._add("Mul", [source, self._constant(f"{node.name}/scale", scale.astype(np.float32))], target)
        if bias is not None:
            shift = _channels_first(bias, shape).astype(np.float32)
            self._add("Add", [result, self._constant(f"{node.name}/bias", shift)], out)


def _channels_first(array: np.ndarray, shape: Shape) -> np.ndarray:
    """An array that broadcasts against (H, W, C) -> one that broadcasts against (C, H, W); vectors are left alone."""
    if len(shape) != 3:
        return array
    padded = array.reshape((1,) * (3 - array.ndim) + array.shape)
    return padded.transpose(2, 0, 1)


def _pads(
    shape: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: str,
    dilation: tuple[int, int] = (1, 1),
) -> list[int]:
    (top, bottom), (left, right) = window_padding(shape, kernel, stride, padding, dilation)
    return [top, left, bottom, right]
