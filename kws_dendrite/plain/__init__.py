"""The plain graph (IR), its numpy interpreter, its cost and its file; numpy only."""

from kws_dendrite.plain.cost import Cost, NodeCost, cost
from kws_dendrite.plain.device import DeviceCost
from kws_dendrite.plain.device import predict as device_cost
from kws_dendrite.plain.graph import (
    Activation,
    ActivationKind,
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
from kws_dendrite.plain.interpreter import interpret, node_outputs
from kws_dendrite.plain.shapes import infer_shapes, same_padding, window_padding
from kws_dendrite.plain.storage import load_graph, save_graph

__all__ = [
    "Activation",
    "ActivationKind",
    "Add",
    "AvgPool",
    "Concat",
    "Conv2D",
    "Cost",
    "Dense",
    "DeviceCost",
    "Graph",
    "Input",
    "MaxPool",
    "Mul",
    "Node",
    "NodeCost",
    "Padding",
    "Reshape",
    "Scale",
    "Shape",
    "Softmax",
    "Sub",
    "cost",
    "device_cost",
    "infer_shapes",
    "interpret",
    "load_graph",
    "node_outputs",
    "same_padding",
    "save_graph",
    "window_padding",
]
