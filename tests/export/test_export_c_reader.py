"""Files that nobody vouches for: each gets a named error that says what is wrong, and nothing is written."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from native import STRICT, has_compiler
from random_layers import KINDS, RandomGraph
from tflite_builder import TFLiteBuilder

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c import read_program, write_c
from kws_dendrite.export.c.emitter import emit_model
from kws_dendrite.export.c.reader import MAX_ELEMENTS, parse_program
from kws_dendrite.export.tflite_model import pack_model, read_model

GOLDEN = sorted((Path(__file__).resolve().parent.parent / "golden/tflite").glob("*.tflite"))


def small():
    """A builder with input (1, 8), a conv, an ADD and a dense layer; and the indices of input and output."""
    rng = np.random.default_rng(0)
    builder = TFLiteBuilder()
    source = builder.activation((1, 8), 0.05, 3)
    image = builder.operator("RESHAPE", [source], builder.activation((1, 4, 1, 2), 0.05, 3), new_shape=(1, 4, 1, 2))
    weights = builder.constant(rng.integers(-127, 128, (3, 2, 1, 2)).astype(np.int8), [0.01, 0.02, 0.03])
    bias = builder.constant(np.arange(3, dtype=np.int32), np.float32(0.05) * np.float32([0.01, 0.02, 0.03]))
    here = builder.operator(
        "CONV_2D", [image, weights, bias], builder.activation((1, 3, 1, 3), 0.1, -7), padding="valid", activation="relu"
    )
    here = builder.operator("ADD", [here, here], builder.activation((1, 3, 1, 3), 0.2, 5), activation="none")
    here = builder.operator("CONCATENATION", [here, here], builder.activation((1, 3, 1, 6), 0.2, 5), axis=3)
    weights = builder.constant(rng.integers(-127, 128, (4, 18)).astype(np.int8), 0.01)
    bias = builder.constant(np.arange(4, dtype=np.int32), np.float32(0.2) * np.float32(0.01))
    here = builder.operator("FULLY_CONNECTED", [here, weights, bias], builder.activation((1, 4), 0.3, 0))
    return builder, source, here


def refuse(content, tmp_path, match):
    """`write_c` names the file and the problem and leaves no folder."""
    path = tmp_path / "spoiled.tflite"
    path.write_bytes(content)
    with pytest.raises(ExportError, match=match) as caught:
        write_c(path, tmp_path / "c")
    assert not (tmp_path / "c").exists()
    assert sorted(found.name for found in tmp_path.iterdir()) == ["spoiled.tflite"]
    return str(caught.value)


def refuse_spoiled(tmp_path, match, spoil):
    """The small model after `spoil(model)`."""
    builder, source, target = small()
    model = read_model(builder.content(source, target))
    spoil(model)
    message = refuse(pack_model(model), tmp_path, match)
    return message


def test_the_small_model_itself_is_written(tmp_path):
    builder, source, target = small()
    (tmp_path / "model.tflite").write_bytes(builder.content(source, target))
    assert "kws_model.c" in write_c(tmp_path / "model.tflite", tmp_path / "c").files
    assert len(read_program(tmp_path / "model.tflite").operators) == 5


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_truncated_anywhere(path, tmp_path):
    content = path.read_bytes()
    for length in range(0, len(content), 64):
        with pytest.raises(ExportError, match=r"cut\.tflite"):
            emit_model(parse_program(content[:length], name="cut.tflite"))
    refuse(content[: len(content) // 2], tmp_path, r"spoiled\.tflite is damaged")
    (tmp_path / "spoiled.tflite").unlink()
    refuse(b"", tmp_path, r"spoiled\.tflite is not a TFLite file")


def test_missing_file(tmp_path):
    with pytest.raises(ExportError, match=r"cannot read .*none\.tflite"):
        write_c(tmp_path / "none.tflite", tmp_path / "c")
    assert not list(tmp_path.iterdir())


def test_wrong_identifier(tmp_path):
    content = bytearray(GOLDEN[0].read_bytes())
    content[4:8] = b"ONNX"
    refuse(bytes(content), tmp_path, r"spoiled\.tflite is not a TFLite file")


def test_another_schema_version(tmp_path):
    def spoil(model):
        model.version = 4

    refuse_spoiled(tmp_path, r"spoiled\.tflite is of schema version 4", spoil)


def test_another_operator(tmp_path):
    def spoil(model):
        model.operatorCodes[2].builtinCode = schema.BuiltinOperator.LEAKY_RELU
        model.operatorCodes[2].deprecatedBuiltinCode = schema.BuiltinOperator.LEAKY_RELU

    refuse_spoiled(tmp_path, r"spoiled\.tflite: operator 2 is builtin 98, which has no C kernel", spoil)


def test_two_subgraphs(tmp_path):
    def spoil(model):
        model.subgraphs.append(model.subgraphs[0])

    refuse_spoiled(tmp_path, r"spoiled\.tflite has 2 subgraphs", spoil)


def tensor_spoiler(index, **fields):
    def spoil(model):
        for name, value in fields.items():
            setattr(model.subgraphs[0].tensors[index], name, value)

    return spoil


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"shapeSignature": np.array([-1, 8], np.int32)}, "dynamic shape"),
        ({"shape": np.array([-1, 8], np.int32)}, "dynamic shape"),
        ({"shape": np.array([0, 8], np.int32)}, "not between 1 and"),
        ({"shape": np.array([1 << 16, 1 << 16], np.int32)}, "not between 1 and"),
        ({"shape": np.array([1] * 9, np.int32)}, "9 axes"),
        ({"shape": np.array([], np.int32)}, "the input has the shape"),
        ({"shape": np.array([2, 4], np.int32)}, "expected a batch of 1"),
        ({"type": schema.TensorType.FLOAT32}, "is float32, expected int8"),
        ({"type": schema.TensorType.UINT8}, "is uint8, expected int8"),
        ({"type": schema.TensorType.INT16}, "is int16, expected int8"),
        ({"type": schema.TensorType.INT32}, "the input is int32"),
        ({"quantization": None}, "expected int8 with one scale"),
        ({"buffer": 4000}, "names buffer 4000"),
        ({"buffer": 1}, "has 12 bytes, expected 8"),
    ],
)
def test_input_of_another_kind(fields, match, tmp_path):
    refuse_spoiled(tmp_path, rf"spoiled\.tflite.*{match}", tensor_spoiler(0, **fields))


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan, 1e7, 1e-30])
def test_scales_that_are_none(scale, tmp_path):
    def spoil(model):
        model.subgraphs[0].tensors[1].quantization.scale = np.array([scale], np.float32)

    refuse_spoiled(tmp_path, r"spoiled\.tflite: tensor 'tensor_1' has .*quantisation scale", spoil)


@pytest.mark.parametrize("zero_point", [128, -129, 1 << 40])
def test_zero_points_outside_int8(zero_point, tmp_path):
    def spoil(model):
        model.subgraphs[0].tensors[1].quantization.zeroPoint = np.array([zero_point], np.int64)

    refuse_spoiled(tmp_path, r"spoiled\.tflite: tensor 'tensor_1' has a zero point outside int8", spoil)


def test_per_channel_dense_layer(tmp_path):
    def spoil(model):
        quantization = model.subgraphs[0].tensors[model.subgraphs[0].operators[4].inputs[1]].quantization
        quantization.scale, quantization.zeroPoint = np.full(4, 0.01, np.float32), np.zeros(4, np.int64)

    refuse_spoiled(tmp_path, "FULLY_CONNECTED at 4 has 4 weight scales", spoil)


def test_asymmetric_weights(tmp_path):
    def spoil(model):
        model.subgraphs[0].tensors[2].quantization.zeroPoint = np.array([0, 1, 0], np.int64)

    refuse_spoiled(tmp_path, r"CONV_2D at 1 has int8 weights .* expected symmetric", spoil)


def test_unequal_concatenation(tmp_path):
    builder, source, _ = small()
    other = builder.operator("QUANTIZE", [source], builder.activation((1, 8), 0.06, 3))
    both = builder.operator("CONCATENATION", [source, other], builder.activation((1, 16), 0.05, 3), axis=1)
    refuse(builder.content(source, both), tmp_path, "CONCATENATION at 6: 'tensor_[0-9]+' has scale 0.06")


def operator_spoiler(index, spoil):
    return lambda model: spoil(model.subgraphs[0].operators[index])


def assign(name, value):
    def spoil(operator):
        *path, last = name.split(".")
        for part in path:
            operator = getattr(operator, part)
        setattr(operator, last, value)

    return spoil


@pytest.mark.parametrize(
    ("index", "name", "value", "match"),
    [
        (1, "inputs", np.array([1, 2, 99], np.int32), "names tensor 99"),
        (1, "inputs", np.array([1, -1, 3], np.int32), "has the inputs"),
        (1, "inputs", np.array([-1, 2, 3], np.int32), "has the inputs"),
        (1, "inputs", np.array([1], np.int32), "has the inputs"),
        (1, "inputs", np.array([1, 2, 3, 3], np.int32), "has the inputs"),
        (1, "inputs", np.array([], np.int32), "has the inputs"),
        (1, "inputs", np.zeros(1000, np.int32), "1,000 inputs"),
        (1, "inputs", np.array([1, 1, 3], np.int32), "computes its weights at run time"),
        (1, "inputs", np.array([1, 3, 3], np.int32), "has int32 weights"),
        (1, "inputs", np.array([1, 2, 2], np.int32), "has a int8 bias"),
        (1, "inputs", np.array([9, 2, 3], np.int32), "reads a tensor that nothing has written"),
        (1, "outputs", np.array([0], np.int32), "writes a tensor that already has a value"),
        (1, "outputs", np.array([2], np.int32), "writes a tensor that already has a value"),
        (1, "outputs", np.array([4, 5], np.int32), "has the outputs"),
        (1, "opcodeIndex", 77, "names code 77"),
        (1, "builtinOptions.padding", 2, "has the padding 2"),
        (1, "builtinOptions.strideH", 0, "has the stride"),
        (1, "builtinOptions.strideH", -3, "has the stride"),
        (1, "builtinOptions.strideH", 1 << 30, "has the stride"),
        (1, "builtinOptions.dilationHFactor", 0, "has the dilation"),
        (1, "builtinOptions.dilationHFactor", 2, "gives 2 positions"),
        (1, "builtinOptions.fusedActivationFunction", 4, "fused activation 4"),
        (2, "inputs", np.array([4, -1], np.int32), "has the inputs"),
        (2, "inputs", np.array([4], np.int32), "has the inputs"),
        (3, "inputs", np.array([5, -1], np.int32), "has the inputs"),
        (3, "builtinOptions.axis", 4, "has axis 4"),
        (3, "builtinOptions.axis", -5, "has axis -5"),
        (3, "builtinOptions.axis", 2, "do not fill the output"),
        (3, "builtinOptions.fusedActivationFunction", 1, "CONCATENATION at 3"),
        (4, "builtinOptions.weightsFormat", 1, "shuffled weights"),
    ],
)
def test_operators_that_contradict_themselves(index, name, value, match, tmp_path):
    refuse_spoiled(tmp_path, match, operator_spoiler(index, assign(name, value)))


@pytest.mark.parametrize(("part", "field"), [("inputs", "input"), ("outputs", "output")])
@pytest.mark.parametrize("indices", [[], [0, 1], [-1], [4096]])
def test_borders(part, field, indices, tmp_path):
    def spoil(model):
        setattr(model.subgraphs[0], part, np.array(indices, np.int32))

    refuse_spoiled(tmp_path, rf"spoiled\.tflite has .* {field} tensors, expected 1", spoil)


def test_constant_input(tmp_path):
    def spoil(model):
        buffer = schema.BufferT()
        buffer.data = np.zeros(8, np.uint8)
        model.buffers.append(buffer)
        model.subgraphs[0].tensors[0].buffer = len(model.buffers) - 1

    refuse_spoiled(tmp_path, "the input is a constant", spoil)


def test_model_without_operators(tmp_path):
    def spoil(model):
        model.subgraphs[0].operators = []

    refuse_spoiled(tmp_path, "has 0 operators", spoil)


@pytest.mark.parametrize("beta", [0.0, -1.0, np.nan, np.inf])
def test_softmax_of_another_temperature(beta, tmp_path):
    builder, source, target = small()
    target = builder.operator("SOFTMAX", [target], builder.activation((1, 4), 1 / 256, -128), beta=beta)
    refuse(builder.content(source, target), tmp_path, "SOFTMAX at 5 has the beta")


@pytest.mark.parametrize(
    ("kind", "scale", "point"), [("TANH", 0.01, 0), ("LOGISTIC", 1 / 256, 0), ("SOFTMAX", 0.01, 0)]
)
def test_functions_of_fixed_output(kind, scale, point, tmp_path):
    builder, source, target = small()
    target = builder.operator(kind, [target], builder.activation((1, 4), scale, point))
    refuse(builder.content(source, target), tmp_path, f"{kind} at 5 has an output scale")


def test_sum_whose_scales_are_too_far_apart(tmp_path):
    """LiteRT itself ends the process here."""
    builder, source, _ = small()
    target = builder.operator("ADD", [source, source], builder.activation((1, 8), 1e-9, 0), activation="none")
    refuse(builder.content(source, target), tmp_path, "more apart than TFLite computes")


def test_depth_multiplier(tmp_path):
    builder, source, _ = small()
    image = builder.operator("RESHAPE", [source], builder.activation((1, 8, 1, 1), 0.05, 3), new_shape=(1, 8, 1, 1))
    weights = builder.constant(np.ones((1, 3, 1, 4), np.int8), [0.1] * 4, axis=3)
    bias = builder.constant(np.zeros(4, np.int32), [0.005] * 4)
    target = builder.activation((1, 8, 1, 4), 0.1, 0)
    builder.operator(
        "DEPTHWISE_CONV_2D", [image, weights, bias], target, padding="same", activation="none", depth_multiplier=4
    )
    refuse(builder.content(source, target), tmp_path, "a depth multiplier of 1")


def test_batch_of_two(tmp_path):
    builder = TFLiteBuilder()
    source = builder.activation((2, 8), 0.05, 3)
    target = builder.operator("RELU", [source], builder.activation((2, 8), 0.05, 3))
    refuse(builder.content(source, target), tmp_path, "expected a batch of 1")


def test_millions_of_scores(tmp_path):
    builder = TFLiteBuilder()
    source = builder.activation((1, 1 << 20), 0.1, 0)
    target = builder.operator("RELU", [source], builder.activation((1, 1 << 20), 0.1, 0))
    refuse(builder.content(source, target), tmp_path, "the output has 1,048,576 elements")


def test_old_folder_survives_a_bad_file(tmp_path):
    builder, source, target = small()
    (tmp_path / "model.tflite").write_bytes(builder.content(source, target))
    write_c(tmp_path / "model.tflite", tmp_path / "c")
    before = {path: path.read_bytes() for path in (tmp_path / "c").rglob("*") if path.is_file()}
    (tmp_path / "bad.tflite").write_bytes(GOLDEN[0].read_bytes()[:1000])
    with pytest.raises(ExportError):
        write_c(tmp_path / "bad.tflite", tmp_path / "c", overwrite=True)
    assert before == {path: path.read_bytes() for path in (tmp_path / "c").rglob("*") if path.is_file()}


# offsets


def position_of_root(content):
    root = int.from_bytes(content[:4], "little")
    return root, root - int.from_bytes(content[root : root + 4], "little", signed=True)


@pytest.mark.parametrize("value", [0, 3, 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("place", ["root", "root's vtable", "vtable's size", "first field"])
def test_hostile_offsets(place, value):
    content = bytearray(GOLDEN[0].read_bytes())
    root, vtable = position_of_root(content)
    position, size = {"root": (0, 4), "root's vtable": (root, 4), "vtable's size": (vtable, 2),
                      "first field": (vtable + 6, 2)}[place]  # fmt: skip
    content[position : position + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    with pytest.raises(ExportError, match=r"hostile\.tflite"):
        emit_model(parse_program(bytes(content), name="hostile.tflite"))


def test_hostile_numbers_everywhere():
    """Every aligned word of the small model in turn as -1 or an end of int32: lengths, offsets, shapes, options."""
    builder, source, target = small()
    content = builder.content(source, target)
    words = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80")
    outcomes = []
    for number, position in enumerate(range(0, len(content) - 3, 4)):
        outcomes.append(attempt(content[:position] + words[number % 3] + content[position + 4 :]) is not None)
    assert 0 < sum(outcomes) < len(outcomes)


def attempt(content):
    """Read and lower; what comes out, or None after an ExportError. Anything else is a failure."""
    try:
        return emit_model(parse_program(content, name="mutant.tflite"))
    except ExportError as error:
        assert str(error), "an error without a word"
        return None


def test_shared_buffer_is_held_once():
    """2,000 tensors of one 4 MB buffer are 2,000 views of the file."""
    builder = TFLiteBuilder()
    source = builder.activation((1, 4), 0.1, 0)
    target = builder.operator("TANH", [source], builder.activation((1, 4), 1 / 128, 0))
    builder.constant(np.zeros(MAX_ELEMENTS, np.int8), 0.1)
    big = builder.subgraph.tensors[-1]
    builder.subgraph.tensors += [big] * 2000
    program = parse_program(builder.content(source, target))
    constants = [tensor.data for tensor in program.tensors if tensor.data is not None]
    assert len(constants) == 2001
    assert all(np.shares_memory(constants[0], other) for other in constants[1::100])


def test_layer_of_very_many_channels_is_not_searched():
    """60,000 outputs: TFLite's own form, without a search for each; a megabyte of text, not minutes."""
    builder = TFLiteBuilder()
    source = builder.activation((1, 1, 1, 1), 0.1, 0)
    weights = builder.constant(np.ones((60000, 1, 1, 1), np.int8), 0.1)
    bias = builder.constant(np.zeros(60000, np.int32), 0.01)
    target = builder.activation((1, 1, 1, 60000), 0.1, 0)
    builder.operator("CONV_2D", [source, weights, bias], target, padding="valid", activation="none")
    made = emit_model(parse_program(builder.content(source, target)))
    assert "KWS_ROUND_TWICE" in made.files["kws_model.c"]


def test_enormous_picture_costs_nothing_to_lower():
    """2^22 positions under a window of a thousand: the plan is numbers, nothing is computed."""
    builder = TFLiteBuilder()
    source = builder.activation((1, 2048, 2048, 1), 0.1, 0)
    options = {"padding": "same", "activation": "none"}
    weights, bias = (
        builder.constant(np.ones((1, 1000, 1, 1), np.int8), 0.1),
        builder.constant(np.zeros(1, np.int32), 0.01),
    )
    shape = (1, 2048, 2048, 1)
    here = builder.operator("CONV_2D", [source, weights, bias], builder.activation(shape, 5.0, 0), **options)
    here = builder.operator("AVERAGE_POOL_2D", [here], builder.activation(shape, 5.0, 0), window=(999, 999), **options)
    here = builder.operator("ADD", [here, here], builder.activation(shape, 5.0, 0), activation="none")
    options = {"padding": "valid", "activation": "none", "window": (2048, 2048)}
    here = builder.operator("MAX_POOL_2D", [here], builder.activation((1, 1, 1, 1), 5.0, 0), **options)
    made = emit_model(parse_program(builder.content(source, here)))
    assert made.arena_bytes >= 1 << 22


# mutations


def mutate(rng, content):
    """One to three changes: a byte, a bit, a word, a short, a copied stretch, an offset moved a little."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        position, form = int(rng.integers(0, len(changed))), int(rng.integers(0, 6))
        if form == 0:
            changed[position] = int(rng.integers(0, 256))
        elif form == 1:
            changed[position] ^= 1 << int(rng.integers(0, 8))
        elif form == 2:
            word = int(rng.choice([0, 1, -1, (1 << 31) - 1, -(1 << 31), 65535, 65536, 255, 1 << 22, 4]))
            place = position & ~3
            changed[place : place + 4] = word.to_bytes(4, "little", signed=True)
        elif form == 3:
            place = position & ~1
            changed[place : place + 2] = int(rng.integers(0, 40)).to_bytes(2, "little")
        elif form == 4:
            other, length = int(rng.integers(0, len(changed))), int(rng.integers(1, 32))
            changed[position : position + length] = changed[other : other + length]
        else:
            place = position & ~3
            word = int.from_bytes(changed[place : place + 4], "little") + int(rng.choice([-8, -4, -1, 1, 4, 8]))
            changed[place : place + 4] = (word % (1 << 32)).to_bytes(4, "little")
    return bytes(changed)


def fuzz(seed, count, lowered):
    """Mutants of the golden files, all parsed, every `lowered`th lowered, and of small random graphs, all lowered."""
    rng = np.random.default_rng(seed)
    golden = [path.read_bytes() for path in GOLDEN]
    accepted = refused = 0
    for number in range(count):
        mutant = mutate(rng, golden[number % len(golden)])
        try:
            program = parse_program(mutant, name="mutant.tflite")
        except ExportError as error:
            assert "mutant.tflite" in str(error)
            refused += 1
            continue
        accepted += 1
        if number % lowered == 0:
            attempt(mutant)
        assert program.operators
    return accepted, refused


def test_mutated_golden_files():
    accepted, refused = fuzz(seed=0, count=2400, lowered=40)
    assert accepted > 300 and refused > 300


def test_mutated_small_files():
    builder, source, target = small()
    content = builder.content(source, target)
    rng = np.random.default_rng(1)
    outcomes = [attempt(mutate(rng, content)) is not None for _ in range(800)]
    assert 80 < sum(outcomes) < 720


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 20))
def test_mutated_files_at_length(seed):
    fuzz(seed, count=6000, lowered=3)
    rng = np.random.default_rng(seed)
    graph = RandomGraph(rng)
    for kind in rng.permutation(KINDS):
        graph.layer(str(kind))
    content = graph.content()
    for _ in range(1500):
        attempt(mutate(rng, content))


MAIN = """\
#include "kws_model.h"
int main(void) {
    static kws_arena arena;
    static int8_t in[KWS_MODEL_INPUT_SIZE], out[KWS_MODEL_OUTPUT_SIZE];
    for (int round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < KWS_MODEL_INPUT_SIZE; i++) {
            in[i] = (int8_t)(round == 0 ? -128 : round == 1 ? 127 : (int)((i * 2654435761u) >> (24 - round)) % 128);
        }
        kws_model_invoke(in, out, &arena);
    }
    return 0;
}
"""


def says_something_else(mutant, original):
    """Whether more than constants changed: the tables, as far as the reader sees them."""

    def skeleton(content):
        program = parse_program(content)
        tensors = [(t.shape, t.dtype, t.scales.tolist(), t.zero_points.tolist(), t.buffer) for t in program.tensors]
        return tensors, program.operators, program.input, program.output

    return skeleton(mutant) != skeleton(original)


def accepted_mutants(seed, count, work_limit=1 << 24):
    """Mutants of the small model that are written all the same though their tables changed."""
    builder, source, target = small()
    original = builder.content(source, target)
    rng = np.random.default_rng(seed)
    found = []
    while len(found) < count:
        mutant = mutate(rng, original)
        made = attempt(mutant)
        if made is None or not says_something_else(mutant, original):
            continue
        program = parse_program(mutant)
        if sum(tensor.size for tensor in program.tensors) < work_limit:
            found.append(mutant)
    return found


def run_sanitized(content, folder):
    """Compile with address and undefined-behaviour sanitizers and run; raises CalledProcessError with their report."""
    folder.mkdir()
    (folder / "model.tflite").write_bytes(content)
    write_c(folder / "model.tflite", folder / "c")
    (folder / "main.c").write_text(MAIN)
    sources = [str(path) for path in sorted((folder / "c").glob("*.c"))]
    command = ["cc", *STRICT, "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{folder / 'c'}",
               *sources, str(folder / "main.c"), "-o", str(folder / "run"), "-lm"]  # fmt: skip
    for step in (command, [str(folder / "run")]):
        done = subprocess.run(step, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.skipif(not has_compiler(), reason="needs a C compiler, cc")
def test_accepted_mutants_run_within_their_bounds(tmp_path):
    for number, mutant in enumerate(accepted_mutants(seed=2, count=8)):
        run_sanitized(mutant, tmp_path / str(number))


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(), reason="needs a C compiler, cc")
@pytest.mark.parametrize("seed", range(30, 40))
def test_more_accepted_mutants_run_within_their_bounds(seed, tmp_path):
    for number, mutant in enumerate(accepted_mutants(seed, count=12)):
        run_sanitized(mutant, tmp_path / str(number))
