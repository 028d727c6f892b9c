import numpy as np
import onnx
import pytest
from sample_graphs import NAMES, Builder, features, temporal

from kws_dendrite.errors import ExportError
from kws_dendrite.export import load_predictor, write_onnx_int8
from kws_dendrite.export.onnx_int8 import build_onnx_int8
from kws_dendrite.plain import Dense, Scale, Softmax


@pytest.mark.parametrize("name", NAMES)
def test_decisions_agree_with_float(exported, name):
    sample = exported[name]
    found = load_predictor(sample.folder / "model_int8.onnx").predict(sample.x)
    assert sample.agreement(found) >= 0.95


@pytest.fixture(scope="module")
def model():
    graph = temporal()
    return build_onnx_int8(graph, features(graph, 30))


def arrays(model):
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_convolutions_are_per_channel_and_dense_per_tensor(model):
    found = arrays(model)
    assert found["stem/weight_scale"].shape == (12,)
    assert found["dendrite/weight_scale"].shape == (12,)
    assert found["logits/weight_scale"].shape == ()


def test_a_shared_weight_is_stored_once_with_two_scales(model):
    found = arrays(model)
    assert {"pointwise_0/weight_scale", "pointwise_1/weight_scale"} <= set(found)
    squares = [array for array in found.values() if array.dtype == np.int8 and array.size == 144]
    assert len(squares) == 2  # the block's and the dendrite's


def test_it_says_that_it_is_quantised(tmp_path):
    graph = temporal()
    write_onnx_int8(graph, tmp_path / "m.onnx", features(graph, 10))
    assert load_predictor(tmp_path / "m.onnx").kind == "onnx_int8"


def test_node_names_that_look_like_the_quantisers(tmp_path):
    b = Builder(6)
    b(Scale, scale=b.positive(6), name="x")
    b(Scale, scale=b.positive(6), name="x_scale")
    b(Scale, scale=b.positive(6), name="x_zero_point")
    b(Dense, weight=b.weight("x_quantized", 6, 3), name="x_quantized")
    b(Softmax, name="y")
    graph = b.graph()
    write_onnx_int8(graph, tmp_path / "m.onnx", features(graph, 10))
    assert load_predictor(tmp_path / "m.onnx").predict(features(graph, 3)).shape == (3, 3)


@pytest.mark.parametrize(
    ("calibration", "match"),
    [
        (None, r"needs calibration features \(M, 160\)"),
        (np.zeros((0, 160)), "needs calibration"),
        (np.zeros((5, 159)), r"got \(5, 159\)"),
        (np.full((5, 160), np.nan), "not finite"),
    ],
)
def test_calibration_that_does_not_fit(calibration, match, tmp_path):
    with pytest.raises(ExportError, match=match):
        write_onnx_int8(temporal(), tmp_path / "m.onnx", calibration)
    assert not list(tmp_path.iterdir())
