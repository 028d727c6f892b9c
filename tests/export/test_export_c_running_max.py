"""The max pool of stride 1 along one axis: every core's kernel equals LiteRT's and the plain graph's on every byte."""

import ctypes
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native import STRICT, assert_equal_everywhere, has_compiler, reference_outputs
from tflite_builder import TFLiteBuilder
from watched import on_core

from kws_dendrite.export.benchmark.toolchain import INSTALL, missing
from kws_dendrite.export.c import write_c
from kws_dendrite.export.c.sources import runtime_text
from kws_dendrite.plain import Graph, Input, MaxPool, Reshape
from kws_dendrite.plain.interpreter import interpret

pytestmark = pytest.mark.skipif(not has_compiler(), reason="needs a C compiler, cc")
GUARD = 8  # bytes on either side of the output that must stay as they are
SOURCES = ("kws_core.h", "kws_running_max.h", "kws_running_max_portable.h", "kws_running_max.c")
FEATURES = 720
SHAPES = [(40, 1, 18), (60, 1, 12), (48, 1, 15), (24, 6, 5), (3, 40, 6), (1, 48, 15), (720, 1, 1), (360, 1, 2),
          (240, 1, 3), (5, 1, 144), (1, 1, 720), (144, 1, 5), (15, 48, 1), (2, 1, 360)]  # fmt: skip
WINDOWS = [1, 2, 3, 4, 5, 8, 9, 16, 17, 18, 33, 63, 130]
ACTIVATIONS = ["none", "relu", "relu6", "relu_n1_to_1"]


class Settings(ctypes.Structure):
    """kws_running_max."""

    _fields_ = [(name, ctypes.c_uint32) for name in ("sequences", "steps", "width", "before", "behind")] + [
        (name, ctypes.c_int8) for name in ("minimum", "maximum")
    ]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """The portable kernel on this machine."""
    folder = tmp_path_factory.mktemp("running_max")
    for name in SOURCES:
        (folder / name).write_text(runtime_text("model", name))
    subprocess.run(
        ["cc", *STRICT, "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all", "-shared", "-fPIC",
         str(folder / "kws_running_max.c"), "-o", str(folder / "kernel.so")],
        check=True,
    )  # fmt: skip
    function = ctypes.CDLL(str(folder / "kernel.so")).kws_running_max_s8
    function.restype = None

    def run(x, window, limits):
        """(sequences, steps, width) int8 -> the same, its largest within `window` steps."""
        before = (window - 1) // 2
        given_ = Settings(*x.shape, before, window - 1 - before, *limits)
        out = np.full(x.size + 2 * GUARD, 77, np.int8)
        x = np.ascontiguousarray(x)
        function(ctypes.byref(given_), x.ctypes.data_as(ctypes.c_void_p), ctypes.c_void_p(out.ctypes.data + GUARD))
        assert (out[:GUARD] == 77).all() and (out[-GUARD:] == 77).all()
        return out[GUARD:-GUARD].reshape(x.shape)

    return run


def as_plain(x, window):
    """What the plain graph's max pool gives."""
    _, steps, width = x.shape
    nodes = (
        Input("x", (), steps * width),
        Reshape("map", ("x",), (steps, 1, width)),
        MaxPool("pool", ("map",), (window, 1), (1, 1), "same"),
        Reshape("flat", ("pool",), (steps * width,)),
    )
    return interpret(Graph(nodes, {}), x.reshape(len(x), -1).astype(np.float32)).reshape(x.shape)


@given(
    st.integers(1, 3), st.integers(1, 70), st.integers(1, 41), st.integers(1, 80), st.integers(-128, 127),
    st.integers(-128, 127), st.integers(0, 1 << 31),
)  # fmt: skip
@settings(max_examples=400, deadline=None, derandomize=True)
def test_any_shape_equals_the_plain_graph(kernel, sequences, steps, width, window, one, other, seed):
    rng, limits = np.random.default_rng(seed), (min(one, other), max(one, other))
    x = rng.integers(-128, 128, (sequences, steps, width)).astype(np.int8)
    x[rng.random(x.shape) < 0.3] = rng.choice([-128, 127, 0, -1])
    np.testing.assert_array_equal(kernel(x, window, limits), np.clip(as_plain(x, window), *limits))


def test_every_pair_of_bytes(kernel):
    """Four bytes at a time: each byte's answer is its own, whatever stands beside it."""
    every = np.arange(-128, 128)
    a, b = (part.reshape(-1).astype(np.int8) for part in np.meshgrid(every, every))
    x = np.stack([a, b])[None]
    np.testing.assert_array_equal(kernel(x, 2, (-128, 127))[0, 0], np.maximum(a, b))


def pools(seed):
    """The file of a pool for each shape and some windows, along either axis, one beside the other."""
    rng, builder = np.random.default_rng(seed), TFLiteBuilder()
    scale, point = 0.05, int(rng.integers(-100, 100))
    source = builder.activation((1, FEATURES), scale, point)
    for shape in SHAPES:
        image = builder.activation((1, *shape), scale, point)
        builder.operator("RESHAPE", [source], image, new_shape=(1, *shape))
        for _ in range(4):
            window = int(rng.choice(WINDOWS))
            last = builder.operator(
                "MAX_POOL_2D", [image], builder.activation((1, *shape), scale, point), padding="same", stride=(1, 1),
                window=(window, 1) if rng.random() < 0.7 else (1, window), activation=str(rng.choice(ACTIVATIONS)),
            )  # fmt: skip
            if rng.random() < 0.5:
                image = last  # one behind the other
    return builder.content(source, last)


@pytest.mark.parametrize("seed", range(4))
def test_pools_equal_litert(seed, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(pools(seed))
    write_c(path, tmp_path / "c")
    assert "kws_running_max_s8(" in (tmp_path / "c" / "kws_model.c").read_text()
    x = np.random.default_rng(seed).integers(-128, 128, (4, FEATURES)).astype(np.int8)
    assert_equal_everywhere(path, tmp_path / "c", tmp_path / "work", x)


@pytest.mark.skipif(bool(missing()), reason=f"no arm-none-eabi-gcc or qemu-system-arm: {INSTALL}")
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m55"])
def test_pools_equal_litert_on_a_core(core, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(pools(9))
    write_c(path, tmp_path / "c")
    x = np.random.default_rng(9).integers(-128, 128, (2, FEATURES)).astype(np.int8)
    out, tensors = reference_outputs(path, x)
    mine = on_core(core, tmp_path / "c", tmp_path, x)
    ends = np.cumsum([tensor.shape[1] for tensor in tensors])
    for index, (here, tensor) in enumerate(zip(np.split(mine, ends, axis=1)[:-1], tensors, strict=True)):
        np.testing.assert_array_equal(here, tensor, err_msg=str(index))
    np.testing.assert_array_equal(mine[:, ends[-1] :], out)


@pytest.mark.parametrize(
    ("window", "stride", "padding", "kernel_name"),
    [((5, 1), (1, 1), "same", "kws_running_max_s8"), ((1, 5), (1, 1), "same", "kws_running_max_s8"),
     ((3, 3), (1, 1), "same", "kws_max_pool_s8"), ((5, 1), (2, 1), "same", "kws_max_pool_s8"),
     ((5, 1), (1, 1), "valid", "kws_max_pool_s8")],
)  # fmt: skip
def test_which_pools_it_serves(window, stride, padding, kernel_name, tmp_path):
    builder = TFLiteBuilder()
    source = builder.activation((1, FEATURES), 0.1, 0)
    image = builder.activation((1, 24, 6, 5), 0.1, 0)
    builder.operator("RESHAPE", [source], image, new_shape=(1, 24, 6, 5))
    shape = (20, 6, 5) if padding == "valid" else (24 // stride[0], 6, 5)
    target = builder.activation((1, *shape), 0.1, 0)
    builder.operator("MAX_POOL_2D", [image], target, padding=padding, stride=stride, window=window, activation="none")
    path = tmp_path / "model.tflite"
    path.write_bytes(builder.content(source, target))
    write_c(path, tmp_path / "c")
    assert f"{kernel_name}(" in (tmp_path / "c" / "kws_model.c").read_text()
    x = np.random.default_rng(0).integers(-128, 128, (3, FEATURES)).astype(np.int8)
    assert_equal_everywhere(path, tmp_path / "c", tmp_path / "work", x)
