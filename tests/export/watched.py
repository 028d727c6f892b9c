"""A generated C folder on an emulated core, every operator's output in view."""

import numpy as np

from kws_dendrite.export.benchmark.emulator import run
from kws_dendrite.export.benchmark.firmware import compile_sources, link
from kws_dendrite.export.benchmark.targets import find_target

STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
HOOK = """\
#include <stdint.h>
extern void kws_look(const void *data, uint32_t bytes);
#define KWS_AFTER_OPERATOR(index, data, bytes) kws_look((data), (bytes))
"""
MAIN = """\
#include "kws_model.h"
#include "semihosting.h"

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
MACROS = {"cortex-m55": "__ARM_FEATURE_MVE", "cortex-m4": "__ARM_FEATURE_DSP"}  # what the core's kernels ask for
HARNESS = ("startup.c", "semihosting.c")


def on_core(core, folder, work, x, *options):
    """int8 (N, inputs) -> int8 (N, bytes of all operators and the output), on the emulated core."""
    macro = MACROS.get(core)
    guard = f'#if !defined({macro})\n#error "no {macro}"\n#endif\n' if macro else ""
    (work / "hook.h").write_text(HOOK)
    (work / "main.c").write_text(guard + MAIN)
    flags = ("-O2", *STRICT, "-include", str(work / "hook.h"), *options)
    objects = compile_sources(sorted(folder.glob("*.c")), find_target(core), work / core, hooks=None, flags=flags)
    firmware = link(objects, work, core, harness=(*HARNESS, work / "main.c"))
    run(firmware, work / "run", {"clips.bin": np.ascontiguousarray(x, np.int8).tobytes()})
    return np.frombuffer((work / "run" / "watched.bin").read_bytes(), np.int8).reshape(len(x), -1)
