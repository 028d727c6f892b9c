"""Files that nobody vouches for: described, or refused in one line; never a crash, never without end."""

import struct
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from faulty_models import Classifier, requantise

from kws_dendrite.errors import ExportError
from kws_dendrite.export.check import check_file, check_model, load_table, parse_model, read_model
from kws_dendrite.export.check.builtins import BYTES, NAMES, TYPES
from kws_dendrite.export.tflite_model import pack_model

GOLDEN = Path(__file__).resolve().parent.parent / "golden/tflite"
SMALL = (GOLDEN / "sep14_s2.tflite").read_bytes()


def test_a_description_is_what_the_schema_says():
    content = SMALL
    model = parse_model(content, name="sep14_s2.tflite")
    said = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    graph, expected = model.main, said.subgraphs[0]
    assert model.version == 3 and model.size == len(content) and len(model.graphs) == 1
    assert graph.inputs == tuple(expected.inputs) and graph.outputs == tuple(expected.outputs)
    for tensor, other in zip(graph.tensors, expected.tensors, strict=True):
        assert tensor.shape == tuple(other.shape) and tensor.name == other.name.decode()
        scales = other.quantization.scale if other.quantization is not None else None
        np.testing.assert_array_equal(tensor.scales, [] if scales is None else scales)
        data = said.buffers[other.buffer].data
        assert (tensor.content is None) == (data is None)
        if data is not None:
            assert tensor.content.tobytes() == data.tobytes() and len(data) == tensor.bytes
    for operator, other in zip(graph.operators, expected.operators, strict=True):
        assert operator.inputs == tuple(other.inputs) and operator.outputs == tuple(other.outputs)
        code = said.operatorCodes[other.opcodeIndex]
        assert operator.kind == NAMES[code.builtinCode] and operator.version == code.version


def test_names_are_the_schemas_own():
    operators = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    assert tuple(operators[code] for code in range(len(operators))) == NAMES
    types = {code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)}
    assert types == TYPES and set(BYTES) <= set(TYPES.values())
    table = load_table()
    named = set(table.operators) | set(table.newest) | set(table.onnx)
    assert named <= set(NAMES), named - set(NAMES)
    assert all(source.startswith("https://") for source in table.sources.values())


def test_operators_and_types_after_the_list():
    case = Classifier()
    code = case.code("SOFTMAX")
    code.builtinCode, code.deprecatedBuiltinCode = 4711, 127
    case.tensor(case.logits).type = 77
    model = case.model
    assert model.main.operators[-1].kind == "builtin 4711" and model.main.tensors[case.logits].dtype == "type 77"
    assert not check_model(model, "tflite-micro").ok


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not a TFLite file"),
        (b"\x18\x00\x00\x00TFL4" + bytes(40), "is not a TFLite file"),
        (b"PK\x03\x04" + bytes(40), "is not a TFLite file"),
        (SMALL[: len(SMALL) // 2], "is damaged"),
        (struct.pack("<I", 1 << 30) + SMALL[4:], "is damaged"),
    ],
)
def test_what_is_no_tflite_file(content, says):
    with pytest.raises(ExportError, match=says) as error:
        parse_model(content, name="odd.tflite")
    assert str(error.value).startswith("odd.tflite ") and "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    for path, says in ((tmp_path / "none.tflite", "No such file"), (tmp_path, "is a folder")):
        with pytest.raises(ExportError, match=says):
            read_model(path)
    labels = tmp_path / "labels.txt"
    for content, says in ((b"\n \n", "names no labels"), (b"\xff\xfe\x00", "is not a text file")):
        labels.write_bytes(content)
        with pytest.raises(ExportError, match=says):
            check_file(GOLDEN / "sep14_s2.tflite", "edge-impulse", labels=labels)
    with pytest.raises(ExportError, match="there is no target 'esp32'; choose one of edge-impulse, "):
        check_file(GOLDEN / "sep14_s2.tflite", "esp32")


def spoilt(change):
    case = Classifier()
    change(case)
    return case


def names_a_tensor_that_is_not_there(case):
    case.operator("FULLY_CONNECTED").inputs[1] = 99


def has_a_constant_that_is_too_short(case):
    buffer = case.builder.model.buffers[case.tensor(case.weights).buffer]
    buffer.data = buffer.data[:-1]


def has_a_rank_of_a_thousand(case):
    case.tensor(case.logits).shape = np.ones(1000, np.int32)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (names_a_tensor_that_is_not_there, "names tensor 99 of"),
        (has_a_constant_that_is_too_short, r"has 35 bytes, expected\n? ?36"),
        (has_a_rank_of_a_thousand, "has 1,000 axes"),
    ],
)
def test_damage(change, says):
    with pytest.raises(ExportError, match=says):
        spoilt(change).model  # noqa: B018


def test_no_subgraph():
    case = Classifier()
    assert case.content
    case.builder.model.subgraphs = []
    with pytest.raises(ExportError, match="has 0 subgraphs"):
        parse_model(pack_model(case.builder.model))


def test_names_of_any_length_and_letters():
    case = Classifier()
    case.tensor(case.source).name = b"\x1b[31mred\n\xff" + b"a" * 100_000
    name = case.model.main.tensors[case.source].name
    assert len(name) <= 120 and name.isprintable() and name.startswith("[31mred")


def test_work_is_bounded():
    """Thousands of operators that each read thousands of tensors, all the same few bytes."""
    case = Classifier()
    operator = case.operator("SOFTMAX")
    operator.inputs = np.zeros(70_000, np.int32)
    with pytest.raises(ExportError, match="no microcontroller's model does"):
        case.model  # noqa: B018


def test_one_tensor_of_a_million_scales():
    case = Classifier()
    requantise(case.tensor(case.weights), np.full(1_000_000, 0.01))
    with pytest.raises(ExportError, match="1,000,000 scales, expected at most 16,384"):
        case.model  # noqa: B018


def test_a_cycle_ends():
    case = Classifier()
    operator = case.operator("RESHAPE")
    operator.inputs, operator.outputs = np.array([case.target], np.int32), np.array([case.target], np.int32)
    report = check_model(case.model, "edge-impulse")
    assert report.arena is None  # written twice: no order to plan


@pytest.mark.parametrize("target", load_table().targets)
def test_mutants_of_a_model(target):
    """Bytes changed at random: a report or one line, soon."""
    random = np.random.default_rng(5)
    reports = 0
    for _ in range(300):
        content = bytearray(SMALL)
        for _ in range(int(random.integers(1, 6))):
            # the tables stand before and behind the weights; a few bytes in all decide where everything is
            place = int(random.integers(len(content)))
            content[place] = int(random.choice([0, 1, 0x7F, 0x80, 0xFF, int(random.integers(256))]))
        try:
            check_model(parse_model(bytes(content)), target).to_json()
            reports += 1
        except ExportError as error:
            assert "\n" not in str(error)
    assert reports > 50


def test_truncated_anywhere():
    for length in range(0, len(SMALL), 97):
        try:
            check_model(parse_model(SMALL[:length]), "edge-impulse")
        except ExportError as error:
            assert "\n" not in str(error)
