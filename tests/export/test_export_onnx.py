import numpy as np
import onnx
import pytest
from sample_graphs import NAMES, Builder, temporal

from kws_dendrite.export import load_predictor, write_onnx
from kws_dendrite.export.intermediate import onnx_layers
from kws_dendrite.export.onnx import INPUT, OUTPUT, build_onnx
from kws_dendrite.plain import Activation, Dense, MaxPool, Reshape, Softmax, infer_shapes, node_outputs


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_are_the_interpreters(exported, name):
    sample = exported[name]
    found = load_predictor(sample.folder / "model.onnx").predict(sample.x)
    np.testing.assert_allclose(found, sample.probabilities, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_node_is_there_under_its_name(exported, name):
    sample = exported[name]
    ours = node_outputs(sample.graph, sample.x[:4])
    theirs = onnx_layers(sample.graph, sample.folder / "model.onnx")(sample.x[:4])
    assert set(theirs) == set(ours) - {sample.graph.input.name}
    for key, value in theirs.items():
        np.testing.assert_allclose(value, ours[key], atol=1e-5 * max(1, np.abs(ours[key]).max()), err_msg=key)


def test_form(exported):
    sample = exported["temporal"]
    model = onnx.load(sample.folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    (source,), (target,) = model.graph.input, model.graph.output
    shape = lambda value: [axis.dim_value for axis in value.type.tensor_type.shape.dim]  # noqa: E731
    assert (source.name, shape(source)) == (INPUT, [1, 160])
    assert (target.name, shape(target)) == (OUTPUT, [1, 4])
    assert model.graph.node[0].op_type == "Reshape" and model.graph.node[-1].op_type == "Softmax"


def test_a_shared_weight_is_one_initialiser():
    model = build_onnx(temporal())
    names = [tensor.name for tensor in model.graph.initializer]
    assert names.count("block/pointwise/shared") == 1
    users = [node for node in model.graph.node if "block/pointwise/shared" in node.input]
    assert len(users) == 2
    assert sum(np.prod(tensor.dims) == 144 for tensor in model.graph.initializer) == 2  # the block's, the dendrite's


def test_the_same_graph_gives_the_same_bytes(tmp_path):
    write_onnx(temporal(), tmp_path / "a.onnx")
    write_onnx(temporal(), tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


@pytest.mark.parametrize("shape", [(6, 1, 4), (1, 6, 4), (6, 4, 1), (1, 1, 24), (2, 3, 4)])
def test_reshapes_keep_the_order_of_features(shape, tmp_path):
    b = Builder(24)
    b(Reshape, shape=shape, name="map")
    b(Reshape, shape=shape[::-1], name="again")
    b(Activation, kind="tanh", name="tanh")
    b(Reshape, shape=(24,), name="flat")
    b(Dense, weight=b.weight("d", 24, 3), name="logits")
    b(Softmax, name="probabilities")
    graph = b.graph()
    x = b.random.normal(size=(4, 24)).astype(np.float32)
    write_onnx(graph, tmp_path / "m.onnx")
    theirs = onnx_layers(graph, tmp_path / "m.onnx")(x)
    for name, value in node_outputs(graph, x).items():
        if name != "input":
            np.testing.assert_allclose(theirs[name], value, atol=1e-6, err_msg=name)


def test_a_mean_over_the_whole_map_is_exact_for_large_offsets(tmp_path):
    """A clip's log-mel values share an offset; adding a thousand of them up in float32 would lose five digits."""
    from sample_graphs import temporal as make

    graph = make(T=49, F=24)
    x = (np.random.default_rng(0).normal(size=(8, 1176)) - 13).astype(np.float32)
    write_onnx(graph, tmp_path / "m.onnx")
    mean = onnx_layers(graph, tmp_path / "m.onnx")(x, ["mean"])["mean"].ravel()
    np.testing.assert_allclose(mean, x.astype(np.float64).mean(1), atol=4e-6)


def test_a_pool_that_pads_keeps_negative_values(tmp_path):
    b = Builder(9)
    b(Reshape, shape=(3, 3, 1), name="map")
    b(MaxPool, kernel=(2, 2), stride=(2, 2), padding="same", name="pool")
    b(Reshape, shape=(4,), name="flat")
    b(Softmax, name="probabilities")
    graph = b.graph()
    assert infer_shapes(graph)["pool"] == (2, 2, 1)
    write_onnx(graph, tmp_path / "m.onnx")
    pool = onnx_layers(graph, tmp_path / "m.onnx")(-np.arange(1, 10, dtype=np.float32)[None])["pool"]
    np.testing.assert_array_equal(pool.ravel(), [-1, -3, -7, -9])
