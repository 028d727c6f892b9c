"""What a plain graph means: numpy, NHWC, a chunk of clips at a time.

Float32 throughout by default, as every float runtime computes; float64 for the tests that need a finer ruler.
"""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

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
    Padding,
    Reshape,
    Scale,
    Shape,
    Softmax,
    Sub,
)
from kws_dendrite.plain.shapes import infer_shapes, window_padding

CHUNK = 256  # clips at a time, at most
PATCH_VALUES = 2**22  # and no more than keep a convolution's patches within 16 MB of float32


def interpret(graph: Graph, x: np.ndarray, *, dtype: type = np.float32, chunk: int | None = None) -> np.ndarray:
    """Run the graph.

    Args:
        graph: what to run.
        x: features (N, T*F), frame-major.
        dtype: np.float32, or np.float64 for a finer ruler.
        chunk: clips computed at once; bounds memory, changes nothing else. None: as many as memory bears.

    Returns:
        (N, K) of `dtype`: the output node's values, probabilities where it is a Softmax.

    Raises:
        GraphError: `x` does not fit the Input node, or the graph is not well formed.
    """
    shapes = infer_shapes(graph)
    x = _check_input(graph, x, dtype)
    if not len(x):
        return np.empty((0, *shapes[graph.output.name]), dtype)
    chunk = chunk or _chunk(graph, shapes)
    last = _last_uses(graph)
    parts = []
    for start in range(0, len(x), chunk):
        values: dict[str, np.ndarray] = {}
        for index, node in enumerate(graph.nodes):
            values[node.name] = _compute(node, values, graph, x[start : start + chunk], dtype)
            for source in node.inputs:
                if last[source] == index:
                    values.pop(source, None)
        parts.append(values[graph.output.name])
    return np.concatenate(parts)


def node_outputs(graph: Graph, x: np.ndarray, *, dtype: type = np.float32) -> dict[str, np.ndarray]:
    """Node name -> its output (N, ...), for every node; meant for few clips, since all are kept.

    Raises:
        GraphError: as `interpret`.
    """
    infer_shapes(graph)
    x = _check_input(graph, x, dtype)
    values: dict[str, np.ndarray] = {}
    for node in graph.nodes:
        values[node.name] = _compute(node, values, graph, x, dtype)
    return values


def _check_input(graph: Graph, x: np.ndarray, dtype: type) -> np.ndarray:
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] != graph.input.size:
        raise GraphError(f"the graph reads features (N, {graph.input.size}), not shape {x.shape}")
    return x.astype(dtype, copy=False)


def _chunk(graph: Graph, shapes: dict[str, Shape]) -> int:
    patches = 1
    for node in graph.nodes:
        if isinstance(node, Conv2D) and not node.depthwise:
            rows, columns, channels = shapes[node.name]
            patches = max(patches, rows * columns * graph.weights[node.weight].size // channels)
    return max(1, min(CHUNK, PATCH_VALUES // patches))


def _last_uses(graph: Graph) -> dict[str, int]:
    last = {graph.output.name: len(graph.nodes)}
    for index, node in enumerate(graph.nodes):
        for source in node.inputs:
            last[source] = max(index, last.get(source, 0))
    return last


def _compute(node: Node, values: dict[str, np.ndarray], graph: Graph, x: np.ndarray, dtype: type) -> np.ndarray:
    sources = [values[source] for source in node.inputs]
    match node:
        case Input():
            return x
        case Reshape():
            return sources[0].reshape(len(x), *node.shape)
        case Conv2D():
            weight = graph.weights[node.weight].astype(dtype, copy=False)
            return _affine(_convolve(sources[0], weight, node), node.scale, node.bias, dtype)
        case Dense():
            weight = graph.weights[node.weight].astype(dtype, copy=False)
            return _affine(sources[0] @ weight, node.scale, node.bias, dtype)
        case Scale():
            return _affine(sources[0], node.scale, node.bias, dtype)
        case Add():
            return sources[0] + sources[1]
        case Sub():
            return sources[0] - sources[1]
        case Mul():
            return sources[0] * sources[1]
        case Concat():
            return np.concatenate(sources, axis=-1)
        case Activation():
            return ACTIVATIONS[node.kind](sources[0])
        case MaxPool():
            return _pool(sources[0], node, -np.inf, np.max)
        case AvgPool():
            return _pool(sources[0], node, 0, np.sum) / _window_counts(sources[0].shape[1:], node).astype(dtype)
        case Softmax():
            shifted = np.exp(sources[0] - sources[0].max(-1, keepdims=True))
            return shifted / shifted.sum(-1, keepdims=True)
    raise GraphError(f"node {node.name!r} is of the unknown type {type(node).__name__}")


def _sigmoid(x: np.ndarray) -> np.ndarray:
    # exp of a non-positive number only: no overflow at either end
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small)).astype(x.dtype, copy=False)


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "hard_tanh": lambda x: np.clip(x, -1, 1),
}


def _affine(y: np.ndarray, scale: np.ndarray | None, bias: np.ndarray | None, dtype: type) -> np.ndarray:
    if scale is not None:
        y = y * scale.astype(dtype, copy=False)
    if bias is not None:
        y = y + bias.astype(dtype, copy=False)
    return y


def _windows(
    x: np.ndarray,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    dilation: tuple[int, int],
    fill: float,
) -> np.ndarray:
    """(N, H, W, C) -> a view (N, H', W', C, kh, kw)."""
    rows, columns = window_padding(x.shape[1:], kernel, stride, padding, dilation)
    if any((*rows, *columns)):
        x = np.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=fill)
    spread = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
    view = sliding_window_view(x, spread, axis=(1, 2))
    return view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]


def _convolve(x: np.ndarray, weight: np.ndarray, node: Conv2D) -> np.ndarray:
    windows = _windows(x, weight.shape[:2], node.stride, node.padding, node.dilation, 0)
    if node.depthwise:
        out = np.zeros(windows.shape[:4], x.dtype)
        for row in range(weight.shape[0]):
            for column in range(weight.shape[1]):
                out += windows[..., row, column] * weight[row, column]
        return out
    N, H, W, C, kh, kw = windows.shape
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(N * H * W, kh * kw * C)
    return (patches @ weight.reshape(-1, weight.shape[3])).reshape(N, H, W, -1)


def _pool(x: np.ndarray, node: MaxPool | AvgPool, fill: float, reduce: Callable[..., np.ndarray]) -> np.ndarray:
    return reduce(_windows(x, node.kernel, node.stride, node.padding, (1, 1), fill), axis=(4, 5))


def _window_counts(shape: tuple[int, ...], node: AvgPool) -> np.ndarray:
    """(H', W', 1): positions of each window that are not padding."""
    ones = np.ones((1, shape[0], shape[1], 1))
    return _windows(ones, node.kernel, node.stride, node.padding, (1, 1), 0).sum((4, 5))[0]
