"""A depthwise convolution of one tap as a factor and a constant a channel: proven, and byte-equal to LiteRT."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native import assert_equal_everywhere, has_compiler, reference_outputs
from tflite_builder import TFLiteBuilder
from watched import on_core

from kws_dendrite.export.benchmark.toolchain import INSTALL, missing
from kws_dendrite.export.c import write_c
from kws_dendrite.export.c.lower.scale import SHIFT, prove_scale
from kws_dendrite.export.c.requantize import multiply_by_quantized_multiplier, quantize_multiplier

EVERY = np.arange(-128, 128, dtype=np.int64)


@given(
    st.floats(1e-5, 3.0), st.integers(-127, 127), st.integers(-128, 127), st.integers(-128, 127),
    st.integers(-20000, 20000), st.sampled_from([(-128, 127), (-128, 60), (-50, 127)]),
)  # fmt: skip
@settings(max_examples=400, deadline=None, derandomize=True)
def test_a_line_gives_tflites_answers_or_there_is_none(ratio, tap, zero_in, zero_out, bias, limits):
    real = ratio / 127
    accumulators = tap * (EVERY - zero_in) + bias
    multiplier, shift = quantize_multiplier(real)
    scaled = multiply_by_quantized_multiplier(accumulators, np.int64(multiplier), np.int64(shift))
    answers = np.clip(scaled + zero_out, *limits)
    line = prove_scale(answers, accumulators, real * tap, zero_out)
    whole = limits == (-128, 127)
    assert line is not None or not whole or np.abs(scaled).max() > 1000, "a line there should be"
    if line is not None:
        factor, constant, third = line
        center = (zero_out << SHIFT) + (1 << (SHIFT - 1))
        u = factor * EVERY + constant
        u -= np.where(u < 0, third, 0)
        np.testing.assert_array_equal(np.clip((u + center) >> SHIFT, -128, 127), answers)
        assert np.abs(u + center).max() < 1 << 31


def scales(seed):
    """The file of one-tap layers of many factors, each on all 256 values of every channel."""
    rng, builder = np.random.default_rng(seed), TFLiteBuilder()
    scale, point = 0.05, int(rng.integers(-128, 128))
    source = builder.activation((1, 256), scale, point)
    for channels, activation in ((1, "none"), (8, "none"), (4, "relu"), (2, "none"), (16, "relu6"), (1, "none")):
        shape = (1, 256 // channels, 1, channels)
        image = builder.activation(shape, scale, point)
        builder.operator("RESHAPE", [source], image, new_shape=shape)
        for _ in range(3):
            weights = builder.constant(
                rng.choice([-127, 127, 5, 0], (1, 1, 1, channels), p=[0.45, 0.45, 0.05, 0.05]).astype(np.int8),
                10 ** rng.uniform(-4, -2, channels), axis=3,
            )  # fmt: skip
            bias = builder.constant(rng.integers(-3000, 3000, channels).astype(np.int32))
            target = builder.activation(
                shape, float(np.float32(0.05 * 10 ** rng.uniform(-0.7, 0.5))),
                -128 if activation == "relu" else int(rng.integers(-128, 128)),
            )  # fmt: skip
            builder.operator(
                "DEPTHWISE_CONV_2D", [image, weights, bias], target, padding="same", depth_multiplier=1,
                activation=activation,
            )  # fmt: skip
    return builder.content(source, target)


def clips():
    """int8 (256, 256): every value in every place."""
    return np.stack([np.roll(EVERY, by) for by in range(256)]).astype(np.int8)


@pytest.mark.skipif(not has_compiler(), reason="needs a C compiler, cc")
@pytest.mark.parametrize("seed", range(4))
def test_scales_equal_litert(seed, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(scales(seed))
    write_c(path, tmp_path / "c")
    assert "kws_scale_s8(" in (tmp_path / "c" / "kws_model.c").read_text()
    assert_equal_everywhere(path, tmp_path / "c", tmp_path / "work", clips())


@pytest.mark.skipif(bool(missing()), reason=f"no arm-none-eabi-gcc or qemu-system-arm: {INSTALL}")
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_scales_equal_litert_on_a_core(core, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(scales(9))
    write_c(path, tmp_path / "c")
    x = clips()[::32]
    out, tensors = reference_outputs(path, x)
    np.testing.assert_array_equal(on_core(core, tmp_path / "c", tmp_path, x), np.concatenate([*tensors, out], axis=1))
