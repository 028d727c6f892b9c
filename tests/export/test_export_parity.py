import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from sample_graphs import NAMES

from kws_dendrite.errors import DataError, ParityError
from kws_dendrite.export import check_parity
from kws_dendrite.plain import Graph, node_outputs


@pytest.fixture
def folder(temporal_export, tmp_path):
    shutil.copytree(temporal_export.folder, tmp_path / "bundle")
    return tmp_path / "bundle"


def labels(sample):
    return sample.probabilities.argmax(1)


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_holds(exported, name):
    sample = exported[name]
    report = check_parity(
        sample.graph, sample.folder, sample.x, labels(sample), reference_probabilities=sample.probabilities
    )
    assert [hop.name for hop in report.hops] == ["torch -> plain", "plain -> onnx", "plain -> tflite"]
    assert [hop.bound for hop in report.hops] == [1e-5, 1e-5, 1e-4]
    assert all(hop.worst <= hop.bound and hop.clips == 100 for hop in report.hops)
    assert all(hop.worst_logits is not None for hop in report.hops[1:])
    assert [row.name for row in report.int8] == ["onnx_int8", "tflite_int8"]
    assert all(row.float_accuracy == 1 and row.accuracy == row.equal_decisions for row in report.int8)
    assert report.int8[1].signal_to_noise_db["probabilities"] > 5
    assert json.loads(json.dumps(report.to_json(), allow_nan=False)) == report.to_json()


def test_logits_from_torch(temporal_export):
    outputs = node_outputs(temporal_export.graph, temporal_export.x)
    report = check_parity(
        temporal_export.graph,
        temporal_export.folder,
        temporal_export.x,
        labels(temporal_export),
        reference_probabilities=outputs["probabilities"],
        reference_logits=outputs["logits"] + np.float32(1e-3),
    )
    assert report.hops[0].worst_logits == pytest.approx(1e-3, rel=0.1)


def tamper_onnx(path, name):
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name == name:
            changed = numpy_helper.to_array(tensor).copy()
            changed.flat[0] += 0.5
            tensor.CopyFrom(numpy_helper.from_array(changed, name))
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("weight", "layer"),
    [
        ("normalised/scale", "normalised"),
        ("stem/bias", "stem"),
        ("block/depthwise/shared", "depthwise_0"),
        ("pointwise_1/bias", "pointwise_1"),
        ("dendrite/weight", "dendrite"),
        ("dendrite_strength/bias", "dendrite_strength"),
        ("logits/weight", "logits"),
    ],
)
def test_a_tampered_onnx_weight_names_hop_and_layer(temporal_export, folder, weight, layer):
    tamper_onnx(folder / "model.onnx", weight)
    with pytest.raises(ParityError, match=f"plain -> onnx: .* first at layer '{layer}'") as error:
        check_parity(temporal_export.graph, folder, temporal_export.x, labels(temporal_export))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("node", "layer"),
    [("stem", "stem..stem_relu"), ("pointwise_1", "pointwise_1..block_relu_1"), ("dendrite", "dendrite")],
)
def test_a_tampered_tflite_bias_names_the_fused_layers(temporal_export, folder, node, layer):
    path = folder / "model.tflite"
    bias = next(other.bias for other in temporal_export.graph.nodes if other.name == node)
    changed = bias.copy()
    changed[0] += 1
    content = path.read_bytes()
    assert content.count(bias.tobytes()) == 1
    path.write_bytes(content.replace(bias.tobytes(), changed.tobytes()))
    with pytest.raises(ParityError, match=f"plain -> tflite: .* first at layer '{layer}'"):
        check_parity(temporal_export.graph, folder, temporal_export.x, labels(temporal_export))


def test_a_torch_model_that_differs_names_the_layer(temporal_export):
    graph = temporal_export.graph
    weights = dict(graph.weights) | {"dendrite": graph.weights["dendrite"] * np.float32(1.5)}
    outputs = node_outputs(Graph(graph.nodes, weights, graph.labels), temporal_export.x)
    arguments = (graph, temporal_export.folder, temporal_export.x, labels(temporal_export))
    with pytest.raises(ParityError, match=r"torch -> plain: .* first at layer 'dendrite'"):
        check_parity(*arguments, reference_probabilities=outputs["probabilities"], reference_outputs=outputs)
    with pytest.raises(ParityError, match="the caller gave no layers to compare"):
        check_parity(*arguments, reference_probabilities=outputs["probabilities"])


def test_not_a_number_is_over_every_bound(temporal_export):
    reference = temporal_export.probabilities.copy()
    reference[3, 1] = np.nan
    with pytest.raises(ParityError, match="differ by inf"):
        check_parity(
            temporal_export.graph,
            temporal_export.folder,
            temporal_export.x,
            labels(temporal_export),
            reference_probabilities=reference,
        )


def test_a_bundle_with_some_artefacts(temporal_export, folder):
    for name in ("model_int8.onnx", "model.tflite"):
        (folder / name).unlink()
    report = check_parity(temporal_export.graph, folder, temporal_export.x, labels(temporal_export))
    assert [hop.name for hop in report.hops] == ["plain -> onnx"]
    assert [row.name for row in report.int8] == ["tflite_int8"]


def test_arrays_that_do_not_fit(temporal_export):
    graph, folder, x = temporal_export.graph, temporal_export.folder, temporal_export.x
    with pytest.raises(DataError, match="as many labels as clips"):
        check_parity(graph, folder, x, np.zeros(3, int))
    with pytest.raises(DataError, match="at least one"):
        check_parity(graph, folder, x[:0], np.zeros(0, int))
    with pytest.raises(DataError, match="reference probabilities have shape"):
        check_parity(graph, folder, x, labels(temporal_export), reference_probabilities=np.zeros((100, 3)))
