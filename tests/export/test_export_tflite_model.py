import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from kws_dendrite.errors import ExportError
from kws_dendrite.export.tflite_model import (
    check_form,
    check_scales,
    operator_names,
    pack_model,
    read_model,
    share_buffers,
)


@pytest.fixture
def content(temporal_export):
    return (temporal_export.folder / "model_quantized_int8_io.tflite").read_bytes()


def find(model, name):
    return next(tensor for tensor in model.subgraphs[0].tensors if tensor.name.decode() == name)


def run(content, x):
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.set_tensor(source["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(target["index"])


def test_operators_in_order(content):
    names = operator_names(read_model(content))
    assert names[:3] == ["RESHAPE", "AVERAGE_POOL_2D", "SUB"] and names[-2:] == ["FULLY_CONNECTED", "SOFTMAX"]
    assert names.count("CONV_2D") == 4 and names.count("TANH") == 1


def test_sharing_buffers_is_lossless(content):
    model = read_model(content)
    assert share_buffers(model) == 0  # done by the export
    twin = find(model, "dendrite/weight")
    model.buffers.append(type(model.buffers[0])())
    model.buffers[-1].data = np.array(model.buffers[twin.buffer].data, copy=True)
    twin.buffer = len(model.buffers) - 1  # the first copy stays as an orphan with the same bytes
    doubled = pack_model(model)
    assert share_buffers(model) == 144
    single = pack_model(model)
    assert len(single) < len(doubled)
    x = np.random.default_rng(0).integers(-128, 128, (1, 160)).astype(np.int8)
    np.testing.assert_array_equal(run(single, x), run(content, x))
    np.testing.assert_array_equal(run(doubled, x), run(content, x))


@pytest.mark.parametrize("scale", [2e6, np.inf, np.nan, 0.0, -1.0])
def test_scales_that_cannot_be(content, scale):
    model = read_model(content)
    check_scales(model, artefact="it")
    find(model, "dendrite").quantization.scale = np.float32([scale])
    with pytest.raises(ExportError, match="it: tensor 'dendrite' has a quantisation scale"):
        check_scales(model, artefact="it")


def test_per_channel_dense_weights(content):
    model = read_model(content)
    find(model, "logits/weight").quantization.scale = np.float32([0.1, 0.1, 0.1, 0.1])
    with pytest.raises(ExportError, match="'logits/weight' has 4 scales, expected one"):
        check_scales(model, artefact="it")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"size": 161}, r"input shapes \[\(1, 160\)\], expected one INT8 of \(1, 161\)"),
        ({"classes": 5}, r"output shapes"),
        ({"dtype": "FLOAT32"}, "expected one FLOAT32"),
    ],
)
def test_form(content, change, match):
    right = {"size": 160, "classes": 4, "dtype": "INT8"}
    check_form(read_model(content), **right, artefact="it")
    with pytest.raises(ExportError, match=match):
        check_form(read_model(content), **(right | change), artefact="it")


def test_dynamic_shapes_and_second_subgraphs(content):
    model = read_model(content)
    find(model, "dendrite").shapeSignature = np.int32([-1, 20, 1, 12])
    with pytest.raises(ExportError, match="dynamic"):
        check_form(model, size=160, classes=4, dtype="INT8", artefact="it")
    model.subgraphs.append(model.subgraphs[0])
    with pytest.raises(ExportError, match="2 subgraphs"):
        check_form(model, size=160, classes=4, dtype="INT8", artefact="it")
