/* The detector's frame, measured as the other calls are; in the emulator alone, for its state is the largest. */
#include "bench.h"

#ifdef KWS_BENCH_DETECTOR
#include "kws_detector.h"

static kws_detector detector;
static kws_detection detection;
static int is_reset;

__attribute__((noinline)) static void kws_bench_push(const int16_t *samples) {
    (void)kws_detector_push(&detector, samples, KWS_FRONTEND_FRAME_STRIDE, &detection);
}

void kws_bench_detector_frame(const int16_t *samples) {
    if (!is_reset) {
        kws_detector_reset(&detector);
        is_reset = 1;
    }
    kws_bench_measured("detector", (void (*)(void))kws_bench_push, (void *)(uintptr_t)samples, 0, 0);
}
#endif
