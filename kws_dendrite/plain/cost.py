"""What a plain graph costs before anything is compiled: parameters, multiplications, weight bytes, activation bytes."""

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from kws_dendrite.plain.graph import Activation, Conv2D, Dense, Graph, Node, Reshape, Scale, Shape
from kws_dendrite.plain.shapes import infer_shapes

BIAS_BYTES = 4  # int32, in every int8 runtime


@dataclass(frozen=True)
class NodeCost:
    """One node's share. A shared weight is charged to the first node that uses it.

    Attributes:
        name, operator: the node and its type.
        shape: of its output, without the batch axis.
        parameters, macs, weight_bytes_int8: as in `Cost`.
        live_bytes: int8 activations alive while the node runs, its inputs and output among them.
    """

    name: str
    operator: str
    shape: Shape
    parameters: int
    macs: int
    weight_bytes_int8: int
    live_bytes: int


@dataclass(frozen=True)
class Cost:
    """The whole graph's cost, for one clip.

    Attributes:
        parameters: every weight once; a node's per-channel scale where it has one and its weight serves several nodes
            (elsewhere it folds into the weight); every bias; every array of a Scale node.
        macs: multiply-accumulates; padded positions count, elementwise Scale counts one an element.
        weight_bytes_int8: a byte a weight, four a bias; the quantisation's own scales are not counted.
        peak_activation_bytes: the largest sum of int8 tensors alive at once, over the node order. Reshapes and
            activations whose input nobody else reads run in place.
        nodes: the same by node, in order.
    """

    parameters: int
    macs: int
    weight_bytes_int8: int
    peak_activation_bytes: int
    nodes: tuple[NodeCost, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, strings and lists."""
        value = asdict(self)
        for row in value["nodes"]:
            row["shape"] = list(row["shape"])
        value["nodes"] = list(value["nodes"])
        return value


def cost(graph: Graph) -> Cost:
    """Count the graph's parameters, MACs, int8 weight bytes and peak int8 activation bytes.

    Raises:
        GraphError: the graph is not well formed.
    """
    shapes = infer_shapes(graph)
    uses = Counter(node.weight for node in graph.nodes if isinstance(node, Conv2D | Dense))
    live = _live_bytes(graph, shapes)
    charged: set[str] = set()
    rows = []
    for node in graph.nodes:
        weights, biases = _arrays(node, graph, uses, charged)
        rows.append(
            NodeCost(
                name=node.name,
                operator=type(node).__name__,
                shape=shapes[node.name],
                parameters=weights.parameters + biases,
                macs=_macs(node, graph, shapes),
                weight_bytes_int8=weights.stored + BIAS_BYTES * biases,
                live_bytes=live[node.name],
            )
        )
    return Cost(
        parameters=sum(row.parameters for row in rows),
        macs=sum(row.macs for row in rows),
        weight_bytes_int8=sum(row.weight_bytes_int8 for row in rows),
        peak_activation_bytes=max(row.live_bytes for row in rows),
        nodes=tuple(rows),
    )


@dataclass(frozen=True)
class _Weights:
    parameters: int  # counted as parameters
    stored: int  # of them, stored as int8 (the scales of a shared weight live in the requantisation)


def _arrays(node: Node, graph: Graph, uses: Counter, charged: set[str]) -> tuple[_Weights, int]:
    if isinstance(node, Scale):
        return _Weights(node.scale.size, node.scale.size), 0 if node.bias is None else node.bias.size
    if not isinstance(node, Conv2D | Dense):
        return _Weights(0, 0), 0
    stored = 0 if node.weight in charged else graph.weights[node.weight].size
    charged.add(node.weight)
    own_scale = node.scale.size if node.scale is not None and uses[node.weight] > 1 else 0
    return _Weights(stored + own_scale, stored), 0 if node.bias is None else node.bias.size


def _macs(node: Node, graph: Graph, shapes: dict[str, Shape]) -> int:
    if isinstance(node, Scale):
        return math.prod(shapes[node.name])
    if isinstance(node, Dense):
        return graph.weights[node.weight].size
    if isinstance(node, Conv2D):
        rows, columns, _ = shapes[node.name]
        return rows * columns * graph.weights[node.weight].size
    return 0


def _live_bytes(graph: Graph, shapes: dict[str, Shape]) -> dict[str, int]:
    """Node name -> bytes alive while it runs. A tensor computed in place shares its input's storage."""
    readers = Counter(source for node in graph.nodes for source in set(node.inputs))
    storage: dict[str, str] = {}
    for node in graph.nodes:
        in_place = isinstance(node, Reshape | Activation) and readers[node.inputs[0]] == 1
        storage[node.name] = storage[node.inputs[0]] if in_place else node.name
    last: dict[str, int] = {}
    for index, node in enumerate(graph.nodes):
        for name in (node.name, *node.inputs):
            last[storage[name]] = index
    last[storage[graph.output.name]] = len(graph.nodes)
    live: dict[str, int] = {}
    born: dict[str, int] = {}
    for index, node in enumerate(graph.nodes):
        born.setdefault(storage[node.name], index)
        live[node.name] = sum(math.prod(shapes[owner]) for owner, at in born.items() if at <= index <= last[owner])
    return live
