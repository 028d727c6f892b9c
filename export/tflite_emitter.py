"""Plain graph -> TensorFlow's converter -> TFLite, float32 and full int8.

Flat (1, T*F) in, RESHAPE first, SOFTMAX last, static shapes, one subgraph: the same file serves Edge Impulse's
learning block, its bring-your-own-model page and TensorFlow Lite Micro. "same" padding stays inside the operators.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kws_dendrite.errors import ExportError
from kws_dendrite.export.layers import averages_whole_map, on_int8_grid, per_channel, scaled_weight
from kws_dendrite.export.operators import TFLITE_INT8, check_operators
from kws_dendrite.export.tflite_model import (
    check_form,
    check_scales,
    name_tensors,
    operator_names,
    pack_model,
    read_model,
    share_buffers,
)
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
)

INPUT, OUTPUT = "features", "probabilities"  # as in the ONNX files
UNFUSED = "RELU_N1_TO_1"  # a clip on its own, which micro runtimes lack


def convert_float(graph: Graph) -> bytes:
    """The graph as a float32 TFLite file. Loads TensorFlow into this process.

    Raises:
        ExportError: an operator off the target's list, or a shape that is not the promised one.
    """
    content = _convert(graph, lambda converter: None, for_int8=False)
    return _finish(content, graph, "FLOAT32", "model.tflite")


def convert_int8(graph: Graph, calibration: np.ndarray) -> bytes:
    """The graph as a full int8 TFLite file, int8 in and out. Loads TensorFlow into this process.

    Weights of convolutions per channel, of FULLY_CONNECTED per tensor; activations per tensor from the ranges that
    `calibration` (M, T*F) shows.

    Raises:
        ExportError: as `convert_float`, or a quantisation scale that cannot be.
    """
    import tensorflow as tf

    def quantise(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _rows(calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        # Edge Impulse's and older micro runtimes apply a FULLY_CONNECTED's first scale to every channel, silently
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True

    content = _convert(on_int8_grid(graph), quantise, for_int8=True)
    return _finish(content, graph, "INT8", "model_quantized_int8_io.tflite")


def _convert(graph: Graph, prepare: Callable[[Any], None], *, for_int8: bool) -> bytes:
    """What the converter makes. It fuses a clip into the operator before it in most graphs, but leaves one standing in
    some; those are written with every clip as relu6 instead."""
    content = b""
    for fused in (True, False):
        converter = _converter(graph, for_int8=for_int8, fused=fused)
        prepare(converter)
        content = converter.convert()
        if UNFUSED not in operator_names(read_model(content)):
            break
    return content


def _rows(calibration: np.ndarray) -> Iterator[list[np.ndarray]]:
    for row in calibration.astype(np.float32):
        yield [row[None]]


def _finish(content: bytes, graph: Graph, dtype: str, artefact: str) -> bytes:
    """Store equal buffers once, name the tensors after their nodes, and check what the converter made."""
    model = read_model(content)
    share_buffers(model)
    name_tensors(model, {scope_name(node.name): node.name for node in graph.nodes}, output=OUTPUT)
    classes = infer_shapes(graph)[graph.output.name][-1]
    check_form(model, size=graph.input.size, classes=classes, dtype=dtype, artefact=artefact)
    check_operators(operator_names(model), TFLITE_INT8, artefact=artefact)
    check_scales(model, artefact=artefact)
    return pack_model(model)


def _converter(graph: Graph, *, for_int8: bool, fused: bool) -> Any:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, graph.input.size), tf.float32, name=INPUT)])
    def run(features: Any) -> Any:
        return _Emitter(graph, for_int8, fused).emit(features)

    function = run.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([function], run)


class _Emitter:
    """Builds the TensorFlow graph, one node at a time."""

    def __init__(self, graph: Graph, for_int8: bool, fused: bool) -> None:
        self.graph = graph
        self.for_int8 = for_int8
        self.fused = fused
        self.shapes = infer_shapes(graph)

    def emit(self, features: Any) -> Any:
        import tensorflow as tf

        values: dict[str, Any] = {}
        for node in self.graph.nodes:
            if isinstance(node, Input):
                values[node.name] = features
                continue
            with tf.name_scope(scope_name(node.name)):
                values[node.name] = self._node(tf, node, [values[source] for source in node.inputs])
        return values[self.graph.output.name]

    def _node(self, tf: Any, node: Node, sources: list[Any]) -> Any:
        shape = self.shapes[node.inputs[0]]
        match node:
            case Reshape():
                return tf.reshape(sources[0], (1, *node.shape))
            case Conv2D():
                return self._conv(tf, node, shape, sources[0])
            case Dense():
                return self._dense(tf, node, sources[0])
            case Scale():
                return self._scale(tf, node, shape, sources[0])
            case Add():
                return sources[0] + sources[1]
            case Sub():
                return sources[0] - sources[1]
            case Mul():
                return sources[0] * sources[1]
            case Concat():
                return tf.concat(sources, axis=-1)
            case Activation(kind="hard_tanh"):
                return self._hard_tanh(tf, node, shape, sources[0])
            case Activation():
                return _ACTIVATIONS[node.kind](tf, sources[0])
            case MaxPool():
                return tf.nn.max_pool2d(sources[0], node.kernel, node.stride, node.padding.upper())
            case AvgPool() if not self.for_int8 and averages_whole_map(node, shape):
                rows = tf.nn.avg_pool2d(sources[0], (1, shape[1]), 1, "VALID")
                return tf.nn.avg_pool2d(rows, (shape[0], 1), 1, "VALID")
            case AvgPool():
                return tf.nn.avg_pool2d(sources[0], node.kernel, node.stride, node.padding.upper())
            case Softmax():
                return tf.nn.softmax(sources[0])
        raise ExportError(f"node {node.name!r} of type {type(node).__name__} has no TFLite form")

    def _conv(self, tf: Any, node: Conv2D, shape: Shape, source: Any) -> Any:
        weight = scaled_weight(self.graph, node)
        stride = list(node.stride)
        if node.depthwise:
            if shape[1] == 1:  # TensorFlow wants equal strides there; along an axis of length 1 the stride is idle
                stride[1] = stride[0]
            # the raw operator: tf.nn.depthwise_conv2d would wrap a dilation into SPACE_TO_BATCH_ND
            y = tf.raw_ops.DepthwiseConv2dNative(
                input=source,
                filter=tf.constant(weight[..., None]),
                strides=[1, *stride, 1],
                padding=node.padding.upper(),
                dilations=[1, *node.dilation, 1],
            )
        else:
            y = tf.raw_ops.Conv2D(
                input=source,
                filter=tf.constant(weight),
                strides=[1, *stride, 1],
                padding=node.padding.upper(),
                dilations=[1, *node.dilation, 1],
            )
        return y if node.bias is None else tf.nn.bias_add(y, tf.constant(node.bias, tf.float32))

    def _dense(self, tf: Any, node: Dense, source: Any) -> Any:
        weight = scaled_weight(self.graph, node)
        y = tf.matmul(source, tf.constant(weight))
        return y if node.bias is None else tf.nn.bias_add(y, tf.constant(node.bias, tf.float32))

    def _scale(self, tf: Any, node: Scale, shape: Shape, source: Any) -> Any:
        """A 1 x 1 depthwise convolution (per-channel weights, int32 bias) where only channels differ, else MUL, ADD."""
        if len(shape) == 3 and per_channel(node):
            scale = np.broadcast_to(node.scale.reshape(-1), shape[2:]).astype(np.float32)
            y = tf.raw_ops.DepthwiseConv2dNative(
                input=source, filter=tf.constant(scale[None, None, :, None]), strides=[1, 1, 1, 1], padding="VALID"
            )
            if node.bias is None:
                return y
            bias = np.broadcast_to(node.bias.reshape(-1), shape[2:]).astype(np.float32)
            return tf.nn.bias_add(y, tf.constant(bias))
        y = source * tf.constant(node.scale, tf.float32)
        return y if node.bias is None else y + tf.constant(node.bias, tf.float32)

    def _hard_tanh(self, tf: Any, node: Activation, shape: Shape, source: Any) -> Any:
        """A clip that the converter fuses into the operator before it, where there is one that nobody else reads.

        Micro runtimes have RELU_N1_TO_1 only fused; standing alone the clip is relu6(3 x + 3) / 3 - 1.
        """
        producer = next(other for other in self.graph.nodes if other.name == node.inputs[0])
        readers = sum(node.inputs[0] in other.inputs for other in self.graph.nodes)
        fusible = isinstance(producer, Conv2D | Dense | Scale | Add | Sub | Mul | MaxPool | AvgPool) and readers == 1
        if self.fused and fusible:
            return tf.minimum(tf.maximum(source, -1.0), 1.0)
        three, third, minus_one = np.float32([3.0]), np.float32([1 / 3]), np.float32([-1.0])
        up = self._scale(tf, Scale("", (), three, three), shape, source)
        return self._scale(tf, Scale("", (), third, minus_one), shape, tf.nn.relu6(up))


def scope_name(name: str) -> str:
    """A node's name in TensorFlow's alphabet, bracketed so that no name is part of another's."""
    return "node." + "".join(letter if letter.isalnum() else f"_{ord(letter):x}_" for letter in name) + ".end"


_ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "relu": lambda tf, x: tf.nn.relu(x),
    "tanh": lambda tf, x: tf.tanh(x),
    "sigmoid": lambda tf, x: tf.sigmoid(x),
}
