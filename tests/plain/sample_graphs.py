"""Plain graphs for tests, each small, together covering every node type and option."""

from dataclasses import replace

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
    node_outputs,
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
NAMES = (*SAMPLES, *(f"random_{seed}" for seed in range(12)))


def named(name):
    """The sample of `NAMES` with that name."""
    return SAMPLES[name]() if name in SAMPLES else random_graph(int(name.split("_")[1]))


def features(graph, count=40, seed=5):
    """Features (count, T*F) that vary slowly along time, as speech does."""
    random = np.random.default_rng(seed)
    size = graph.input.size
    noise = random.normal(size=(count, size + 8))
    smooth = np.stack([np.convolve(row, np.hanning(9) / 2, mode="valid") for row in noise])
    return (smooth * random.uniform(0.5, 2, size=(count, 1))).astype(np.float32)


def decisive(graph, x, spread=4.0):
    """The graph with its head rescaled, so that over `x` no class is favoured and decisions are mostly clear."""
    head = graph.nodes[-2]
    logits = node_outputs(graph, x)[head.name]
    gain = (spread / np.maximum(logits.std(0), 0.1)).astype(np.float32)
    weights = dict(graph.weights)
    weights[head.weight] = weights[head.weight] * gain
    bias = np.zeros(len(gain), np.float32) if head.bias is None else head.bias
    head = replace(head, bias=((bias - logits.mean(0)) * gain).astype(np.float32))
    return replace(graph, nodes=(*graph.nodes[:-2], head, graph.nodes[-1]), weights=weights)


def random_graph(seed):
    """A random well-formed graph of up to a dozen layers over every node type and option."""
    r = np.random.default_rng(1000 + seed)
    H, W, C = int(r.integers(5, 14)), int(r.choice([1, 1, 4, 7])), int(r.integers(1, 6))
    b = Builder(H * W * C, seed)
    last = b(Reshape, shape=(H, W, C), name="map")
    shapes = {last: (H, W, C)}
    shared = None
    for step in range(int(r.integers(3, 11))):
        H, W, C = shapes[last]
        name = f"n{step}"
        kind = r.choice(["conv", "depthwise", "shared", "scale", "bands", "act", "pool", "combine", "concat", "mean"])
        if kind == "shared" and shared is not None and shared[1] == C:
            dilation = (int(r.integers(1, 3)), 1)
            b(Conv2D, last, weight=shared[0], scale=b.positive(C), bias=b.vector(C), dilation=dilation, name=name)
            shape = (H, W, C)
        elif kind in ("conv", "shared"):
            kernel = (int(r.integers(1, min(H, 4) + 1)), int(r.integers(1, min(W, 3) + 1)))
            stride = (int(r.integers(1, 3)), int(r.integers(1, 3))) if kind == "conv" else (1, 1)
            padding = str(r.choice(["same", "valid"])) if kind == "conv" else "same"
            out = int(r.integers(1, 7)) if kind == "conv" else C
            weight = b.weight(f"w{step}", *kernel, C, out)
            shared = (weight, C) if kind == "shared" else shared
            options = {"scale": b.positive(out)} if r.random() < 0.5 else {}
            options |= {"bias": b.vector(out)} if r.random() < 0.7 else {}
            b(Conv2D, last, weight=weight, stride=stride, padding=padding, name=name, **options)
            shape = infer_shapes(b.graph())[name]
        elif kind == "depthwise":
            kernel = (int(r.integers(1, 5)), int(r.integers(1, min(W, 3) + 1)))
            stride = int(r.integers(1, 3))
            dilation = (1, 1) if stride > 1 or kernel[0] * 2 > H else (int(r.integers(1, 3)), 1)
            b(
                Conv2D, last, weight=b.weight(f"w{step}", *kernel, C), bias=b.vector(C), depthwise=True, name=name,
                stride=(stride, stride), dilation=dilation,
            )  # fmt: skip
            shape = infer_shapes(b.graph())[name]
        elif kind in ("scale", "bands"):
            size = C if kind == "scale" else (1, W, C)
            b(Scale, last, scale=b.vector(size, around=1), bias=b.vector(size) if r.random() < 0.6 else None, name=name)
            shape = (H, W, C)
        elif kind == "pool" and H > 2:
            kernel = (int(r.integers(1, min(H, 3) + 1)), int(r.integers(1, min(W, 3) + 1)))
            pool = (MaxPool, AvgPool)[int(r.integers(2))]
            padding = str(r.choice(["same", "valid"]))
            b(pool, last, kernel=kernel, stride=kernel if r.random() < 0.5 else (1, 1), padding=padding, name=name)
            shape = infer_shapes(b.graph())[name]
        elif kind == "combine":
            partners = [other for other, found in shapes.items() if found == (H, W, C) and other != last]
            other = str(r.choice(partners)) if partners else last
            b((Add, Sub, Mul)[int(r.integers(3))] if partners else Add, last, other, name=name)
            shape = (H, W, C)
        elif kind == "concat":
            partners = [other for other, found in shapes.items() if found[:2] == (H, W)]
            other = str(r.choice(partners))
            b(Concat, last, other, name=name)
            shape = (H, W, C + shapes[other][2])
        elif kind == "mean":
            b(AvgPool, last, kernel=(H, W), stride=(H, W), name=f"{name}_mean")
            b(Sub, last, f"{name}_mean", name=name)
            shape = (H, W, C)
        else:
            b(Activation, last, kind=str(r.choice(["relu", "tanh", "sigmoid", "hard_tanh"])), name=name)
            shape = (H, W, C)
        shapes[name] = shape
        last = name
    size = int(np.prod(shapes[last]))
    b(Reshape, last, shape=(size,), name="flat")
    if r.random() < 0.5:
        b(Dense, weight=b.weight("hidden", size, 5), bias=b.vector(5), name="hidden")
        b(Activation, kind=str(r.choice(["relu", "tanh", "hard_tanh"])), name="hidden_act")
        b(Scale, scale=b.vector(5, around=1), bias=b.vector(5), name="hidden_scale")
        size = 5
    b(Dense, weight=b.weight("head", size, 3), bias=b.vector(3), name="logits")
    b(Softmax, name="probabilities")
    return b.graph(["a", "b", "c"])
