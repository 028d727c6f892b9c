"""The Helium kernels on an emulated Cortex-M55: every operator's tensor equals the portable C's and LiteRT's."""

from pathlib import Path

import numpy as np
import pytest
from native import NativeModel, has_compiler, reference_outputs
from random_layers import FEATURES, RandomGraph, inputs
from watched import on_core

from kws_dendrite.export.benchmark.targets import find_target
from kws_dendrite.export.benchmark.toolchain import GCC, INSTALL, missing, output
from kws_dendrite.export.c import write_c

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "tflite"
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"no arm-none-eabi-gcc or qemu-system-arm: {INSTALL}"),
    pytest.mark.skipif(not has_compiler(), reason="no host C compiler"),
]


def assert_equal_on_helium(tflite, tmp_path, x, options=()):
    folder = tmp_path / "c"
    write_c(tflite, folder, overwrite=True)
    portable = NativeModel(folder, tmp_path / "native", flags=("-O1", "-DKWS_PORTABLE=1"))
    helium = on_core("cortex-m55", folder, tmp_path, x, *options)
    out, tensors = portable.run(x)
    assert helium.shape[1] == sum(tensor.shape[1] for tensor in tensors) + out.shape[1]
    expected, references = reference_outputs(tflite, x)
    ends = np.cumsum([tensor.shape[1] for tensor in tensors])
    for row, here, there, reference in zip(
        portable.operators, np.split(helium, ends, axis=1)[:-1], tensors, references, strict=True
    ):
        wrong = np.argwhere(here != there)
        assert not len(wrong), (
            f"{row['index']} {row['operator']} {row['shape']}: {len(wrong)} of {here.size} bytes differ from "
            f"the portable C's, the first at {wrong[0]}: {here[tuple(wrong[0])]} for {there[tuple(wrong[0])]}"
        )
        np.testing.assert_array_equal(here, reference)
    np.testing.assert_array_equal(helium[:, ends[-1] :], expected)


def extremes(rng, rows, size):
    """int8 (rows, size): random ones, the last two of the ends alone."""
    x = rng.integers(-128, 128, (rows, size)).astype(np.int8)
    x[-2:] = rng.choice(np.array([-128, 127], np.int8), (2, size))
    return x


@pytest.mark.parametrize("name, size", [("sep14_s1", 650), ("sep14_s2", 650), ("sep12_mel40_s1", 2000)])
def test_golden_model_is_byte_equal_on_every_operator(name, size, tmp_path):
    assert_equal_on_helium(GOLDEN / f"{name}.tflite", tmp_path, extremes(np.random.default_rng(0), 4, size))


KERNELS = (
    "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "AVERAGE_POOL_2D", "MAX_POOL_2D", "RELU", "TANH",
    "SOFTMAX", "MUL",
)  # fmt: skip


def test_random_layers_are_byte_equal(tmp_path):
    rng = np.random.default_rng(0)
    graph = RandomGraph(rng)
    for kind in rng.permutation(KERNELS * 6):
        graph.layer(str(kind))
    (tmp_path / "random.tflite").write_bytes(graph.content())
    assert_equal_on_helium(tmp_path / "random.tflite", tmp_path, inputs(rng, rows=2))


# (operator, output channels, kernel, stride, dilation, padding), one after the other from (48, 1, 15)
ALONG_TIME = (
    ("CONV_2D", 17, (1, 1), (1, 1), (1, 1), "valid"),
    ("DEPTHWISE_CONV_2D", 17, (9, 1), (1, 1), (1, 1), "same"),
    ("CONV_2D", 33, (3, 1), (1, 1), (1, 1), "same"),
    ("DEPTHWISE_CONV_2D", 33, (16, 1), (1, 1), (1, 1), "same"),
    ("DEPTHWISE_CONV_2D", 33, (17, 1), (1, 1), (1, 1), "same"),
    ("DEPTHWISE_CONV_2D", 33, (5, 1), (1, 1), (3, 1), "same"),
    ("CONV_2D", 5, (1, 1), (1, 1), (1, 1), "valid"),
    ("DEPTHWISE_CONV_2D", 5, (2, 1), (1, 1), (1, 1), "valid"),
    ("CONV_2D", 16, (3, 1), (2, 1), (1, 1), "same"),
    ("DEPTHWISE_CONV_2D", 16, (3, 1), (2, 1), (1, 1), "same"),
    ("DEPTHWISE_CONV_2D", 16, (4, 1), (1, 1), (1, 1), "same"),
    ("CONV_2D", 3, (1, 1), (1, 1), (1, 1), "valid"),
    ("CONV_2D", 1, (1, 1), (2, 1), (1, 1), "valid"),
    ("CONV_2D", 2, (3, 1), (1, 1), (1, 1), "valid"),
)
IN_TWO_DIMENSIONS = (  # from (12, 10, 6)
    ("CONV_2D", 18, (4, 3), (1, 1), (1, 1), "same"),
    ("DEPTHWISE_CONV_2D", 18, (3, 3), (1, 1), (1, 1), "same"),
    ("DEPTHWISE_CONV_2D", 18, (3, 4), (1, 1), (2, 1), "same"),
    ("CONV_2D", 8, (1, 1), (1, 1), (1, 1), "valid"),
    ("CONV_2D", 35, (1, 1), (2, 2), (1, 1), "valid"),
    ("DEPTHWISE_CONV_2D", 35, (2, 5), (1, 2), (1, 1), "same"),
    ("CONV_2D", 7, (2, 1), (1, 1), (2, 1), "same"),
    ("DEPTHWISE_CONV_2D", 7, (2, 2), (2, 1), (1, 1), "valid"),
)


def directed(rng, shape, layers, least):
    graph = RandomGraph(rng)
    source = graph._reshaped(graph.input, shape)
    for kind, channels, kernel, stride, dilation, padding in layers:
        _, *size, depth = graph.tensors[source][0]
        taps = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        rows, columns = (
            -(-n // s) if padding == "same" else (n - reach - 1) // s + 1
            for n, s, reach in zip(size, stride, taps, strict=True)
        )
        by_channel = kind == "DEPTHWISE_CONV_2D"
        weights = rng.integers(-127, 128, (1, *kernel, depth) if by_channel else (channels, *kernel, depth)).astype(
            np.int8
        )
        source = graph._convolution(
            kind, source, weights, 3 if by_channel else 0, channels, (1, rows, columns, channels),
            padding=padding, stride=stride, dilation=dilation,
        )  # fmt: skip
    return graph.content()


@pytest.mark.parametrize(
    "shape, layers, least",
    [
        ((1, 48, 1, 15), ALONG_TIME, -127),
        ((1, 12, 10, 6), IN_TWO_DIMENSIONS, -127),
        ((1, 12, 10, 6), IN_TWO_DIMENSIONS, -128),
    ],
    ids=["time", "plane", "weights of -128"],
)
def test_odd_shapes_are_byte_equal(shape, layers, least, tmp_path):
    rng = np.random.default_rng(2)
    (tmp_path / "directed.tflite").write_bytes(directed(rng, shape, layers, least))
    assert_equal_on_helium(tmp_path / "directed.tflite", tmp_path, extremes(rng, 6, FEATURES))


def test_every_helium_header_is_compiled_in_at_every_level(tmp_path):
    rng = np.random.default_rng(3)
    graph = RandomGraph(rng)
    for kind in KERNELS:
        graph.layer(kind)
    (tmp_path / "all.tflite").write_bytes(graph.content())
    write_c(tmp_path / "all.tflite", tmp_path / "c")
    headers = {path.name for path in (tmp_path / "c").glob("*_helium.h")}
    assert len(headers) >= 7
    target = find_target("cortex-m55")
    for level in ("-O0", "-O1", "-Os -fno-omit-frame-pointer"):
        read = ""
        for source in sorted((tmp_path / "c").glob("kws_*.c")):
            command = [GCC, *target.flags, "-std=c99", *STRICT, *level.split(), "-MMD", "-MF", str(tmp_path / "deps")]
            output([*command, "-c", str(source), "-o", str(tmp_path / "object.o")])
            read += (tmp_path / "deps").read_text()
        assert not [name for name in headers if name not in read]
