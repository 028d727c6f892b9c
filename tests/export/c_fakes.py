"""A front end and a model in a few lines of C, with the interfaces of the generated ones: what the detector and the
packaging are tested against without a trained model.

The front end's frame overlaps its neighbours, its features depend on every sample, and the model's output on every
feature: a sample lost or taken twice changes what comes out.
"""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

LABELS = ("yes", "_silence_", "no", "unknown", "go")
FRAMES, COEFFICIENTS, STRIDE, LENGTH = 8, 2, 5, 7
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler: apt-get install gcc")

FRONTEND_H = f"""
#ifndef KWS_FRONTEND_H
#define KWS_FRONTEND_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {{
#endif
#define KWS_FRONTEND_SAMPLE_RATE 16000
#define KWS_FRONTEND_FRAME_STRIDE {STRIDE}
#define KWS_FRONTEND_FRAME_LENGTH {LENGTH}
#define KWS_FRONTEND_FRAMES {FRAMES}
#define KWS_FRONTEND_COEFFICIENTS {COEFFICIENTS}
#define KWS_FRONTEND_WINDOW_SAMPLES {STRIDE * (FRAMES - 1) + LENGTH}
typedef struct {{
    int16_t recent[KWS_FRONTEND_FRAME_LENGTH];
    size_t until;
    size_t rows;
    int8_t ring[KWS_FRONTEND_FRAMES][KWS_FRONTEND_COEFFICIENTS];
}} kws_frontend;
void kws_frontend_reset(kws_frontend *frontend, int16_t previous);
size_t kws_frontend_push(kws_frontend *frontend, const int16_t *samples, size_t count);
int kws_frontend_ready(const kws_frontend *frontend);
void kws_frontend_features(const kws_frontend *frontend, float *out);
void kws_frontend_quantized(const kws_frontend *frontend, float scale, int zero_point, int8_t *out);
#ifdef __cplusplus
}}
#endif
#endif
"""

FRONTEND_C = """
#include "kws_frontend.h"
#include <string.h>
void kws_frontend_reset(kws_frontend *frontend, int16_t previous)
{
    memset(frontend, 0, sizeof *frontend);
    frontend->recent[KWS_FRONTEND_FRAME_LENGTH - 1] = previous;
    frontend->until = KWS_FRONTEND_FRAME_LENGTH;
}
size_t kws_frontend_push(kws_frontend *frontend, const int16_t *samples, size_t count)
{
    size_t i, j, frames = 0;
    for (i = 0; i < count; i++) {
        memmove(frontend->recent, frontend->recent + 1, sizeof frontend->recent - sizeof frontend->recent[0]);
        frontend->recent[KWS_FRONTEND_FRAME_LENGTH - 1] = samples[i];
        if (--frontend->until == 0) {
            int8_t *row = frontend->ring[frontend->rows++ % KWS_FRONTEND_FRAMES];
            uint32_t low = 0, high = 0;
            for (j = 0; j < KWS_FRONTEND_FRAME_LENGTH; j++) {
                low += (uint32_t)(uint16_t)frontend->recent[j] * (uint32_t)(j + 1);
                high ^= (uint32_t)(uint16_t)frontend->recent[j] << j;
            }
            row[0] = (int8_t)(low & 127u);
            row[1] = (int8_t)(high % 127u);
            frontend->until = KWS_FRONTEND_FRAME_STRIDE;
            frames++;
        }
    }
    return frames;
}
int kws_frontend_ready(const kws_frontend *frontend) { return frontend->rows >= KWS_FRONTEND_FRAMES; }
void kws_frontend_quantized(const kws_frontend *frontend, float scale, int zero_point, int8_t *out)
{
    size_t i, j;
    (void)scale;
    (void)zero_point;
    for (i = 0; i < KWS_FRONTEND_FRAMES; i++) {
        for (j = 0; j < KWS_FRONTEND_COEFFICIENTS; j++) {
            *out++ = frontend->ring[(frontend->rows + i) % KWS_FRONTEND_FRAMES][j];
        }
    }
}
void kws_frontend_features(const kws_frontend *frontend, float *out)
{
    int8_t rows[KWS_FRONTEND_FRAMES * KWS_FRONTEND_COEFFICIENTS];
    size_t i;
    kws_frontend_quantized(frontend, 1.0f, 0, rows);
    for (i = 0; i < sizeof rows; i++) {
        out[i] = (float)rows[i];
    }
}
"""

MODEL_H = f"""
#ifndef KWS_MODEL_H
#define KWS_MODEL_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {{
#endif
#define KWS_MODEL_INPUT_SIZE {FRAMES * COEFFICIENTS}
#define KWS_MODEL_OUTPUT_SIZE {len(LABELS)}
#define KWS_MODEL_INPUT_SCALE 0.0331f
#define KWS_MODEL_INPUT_ZERO_POINT 8
#define KWS_MODEL_OUTPUT_SCALE 0.00390625f
#define KWS_MODEL_OUTPUT_ZERO_POINT (-128)
#define KWS_ARENA_BYTES 40
#define KWS_MODEL_OPERATORS 1
typedef struct {{ uint64_t words[(KWS_ARENA_BYTES + 7) / 8]; }} kws_arena;
extern const char *const kws_model_labels[KWS_MODEL_OUTPUT_SIZE];
void kws_model_invoke(const int8_t *in, int8_t *out, kws_arena *arena);
#ifdef __cplusplus
}}
#endif
#endif
"""

MODEL_C = """
#include "kws_model.h"
#include <string.h>
const char *const kws_model_labels[KWS_MODEL_OUTPUT_SIZE] = {"""
MODEL_C += ", ".join(f'"{name}"' for name in LABELS)
MODEL_C += """};
/* One label in five is sure of itself for a while: the highest bits choose it, so that neighbours often agree. */
void kws_model_invoke(const int8_t *in, int8_t *out, kws_arena *arena)
{
    uint32_t hash = 2166136261u;
    size_t i;
    memset(arena, 0, sizeof *arena);
    for (i = 0; i < KWS_MODEL_INPUT_SIZE; i++) {
        hash = (hash ^ (uint8_t)in[i]) * 16777619u;
    }
    for (i = 0; i < KWS_MODEL_OUTPUT_SIZE; i++) {
        out[i] = (int8_t)((int)((hash >> (3u * i)) % 40u) - 128);
    }
    out[(hash >> 20) % KWS_MODEL_OUTPUT_SIZE] = 127;
}
"""

# Instead of the model: outputs that a test lays down, one row a decision.
SCRIPTED_C = (
    MODEL_C[: MODEL_C.index("/* One label")]
    + """
const int8_t *scripted_outputs;
void kws_model_invoke(const int8_t *in, int8_t *out, kws_arena *arena)
{
    (void)in;
    (void)arena;
    memcpy(out, scripted_outputs, KWS_MODEL_OUTPUT_SIZE);
    scripted_outputs += KWS_MODEL_OUTPUT_SIZE;
}
"""
)

PROBE_C = """
#include "kws_detector.h"
size_t probe_bytes(void);
size_t probe_bytes(void) { return sizeof(kws_detector); }
size_t probe_max_push(void);
size_t probe_max_push(void) { return KWS_DETECTOR_MAX_PUSH; }
"""


def fake_sources(scripted=False):
    """The front end's and the model's files, file name -> text."""
    return {
        "kws_frontend.h": FRONTEND_H,
        "kws_frontend.c": FRONTEND_C,
        "kws_model.h": MODEL_H,
        "kws_model.c": SCRIPTED_C if scripted else MODEL_C,
    }


def write(folder, texts):
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def compile_c(command, folder):
    """Run a compiler; its words are the test's when it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stderr}"
    return done


class Detection(ctypes.Structure):
    _fields_ = (("label", ctypes.c_int), ("score", ctypes.c_uint8), ("frame", ctypes.c_uint32))


class Library:
    """A folder of sources as a shared library, and its detector."""

    def __init__(self, folder):
        sources = sorted(path.name for path in folder.glob("*.c"))
        flags = [*STRICT, "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all", "-shared", "-fPIC"]
        compile_c(["cc", *flags, "-o", "detector.so", *sources, "-lm"], folder)
        self.library = ctypes.CDLL(str(folder / "detector.so"))
        for name in ("probe_bytes", "probe_max_push"):
            getattr(self.library, name).restype = ctypes.c_size_t
        self.library.kws_detector_posteriors.restype = ctypes.POINTER(ctypes.c_uint8)
        self.max_push = self.library.probe_max_push()
        # Poisoned, and with a margin behind: reset must not lean on zeros, nothing may be written past the end.
        self.bytes = self.library.probe_bytes()
        self.memory = (ctypes.c_uint64 * (self.bytes // 8 + 9))(*[0xA5A5A5A5A5A5A5A5] * (self.bytes // 8 + 9))
        self.reset()

    def reset(self):
        self.library.kws_detector_reset(self.memory)

    def script(self, outputs):
        self.outputs = np.ascontiguousarray(outputs, np.int8)  # kept alive
        ctypes.c_void_p.in_dll(self.library, "scripted_outputs").value = self.outputs.ctypes.data

    def posteriors(self, count):
        return np.ctypeslib.as_array(self.library.kws_detector_posteriors(self.memory), (count,)).copy()

    def push(self, samples):
        """[(label, score, frame)] of one call, none or one."""
        samples = np.ascontiguousarray(samples, np.int16)
        found = Detection(-1, 0, 0)
        answer = self.library.kws_detector_push(
            self.memory, ctypes.c_void_p(samples.ctypes.data), ctypes.c_size_t(len(samples)), ctypes.byref(found)
        )
        assert answer == (found.label >= 0)
        return [(found.label, found.score, found.frame)] * answer

    def push_some(self, samples):
        """All detections of a row of samples, through the call that says how much it took."""
        samples, found = np.ascontiguousarray(samples, np.int16), []
        while len(samples):
            detection, used = Detection(-1, 0, 0), ctypes.c_size_t()
            answer = self.library.kws_detector_push_some(
                self.memory, ctypes.c_void_p(samples.ctypes.data), ctypes.c_size_t(len(samples)),
                ctypes.byref(used), ctypes.byref(detection),
            )  # fmt: skip
            assert answer == (detection.label >= 0)
            assert 0 < used.value <= len(samples) and (answer or used.value == len(samples))
            found += [(detection.label, detection.score, detection.frame)] * answer
            samples = samples[used.value :]
        return found

    def intact(self):
        return all(word == 0xA5A5A5A5A5A5A5A5 for word in self.memory[(self.bytes + 7) // 8 :])
