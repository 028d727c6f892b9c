"""A folder of C of the generated kind, small enough to know by hand: two operators, two stages, a detector."""

import shutil
from pathlib import Path

import numpy as np
import pytest

MODEL_H = """
#ifndef KWS_MODEL_H
#define KWS_MODEL_H
#include <stdint.h>
#define KWS_MODEL_INPUT_SIZE 6
#define KWS_MODEL_OUTPUT_SIZE 2
#define KWS_MODEL_INPUT_SCALE 0.5f
#define KWS_MODEL_INPUT_ZERO_POINT 0
#define KWS_MODEL_OUTPUT_SCALE 0.00390625f
#define KWS_MODEL_OUTPUT_ZERO_POINT (-128)
#define KWS_ARENA_BYTES 8
#define KWS_MODEL_OPERATORS 2
typedef struct { uint64_t words[(KWS_ARENA_BYTES + 7) / 8]; } kws_arena;
extern const char *const kws_model_labels[KWS_MODEL_OUTPUT_SIZE];
void kws_model_invoke(const int8_t *in, int8_t *out, kws_arena *arena);
#endif
"""
MODEL_C = """
#include "kws_model.h"
#include "kws_halve.h"
#ifndef KWS_AFTER_OPERATOR
#define KWS_AFTER_OPERATOR(index, data, bytes)
#endif
const char *const kws_model_labels[KWS_MODEL_OUTPUT_SIZE] = {"yes", "no"};
static const int8_t weights[6] = {1, 2, 3, 4, 5, 6};
void kws_model_invoke(const int8_t *in, int8_t *out, kws_arena *arena) {
    int8_t *half = (int8_t *)arena->words;
    int32_t sum = 0;
    kws_halve(in, half, KWS_MODEL_INPUT_SIZE);
    KWS_AFTER_OPERATOR(0, half, 6);
    for (int i = 0; i < 6; ++i) {
        sum += half[i] * weights[i];
    }
    out[0] = (int8_t)(sum > 100 ? 100 : sum);
    out[1] = half[0];
    KWS_AFTER_OPERATOR(1, out, 2);
}
"""
HALVE_H = """
#include <stdint.h>
void kws_halve(const int8_t *in, int8_t *out, int n);
"""
HALVE_C = """
#include "kws_halve.h"
void kws_halve(const int8_t *in, int8_t *out, int n) {
    for (int i = 0; i < n; ++i) {
        out[i] = (int8_t)(in[i] / 2);
    }
}
"""
MODEL_JSON = """{"operators": [
{"index": 0, "operator": "HALVE", "name": "half", "kernel": "kws_halve", "shape": [6], "macs": 0, "bytes": 6},
{"index": 1, "operator": "FULLY_CONNECTED", "name": "out", "kernel": "", "shape": [1, 2], "macs": 6, "bytes": 2}],
"arena_bytes": 8, "weight_bytes": 6, "table_bytes": 0, "sha256": "0badcafe00"}
"""
FRONTEND_H = """
#ifndef KWS_FRONTEND_H
#define KWS_FRONTEND_H
#include <stddef.h>
#include <stdint.h>
#define KWS_FRONTEND_SAMPLE_RATE 16000
#define KWS_FRONTEND_FRAME_STRIDE 320
#define KWS_FRONTEND_FRAME_LENGTH 320
#define KWS_FRONTEND_FRAMES 3
#define KWS_FRONTEND_COEFFICIENTS 2
#define KWS_FRONTEND_WINDOW_SAMPLES 960
enum kws_frontend_stage { KWS_STAGE_PREEMPHASIS, KWS_STAGE_FFT };
typedef struct { int32_t rows[3][2]; uint32_t frames, filled; int32_t sum; } kws_frontend;
void kws_frontend_reset(kws_frontend *frontend, int16_t previous);
size_t kws_frontend_push(kws_frontend *frontend, const int16_t *samples, size_t count);
int kws_frontend_ready(const kws_frontend *frontend);
void kws_frontend_quantized(const kws_frontend *frontend, float scale, int zero_point, int8_t *out);
#endif
"""
FRONTEND_C = """
#include "kws_frontend.h"
#include <string.h>
#ifndef KWS_AFTER_STAGE
#define KWS_AFTER_STAGE(stage)
#endif
void kws_frontend_reset(kws_frontend *frontend, int16_t previous) {
    memset(frontend, 0, sizeof *frontend);
    frontend->sum = previous;
}
size_t kws_frontend_push(kws_frontend *frontend, const int16_t *samples, size_t count) {
    size_t frames = 0;
    while (count > 0) {
        size_t some = KWS_FRONTEND_FRAME_STRIDE - frontend->filled;
        if (some > count) {
            some = count;
        }
        for (size_t i = 0; i < some; ++i) {
            frontend->sum += samples[i] < 0 ? -samples[i] : samples[i];
        }
        samples += some;
        count -= some;
        frontend->filled += (uint32_t)some;
        if (frontend->filled == KWS_FRONTEND_FRAME_STRIDE) {
            KWS_AFTER_STAGE(KWS_STAGE_PREEMPHASIS);
            frontend->rows[frontend->frames % 3][0] = frontend->sum / 320;
            frontend->rows[frontend->frames % 3][1] = frontend->sum % 320;
            frontend->filled = 0;
            frontend->sum = 0;
            ++frontend->frames;
            ++frames;
            KWS_AFTER_STAGE(KWS_STAGE_FFT);
        }
    }
    return frames;
}
int kws_frontend_ready(const kws_frontend *frontend) {
    return frontend->frames >= 3;
}
void kws_frontend_quantized(const kws_frontend *frontend, float scale, int zero_point, int8_t *out) {
    for (int i = 0; i < 6; ++i) {
        out[i] = (int8_t)(frontend->rows[i / 2][i % 2] / 320 + (int)scale + zero_point);
    }
}
"""
DETECTOR_H = """
#ifndef KWS_DETECTOR_H
#define KWS_DETECTOR_H
#include "kws_frontend.h"
#include "kws_model.h"
#define KWS_DETECTOR_STRIDE (KWS_FRONTEND_FRAMES < 4 ? KWS_FRONTEND_FRAMES + 2 : 1)
typedef struct { int label; uint8_t score; uint32_t frame; } kws_detection;
typedef struct { kws_frontend frontend; kws_arena arena; int8_t in[6], out[2]; } kws_detector;
void kws_detector_reset(kws_detector *detector);
int kws_detector_push(kws_detector *detector, const int16_t *samples, size_t count, kws_detection *detection);
#endif
"""
DETECTOR_C = """
#include "kws_detector.h"
void kws_detector_reset(kws_detector *detector) {
    kws_frontend_reset(&detector->frontend, 0);
}
int kws_detector_push(kws_detector *detector, const int16_t *samples, size_t count, kws_detection *detection) {
    const size_t frames = kws_frontend_push(&detector->frontend, samples, count);
    if (frames > 0 && detector->frontend.frames % KWS_DETECTOR_STRIDE == 0) {
        kws_frontend_quantized(&detector->frontend, 0.5f, 0, detector->in);
        kws_model_invoke(detector->in, detector->out, &detector->arena);
        detection->label = detector->out[0] > 0;
        return 1;
    }
    return 0;
}
"""
FILES = {
    "kws_model.h": MODEL_H, "kws_model.c": MODEL_C, "kws_halve.h": HALVE_H, "kws_halve.c": HALVE_C,
    "kws_model.json": MODEL_JSON,
}  # fmt: skip
WITH_AUDIO = {
    "kws_frontend.h": FRONTEND_H, "kws_frontend.c": FRONTEND_C,
    "kws_detector.h": DETECTOR_H, "kws_detector.c": DETECTOR_C,
}  # fmt: skip


def write_small(folder: Path, audio: bool = False) -> Path:
    """The folder, with the front end and the detector if `audio`."""
    folder.mkdir(parents=True)
    for name, text in (FILES | (WITH_AUDIO if audio else {})).items():
        (folder / name).write_text(text.lstrip())
    return folder


def small_outputs(clips: np.ndarray) -> np.ndarray:
    """What the model says of int8 clips (N, 6)."""
    half = np.trunc(clips / 2).astype(int)
    return np.stack([np.minimum((half * np.arange(1, 7)).sum(1), 100), half[:, 0]], 1).astype(np.int8)


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip where a program is missing, and say which package has it."""
    packages = {
        "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
        "qemu-system-arm": "qemu-system-arm",
        "cc": "gcc",
    }
    missing = [packages[program] for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"apt-get install {' '.join(missing)}")


on_device = needs("arm-none-eabi-gcc", "qemu-system-arm")
