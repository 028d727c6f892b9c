"""The plain graph: what a trained model means once training is over. Every exporter reads this and nothing else.

Tensors are NHWC: (N, H, W, C) after a Reshape to three axes, (N, C) as vectors. H is time, W is frequency (1 in the
temporal nets). Weights live in one dictionary by name; a weight named by two nodes is stored, counted and emitted
once, each node applying its own per-channel `scale` and `bias` to it: y = scale * conv(x, weight) + bias.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from kws_dendrite.errors import GraphError

Padding = Literal["same", "valid"]  # TensorFlow's: "same" pads total//2 before, the rest after
ActivationKind = Literal["relu", "tanh", "sigmoid", "hard_tanh"]
Shape = tuple[int, ...]  # without the batch axis


@dataclass(frozen=True)
class Node:
    """One operator. `inputs` name earlier nodes."""

    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Input(Node):
    """The flat features (N, size), frame-major: x[frame * coefficients + coefficient]."""

    size: int


@dataclass(frozen=True)
class Reshape(Node):
    """To (N, *shape), row-major, batch kept."""

    shape: Shape


@dataclass(frozen=True)
class Conv2D(Node):
    """(N, H, W, Cin) -> (N, H', W', Cout). Weight (kh, kw, Cin, Cout); depthwise (kh, kw, C)."""

    weight: str
    scale: np.ndarray | None = None  # (Cout,)
    bias: np.ndarray | None = None  # (Cout,)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = "same"
    depthwise: bool = False


@dataclass(frozen=True)
class Dense(Node):
    """(N, Cin) -> (N, Cout). Weight (Cin, Cout)."""

    weight: str
    scale: np.ndarray | None = None  # (Cout,)
    bias: np.ndarray | None = None  # (Cout,)


@dataclass(frozen=True)
class Activation(Node):
    """Elementwise; hard_tanh clips to [-1, 1]."""

    kind: ActivationKind


@dataclass(frozen=True)
class Scale(Node):
    """y = scale * x + bias, arrays broadcast against the unbatched input: (C,), (1, W, C) or (1,)."""

    scale: np.ndarray
    bias: np.ndarray | None = None


@dataclass(frozen=True)
class Add(Node):
    """x + y, y broadcast where an axis of it is 1."""


@dataclass(frozen=True)
class Sub(Node):
    """x - y, y broadcast where an axis of it is 1."""


@dataclass(frozen=True)
class Mul(Node):
    """x * y, y broadcast where an axis of it is 1."""


@dataclass(frozen=True)
class Concat(Node):
    """Along the last axis."""


@dataclass(frozen=True)
class MaxPool(Node):
    """Largest value in each window."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = "valid"


@dataclass(frozen=True)
class AvgPool(Node):
    """Mean of each window; padded positions are not counted."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = "valid"


@dataclass(frozen=True)
class Softmax(Node):
    """Over the last axis; the last node, so that scores are probabilities on every runtime."""


@dataclass(frozen=True)
class Graph:
    """Nodes in order of execution, their weights, and the labels of the output columns.

    Attributes:
        nodes: first an `Input`, last the output; each names only earlier ones.
        weights: float32 arrays by name.
        labels: K class names in output order.
    """

    nodes: tuple[Node, ...]
    weights: Mapping[str, np.ndarray]
    labels: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.nodes or not isinstance(self.nodes[0], Input):
            raise GraphError("a plain graph begins with its Input node")
        known: set[str] = set()
        for node in self.nodes:
            if node.name in known:
                raise GraphError(f"two nodes of the plain graph are named {node.name!r}")
            for source in node.inputs:
                if source not in known:
                    raise GraphError(f"node {node.name!r} reads {source!r}, which is not an earlier node")
            known.add(node.name)
            weight = getattr(node, "weight", None)
            if weight is not None and weight not in self.weights:
                raise GraphError(f"node {node.name!r} uses weight {weight!r}, which the graph does not hold")

    @property
    def input(self) -> Input:
        """The flat input node."""
        assert isinstance(self.nodes[0], Input)
        return self.nodes[0]

    @property
    def output(self) -> Node:
        """The last node."""
        return self.nodes[-1]
