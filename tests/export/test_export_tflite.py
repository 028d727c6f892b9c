import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from sample_graphs import NAMES, Builder, features, temporal

from kws_dendrite.errors import ExportError
from kws_dendrite.export import load_predictor
from kws_dendrite.export.intermediate import tflite_layers
from kws_dendrite.export.operators import TFLITE_INT8
from kws_dendrite.export.tflite import TFLiteJob, convert
from kws_dendrite.plain import Activation, Concat, Dense, MaxPool, Reshape, Softmax, interpret, node_outputs

FILES = ("model.tflite", "model_quantized_int8_io.tflite")


@pytest.mark.parametrize("name", NAMES)
def test_float_probabilities_are_the_interpreters(exported, name):
    sample = exported[name]
    found = load_predictor(sample.folder / "model.tflite").predict(sample.x)
    np.testing.assert_allclose(found, sample.probabilities, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_tensors_carry_their_nodes_names(exported, name):
    sample = exported[name]
    ours = node_outputs(sample.graph, sample.x[:4])
    theirs = tflite_layers(sample.graph, sample.folder / "model.tflite")(sample.x[:4])
    assert len(theirs) >= len(ours) / 3 and sample.graph.output.name in theirs
    for key, value in theirs.items():
        np.testing.assert_allclose(value, ours[key], atol=1e-4 * max(1, np.abs(ours[key]).max()), err_msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_int8_decisions_agree_with_float(exported, name):
    sample = exported[name]
    found = load_predictor(sample.folder / "model_quantized_int8_io.tflite").predict(sample.x)
    assert sample.agreement(found) >= 0.95


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("file", FILES)
def test_form(exported, name, file):
    sample = exported[name]
    interpreter = Interpreter(str(sample.folder / file))
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    wanted = np.int8 if "int8" in file else np.float32
    assert (source["name"], source["dtype"], source["shape"].tolist()) == ("features", wanted, [1, sample.x.shape[1]])
    K = sample.probabilities.shape[1]
    assert (target["name"], target["dtype"], target["shape"].tolist()) == ("probabilities", wanted, [1, K])
    assert all((detail["shape_signature"] >= 0).all() for detail in interpreter.get_tensor_details())
    operators = [operator["op_name"] for operator in interpreter._get_ops_details()]
    operators = [operator for operator in operators if operator != "DELEGATE"]
    assert set(operators) <= TFLITE_INT8
    assert operators[-1] == "SOFTMAX"
    if "int8" in file:
        assert target["quantization"] == (1 / 256, -128)  # what micro runtimes insist on


def test_reshape_comes_first(exported):
    for name in ("temporal", "planar", "joined"):
        interpreter = Interpreter(str(exported[name].folder / FILES[1]))
        assert interpreter._get_ops_details()[0]["op_name"] == "RESHAPE"


def tensors(path):
    return {detail["name"]: detail for detail in Interpreter(str(path)).get_tensor_details()}


def test_dense_weights_have_one_scale_and_convolutions_one_a_channel(temporal_export):
    found = tensors(temporal_export.folder / FILES[1])
    assert len(found["logits/weight"]["quantization_parameters"]["scales"]) == 1
    assert len(found["stem_relu/weight"]["quantization_parameters"]["scales"]) == 12


def test_a_shared_weight_is_stored_once(temporal_export):
    content = (temporal_export.folder / FILES[1]).read_bytes()
    weight = temporal_export.graph.weights["block/pointwise"][0, 0]  # (Cin, Cout)
    step = np.abs(weight).max(0) / 127
    stored = np.rint(weight / step).astype(np.int8).T.tobytes()  # TFLite keeps (Cout, 1, 1, Cin)
    assert content.count(stored) == 1
    interpreter = Interpreter(str(temporal_export.folder / FILES[1]))
    found = tensors(temporal_export.folder / FILES[1])
    first, second = (interpreter.get_tensor(found[f"block_relu_{use}/weight"]["index"]) for use in (0, 1))
    np.testing.assert_array_equal(first, second)
    assert first.tobytes() == stored
    scales = [found[f"block_relu_{use}/weight"]["quantization_parameters"]["scales"] for use in (0, 1)]
    own = [node.scale for node in temporal_export.graph.nodes if node.name.startswith("pointwise")]
    np.testing.assert_allclose(scales, [step * scale for scale in own], rtol=1e-5)


def clip_after(kind):
    """A hard tanh behind something the converter cannot fuse it into."""
    b = Builder(24)
    b(Reshape, shape=(6, 4, 1), name="map")
    if kind == "concat":
        b(MaxPool, kernel=(2, 2), stride=(2, 2), name="pool")
        b(Concat, "pool", "pool", name="both")
    if kind == "sigmoid":
        b(Activation, kind="sigmoid", name="gate")
    if kind == "vector":
        b(Reshape, shape=(24,), name="vector")
    b(Activation, kind="hard_tanh", name="clip")
    size = 12 if kind == "concat" else 24
    b(Reshape, shape=(size,), name="flat")
    b(Dense, weight=b.weight("head", size, 3), name="logits")
    b(Softmax, name="probabilities")
    return b.graph(["a", "b", "c"])


def test_a_lone_hard_tanh_and_the_same_bytes_again(tmp_path):
    """RELU_N1_TO_1 on its own is off the list; every form of the clip must come out as something on it."""
    graphs = {kind: clip_after(kind) for kind in ("map", "concat", "sigmoid", "vector")}
    jobs = []
    for kind, graph in graphs.items():
        for part in ("a", "b"):
            paths = tmp_path / f"{kind}_{part}.tflite", tmp_path / f"{kind}_{part}_8.tflite"
            jobs.append(TFLiteJob(graph, *paths, 3 * features(graph, 50)))
    convert(jobs)
    for kind, graph in graphs.items():
        x = 3 * features(graph, 50)
        wanted = interpret(graph, x)
        np.testing.assert_allclose(load_predictor(tmp_path / f"{kind}_a.tflite").predict(x), wanted, atol=1e-5)
        np.testing.assert_allclose(load_predictor(tmp_path / f"{kind}_a_8.tflite").predict(x), wanted, atol=0.15)
        for end in (".tflite", "_8.tflite"):
            assert (tmp_path / f"{kind}_a{end}").read_bytes() == (tmp_path / f"{kind}_b{end}").read_bytes()


def test_int8_without_calibration(tmp_path):
    with pytest.raises(ExportError, match="needs calibration"):
        convert([TFLiteJob(temporal(), int8_path=tmp_path / "m.tflite")])
    assert not list(tmp_path.iterdir())


def test_the_child_says_why_in_one_line(tmp_path):
    (tmp_path / "jobs.json").write_text('[{"graph": "missing.npz", "float": "x", "int8": null}]')
    command = [sys.executable, "-m", "kws_dendrite.export.convert", str(tmp_path / "jobs.json")]
    result = subprocess.run(command, check=False)
    assert result.returncode == 1
    assert (tmp_path / "error.txt").read_text() == "missing.npz is not there; name a graph .npz that the export wrote"


def test_importing_the_export_room_loads_neither_torch_nor_tensorflow():
    modules = "bundle card convert intermediate layers onnx onnx_int8 operators parity predictor tflite tflite_model"
    code = "import sys, importlib\n"
    code += f"for m in {modules.split()!r}: importlib.import_module('kws_dendrite.export.' + m)\n"
    code += "sys.exit(any(name.split('.')[0] in ('torch', 'tensorflow') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
