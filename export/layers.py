"""What the writers share: a node's effective weight, and the int8 grid that keeps a shared weight one weight."""

from collections import Counter

import numpy as np

from kws_dendrite.plain import AvgPool, Conv2D, Dense, Graph, Scale, Shape

INT8_MAX = 127  # weights are symmetric, [-127, 127], in TFLite's and onnxruntime's quantisers alike


def weight_uses(graph: Graph) -> Counter[str]:
    """Weight name -> number of nodes that use it."""
    return Counter(node.weight for node in graph.nodes if isinstance(node, Conv2D | Dense))


def scaled_weight(graph: Graph, node: Conv2D | Dense) -> np.ndarray:
    """The node's weight with its per-channel scale multiplied in (the output channel is the last axis): float32."""
    weight = np.asarray(graph.weights[node.weight], dtype=np.float32)
    return weight if node.scale is None else weight * node.scale.astype(np.float32)


def per_channel(node: Scale) -> bool:
    """Whether scale and bias differ along the last axis only, so that a 1 x 1 depthwise convolution says the same."""
    arrays = [array for array in (node.scale, node.bias) if array is not None]
    return all(array.size == array.shape[-1] for array in arrays)


def averages_whole_map(node: AvgPool, shape: Shape) -> bool:
    """Whether the pool is one window over all of (H, W), both more than 1.

    Runtimes add such a window up one value after another: over a clip's thousand features the float32 mean is off by
    some 1e-5. The float writers therefore pool rows, then columns, which is the same mean with a tenth of the error;
    int8 keeps one pool, whose integer sum is exact.
    """
    return node.kernel == shape[:2] and min(node.kernel) > 1


def on_int8_grid(graph: Graph) -> Graph:
    """The same graph with every weight that several convolutions share rounded to its per-channel int8 grid.

    A quantiser then finds the same int8 numbers for each use, whatever (positive) scale the use multiplies in: the
    bytes can be stored once. Rounding first and again is rounding once, so nothing is lost in an int8 artefact.
    """
    uses = weight_uses(graph)
    weights = dict(graph.weights)
    for node in graph.nodes:
        if isinstance(node, Conv2D) and uses[node.weight] > 1:
            weights[node.weight] = _round_to_grid(np.asarray(graph.weights[node.weight]))
    return Graph(nodes=graph.nodes, weights=weights, labels=graph.labels, metadata=graph.metadata)


def _round_to_grid(weight: np.ndarray) -> np.ndarray:
    flat = weight.reshape(-1, weight.shape[-1]).astype(np.float64)
    step = np.abs(flat).max(0) / INT8_MAX
    step[step == 0] = 1
    return (np.rint(flat / step) * step).reshape(weight.shape).astype(np.float32)
