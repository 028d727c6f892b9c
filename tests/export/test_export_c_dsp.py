"""The kernels of Arm's DSP extension, each alone in a model, on an emulated core: every byte is LiteRT's.

What is portable is held to LiteRT in test_export_c_exact; here are the shapes that make the generator and the kernels
choose between their ways.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from native import STRICT, reference_outputs
from tflite_builder import TFLiteBuilder

from kws_dendrite.export.benchmark.device import decide
from kws_dendrite.export.c import write_c
from kws_dendrite.frontend import MfccConfig

pytestmark = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm")),
    reason="needs the packages gcc-arm-none-eabi and qemu-system-arm",
)
CLIPS = 8

# kind, (H, W, C), outputs, (kh, kw), stride, dilation, padding, activation
NARROW = [("CONV_2D", (7, 1, taps), 1 + taps % 5, (1, 1), 1 + taps % 2, (1, 1), "valid", act)
          for taps, act in zip(range(1, 15), 7 * ("relu", "none"), strict=True)]  # fmt: skip
TILES = [
    ("CONV_2D", (9, 1, 16), 4, (1, 1), 1, (1, 1), "same", "relu"),
    ("CONV_2D", (9, 1, 17), 7, (1, 1), 2, (1, 1), "same", "none"),
    ("CONV_2D", (11, 1, 5), 6, (3, 1), 1, (1, 1), "same", "none"),
    ("CONV_2D", (11, 1, 4), 9, (4, 1), 3, (1, 1), "valid", "relu"),
    ("CONV_2D", (13, 1, 3), 5, (3, 1), 1, (2, 1), "same", "none"),
    ("CONV_2D", (9, 6, 1), 8, (4, 3), 2, (1, 1), "same", "relu"),
    ("CONV_2D", (6, 5, 3), 3, (3, 3), 1, (1, 1), "same", "relu6"),
    ("CONV_2D", (5, 4, 16), 12, (3, 3), 1, (1, 1), "valid", "none"),
]
TEMPORAL = [
    *(("DEPTHWISE_CONV_2D", (12 + kernel, 1, 5), 5, (kernel, 1), 1, (1, 1), "same", act)
      for kernel, act in zip(range(2, 16), 8 * ("none", "relu"), strict=False)),
    ("DEPTHWISE_CONV_2D", (19, 1, 3), 3, (1, 1), 2, (1, 1), "same", "none"),
    ("DEPTHWISE_CONV_2D", (31, 1, 3), 3, (11, 1), 1, (1, 1), "same", "relu"),
    ("DEPTHWISE_CONV_2D", (30, 1, 2), 2, (13, 1), 1, (1, 1), "same", "relu"),
    ("DEPTHWISE_CONV_2D", (33, 1, 3), 3, (15, 1), 2, (1, 1), "same", "none"),
    ("DEPTHWISE_CONV_2D", (40, 1, 4), 4, (15, 1), 1, (2, 1), "same", "relu"),
    ("DEPTHWISE_CONV_2D", (20, 1, 130), 130, (13, 1), 1, (1, 1), "same", "none"),
    ("DEPTHWISE_CONV_2D", (9, 1, 3), 3, (14, 1), 1, (1, 1), "same", "relu"),
    ("DEPTHWISE_CONV_2D", (19, 1, 3), 3, (9, 1), 2, (1, 1), "same", "none"),
    ("DEPTHWISE_CONV_2D", (18, 1, 7), 7, (5, 1), 2, (1, 1), "valid", "relu"),
    ("DEPTHWISE_CONV_2D", (20, 1, 3), 3, (9, 1), 1, (3, 1), "same", "none"),
    ("DEPTHWISE_CONV_2D", (23, 1, 4), 4, (3, 1), 1, (4, 1), "same", "relu"),
    ("DEPTHWISE_CONV_2D", (17, 1, 2), 2, (5, 1), 1, (2, 1), "valid", "none"),
    ("DEPTHWISE_CONV_2D", (9, 1, 130), 130, (3, 1), 1, (1, 1), "same", "none"),
    ("DEPTHWISE_CONV_2D", (1, 1, 6), 6, (3, 1), 1, (1, 1), "same", "none"),
]  # fmt: skip
GROUPS = [
    ("DEPTHWISE_CONV_2D", (15, 1, 9), 9, (17, 1), 1, (1, 1), "same", "none"),
    ("DEPTHWISE_CONV_2D", (15, 1, 4), 4, (4, 1), 1, (2, 1), "same", "none"),
    ("DEPTHWISE_CONV_2D", (7, 5, 10), 10, (3, 3), 1, (1, 1), "same", "relu"),
    ("DEPTHWISE_CONV_2D", (7, 6, 5), 5, (3, 5), 2, (1, 1), "same", "none"),
    ("DEPTHWISE_CONV_2D", (8, 7, 6), 6, (3, 3), 1, (2, 3), "same", "none"),
    ("DEPTHWISE_CONV_2D", (6, 6, 4), 4, (2, 3), 1, (1, 1), "valid", "relu_n1_to_1"),
]
SCALES = [
    ("DEPTHWISE_CONV_2D", shape, shape[2], (1, 1), 1, (1, 1), "same", act)
    for shape, act in (((49, 1, 19), "none"), ((7, 5, 3), "relu"), ((1, 1, 8), "none"), ((6, 1, 1), "none"))
]
POOLS = [("AVERAGE_POOL_2D", (10, 1, 6), 6, (10, 1), 1, (1, 1), "valid", "none"),
         ("AVERAGE_POOL_2D", (7, 5, 9), 9, (3, 2), 2, (1, 1), "same", "none"),
         ("MAX_POOL_2D", (10, 3, 7), 7, (4, 3), 1, (1, 1), "same", "none"),
         ("MAX_POOL_2D", (9, 1, 12), 12, (9, 1), 1, (1, 1), "valid", "relu")]  # fmt: skip


def single_layer(case, seed):
    """The file of one layer behind a RESHAPE."""
    kind, (height, width, channels), outputs, (kernel_h, kernel_w), stride, dilation, padding, activation = case
    rng = np.random.default_rng(seed)
    builder = TFLiteBuilder()
    scale, zero_point = 0.04, int(rng.integers(-128, 128))
    source = builder.activation((1, height * width * channels), scale, zero_point)
    image = builder.activation((1, height, width, channels), scale, zero_point)
    builder.operator("RESHAPE", [source], image, new_shape=(1, height, width, channels))
    sizes = []
    for size, k, d in zip((height, width), (kernel_h, kernel_w), dilation, strict=True):
        sizes.append(-(-size // stride) if padding == "same" else (size - (k - 1) * d - 1) // stride + 1)
    if kind.endswith("POOL_2D"):
        target = builder.activation((1, *sizes, outputs), scale, zero_point)
        builder.operator(kind, [image], target, window=(kernel_h, kernel_w), stride=(stride, stride), padding=padding,
                         activation=activation)  # fmt: skip
        return builder.content(source, target)
    depthwise = kind == "DEPTHWISE_CONV_2D"
    shape = (1, kernel_h, kernel_w, channels) if depthwise else (outputs, kernel_h, kernel_w, channels)
    taps = kernel_h * kernel_w * (1 if depthwise else channels)
    scales = rng.uniform(0.5, 1.5, outputs) * 0.01
    weights = builder.constant(rng.integers(-127, 128, shape).astype(np.int8), scales, axis=3 if depthwise else 0)
    bias = builder.constant(rng.integers(-3000, 3000, outputs).astype(np.int32))
    out_scale = 0.04 * 0.01 * 70 * 70 * np.sqrt(taps) / 60
    out_point = -128 if activation.startswith("relu") and activation != "relu_n1_to_1" else int(rng.integers(-60, 60))
    target = builder.activation((1, *sizes, outputs), out_scale, out_point)
    only = {"depth_multiplier": 1} if depthwise else {}
    builder.operator(kind, [image, weights, bias], target, stride=(stride, stride), dilation=dilation, padding=padding,
                     activation=activation, **only)  # fmt: skip
    return builder.content(source, target)


def name_of(case):
    kind, shape, outputs, kernel, stride, dilation, padding, activation = case
    text = f"{kind}-{shape}-{outputs}-{kernel}-{stride}-{dilation[0]}-{padding}-{activation}"
    return text.replace(" ", "").replace("(", "").replace(")", "").replace(",", "x")


@pytest.mark.parametrize("case", [*NARROW[::2], *TILES, *TEMPORAL[::2], *GROUPS, *SCALES, *POOLS], ids=name_of)
def test_on_a_cortex_m4(case, tmp_path):
    check(case, "cortex-m4", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m33", "cortex-m3"])
@pytest.mark.parametrize("case", [*NARROW, *TILES, *TEMPORAL, *GROUPS, *SCALES, *POOLS], ids=name_of)
def test_on_every_core(case, core, tmp_path):
    check(case, core, tmp_path)


def check(case, core, folder):
    for seed in range(1 if core == "cortex-m4" else 2):
        path = folder / f"{seed}.tflite"
        content = single_layer(case, seed)
        path.write_bytes(content)
        write_c(path, folder / f"c{seed}")
        height, width, channels = case[1]
        x = np.random.default_rng(seed).integers(-128, 128, (CLIPS, height * width * channels)).astype(np.int8)
        x[0], x[1] = -128, 127
        np.testing.assert_array_equal(decide(folder / f"c{seed}", core, x), reference_outputs(path, x)[0])


def test_the_cases_reach_the_kernels_they_are_for(tmp_path):
    path, texts = tmp_path / "model.tflite", {}
    for case in [*NARROW, *TILES, *TEMPORAL, *GROUPS, *SCALES]:
        path.write_bytes(single_layer(case, 0))
        write_c(path, tmp_path / "c", overwrite=True)
        texts[case] = (tmp_path / "c" / "kws_model.c").read_text()
    for case, text in texts.items():
        assert ("KWS_CONV_NARROW(" in text) == (case in NARROW and case[1][2] % 4 != 3), case
        assert ("kws_depthwise_temporal(" in text) == (case in TEMPORAL), case
        assert ("kws_scale_s8(" in text) == (case in SCALES), case
    for form in ("KWS_RISING", "KWS_LINE", "KWS_ROUND_TWICE"):
        assert any(form in text for text in texts.values())


def test_one_buffer_seen_in_two_shapes(tmp_path):
    """The stream of pairs depends on the shape, so two layers of other shapes need two."""
    rng, builder = np.random.default_rng(3), TFLiteBuilder()
    source = builder.activation((1, 240), 0.02, 3)
    image = builder.operator("RESHAPE", [source], builder.activation((1, 40, 1, 6), 0.02, 3), new_shape=(1, 40, 1, 6))
    values = rng.integers(-127, 128, (1, 4, 1, 6)).astype(np.int8)
    first = builder.constant(values, [0.01])
    middle = builder.activation((1, 40, 1, 6), 0.05, -5)
    bias = builder.constant(np.zeros(6, np.int32))
    builder.operator("DEPTHWISE_CONV_2D", [image, first, bias], middle, padding="same", depth_multiplier=1)
    other = builder.operator("RESHAPE", [middle], builder.activation((1, 60, 1, 4), 0.05, -5), new_shape=(1, 60, 1, 4))
    second = builder.constant(values.reshape(1, 6, 1, 4), [0.01])
    builder.subgraph.tensors[second].buffer = builder.subgraph.tensors[first].buffer
    target = builder.activation((1, 60, 1, 4), 0.08, 0)
    bias = builder.constant(np.zeros(4, np.int32))
    builder.operator("DEPTHWISE_CONV_2D", [other, second, bias], target, padding="same", depth_multiplier=1)
    path = tmp_path / "model.tflite"
    path.write_bytes(builder.content(source, target))
    write_c(path, tmp_path / "c")
    x = rng.integers(-128, 128, (CLIPS, 240)).astype(np.int8)
    np.testing.assert_array_equal(decide(tmp_path / "c", "cortex-m4", x), reference_outputs(path, x)[0])


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3", "-O2 -fno-omit-frame-pointer"])
def test_strict_at_every_level(level, tmp_path):
    """Inline assembly is where a compiler may run out of registers."""
    path = tmp_path / "model.tflite"
    for case in (TILES[0], GROUPS[2], TEMPORAL[8], NARROW[12], *POOLS[:3:2]):
        path.write_bytes(single_layer(case, 0))
        write_c(path, tmp_path / "c", overwrite=True)
        subprocess.run(
            ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", *STRICT,
             *level.split(), "-c", *map(str, (tmp_path / "c").glob("*.c"))],
            check=True, cwd=tmp_path,
        )  # fmt: skip


@pytest.mark.skipif(not shutil.which("clang"), reason="needs the package clang")
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m55"])
def test_clang_takes_it(core, tmp_path):
    golden = Path(__file__).resolve().parent.parent / "golden" / "tflite" / "sep14_s2.tflite"
    write_c(golden, tmp_path / "c", labels=tuple("abcdefghijkl"), frontend=MfccConfig())
    library = subprocess.run(
        ["arm-none-eabi-gcc", "-print-file-name=libc.a"], check=True, capture_output=True, text=True
    ).stdout.strip()
    include = Path(library).resolve().parents[1] / "include"
    if not (include / "string.h").is_file():
        pytest.skip(f"there are no headers of newlib in {include}")
    subprocess.run(
        ["clang", "--target=arm-none-eabi", f"-mcpu={core}", "-mthumb", f"-I{include}", *STRICT,
         "-fsyntax-only", *map(str, (tmp_path / "c").glob("*.c"))],
        check=True,
    )  # fmt: skip
