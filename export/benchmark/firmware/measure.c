/* The calls that are measured, one function each: the model's inference, the front end's frame, the window's features.
   The same on the emulated core and on a board. */
#include "bench.h"

#ifdef KWS_BENCH_MODEL
#include "kws_model.h"
#endif
#ifdef KWS_BENCH_FRONTEND
#include "kws_frontend.h"
#endif
#ifdef KWS_BENCH_DETECTOR
#include "kws_detector.h"
#endif

void kws_bench_measured(const char *name, void (*function)(void), void *a, const void *b, const void *c) {
    kws_bench_paint();
    kws_bench_begin();
    kws_bench_call(function, a, b, c);
    kws_bench_end(name);
    kws_bench_stack(name, kws_bench_painted_over());
}

#ifdef KWS_BENCH_MODEL
static kws_arena arena;

void kws_bench_clip(const int8_t *in, int8_t *out) {
    /* invoke's parameters are (in, out, arena); the first is not written */
    kws_bench_measured("model", (void (*)(void))kws_model_invoke, (void *)(uintptr_t)in, out, &arena);
}
#else
void kws_bench_clip(const int8_t *in, int8_t *out) {
    (void)in;
    (void)out;
}
#endif

#ifdef KWS_BENCH_FRONTEND
static kws_frontend frontend;
static int8_t window[KWS_FRONTEND_FRAMES * KWS_FRONTEND_COEFFICIENTS];

#ifdef KWS_BENCH_MODEL
#define SCALE KWS_MODEL_INPUT_SCALE
#define ZERO_POINT KWS_MODEL_INPUT_ZERO_POINT
#else
#define SCALE 0.05f
#define ZERO_POINT 0
#endif

__attribute__((noinline)) static void kws_bench_features(const kws_frontend *from, int8_t *out) {
    kws_frontend_quantized(from, SCALE, ZERO_POINT, out);
}

void kws_bench_frontend_reset(void) {
    kws_frontend_reset(&frontend, 0);
}

void kws_bench_frame(const int16_t *samples) {
    kws_bench_measured("frame", (void (*)(void))kws_frontend_push, &frontend, samples,
                       (const void *)(uintptr_t)KWS_FRONTEND_FRAME_STRIDE);
}

void kws_bench_decision_features(void) {
    if (kws_frontend_ready(&frontend)) {
        kws_bench_measured("features", (void (*)(void))kws_bench_features, &frontend, window, 0);
    }
}
#endif

void kws_bench_describe(void) {
#ifdef KWS_BENCH_DETECTOR
    kws_bench_report_number("detector_stride", KWS_DETECTOR_STRIDE);
#endif
}
