"""C equals LiteRT's reference kernels on every byte of every tensor, over graphs that nobody chose."""

import numpy as np
import pytest
from native import assert_equal_everywhere, has_compiler
from random_layers import KINDS, RandomGraph, inputs
from tflite_builder import TFLiteBuilder

from kws_dendrite.export.c import write_c

pytestmark = pytest.mark.skipif(not has_compiler(), reason="needs a C compiler, cc")
EVERY = np.arange(-128, 128, dtype=np.int8)


def check(content, x, tmp_path):
    """Write, compile, run, compare."""
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "model.tflite").write_bytes(content)
    write_c(tmp_path / "model.tflite", tmp_path / "c")
    assert_equal_everywhere(tmp_path / "model.tflite", tmp_path / "c", tmp_path / "work", x)


def check_random(seed, tmp_path):
    """A graph with every operator twice, in random order."""
    rng = np.random.default_rng(seed)
    graph = RandomGraph(rng)
    for kind in rng.permutation(np.repeat(KINDS, 2)):
        graph.layer(str(kind))
    check(graph.content(), inputs(rng), tmp_path)


@pytest.mark.parametrize("seed", range(8))
def test_random_graphs(seed, tmp_path):
    check_random(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_more_random_graphs(seed, tmp_path):
    check_random(seed, tmp_path)


def scale_of(rng, low, high):
    """Log-uniform float32."""
    return float(np.float32(10 ** rng.uniform(low, high)))


def point_of(rng):
    """A zero point, every fourth at an end."""
    return int(rng.choice([-128, 127]) if rng.random() < 0.25 else rng.integers(-128, 128))


def check_every_pair(kind, seed, tmp_path, forms=12):
    """`kind` on all 65,536 pairs of int8, under several scales and zero points."""
    rng = np.random.default_rng(seed)
    builder = TFLiteBuilder()
    source = builder.activation((1, 256), 0.01, 0)
    for _ in range(forms):
        scales = [scale_of(rng, -3, 0), 0.0]
        scales[1] = float(np.float32(scales[0] * 10 ** rng.uniform(-2, 2)))
        sides = []
        for scale, shape in zip(scales, ((1, 256, 1), (1, 1, 256)), strict=True):
            point = point_of(rng)  # equal scales on both sides of the QUANTIZE: every value passes through shifted
            flat = builder.operator("QUANTIZE", [source], builder.activation((1, 256), scale, point))
            sides.append(builder.operator("RESHAPE", [flat], builder.activation(shape, scale, point), new_shape=shape))
        reach = 128 * scales[0] * scales[1] if kind == "MUL" else max(scales)
        target = builder.activation(
            (1, 256, 256), float(np.float32(reach * 10 ** rng.uniform(-0.5, 0.8))), point_of(rng)
        )
        activation = str(rng.choice(["none", "relu", "relu6", "relu_n1_to_1"], p=[0.7, 0.1, 0.1, 0.1]))
        builder.operator(kind, sides, target, activation=activation)
    check(builder.content(source, target), EVERY[None], tmp_path)


def check_every_raw_pair(kind, seed, tmp_path, forms=12):
    """The same with the input itself on both sides, so that all 256 values surely occur."""
    rng = np.random.default_rng(seed)
    scale, point = scale_of(rng, -3, 0), point_of(rng)
    builder = TFLiteBuilder()
    source = builder.activation((1, 256), scale, point)
    column = builder.operator("RESHAPE", [source], builder.activation((1, 256, 1), scale, point), new_shape=(1, 256, 1))
    row_scale = float(np.float32(scale * 10 ** rng.uniform(-2, 2)))
    values = builder.constant(EVERY.reshape(1, 1, 256), [row_scale], point_of(rng))
    for _ in range(forms):
        reach = 128 * scale * row_scale if kind == "MUL" else max(scale, row_scale)
        target = builder.activation(
            (1, 256, 256), float(np.float32(reach * 10 ** rng.uniform(-0.5, 0.8))), point_of(rng)
        )
        sides = [column, values] if rng.random() < 0.5 else [values, column]
        builder.operator(kind, sides, target, activation="none")
    check(builder.content(source, target), EVERY[None], tmp_path)


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_binary_operators_on_every_pair(kind, tmp_path):
    check_every_pair(kind, 1, tmp_path / "quantised")
    check_every_raw_pair(kind, 2, tmp_path / "raw")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("seed", range(10, 20))
def test_binary_operators_on_every_pair_under_more_scales(kind, seed, tmp_path):
    check_every_pair(kind, seed, tmp_path / "quantised")
    check_every_raw_pair(kind, seed, tmp_path / "raw")


def check_every_value(seed, tmp_path, models=3, forms=8):
    """TANH, LOGISTIC, RELU, RELU6 and QUANTIZE on all 256 values; a model for each input scale."""
    rng = np.random.default_rng(seed)
    for number in range(models):
        builder = TFLiteBuilder()
        scale, point = scale_of(rng, -3, 0.5), point_of(rng)
        source = builder.activation((1, 256), scale, point)
        for _ in range(forms):
            for kind in ("RELU", "RELU6", "QUANTIZE"):
                target = builder.activation(
                    (1, 256), float(np.float32(scale * 10 ** rng.uniform(-1.5, 1.5))), point_of(rng)
                )
                builder.operator(kind, [source], target)
            inner_scale, inner_point = float(np.float32(scale * 10 ** rng.uniform(-0.5, 0.5))), point_of(rng)
            inner = builder.activation((1, 256), inner_scale, inner_point)
            builder.operator("QUANTIZE", [source], inner)
            for before in (inner, source):
                builder.operator("LOGISTIC", [before], builder.activation((1, 256), 1 / 256, -128))
                target = builder.operator("TANH", [before], builder.activation((1, 256), 1 / 128, 0))
        check(builder.content(source, target), EVERY[None], tmp_path / str(number))


def test_pointwise_operators_on_every_value(tmp_path):
    check_every_value(3, tmp_path)


@pytest.mark.slow
def test_pointwise_operators_on_every_value_under_more_scales(tmp_path):
    check_every_value(4, tmp_path, models=40)


def check_softmax(classes, seed, tmp_path, rows=120):
    """Softmax of `classes` logits under eight scales: random rows, close ones, ties, both ends."""
    rng = np.random.default_rng(seed)
    builder = TFLiteBuilder()
    scale, point = scale_of(rng, -2, 0), point_of(rng)
    source = builder.activation((1, classes), scale, point)
    target = builder.operator("SOFTMAX", [source], builder.activation((1, classes), 1 / 256, -128))
    for step in np.linspace(-2.7, 0.5, 7):
        logits = builder.activation((1, classes), float(np.float32(10**step)), point)  # QUANTIZE below: same values
        factor = float(np.float32(scale))
        same = builder.activation((1, classes), factor, point)
        builder.operator("QUANTIZE", [source], same)
        builder.operator("QUANTIZE", [same], logits)
        target = builder.operator("SOFTMAX", [logits], builder.activation((1, classes), 1 / 256, -128))
    x = rng.integers(-128, 128, (rows, classes))
    x[::4] = rng.integers(0, 6, x[::4].shape)
    x[1::8] = rng.choice([-128, 127], x[1::8].shape)
    x[0], x[1] = -128, 127
    check(builder.content(source, target), x.astype(np.int8), tmp_path)


@pytest.mark.parametrize("classes", [2, 3, 12, 40])
def test_softmax(classes, tmp_path):
    check_softmax(classes, classes, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("classes", range(2, 41))
def test_softmax_of_every_size(classes, tmp_path):
    for seed in range(3):
        check_softmax(classes, 100 * seed + classes, tmp_path / str(seed), rows=1000)


def check_every_accumulator(seed, tmp_path):
    """CONV_2D and DEPTHWISE_CONV_2D whose weights 127 and 1 give every accumulator from -16,384 to 16,256, under many
    multipliers: a step of the staircase that is off by one accumulator shows."""
    rng = np.random.default_rng(seed)
    builder = TFLiteBuilder()
    scale, point = scale_of(rng, -3, 0), point_of(rng)
    source = builder.activation((1, 512), scale, point)
    image = builder.operator(
        "RESHAPE", [source], builder.activation((1, 1, 256, 2), scale, point), new_shape=(1, 1, 256, 2)
    )
    for form in range(6):
        channels = 16
        scales = (10 ** rng.uniform(-3, -1, channels)).astype(np.float32)
        weights = np.tile(np.array([127, 1], np.int8), (channels, 1)) * rng.choice([-1, 1], (channels, 1)).astype(
            np.int8
        )
        bias = rng.integers(-3000, 3000, channels)
        bias += point * weights.sum(1, dtype=np.int64) if form % 2 else 0
        target_scale = float(np.float32(scale * np.median(scales) * 16384 / 128 * 10 ** rng.uniform(-0.5, 0.5)))
        target = builder.activation((1, 1, 256, channels), target_scale, point_of(rng))
        inputs = [image, builder.constant(weights.reshape(channels, 1, 1, 2), scales),
                  builder.constant(bias.astype(np.int32), np.float32(scale) * scales)]  # fmt: skip
        activation = str(rng.choice(["none", "none", "relu"]))
        builder.operator("CONV_2D", inputs, target, padding="valid", activation=activation)
    high = np.repeat(EVERY, 256).reshape(256, 256)
    low = np.tile(EVERY, 256).reshape(256, 256)
    check(builder.content(source, target), np.stack([high, low], 2).reshape(256, 512), tmp_path)


def test_convolution_on_every_accumulator(tmp_path):
    check_every_accumulator(5, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30, 40))
def test_convolution_on_every_accumulator_under_more_scales(seed, tmp_path):
    check_every_accumulator(seed, tmp_path)


def dense_between_steps(rng, real, activation):
    """A FULLY_CONNECTED of 64 outputs: 1 weight times 1 input plus biases beside its steps, times about `real`.

    Its input's three values, -1, 0 and 1 with a weight of 1, go over each step.
    """
    scales = [scale_of(rng, -3, 0), scale_of(rng, -3, -1)]
    target_scale = float(np.float32(scales[0] * scales[1] / real))
    exact = scales[0] * scales[1] / target_scale
    accumulators = rng.integers(-int(140 / exact), int(140 / exact) + 1, 20000)
    value = accumulators * exact
    bias = accumulators[np.argsort(np.abs(value - np.floor(value) - 0.5))[:64]]  # the ones closest to a half
    builder = TFLiteBuilder()
    source = builder.activation((1, 1), scales[0], 0)
    inputs = [source, builder.constant(np.ones((64, 1), np.int8), scales[1]),
              builder.constant(bias.astype(np.int32), np.float32(scales[0]) * np.float32(scales[1]))]  # fmt: skip
    target = builder.activation((1, 64), target_scale, 0)
    builder.operator("FULLY_CONNECTED", inputs, target, activation=activation)
    return builder.content(source, target)


@pytest.mark.parametrize("activation", ["none", "relu"])
@pytest.mark.parametrize("real", [0.25, 1 / 6, 0.0085, 1e-3, 1e-4, 3e-6])
def test_fully_connected_rounds_once_in_double(real, activation, tmp_path):
    """LiteRT multiplies the float32 scales in double, the accumulator by that, and rounds halves away from zero; a
    product in float32, a 31-bit multiplier rounded twice, or halves rounded up give other answers here."""
    x = np.arange(-128, 128, dtype=np.int8).reshape(-1, 1)[[0, 127, 128, 129, 255]]
    check(dense_between_steps(np.random.default_rng(7), real, activation), x, tmp_path)


@pytest.mark.parametrize("divisor", [6, 10, 4, 2])
def test_fully_connected_rounds_halves_away_from_zero(divisor, tmp_path):
    """Scales 1, 1 and `divisor`: accumulators of an odd multiple of half the divisor lie on the half exactly."""
    builder = TFLiteBuilder()
    source = builder.activation((1, 1), 1.0, 0)
    bias = (np.arange(-40, 40) * divisor + divisor // 2).astype(np.int32)
    inputs = [source, builder.constant(np.ones((80, 1), np.int8), 1.0), builder.constant(bias, 1.0)]
    target = builder.operator(
        "FULLY_CONNECTED", inputs, builder.activation((1, 80), float(divisor), 0), activation="none"
    )
    check(builder.content(source, target), np.array([[-1], [0], [1], [-128], [127]], np.int8), tmp_path)


def test_convolution_wraps_its_bias_like_litert(tmp_path):
    """Biases at the ends of int32: the sum wraps around in both."""
    builder = TFLiteBuilder()
    source = builder.activation((1, 4), 0.05, -3)
    image = builder.operator("RESHAPE", [source], builder.activation((1, 2, 1, 2), 0.05, -3), new_shape=(1, 2, 1, 2))
    bias = np.array([-(1 << 31), (1 << 31) - 1, 1 << 30, -(1 << 30), 5], np.int32)
    weights = np.array([[127, 127], [-127, -127], [1, 1], [127, -127], [3, 4]], np.int8).reshape(5, 1, 1, 2)
    inputs = [
        image,
        builder.constant(weights, [0.01] * 5),
        builder.constant(bias, [np.float32(0.05) * np.float32(0.01)] * 5),
    ]
    target = builder.operator(
        "CONV_2D", inputs, builder.activation((1, 2, 1, 5), 0.02, 4), padding="valid", activation="none"
    )
    x = np.random.default_rng(8).integers(-128, 128, (40, 4)).astype(np.int8)
    check(
        builder.content(source, target),
        np.concatenate([x, np.full((1, 4), -128, np.int8), np.full((1, 4), 127, np.int8)]),
        tmp_path,
    )


# shapes of graphs


def chain():
    """A builder, its input and a function that appends ADD, so that values move at every step."""
    builder = TFLiteBuilder()
    source = builder.activation((1, 24), 0.05, 3)

    def add(a, b, shape=(1, 24)):
        target = builder.activation(shape, 0.08, -5)
        return builder.operator("ADD", [a, b], target, activation="none")

    return builder, source, add


def check_structure(builder, source, target, tmp_path):
    x = np.random.default_rng(9).integers(-128, 128, (20, 24)).astype(np.int8)
    check(builder.content(source, target), x, tmp_path)


def test_diamonds(tmp_path):
    builder, source, add = chain()
    left = add(source, source)
    right = builder.operator("TANH", [left], builder.activation((1, 24), 1 / 128, 0))
    joined = add(left, right)
    check_structure(builder, source, add(joined, left), tmp_path)


def test_long_skip(tmp_path):
    builder, source, add = chain()
    first = here = add(source, source)
    for _ in range(5):
        here = builder.operator("RELU", [here], builder.activation((1, 24), 0.07, -100))
    check_structure(builder, source, add(here, first), tmp_path)


def test_dead_branches_before_and_after_the_output(tmp_path):
    builder, source, add = chain()
    first = add(source, source)
    add(first, source)
    target = add(first, first)
    after = add(target, first)  # reads the output, is read by nobody
    builder.operator("TANH", [after], builder.activation((1, 24), 1 / 128, 0))
    builder.operator("LOGISTIC", [source], builder.activation((1, 24), 1 / 256, -128))
    check_structure(builder, source, target, tmp_path)


def test_output_is_a_reshape(tmp_path):
    builder, source, add = chain()
    inner = add(source, source)
    target = builder.operator("RESHAPE", [inner], builder.activation((1, 4, 6), 0.08, -5), new_shape=(1, 4, 6))
    check_structure(builder, source, target, tmp_path)


def test_output_is_a_reshape_of_the_input(tmp_path):
    builder, source, _ = chain()
    target = builder.operator("RESHAPE", [source], builder.activation((1, 6, 4), 0.05, 3), new_shape=(1, 6, 4))
    check_structure(builder, source, target, tmp_path)


def test_reshapes_of_a_tensor_that_lives_on(tmp_path):
    builder, source, add = chain()
    inner = add(source, source)
    image = builder.operator("RESHAPE", [inner], builder.activation((1, 2, 12), 0.08, -5), new_shape=(1, 2, 12))
    other = builder.operator("RESHAPE", [image], builder.activation((1, 24), 0.08, -5), new_shape=(1, 24))
    moved = builder.operator("TANH", [other], builder.activation((1, 24), 1 / 128, 0))
    check_structure(builder, source, add(moved, inner), tmp_path)


def test_concatenation_of_one_tensor_twice(tmp_path):
    builder, source, add = chain()
    inner = add(source, source)
    both = builder.operator("CONCATENATION", [inner, inner], builder.activation((1, 48), 0.08, -5), axis=1)
    check_structure(builder, source, add(both, both, (1, 48)), tmp_path)


def test_one_weight_in_two_layers(tmp_path):
    """Equal weights, scales and shapes in one buffer, and the same buffer under another output scale."""
    rng = np.random.default_rng(10)
    builder = TFLiteBuilder()
    here = source = builder.activation((1, 24), 0.05, 3)
    weights = builder.constant(rng.integers(-127, 128, (24, 24)).astype(np.int8), 0.01)
    for scale in (0.1, 0.1, 0.4, 0.02):
        before = builder.subgraph.tensors[here].quantization.scale[0]
        bias = builder.constant(rng.integers(-500, 500, 24).astype(np.int32), before * np.float32(0.01))
        target = builder.activation((1, 24), scale, int(rng.integers(-50, 50)))
        here = builder.operator("FULLY_CONNECTED", [here, weights, bias], target, activation="none")
    check_structure(builder, source, here, tmp_path)
