"""What becomes of a plain graph on its way to a device: the operators of its int8 file, before there is one.

The rules are the exporter's and its converter's: a ReLU or a hard tanh that alone reads an operator is fused into it, a
Scale that differs along channels alone is a 1 x 1 depthwise convolution, tanh and sigmoid are tables, operators run in
the order of their names where the graph leaves one open.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from kws_dendrite.errors import GraphError
from kws_dendrite.plain.graph import (
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
)
from kws_dendrite.plain.shapes import infer_shapes, window_padding

Form = Literal["rising", "line", "round", ""]  # of the way from accumulator to int8
INT8_MAX = 127
ACCUMULATOR = 1 << 20  # a line is proven for accumulators below it
FUSES = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL", "MAX_POOL_2D")
BINARY = {Add: "ADD", Sub: "SUB", Mul: "MUL"}
TABLES = {"relu": "RELU", "tanh": "TANH", "sigmoid": "LOGISTIC"}


@dataclass(frozen=True)
class Emitted:
    """One operator of the int8 file.

    Attributes:
        operator: TFLite's name.
        nodes: the plain nodes that it stands for.
        reads: activations, by the name of the node that gives them.
        writes: the node whose output it gives.
        inputs: shapes of its operands, constant ones among them.
        shape: of its output, without the batch axis.
        window: kernel or pool window; stride, dilation, pads (top, left) of it.
        contiguous: every patch of a convolution lies in one piece in the input.
        form: how a convolution's accumulator becomes int8; "round" of a sum that has no cheaper form. Of a max pool
            "rising" where it clips from below, "round" where also from above.
        weight: the weight's name.
        shared: whether several operators use it.
        constant: bytes of a constant operand.
    """

    operator: str
    nodes: tuple[str, ...]
    reads: tuple[str, ...]
    writes: str
    inputs: tuple[Shape, ...]
    shape: Shape
    window: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int] = (0, 0)
    contiguous: bool = False
    form: Form = ""
    weight: str = ""
    shared: bool = False
    constant: int = 0

    @property
    def taps(self) -> int:
        """Products of one output of a CONV_2D or FULLY_CONNECTED."""
        channels = int(np.prod(self.inputs[0])) if self.operator == "FULLY_CONNECTED" else self.inputs[0][-1]
        return self.window[0] * self.window[1] * channels

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        outputs = int(np.prod(self.shape))
        if self.operator in ("CONV_2D", "FULLY_CONNECTED"):
            return outputs * self.taps
        return outputs * self.window[0] * self.window[1] if self.operator == "DEPTHWISE_CONV_2D" else 0

    @property
    def plane(self) -> tuple[int, int, int]:
        """(H, W, C) of the first input; a vector is one position."""
        shape = self.inputs[0]
        return (1, 1, int(np.prod(shape))) if self.operator == "FULLY_CONNECTED" else _map(shape)

    @property
    def out_plane(self) -> tuple[int, int, int]:
        """(H, W, C) of the output."""
        return _map(self.shape)


def _map(shape: Shape) -> tuple[int, int, int]:
    height, width, channels = (*(1,) * (3 - len(shape)), *shape)
    return height, width, channels


def emit(graph: Graph) -> tuple[Emitted, ...]:
    """The graph's operators in the order in which they will run.

    Raises:
        GraphError: the graph is not well formed, or a node has no operator.
    """
    return _Emitter(graph).run()


class _Emitter:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.shapes = infer_shapes(graph)
        self.nodes = {node.name: node for node in graph.nodes}
        self.needed = _needed(graph)
        self.readers = Counter(source for name in self.needed for source in self.nodes[name].inputs)
        self.uses = Counter(
            node.weight for node in graph.nodes if isinstance(node, Conv2D | Dense) and node.name in self.needed
        )
        self.made: dict[str, Emitted] = {}  # by the node whose output it gives; fused ones go
        self.positive: set[str] = set()  # nodes whose outputs are never negative: zero point -128

    def run(self) -> tuple[Emitted, ...]:
        for name in _order(self.graph, self.needed):
            node = self.nodes[name]
            for operator in self._node(node):
                self.made[operator.writes] = operator
            if self._is_positive(node):
                self.positive.add(name)
        return tuple(self.made.values())

    def _is_positive(self, node: Node) -> bool:
        if isinstance(node, Activation):
            return node.kind in ("relu", "sigmoid")
        passes = isinstance(node, Add | AvgPool | MaxPool | Concat | Reshape | Mul)
        return isinstance(node, Softmax) or (passes and all(source in self.positive for source in node.inputs))

    def _node(self, node: Node) -> Sequence[Emitted]:
        shape = self.shapes[node.name]
        inputs = tuple(self.shapes[source] for source in node.inputs)
        base = Emitted("", (node.name,), node.inputs, node.name, inputs, shape)
        match node:
            case Input():
                return ()
            case Reshape():
                return (replace(base, operator="RESHAPE"),)
            case Conv2D():
                return (self._conv(node, base),)
            case Dense():
                return (self._weighted(replace(base, operator="FULLY_CONNECTED", contiguous=True), node),)
            case Scale():
                return self._scale(node.scale, node.bias, base)
            case Add() | Sub() | Mul():
                return (replace(base, operator=BINARY[type(node)]),)
            case Concat():
                return (replace(base, operator="CONCATENATION"),)
            case MaxPool() | AvgPool():
                kind = "MAX_POOL_2D" if isinstance(node, MaxPool) else "AVERAGE_POOL_2D"
                pads = window_padding(inputs[0], node.kernel, node.stride, node.padding)
                before = (pads[0][0], pads[1][0])
                return (replace(base, operator=kind, window=node.kernel, stride=node.stride, pads=before),)
            case Activation():
                return self._activation(node, base)
            case Softmax():
                return (replace(base, operator="SOFTMAX"),)
        raise GraphError(f"node {node.name!r} of type {type(node).__name__} has no operator on a device")

    def _conv(self, node: Conv2D, base: Emitted) -> Emitted:
        weight = self.graph.weights[node.weight]
        (top, _), (left, _) = window_padding(base.inputs[0], weight.shape[:2], node.stride, node.padding, node.dilation)
        operator = replace(
            base,
            operator="DEPTHWISE_CONV_2D" if node.depthwise else "CONV_2D",
            window=(int(weight.shape[0]), int(weight.shape[1])),
            stride=node.stride,
            dilation=node.dilation,
            pads=(top, left),
        )
        if not node.depthwise:
            operator = replace(operator, contiguous=is_contiguous(operator))
        return self._weighted(operator, node)

    def _weighted(self, operator: Emitted, node: Conv2D | Dense) -> Emitted:
        """With its weight and the form of its output."""
        weight = np.asarray(self.graph.weights[node.weight], np.float64)
        if node.scale is not None:
            weight = weight * node.scale
        form = self._form(weight, per_tensor=isinstance(node, Dense), source=node.inputs[0])
        shared = isinstance(node, Conv2D) and self.uses[node.weight] > 1
        return replace(operator, weight=node.weight, shared=shared, form=form)

    def _form(self, weight: np.ndarray, *, per_tensor: bool, source: str) -> Form:
        """A line where the accumulator stays small enough; above zero alone, one that needs no correction."""
        flat = np.abs(weight.reshape(-1, weight.shape[-1]))
        largest = flat.max() if per_tensor else flat.max(0)
        quantized = np.rint(weight.reshape(-1, weight.shape[-1]) / np.where(largest > 0, largest, 1) * INT8_MAX)
        reach = 128 * np.abs(quantized).sum(0)
        if source in self.positive:
            reach = reach + 128 * np.abs(quantized.sum(0))  # the zero point's share
        if (reach >= ACCUMULATOR).any():
            return "round"
        one_sided = len(flat) == 1 and source in self.positive
        return "rising" if per_tensor or one_sided else "line"

    def _scale(self, scale: np.ndarray, bias: np.ndarray | None, base: Emitted) -> Sequence[Emitted]:
        arrays = [array for array in (scale, bias) if array is not None]
        if len(base.shape) == 3 and all(array.size == array.shape[-1] for array in arrays):
            channels = np.broadcast_to(scale.reshape(-1), base.shape[2:])
            form = self._form(channels[None], per_tensor=False, source=base.reads[0])
            return (replace(base, operator="DEPTHWISE_CONV_2D", weight=f"{base.writes}/scale", form=form),)
        source = self.made.get(base.reads[0])
        if source is not None and self._is_rectified_dense(source) and (scale < 0).any():
            # the converter then gives the ReLU's output a range that begins below zero: its clip is not int8's own
            self.made[source.writes] = replace(source, form="round")
        product = replace(base, operator="MUL", inputs=(base.shape, scale.shape), constant=scale.size)
        if bias is None:
            return (product,)
        product = replace(product, writes=f"{base.writes}/product")
        total = replace(base, operator="ADD", reads=(product.writes,), inputs=(base.shape, bias.shape))
        return product, replace(total, constant=bias.size)

    def _is_rectified_dense(self, operator: Emitted) -> bool:
        last = self.nodes[operator.nodes[-1]]
        return operator.operator == "FULLY_CONNECTED" and isinstance(last, Activation) and last.kind == "relu"

    def _activation(self, node: Activation, base: Emitted) -> Sequence[Emitted]:
        producer = self.made.get(node.inputs[0])
        alone = producer is not None and self.readers[node.inputs[0]] == 1 and producer.operator in FUSES
        if node.kind in ("relu", "hard_tanh") and alone:
            del self.made[producer.writes]
            form = producer.form
            if node.kind == "relu":
                form = "rising" if form == "line" or producer.operator == "MAX_POOL_2D" else form
            elif form or producer.operator == "MAX_POOL_2D":  # the clip is hardly ever the whole of int8
                form = "round"
            names = (*producer.nodes, node.name)
            return (replace(producer, nodes=names, writes=node.name, form=form),)
        if node.kind == "hard_tanh":  # relu6(3 x + 3) / 3 - 1
            up = self._scale(np.float32([3]), np.float32([3]), replace(base, writes=f"{node.name}/up"))
            up = (*up[:-1], replace(up[-1], form="round" if up[-1].form else ""))
            down = replace(base, reads=(up[-1].writes,))
            return *up, *self._scale(np.float32([1 / 3]), np.float32([-1]), down)
        return (replace(base, operator=TABLES[node.kind]),)


def is_one_piece(operator: Emitted) -> bool:
    """Whether a patch that is wholly inside the input lies in one piece there: whole rows, or one row, undilated."""
    kernel, dilation = operator.window, operator.dilation
    whole_rows = kernel[0] == 1 or (operator.plane[1] == kernel[1] and dilation[0] == 1)
    return whole_rows and (kernel[1] == 1 or dilation[1] == 1)


def is_contiguous(operator: Emitted) -> bool:
    """Whether every patch of a CONV_2D lies in one piece inside its input."""
    inside = all(
        pad == 0 and (out - 1) * stride + (k - 1) * step < size
        for pad, out, stride, k, step, size in zip(
            operator.pads, operator.out_plane, operator.stride, operator.window, operator.dilation, operator.plane,
            strict=False,
        )
    )  # fmt: skip
    return inside and is_one_piece(operator)


def _needed(graph: Graph) -> set[str]:
    """Nodes that the output depends on."""
    needed = {graph.output.name}
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return needed


def _order(graph: Graph, needed: set[str]) -> list[str]:
    """Node names in TensorFlow's order: of those that are ready, the first by name."""
    keys = {node.name: _scope(node.name) for node in graph.nodes}
    waiting = {node.name: len(set(node.inputs)) for node in graph.nodes if node.name in needed}
    followers: dict[str, list[str]] = {name: [] for name in needed}
    for node in graph.nodes:
        if node.name in needed:
            for source in set(node.inputs):
                followers[source].append(node.name)
    ready = [(keys[name], name) for name, count in waiting.items() if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        _, name = heapq.heappop(ready)
        order.append(name)
        for follower in followers[name]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(ready, (keys[follower], follower))
    return order


def _scope(name: str) -> str:
    """The name in TensorFlow's alphabet, as the exporter writes it."""
    return "node." + "".join(letter if letter.isalnum() else f"_{ord(letter):x}_" for letter in name) + ".end"
