import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sample_graphs import SAMPLES, Builder, features, random_graph

from kws_dendrite.errors import GraphError
from kws_dendrite.plain import (
    Activation,
    AvgPool,
    Conv2D,
    Graph,
    Input,
    MaxPool,
    Reshape,
    Scale,
    Softmax,
    infer_shapes,
    interpret,
    node_outputs,
    same_padding,
)

pair = st.tuples(st.integers(1, 4), st.integers(1, 4))


def torch_pad(x, kernel, stride, padding, dilation=(1, 1), value=0.0):
    """TensorFlow's SAME, spelled out in torch: x is (N, C, H, W)."""
    if padding == "valid":
        return x
    rows = same_padding(x.shape[2], kernel[0], stride[0], dilation[0])
    columns = same_padding(x.shape[3], kernel[1], stride[1], dilation[1])
    return torch.nn.functional.pad(x, (*columns, *rows), value=value)


def run_last(b, x, shape):
    """The last node of a Builder's graph on maps x (N, H, W, C)."""
    return node_outputs(b.graph(), x.reshape(len(x), -1), dtype=np.float64)[b.nodes[-1].name]


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 6)),
    kernel=pair,
    stride=pair,
    dilation=pair,
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.sampled_from(["same", "valid"]),
    depthwise=st.booleans(),
)
def test_convolution_is_torchs(size, kernel, stride, dilation, channels, padding, depthwise):
    H, W = size
    inputs, outputs = channels
    assume(padding == "same" or all((k - 1) * d < n for k, d, n in zip(kernel, dilation, size, strict=True)))
    b = Builder(H * W * inputs)
    b(Reshape, shape=(H, W, inputs), name="map")
    shape = (*kernel, inputs) if depthwise else (*kernel, inputs, outputs)
    outputs = shape[-1]
    b(
        Conv2D, weight=b.weight("w", *shape), scale=b.positive(outputs), bias=b.vector(outputs), stride=stride,
        dilation=dilation, padding=padding, depthwise=depthwise, name="conv",
    )  # fmt: skip
    x = b.random.normal(size=(3, H, W, inputs))
    node, weight = b.nodes[-1], torch.from_numpy(b.weights["w"]).double()
    weight = weight.permute(2, 0, 1)[:, None] if depthwise else weight.permute(3, 2, 0, 1)
    y = torch.nn.functional.conv2d(
        torch_pad(torch.from_numpy(x).permute(0, 3, 1, 2), kernel, stride, padding, dilation),
        weight,
        stride=stride,
        dilation=dilation,
        groups=inputs if depthwise else 1,
    )
    wanted = y.permute(0, 2, 3, 1).numpy() * node.scale + node.bias
    np.testing.assert_allclose(run_last(b, x, (H, W, inputs)), wanted, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 6)),
    kernel=pair,
    stride=pair,
    padding=st.sampled_from(["same", "valid"]),
)
def test_pools_are_torchs(size, kernel, stride, padding):
    assume(padding == "same" or all(k <= n for k, n in zip(kernel, size, strict=True)))
    x = np.random.default_rng(0).normal(size=(2, *size, 3))
    there = torch.from_numpy(x).permute(0, 3, 1, 2)
    for pool in (MaxPool, AvgPool):
        b = Builder(x[0].size)
        b(Reshape, shape=x.shape[1:], name="map")
        b(pool, kernel=kernel, stride=stride, padding=padding, name="pool")
        if pool is MaxPool:
            y = torch.nn.functional.max_pool2d(torch_pad(there, kernel, stride, padding, value=-np.inf), kernel, stride)
        else:
            total = torch.nn.functional.avg_pool2d(torch_pad(there, kernel, stride, padding), kernel, stride)
            inside = torch.nn.functional.avg_pool2d(
                torch_pad(torch.ones_like(there), kernel, stride, padding), kernel, stride
            )
            y = total / inside  # padded positions are not counted
        np.testing.assert_allclose(run_last(b, x, x.shape[1:]), y.permute(0, 2, 3, 1).numpy(), atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("relu", [0, 0, 0, 0.5, 80]),
        ("hard_tanh", [-1, -0.5, 0, 0.5, 1]),
        ("tanh", [-1, np.tanh(-0.5), 0, np.tanh(0.5), 1]),
        ("sigmoid", [0, 1 / (1 + np.exp(0.5)), 0.5, 1 / (1 + np.exp(-0.5)), 1]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations(kind, wanted, dtype):
    graph = Graph((Input("x", (), 5), Activation("y", ("x",), kind)), {})
    with np.errstate(over="raise"):
        y = interpret(graph, np.array([[-80, -0.5, 0, 0.5, 80]]), dtype=dtype)
    assert y.dtype == dtype
    np.testing.assert_allclose(y[0], wanted, atol=1e-7)


def test_softmax_survives_large_scores():
    graph = Graph((Input("x", (), 3), Softmax("y", ("x",))), {})
    np.testing.assert_allclose(interpret(graph, np.array([[1000.0, 1000.0, -1000.0]])), [[0.5, 0.5, 0]], atol=1e-7)


def test_scale_broadcasts_over_frequency():
    scale = np.arange(4, dtype=np.float32).reshape(1, 4, 1)
    nodes = (Input("x", (), 12), Reshape("m", ("x",), (3, 4, 1)), Scale("y", ("m",), scale, scale + 1))
    y = interpret(Graph(nodes, {}), np.ones((2, 12)))
    np.testing.assert_array_equal(y[..., 0], np.broadcast_to([1, 3, 5, 7], (2, 3, 4)))


@pytest.mark.parametrize("name", SAMPLES)
def test_float32_is_near_float64(name):
    graph = SAMPLES[name]()
    x = features(graph)
    assert interpret(graph, x).dtype == np.float32
    np.testing.assert_allclose(interpret(graph, x), interpret(graph, x, dtype=np.float64), atol=2e-6)


@pytest.mark.parametrize("seed", range(5))
def test_chunks_and_neighbours_change_nothing(seed):
    graph = random_graph(seed)
    x = features(graph, 7)
    whole = interpret(graph, x, dtype=np.float64)
    np.testing.assert_allclose(interpret(graph, x, dtype=np.float64, chunk=3), whole, atol=1e-13)
    np.testing.assert_allclose(interpret(graph, x[4:5], dtype=np.float64), whole[4:5], atol=1e-13)


def test_node_outputs_have_the_inferred_shapes():
    graph = SAMPLES["temporal"]()
    x = features(graph, 3)
    values = node_outputs(graph, x)
    assert {name: value.shape[1:] for name, value in values.items()} == infer_shapes(graph)
    np.testing.assert_array_equal(values["probabilities"], interpret(graph, x))


def test_no_clips_give_no_rows():
    graph = SAMPLES["planar"]()
    assert interpret(graph, np.empty((0, graph.input.size))).shape == (0, 3)


@pytest.mark.parametrize("shape", [(3, 7), (160,), (2, 20, 8)])
def test_features_that_do_not_fit(shape):
    with pytest.raises(GraphError, match=r"reads features \(N, 160\)"):
        interpret(SAMPLES["temporal"](), np.zeros(shape))
