/* The smallest application: what it links is what a firmware with the model takes. The state that it gives is named
   kws_state, so that it is told apart from this file's own. */
#include <stddef.h>
#include <stdint.h>

static volatile int16_t microphone;
static volatile int32_t result;

#if defined(KWS_BENCH_DETECTOR)
#include "kws_detector.h"

static kws_detector kws_state;

int main(void) {
    kws_detector_reset(&kws_state);
    for (;;) {
        kws_detection detection;
        int16_t sample = microphone;
        if (kws_detector_push(&kws_state, &sample, 1, &detection)) {
            result = detection.label;
        }
    }
}
#elif defined(KWS_BENCH_MODEL) && defined(KWS_BENCH_FRONTEND)
#include "kws_frontend.h"
#include "kws_model.h"

static struct {
    kws_frontend frontend;
    kws_arena arena;
    int8_t in[KWS_MODEL_INPUT_SIZE], out[KWS_MODEL_OUTPUT_SIZE];
} kws_state;

int main(void) {
    kws_frontend_reset(&kws_state.frontend, 0);
    for (;;) {
        int16_t sample = microphone;
        if (kws_frontend_push(&kws_state.frontend, &sample, 1) && kws_frontend_ready(&kws_state.frontend)) {
            kws_frontend_quantized(&kws_state.frontend, KWS_MODEL_INPUT_SCALE, KWS_MODEL_INPUT_ZERO_POINT, kws_state.in);
            kws_model_invoke(kws_state.in, kws_state.out, &kws_state.arena);
            result = kws_state.out[0];
        }
    }
}
#elif defined(KWS_BENCH_MODEL)
#include "kws_model.h"

static struct {
    kws_arena arena;
    int8_t in[KWS_MODEL_INPUT_SIZE], out[KWS_MODEL_OUTPUT_SIZE];
} kws_state;

int main(void) {
    for (;;) {
        kws_state.in[0] = (int8_t)microphone;
        kws_model_invoke(kws_state.in, kws_state.out, &kws_state.arena);
        result = kws_state.out[0];
    }
}
#else
int main(void) {
    return 0;
}
#endif
