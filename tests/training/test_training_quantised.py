"""The simulated int8 graph: the grids and the values of the file that the exporter writes, and its gradients."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_bank import CONFIG, make_bank

from kws_dendrite import plain
from kws_dendrite.dendrites import DendriteConfig
from kws_dendrite.errors import DataError, GraphError
from kws_dendrite.export.intermediate import tflite_layers
from kws_dendrite.export.predictor import TFLitePredictor
from kws_dendrite.export.tflite import TFLiteJob, convert
from kws_dendrite.fold import fold
from kws_dendrite.models import SeparableConfig, build_model
from kws_dendrite.plain import Graph, Input, Reshape, interpret
from kws_dendrite.training.config import TrainConfig
from kws_dendrite.training.growth import train
from kws_dendrite.training.quantised import QuantisedGraph, grid, round_weight

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "plain"))

from sample_graphs import decisive, features, temporal

T, F, K = 14, 6, 3


def separable(**changes):
    """A folded net in which nothing stands at its starting value."""
    model = build_model(SeparableConfig(T, F, K, channels=7, kernel=3, **changes), 1).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in (*model.named_parameters(), *model.named_buffers()):
            if name.endswith(("running_var", "std")):
                value.uniform_(0.5, 1.5, generator=generator)
            elif value.dim() <= 2:
                value.normal_(std=0.5, generator=generator)
    return fold(model)


def grown(**settings):
    """Two dendrites a neuron."""
    growth = DendriteConfig(mode="gradient", dendrites=2, **settings)
    config = TrainConfig(epochs=2, batch_size=12, learning_rate=0.02)
    bank = make_bank()
    result = train(build_model(CONFIG, 1), bank, config, growth=growth)
    return fold(result.model)


GRAPHS = {
    "default": separable,
    "stride, joined": lambda: separable(stride=2, residual="joined", blocks=(0, 1)),
    "filters": lambda: separable(filters=3, filter_size=(3, 2)),
    "hidden": lambda: separable(head_hidden=5, pooling="max", remove_mean=True),
    "hidden clip": lambda: separable(head_hidden=5, head_activation="hard_tanh", pool_window=2),
    "dendrites": lambda: grown(activation="tanh"),
    "dendrites before the pool": lambda: grown(kind="pool", layers="head"),
    "sample": temporal,
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Name -> graph, features (60, T*F), the int8 file: one conversion for all."""
    folder, made, jobs = tmp_path_factory.mktemp("quantised"), {}, []
    for index, (name, make) in enumerate(GRAPHS.items()):
        graph = make()
        x = features(graph, 60)
        graph = decisive(graph, x) if name == "sample" else graph
        path = folder / f"{index}.tflite"
        jobs.append(TFLiteJob(graph, None, path, x))
        made[name] = graph, x, path
    convert(jobs)
    return made


@pytest.fixture(params=GRAPHS)
def case(request, exported):
    graph, x, path = exported[request.param]
    net = QuantisedGraph(graph)
    net.calibrate(torch.from_numpy(x))
    return graph, x, path, net


def test_grids_are_the_files(case):
    _, _, path, net = case
    details = TFLitePredictor(path).interpreter.get_tensor_details()
    found = {detail["name"]: detail["quantization"] for detail in details}
    there = set(net.grids) & set(found)
    assert len(there) >= 5
    for name in there:
        scale, zero_point = net.grids[name]
        assert found[name][0] == pytest.approx(scale, rel=1e-4), name
        assert found[name][1] == zero_point, name


def test_values_are_the_files_to_a_step_here_and_there(case):
    graph, x, path, net = case
    values = {}
    rounding = net._round

    def watch(name, value, node=None):
        y = rounding(name, value, node)
        if node is not None:
            values[node.name] = y.detach().numpy(), net.grids[name][0]
        return y

    net._round = watch
    with torch.no_grad():
        net(torch.from_numpy(x))
    theirs = tflite_layers(graph, path)(x)
    compared = set(values) & set(theirs)
    assert len(compared) >= 6 and graph.output.inputs[0] in compared
    for name in compared:
        ours, step = values[name]
        assert np.abs(ours - theirs[name]).mean() < step, name


def test_probabilities_are_nearer_to_the_files_than_the_float_graph_is(case):
    graph, x, path, net = case
    found = TFLitePredictor(path).predict(x)
    with torch.no_grad():
        ours = torch.softmax(net(torch.from_numpy(x)), -1).numpy()
    assert np.abs(ours - found).mean() < max(0.8 * np.abs(interpret(graph, x) - found).mean(), 1 / 256)


def test_without_rounding_it_is_the_float_graph(case):
    graph, x, _, net = case
    ours = torch.softmax(net.exact(torch.from_numpy(x)), -1).numpy()
    np.testing.assert_allclose(ours, interpret(graph, x), atol=1e-5)
    assert net.mode == "int8"


def test_every_weight_and_bias_gets_a_gradient(case):
    _, x, _, net = case
    net(torch.from_numpy(x)).square().sum().backward()
    for parameter in net.parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0


def test_a_shared_weight_is_one_parameter_and_stays_one():
    graph = separable()
    net = QuantisedGraph(graph)
    layers = [node for node in graph.nodes if isinstance(node, plain.Conv2D | plain.Dense)]
    assert len(net.weights) == len(graph.weights) < len(layers)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.5)
    moved = net.to_graph()
    assert moved.weights.keys() == graph.weights.keys() and plain.cost(moved) == plain.cost(graph)
    for name, weight in graph.weights.items():
        np.testing.assert_allclose(moved.weights[name], weight + 0.5, rtol=1e-6)
    for before, after in zip(graph.nodes, moved.nodes, strict=True):
        if getattr(before, "bias", None) is not None:
            np.testing.assert_allclose(after.bias, before.bias + 0.5, rtol=1e-6)


def test_making_it_leaves_the_graph_as_it_is():
    graph = separable()
    before = {name: weight.copy() for name, weight in graph.weights.items()}
    net = QuantisedGraph(graph)
    with torch.no_grad():
        net.weights[0].zero_()
    assert all(np.array_equal(before[name], graph.weights[name]) for name in before)


def test_gradients_pass_rounding_and_stop_at_a_clip():
    x = torch.tensor([[0.4, 0.7, 9.0]], requires_grad=True)
    nodes = (Input("in", (), 3), Reshape("same", ("in",), (3,)), plain.Softmax("out", ("same",)))
    net = QuantisedGraph(Graph(nodes, {}))
    net.calibrate(torch.tensor([[0.0, 0.5, 1.0]]))
    net(x).sum().backward()
    assert x.grad.tolist() == [[1.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 255.0, (1.0, -128)),
        (-1.0, 1.0, (2 / 255, -1)),  # -0.5 rounds away from zero, as in TFLite's files
        (2.0, 5.1, (0.02, -128)),  # zero is always in
        (-5.1, -1.0, (0.02, 127)),
        (0.0, 0.0, (1.0, 0)),
    ],
)
def test_a_grid(low, high, expected):
    scale, zero_point = grid(low, high)
    assert (scale, zero_point) == (pytest.approx(expected[0]), expected[1])


def test_weights_have_a_scale_a_channel_or_one_for_all():
    weight = torch.tensor([[1.0, 100.0], [0.4, -33.0]])
    each, all_alike = round_weight(weight, a_channel=True), round_weight(weight, a_channel=False)
    torch.testing.assert_close(each, torch.tensor([[1.0, 100.0], [51 / 127, -42 * 100 / 127]]))
    torch.testing.assert_close(all_alike, torch.tensor([[100 / 127, 100.0], [100 / 127, -42 * 100 / 127]]))
    assert torch.equal(round_weight(torch.zeros(3, 2), a_channel=True), torch.zeros(3, 2))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 2])
def test_calibration_that_is_not_finite_is_refused(value, place):
    x = torch.zeros(3, 4)
    x[place, 1] = value
    net = QuantisedGraph(Graph((Input("in", (), 4), plain.Softmax("out", ("in",))), {}))
    with pytest.raises(DataError, match="'in' gives values that are not finite"):
        net.calibrate(x, chunk=1)


def test_what_has_no_simulated_form_is_refused():
    inputs = Input("in", (), 4)
    with pytest.raises(GraphError, match="logits before a Softmax"):
        QuantisedGraph(Graph((inputs,), {}))
    both = plain.Concat("both", ("in", "in"))
    net = QuantisedGraph(Graph((inputs, both, plain.Softmax("out", ("both",))), {}))
    with pytest.raises(GraphError, match="'both' of type Concat"):
        net.calibrate(torch.zeros(1, 4))
