"""A plain graph in torch that computes as its int8 TFLite file will, with gradients: fake quantisation.

Every tensor that the file holds as int8 is rounded to its grid and stays float; gradients pass rounding as if it were
not there and stop where a value is clipped (Jacob et al. 2018, section 3). The grids are those of
`kws_dendrite.export.tflite`: weights symmetric in [-127, 127], a scale a channel in convolutions and one in
FULLY_CONNECTED; activations a scale and a zero point a tensor from the smallest and largest value that calibration
clips show, zero included; the scale of the input kept through RESHAPE and pools; tanh and sigmoid on fixed grids; a
ReLU or clip inside the operator before it. Biases, int32 in the file, stay float.

One trait of the converter is followed too: while it takes ranges, ADD, SUB and MUL write into the memory of an input
that nobody else reads, and that input's range then takes in the sum's (seen in TensorFlow 2.21's files).
"""

import contextlib
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kws_dendrite import plain
from kws_dendrite.errors import DataError, GraphError

INT8, WEIGHTS = (-128, 127), (-127, 127)
FIXED = {"tanh": (1 / 128, 0), "sigmoid": (1 / 256, -128)}  # scale and zero point, TFLite's 8-bit specification
FUSING = (plain.Conv2D, plain.Dense, plain.Scale, plain.Add, plain.Sub, plain.Mul, plain.MaxPool, plain.AvgPool)
KEEPING = (plain.Reshape, plain.MaxPool, plain.AvgPool)  # one grid for input and output
Grid = tuple[float, int]


class QuantisedGraph(nn.Module):
    """Features (B, T*F) -> logits (B, K), what the graph's Softmax reads.

    `weights` and `biases` are trainable copies of the graph's; a weight that several layers share is one parameter.
    Call `calibrate` first, and again when the weights have moved. A clip (hard_tanh) that cannot go into the operator
    before it is taken for one operator, where the file has three.

    Raises:
        GraphError: a graph whose last node is no Softmax; on a call, an operator that folding never gives (Concat).
    """

    def __init__(self, graph: plain.Graph) -> None:
        super().__init__()
        if not isinstance(graph.output, plain.Softmax):
            raise GraphError(f"fine-tuning reads the logits before a Softmax; the graph ends in {graph.output.name!r}")
        self.graph = graph
        self.shapes = plain.infer_shapes(graph)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        self.uses = Counter(node.weight for node in graph.nodes if isinstance(node, plain.Conv2D | plain.Dense))
        self.weight_of: dict[str, int] = {}  # a weight's name -> its place
        self.bias_of: dict[str, int] = {}  # a node's name -> its bias's place
        for node in graph.nodes:
            if isinstance(node, plain.Conv2D | plain.Dense):
                if node.weight not in self.weight_of:
                    self.weight_of[node.weight] = len(self.weights)
                    self.weights.append(_tensor(graph.weights[node.weight]))
                if node.bias is not None:
                    self.bias_of[node.name] = len(self.biases)
                    self.biases.append(_tensor(node.bias))
        self.within = _fused(graph)
        self.overwritten = _overwritten(graph, self.shapes, self.within)
        self.grids: dict[str, Grid] = {}
        self.seen: dict[str, tuple[float, float]] = {}  # ranges, smallest and largest value
        self.mode: Literal["int8", "calibrating", "float"] = "int8"

    @torch.no_grad()
    def calibrate(self, x: Tensor, chunk: int = 256) -> None:
        """Take the grids of all activations from the float graph on calibration clips (M, T*F).

        Raises:
            DataError: values that are not finite, and which node's.
        """
        self.seen = seen = {}
        with self._as("calibrating"):
            for part in x.split(chunk):
                self(part)
        for source, result in self.overwritten.items():
            if source in seen and result in seen:
                seen[source] = min(seen[source][0], seen[result][0]), max(seen[source][1], seen[result][1])
        for name, ends in seen.items():
            if not all(map(math.isfinite, ends)):
                raise DataError(f"node {name!r} gives values that are not finite on the calibration clips: {ends}")
        fixed = {
            node.name: FIXED[node.kind]
            for node in self.graph.nodes
            if isinstance(node, plain.Activation) and node.kind in FIXED
        }
        self.grids = {name: grid(*ends) for name, ends in seen.items()} | fixed

    @torch.no_grad()
    def exact(self, x: Tensor) -> Tensor:
        """Logits without any rounding, and without gradients: (B, T*F) -> (B, K)."""
        with self._as("float"):
            return self(x)

    def forward(self, x: Tensor) -> Tensor:
        values: dict[str, Tensor] = {}
        for node in self.graph.nodes[:-1]:
            sources = [values[name] for name in node.inputs]
            value = x if isinstance(node, plain.Input) else self._compute(node, sources)
            if node.name not in self.within:
                value = self._round(self._grid_name(node), value, node)
            values[node.name] = value
        return values[self.graph.output.inputs[0]]

    def to_graph(self) -> plain.Graph:
        """The plain graph with the weights and biases as they are now."""
        weights = {name: _array(self.weights[place]) for name, place in self.weight_of.items()}
        nodes = tuple(
            replace(node, bias=_array(self.biases[self.bias_of[node.name]])) if node.name in self.bias_of else node
            for node in self.graph.nodes
        )
        return replace(self.graph, nodes=nodes, weights={**self.graph.weights, **weights})

    @contextlib.contextmanager
    def _as(self, mode: Literal["calibrating", "float"]) -> Iterator[None]:
        self.mode = mode
        try:
            yield
        finally:
            self.mode = "int8"

    # -- grids --------------------------------------------------------------------------------------------------------

    def _grid_name(self, node: plain.Node) -> str:
        """The tensor whose grid the node's output has."""
        by_name = {other.name: other for other in self.graph.nodes}
        while isinstance(node, KEEPING):
            node = by_name[node.inputs[0]]
        return node.name

    def _round(self, name: str, value: Tensor, node: plain.Node | None = None) -> Tensor:
        if self.mode == "int8":
            return torch.fake_quantize_per_tensor_affine(value, *self.grids[name], *INT8)
        if self.mode == "calibrating" and not isinstance(node, KEEPING):
            low, high = self.seen.get(name, (0.0, 0.0))
            lowest, highest = torch.aminmax(value)
            # numpy's keep what is not a number, min and max do not
            self.seen[name] = float(np.minimum(low, lowest.item())), float(np.maximum(high, highest.item()))
        return value

    def _weight(self, node: plain.Conv2D | plain.Dense) -> Tensor:
        """On the int8 grid, the node's own scale applied."""
        weight = self.weights[self.weight_of[node.weight]]
        own = None if node.scale is None else torch.from_numpy(np.asarray(node.scale, np.float32))
        if isinstance(node, plain.Dense):
            weight = weight if own is None else weight * own
            return round_weight(weight, a_channel=False) if self.mode == "int8" else weight
        # The exporter rounds a shared weight before it calibrates.
        if self.mode == "int8" or (self.mode == "calibrating" and self.uses[node.weight] > 1):
            weight = round_weight(weight, a_channel=True)
        return weight if own is None else weight * own

    # -- operators, NHWC ----------------------------------------------------------------------------------------------

    def _compute(self, node: plain.Node, sources: list[Tensor]) -> Tensor:
        x = sources[0]
        match node:
            case plain.Reshape():
                return x.reshape(len(x), *node.shape)
            case plain.Conv2D():
                return self._conv(node, x)
            case plain.Dense():
                y = x @ self._weight(node)
                return y + self.biases[self.bias_of[node.name]] if node.name in self.bias_of else y
            case plain.Scale():
                return self._scale(node, x)
            case plain.Add():
                return x + sources[1]
            case plain.Sub():
                return x - sources[1]
            case plain.Mul():
                return x * sources[1]
            case plain.Activation():
                return _ACTIVATIONS[node.kind](x)
            case plain.MaxPool():
                padded = _pad(node, x, node.kernel, -torch.inf)
                return F.max_pool2d(padded.permute(0, 3, 1, 2), node.kernel, node.stride).permute(0, 2, 3, 1)
            case plain.AvgPool():
                return _average(node, x)
        raise GraphError(f"node {node.name!r} of type {type(node).__name__} has no fake-quantised form")

    def _conv(self, node: plain.Conv2D, x: Tensor) -> Tensor:
        weight = self._weight(node)
        bias = self.biases[self.bias_of[node.name]] if node.name in self.bias_of else None
        if not node.depthwise and weight.shape[:2] == (1, 1):
            y = x[:, :: node.stride[0], :: node.stride[1]] @ weight[0, 0]
            return y if bias is None else y + bias
        groups = weight.shape[-1] if node.depthwise else 1
        kernel = weight.permute(2, 0, 1)[:, None] if node.depthwise else weight.permute(3, 2, 0, 1)
        padded = _pad(node, x, tuple(weight.shape[:2]), 0.0, node.dilation).permute(0, 3, 1, 2)
        return F.conv2d(padded, kernel, bias, node.stride, 0, node.dilation, groups).permute(0, 2, 3, 1)

    def _scale(self, node: plain.Scale, x: Tensor) -> Tensor:
        """A 1 x 1 depthwise convolution, whose weights are exact, or MUL by a constant and ADD of another."""
        scale = torch.from_numpy(np.asarray(node.scale, np.float32))
        bias = None if node.bias is None else torch.from_numpy(np.asarray(node.bias, np.float32))
        if _is_depthwise(node, tuple(x.shape[1:])):
            return x * scale if bias is None else x * scale + bias
        if self.mode == "int8":
            scale, bias = (value if value is None else _round_constant(value) for value in (scale, bias))
        if bias is None:
            return x * scale
        return self._round(f"{node.name}/product", x * scale) + bias


def grid(low: float, high: float) -> Grid:
    """Scale and zero point of int8 values for a range that holds 0, as TFLite's quantiser chooses them."""
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0, 0
    scale = (high - low) / (INT8[1] - INT8[0])
    zero = INT8[0] - low / scale
    return scale, int(np.clip(math.copysign(math.floor(abs(zero) + 0.5), zero), *INT8))  # halves away from zero


def round_weight(weight: Tensor, *, a_channel: bool) -> Tensor:
    """`weight` (..., C) on its symmetric grid, one a channel or one for all."""
    largest = weight.detach().abs()
    if not a_channel:
        scale = (largest.max() / WEIGHTS[1]).clamp_min(1e-12)
        return torch.fake_quantize_per_tensor_affine(weight, scale, torch.zeros(1, dtype=torch.int32), *WEIGHTS)
    scale = (largest.flatten(0, -2).amax(0) / WEIGHTS[1]).clamp_min(1e-12)
    zero = torch.zeros(len(scale), dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, weight.dim() - 1, *WEIGHTS)


def _round_constant(value: Tensor) -> Tensor:
    return torch.fake_quantize_per_tensor_affine(value, *grid(value.min().item(), value.max().item()), *INT8)


def _fused(graph: plain.Graph) -> set[str]:
    """Nodes whose output no int8 tensor holds: a ReLU or clip, their only reader, is computed inside them."""
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    by_name = {node.name: node for node in graph.nodes}
    return {
        node.inputs[0]
        for node in graph.nodes
        if isinstance(node, plain.Activation)
        and node.kind in ("relu", "hard_tanh")
        and readers[node.inputs[0]] == 1
        and isinstance(by_name[node.inputs[0]], FUSING)
    }


def _is_depthwise(node: plain.Scale, shape: plain.Shape) -> bool:
    """Whether it becomes a 1 x 1 depthwise convolution: on maps, where only channels differ."""
    arrays = [array for array in (node.scale, node.bias) if array is not None]
    return len(shape) == 3 and all(array.size == array.shape[-1] for array in arrays)


def _overwritten(graph: plain.Graph, shapes: dict[str, plain.Shape], within: set[str]) -> dict[str, str]:
    """Tensor -> the tensor that takes its memory, where an elementwise operator is the first one's only reader."""
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    by_name = {node.name: node for node in graph.nodes}
    fused_into = {node.inputs[0]: node.name for node in graph.nodes if node.inputs and node.inputs[0] in within}
    found = {}
    for node in graph.nodes:
        result = fused_into.get(node.name, node.name)
        if isinstance(node, plain.Scale) and len(shapes[node.name]) == 1:  # MUL, and ADD
            product = result if node.bias is None else f"{node.name}/product"
            if product != result:
                found[product] = result
            result = product
        elif not isinstance(node, plain.Add | plain.Sub | plain.Mul):
            continue
        for source in node.inputs:
            if readers[source] == 1 and shapes[source] == shapes[node.name]:
                while isinstance(by_name[source], plain.Reshape) and readers[by_name[source].inputs[0]] == 1:
                    source = by_name[source].inputs[0]  # the same memory
                if not isinstance(by_name[source], plain.Input):
                    found[source] = result
                break
    return found


def _pad(
    node: plain.Conv2D | plain.MaxPool | plain.AvgPool,
    x: Tensor,
    kernel: tuple[int, ...],
    value: float,
    dilation: tuple[int, int] = (1, 1),
) -> Tensor:
    """(B, H, W, C) with the node's padding around H and W."""
    rows, columns = plain.window_padding(tuple(x.shape[1:]), kernel, node.stride, node.padding, dilation)
    return F.pad(x, (0, 0, *columns, *rows), value=value) if any((*rows, *columns)) else x


def _average(node: plain.AvgPool, x: Tensor) -> Tensor:
    """Mean of each window, padded positions not counted."""
    sums, counts = (
        F.avg_pool2d(_pad(node, value, node.kernel, 0.0).permute(0, 3, 1, 2), node.kernel, node.stride)
        for value in (x, torch.ones(1, *x.shape[1:3], 1))
    )
    return (sums / counts).permute(0, 2, 3, 1)


def _tensor(value: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.array(value, dtype=np.float32)))


def _array(value: Tensor) -> np.ndarray:
    return value.detach().numpy().copy()


_ACTIVATIONS = {"relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "hard_tanh": F.hardtanh}
