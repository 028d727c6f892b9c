"""Shapes of every tensor in a plain graph, and whether its nodes fit each other.

Shapes leave out the batch axis N: (H, W, C) for maps, (C,) for vectors.
"""

import math
from collections.abc import Mapping

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
    Padding,
    Reshape,
    Scale,
    Shape,
    Softmax,
    Sub,
)


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Zeros before and after one axis under "same": (total // 2, the rest), so that ceil(size / stride) come out."""
    out = -(-size // stride)
    total = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def window_padding(
    shape: Shape, kernel: tuple[int, int], stride: tuple[int, int], padding: Padding, dilation: tuple[int, int] = (1, 1)
) -> tuple[tuple[int, int], tuple[int, int]]:
    """((before, after) along H, (before, after) along W) for a window sliding over (H, W, C)."""
    if padding == "valid":
        return (0, 0), (0, 0)
    return (
        same_padding(shape[0], kernel[0], stride[0], dilation[0]),
        same_padding(shape[1], kernel[1], stride[1], dilation[1]),
    )


def infer_shapes(graph: Graph) -> dict[str, Shape]:
    """Node name -> shape of its output, without the batch axis, for every node in order.

    Raises:
        GraphError: naming the first node whose inputs, weight, scale or bias do not fit, with both shapes.
    """
    shapes: dict[str, Shape] = {}
    for node in graph.nodes:
        shape = _infer(node, [shapes[source] for source in node.inputs], graph.weights)
        if not all(size > 0 for size in shape):
            raise GraphError(f"node {node.name!r} would have the empty shape {shape}: its window exceeds its input")
        shapes[node.name] = tuple(int(size) for size in shape)
    output = shapes[graph.output.name]
    if graph.labels and output != (len(graph.labels),):
        raise GraphError(f"the graph ends in shape {output} but names {len(graph.labels)} labels")
    return shapes


def _infer(node: Node, sources: list[Shape], weights: Mapping[str, np.ndarray]) -> Shape:
    match node:
        case Input():
            _expect_inputs(node, sources, 0)
            return (node.size,)
        case Reshape():
            _expect_inputs(node, sources, 1)
            if math.prod(node.shape) != math.prod(sources[0]):
                raise GraphError(f"node {node.name!r} cannot reshape {sources[0]} to {node.shape}: sizes differ")
            return tuple(node.shape)
        case Conv2D():
            return _infer_conv(node, sources, weights)
        case Dense():
            _expect_inputs(node, sources, 1)
            weight = weights[node.weight].shape
            if len(weight) != 2 or sources[0] != (weight[0],):
                raise GraphError(f"node {node.name!r}: weight {weight} (Cin, Cout) does not fit input {sources[0]}")
            _expect_channels(node, weight[1])
            return (weight[1],)
        case Scale():
            _expect_inputs(node, sources, 1)
            for name in ("scale", "bias"):
                array = getattr(node, name)
                if array is not None:
                    _expect_broadcast(node, sources[0], array.shape, what=name)
            return sources[0]
        case Add() | Sub() | Mul():
            _expect_inputs(node, sources, 2)
            if len(sources[0]) != len(sources[1]):
                raise GraphError(f"node {node.name!r} cannot combine {sources[0]} and {sources[1]}: ranks differ")
            _expect_broadcast(node, sources[0], sources[1], what="second input")
            return sources[0]
        case Concat():
            if not sources or any(source[:-1] != sources[0][:-1] for source in sources):
                raise GraphError(f"node {node.name!r} cannot join shapes {sources} along the last axis")
            return (*sources[0][:-1], sum(source[-1] for source in sources))
        case MaxPool() | AvgPool():
            _expect_inputs(node, sources, 1)
            _expect_map(node, sources[0])
            return (*_window_outputs(sources[0], node.kernel, node.stride, (1, 1), node.padding), sources[0][2])
        case Activation() | Softmax():
            _expect_inputs(node, sources, 1)
            if isinstance(node, Activation) and node.kind not in ("relu", "tanh", "sigmoid", "hard_tanh"):
                raise GraphError(f"node {node.name!r} has the unknown activation {node.kind!r}")
            return sources[0]
        case _:
            raise GraphError(f"node {node.name!r} is of the unknown type {type(node).__name__}")


def _infer_conv(node: Conv2D, sources: list[Shape], weights: Mapping[str, np.ndarray]) -> Shape:
    _expect_inputs(node, sources, 1)
    _expect_map(node, sources[0])
    weight = weights[node.weight].shape
    rank = 3 if node.depthwise else 4
    wanted = "(kh, kw, C)" if node.depthwise else "(kh, kw, Cin, Cout)"
    if len(weight) != rank or weight[2] != sources[0][2]:
        raise GraphError(f"node {node.name!r}: a weight {weight} {wanted} does not fit input {sources[0]} (H, W, C)")
    _expect_channels(node, weight[-1])
    rows, columns = _window_outputs(sources[0], weight[:2], node.stride, node.dilation, node.padding)
    return (rows, columns, weight[-1])


def _window_outputs(
    shape: Shape, kernel: tuple[int, ...], stride: tuple[int, int], dilation: tuple[int, int], padding: Padding
) -> tuple[int, int]:
    if padding == "same":
        return -(-shape[0] // stride[0]), -(-shape[1] // stride[1])
    if padding != "valid":
        raise GraphError(f"padding is 'same' or 'valid', not {padding!r}")
    rows = (shape[0] - (kernel[0] - 1) * dilation[0] - 1) // stride[0] + 1
    columns = (shape[1] - (kernel[1] - 1) * dilation[1] - 1) // stride[1] + 1
    return rows, columns


def _expect_inputs(node: Node, sources: list[Shape], count: int) -> None:
    if len(sources) != count:
        raise GraphError(f"node {node.name!r} ({type(node).__name__}) takes {count} inputs, not {len(sources)}")


def _expect_map(node: Node, shape: Shape) -> None:
    if len(shape) != 3:
        raise GraphError(f"node {node.name!r} ({type(node).__name__}) reads (H, W, C), not {shape}; Reshape first")


def _expect_channels(node: Conv2D | Dense, channels: int) -> None:
    for name in ("scale", "bias"):
        array = getattr(node, name)
        if array is not None and array.shape != (channels,):
            raise GraphError(f"node {node.name!r}: its {name} has shape {array.shape}, expected ({channels},)")


def _expect_broadcast(node: Node, shape: Shape, other: Shape, *, what: str) -> None:
    padded = (1,) * (len(shape) - len(other)) + tuple(other)
    if len(padded) != len(shape) or any(size not in (1, full) for size, full in zip(padded, shape, strict=True)):
        raise GraphError(f"node {node.name!r}: its {what} of shape {other} does not broadcast against {shape}")
