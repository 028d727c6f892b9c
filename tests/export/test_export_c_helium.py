"""The Helium kernels on an emulated Cortex-M55: every operator's tensor equals the portable C's and LiteRT's."""

from pathlib import Path

import numpy as np
import pytest
from native import NativeModel, has_compiler, reference_outputs

from kws_dendrite.export.benchmark.emulator import run
from kws_dendrite.export.benchmark.firmware import compile_sources, link
from kws_dendrite.export.benchmark.targets import find_target
from kws_dendrite.export.benchmark.toolchain import INSTALL, missing
from kws_dendrite.export.c import write_c

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "tflite"
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
HOOK = """\
#include <stdint.h>
extern void kws_look(const void *data, uint32_t bytes);
#define KWS_AFTER_OPERATOR(index, data, bytes) kws_look((data), (bytes))
"""
MAIN = """\
#include "kws_model.h"
#include "semihosting.h"

#if !defined(__ARM_FEATURE_MVE)
#error "no Helium"
#endif
static kws_arena arena;
static int8_t in[KWS_MODEL_INPUT_SIZE], out[KWS_MODEL_OUTPUT_SIZE];
static int watched;

void kws_look(const void *data, uint32_t bytes);
void kws_look(const void *data, uint32_t bytes) { (void)semihosting_write(watched, data, bytes); }

int main(void) {
    const int from = semihosting_open("clips.bin", SEMIHOSTING_READ_BINARY);
    watched = semihosting_open("watched.bin", SEMIHOSTING_WRITE_BINARY);
    while (semihosting_read(from, in, sizeof in) == sizeof in) {
        kws_model_invoke(in, out, &arena);
        kws_look(out, sizeof out);
    }
    semihosting_close(watched);
    return 0;
}
"""
HARNESS = ("startup.c", "semihosting.c")

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"no arm-none-eabi-gcc or qemu-system-arm: {INSTALL}"),
    pytest.mark.skipif(not has_compiler(), reason="no host C compiler"),
]


def on_helium(folder, work, x, *options):
    """int8 (N, inputs) -> int8 (N, bytes of all operators and the output), on the emulated core."""
    (work / "hook.h").write_text(HOOK)
    (work / "main.c").write_text(MAIN)
    flags = ("-O2", *STRICT, "-include", str(work / "hook.h"), *options)
    objects = compile_sources(sorted(folder.glob("*.c")), find_target("cortex-m55"), work / "helium", hooks=None, flags=flags)
    firmware = link(objects, work, "helium", harness=(*HARNESS, work / "main.c"))
    run(firmware, work / "run", {"clips.bin": np.ascontiguousarray(x, np.int8).tobytes()})
    return np.frombuffer((work / "run" / "watched.bin").read_bytes(), np.int8).reshape(len(x), -1)


def assert_equal_on_helium(tflite, tmp_path, count=4, seed=0, options=()):
    folder = tmp_path / "c"
    write_c(tflite, folder, overwrite=True)
    portable = NativeModel(folder, tmp_path / "native")
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (count, portable.inputs)).astype(np.int8)
    x[-1] = rng.choice(np.array([-128, 127], np.int8), portable.inputs)
    helium = on_helium(folder, tmp_path, x, *options)
    out, tensors = portable.run(x)
    assert helium.shape[1] == sum(tensor.shape[1] for tensor in tensors) + out.shape[1]
    expected, references = reference_outputs(tflite, x)
    ends = np.cumsum([tensor.shape[1] for tensor in tensors])
    for row, here, there, reference in zip(
        portable.operators, np.split(helium, ends, axis=1)[:-1], tensors, references, strict=True
    ):
        wrong = np.argwhere(here != there)
        assert not len(wrong), (
            f"{row['index']} {row['operator']} {row['shape']}: {len(wrong)} of {here.size} bytes differ from the portable "
            f"C's, the first at {wrong[0]}: {here[tuple(wrong[0])]} for {there[tuple(wrong[0])]}"
        )
        np.testing.assert_array_equal(here, reference)
    np.testing.assert_array_equal(helium[:, ends[-1] :], expected)


@pytest.mark.parametrize("name", ["sep14_s1", "sep14_s2", "sep12_mel40_s1"])
def test_golden_model_is_byte_equal_on_every_operator(name, tmp_path):
    assert_equal_on_helium(GOLDEN / f"{name}.tflite", tmp_path)
