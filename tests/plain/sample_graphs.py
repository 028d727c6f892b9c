"""Plain graphs for tests, each small, together covering every node type and option."""

import numpy as np

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
    Reshape,
    Scale,
    Softmax,
    Sub,
    infer_shapes,
)


class Builder:
    """Adds nodes one by one, each fed by the last unless told otherwise."""

    def __init__(self, size, seed=0):
        self.random = np.random.default_rng(seed)
        self.nodes = [Input("input", (), size)]
        self.weights = {}

    def __call__(self, node_type, *sources, name, **fields):
        self.nodes.append(node_type(name, sources or (self.nodes[-1].name,), **fields))
        return name

    def weight(self, name, *shape):
        fan_in = int(np.prod(shape[:-1]))
        self.weights[name] = (self.random.normal(size=shape) * np.sqrt(2 / fan_in)).astype(np.float32)
        return name

    def vector(self, size, *, around=0.0):
        return (around + 0.3 * self.random.normal(size=size)).astype(np.float32)

    def positive(self, size):
        return self.random.uniform(0.3, 1.5, size=size).astype(np.float32)

    def graph(self, labels=()):
        graph = Graph(tuple(self.nodes), self.weights, tuple(labels))
        infer_shapes(graph)
        return graph


def temporal(seed=0, T=20, F=8, C=12, K=4):
    """The default net's kind: mean removal, stem, a residual block used twice, mean-plus-max pool, a dendrite, head."""
    b = Builder(T * F, seed)
    b(Reshape, shape=(T, F, 1), name="plane")
    b(AvgPool, "plane", kernel=(T, F), stride=(T, F), name="mean")
    b(Sub, "plane", "mean", name="centred")
    b(Reshape, shape=(T, 1, F), name="frames")
    b(Scale, scale=b.positive(F), bias=b.vector(F), name="normalised")
    b(Conv2D, weight=b.weight("stem", 1, 1, F, C), bias=b.vector(C), name="stem")
    last = b(Activation, kind="relu", name="stem_relu")
    b.weight("block/depthwise", 5, 1, C)
    b.weight("block/pointwise", 1, 1, C, C)
    for use, dilation in enumerate((1, 3)):
        b(Conv2D, weight="block/depthwise", dilation=(dilation, 1), depthwise=True, name=f"depthwise_{use}")
        b(Conv2D, weight="block/pointwise", scale=b.positive(C), bias=b.vector(C), name=f"pointwise_{use}")
        b(Activation, kind="relu", name=f"block_relu_{use}")
        last = b(Add, f"block_relu_{use}", last, name=f"residual_{use}")
    b(Conv2D, last, weight=b.weight("dendrite", 1, 1, C, C), bias=b.vector(C), name="dendrite")
    b(Activation, kind="tanh", name="dendrite_tanh")
    b(Scale, scale=b.vector(C), bias=b.vector(C), name="dendrite_strength")
    b(Add, last, "dendrite_strength", name="grown")
    last = b(Activation, kind="relu", name="grown_relu")
    b(AvgPool, last, kernel=(T, 1), stride=(T, 1), name="mean_pool")
    b(MaxPool, last, kernel=(T, 1), stride=(T, 1), name="max_pool")
    b(Add, "mean_pool", "max_pool", name="pooled")
    b(Scale, scale=np.float32([0.5]), name="halved")
    b(Reshape, shape=(C,), name="flat")
    b(Dense, weight=b.weight("head", C, K), bias=b.vector(K), name="logits")
    b(Softmax, name="probabilities")
    return b.graph([f"word{k}" for k in range(K)])


def planar(seed=1, T=13, F=10, K=3):
    """The stock 2-D kind: 3 x 3 convolutions, strides, "valid", overlapping pools, flatten in NHWC order."""
    b = Builder(T * F, seed)
    b(Reshape, shape=(T, F, 1), name="plane")
    b(Conv2D, weight=b.weight("c1", 3, 3, 1, 6), bias=b.vector(6), stride=(2, 2), name="c1")
    b(Activation, kind="hard_tanh", name="c1_clip")
    b(MaxPool, kernel=(2, 2), stride=(2, 2), padding="same", name="pool_1")
    b(Conv2D, weight=b.weight("c2", 3, 2, 6, 5), scale=b.positive(5), bias=b.vector(5), padding="valid", name="c2")
    b(Activation, kind="sigmoid", name="c2_gate")
    b(AvgPool, kernel=(3, 3), stride=(1, 1), padding="same", name="pool_2")
    b(Conv2D, weight=b.weight("c3", 3, 3, 5), depthwise=True, scale=b.positive(5), name="c3")
    b(Reshape, shape=(2 * 2 * 5,), name="flat")
    b(Dense, weight=b.weight("hidden", 20, 7), bias=b.vector(7), name="hidden")
    b(Activation, kind="tanh", name="hidden_tanh")
    b(Scale, scale=b.vector(7, around=1.0), bias=b.vector(7), name="hidden_scale")
    b(Dense, weight=b.weight("head", 7, K), name="logits")
    b(Softmax, name="probabilities")
    return b.graph([f"word{k}" for k in range(K)])


def joined(seed=2, T=12, F=6, K=5):
    """Concat, Mul, Sub of maps, broadcast over W, a shared Dense, a shared "same" strided convolution, free clips."""
    b = Builder(T * F, seed)
    b(Reshape, shape=(T, F, 1), name="plane")
    b(Scale, scale=b.positive((1, F, 1)), bias=b.vector((1, F, 1)), name="bands")
    b.weight("shared", 3, 3, 1, 4)
    b(Conv2D, "bands", weight="shared", scale=b.positive(4), bias=b.vector(4), stride=(2, 1), name="left")
    b(Conv2D, "plane", weight="shared", scale=b.positive(4), stride=(2, 1), dilation=(1, 1), name="right")
    b(Activation, "left", kind="sigmoid", name="gate")
    b(Mul, "gate", "right", name="gated")
    b(Sub, "left", "gated", name="rest")
    b(Activation, "rest", kind="hard_tanh", name="clipped")
    b(Concat, "clipped", "gated", name="both")
    b(AvgPool, "both", kernel=(1, F), stride=(1, F), name="over_bands")
    b(Mul, "both", "over_bands", name="weighted")
    b(MaxPool, "weighted", kernel=(3, 2), stride=(3, 2), name="pool")
    b(Reshape, shape=(2 * 3 * 8,), name="flat")
    b.weight("dense", 48, 6)
    b(Dense, "flat", weight="dense", scale=b.positive(6), bias=b.vector(6), name="first")
    b(Dense, "flat", weight="dense", scale=b.positive(6), name="second")
    b(Activation, "first", kind="hard_tanh", name="first_clip")
    b(Concat, "first_clip", "second", name="pair")
    b(Activation, "pair", kind="relu", name="pair_relu")
    b(Dense, weight=b.weight("head", 12, K), bias=b.vector(K), name="logits")
    b(Softmax, name="probabilities")
    return b.graph([f"word{k}" for k in range(K)])


SAMPLES = {"temporal": temporal, "planar": planar, "joined": joined}


def features(graph, count=40, seed=5):
    """Features (count, T*F) that vary slowly along time, as speech does."""
    random = np.random.default_rng(seed)
    size = graph.input.size
    noise = random.normal(size=(count, size + 8))
    smooth = np.stack([np.convolve(row, np.hanning(9) / 2, mode="valid") for row in noise])
    return (smooth * random.uniform(0.5, 2, size=(count, 1))).astype(np.float32)
