/* The benchmark on a board: cycles of the Data Watchpoint and Trace unit's CYCCNT (Armv7-M and Armv8-M Architecture
   Reference Manuals), a clip and its expected output compiled in, noise for the front end made here. */
#include "board.h"

#include "bench.h"
#include "kws_bench_input.h"

#ifdef KWS_BENCH_MODEL
#include "kws_model.h"
#endif
#ifdef KWS_BENCH_FRONTEND
#include "kws_frontend.h"
#endif

#ifndef KWS_BENCH_RUNS
#define KWS_BENCH_RUNS 10 /* inferences; the report has their mean */
#endif

#define DEMCR (*(volatile uint32_t *)0xE000EDFCu)
#define DWT_CTRL (*(volatile uint32_t *)0xE0001000u)
#define DWT_CYCCNT (*(volatile uint32_t *)0xE0001004u)
#define DWT_LAR (*(volatile uint32_t *)0xE0001FB0u)
#define CPUID (*(volatile uint32_t *)0xE000ED00u)

void kws_bench_clock_start(void) {
    DEMCR |= 1u << 24;     /* TRCENA */
    DWT_LAR = 0xC5ACCE55u; /* Cortex-M7 keeps the unit locked; elsewhere there is nothing at this address to write */
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1u; /* CYCCNTENA */
}

uint32_t kws_bench_clock(void) {
    return DWT_CYCCNT;
}

static void clips(void) {
#ifdef KWS_BENCH_MODEL
    static int8_t out[KWS_MODEL_OUTPUT_SIZE];
    uint32_t equal = 0;
    for (int run = 0; run < KWS_BENCH_RUNS; ++run) {
        uint32_t same = 1;
        kws_bench_clip(kws_bench_input, out);
        for (int k = 0; k < KWS_MODEL_OUTPUT_SIZE; ++k) {
            same &= out[k] == kws_bench_expected[k];
        }
        equal += same;
    }
    kws_bench_report_number("runs", KWS_BENCH_RUNS);
    if (KWS_BENCH_HAS_EXPECTED) {
        kws_bench_report_number("equal", equal);
    }
#endif
}

static void audio(void) {
#ifdef KWS_BENCH_FRONTEND
    static int16_t samples[KWS_FRONTEND_FRAME_STRIDE];
    uint32_t state = 1;
    kws_bench_frontend_reset();
    for (int frame = 0; frame < KWS_FRONTEND_FRAMES + 1; ++frame) {
        for (int i = 0; i < KWS_FRONTEND_FRAME_STRIDE; ++i) {
            state = state * 1664525u + 1013904223u; /* Numerical Recipes' generator */
            samples[i] = (int16_t)((int32_t)(state >> 16) / 8 - 4096);
        }
        kws_bench_frame(samples);
    }
    kws_bench_decision_features();
#endif
}

void kws_bench_run(uint32_t core_clock_hz) {
    kws_bench_report_begin("cycles", core_clock_hz);
    kws_bench_report_number("cpuid", CPUID);
    kws_bench_report_number("model", KWS_BENCH_MODEL_ID);
    kws_bench_describe();
    clips();
    audio();
    kws_bench_report_end();
}
