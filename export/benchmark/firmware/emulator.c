/* The benchmark in the emulator: clips and audio come from files of the host, outputs and the report go to files.
   SysTick on the processor's clock counts; under QEMU's -icount it advances with the instructions. */
#include "bench.h"
#include "semihosting.h"

#ifdef KWS_BENCH_MODEL
#include "kws_model.h"
#endif
#ifdef KWS_BENCH_FRONTEND
#include "kws_frontend.h"
#endif

enum { LOOPS = 500000 };

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)

static volatile uint32_t wraps;
static char report[6144];
static size_t reported;

void SysTick_Handler(void) {
    ++wraps;
}

/* Off unless it is read: without -icount it follows the host's time, and its interrupt would come between instructions
   that are counted. */
void kws_bench_clock_start(void) {
#ifdef KWS_BENCH_TIMER
    SYST_RVR = 0xFFFFFFu;
    SYST_CVR = 0;
    SYST_CSR = 7; /* processor clock, interrupt, on */
#endif
}

uint32_t kws_bench_clock(void) {
    uint32_t before, value;
    do {
        before = wraps;
        value = SYST_CVR;
    } while (before != wraps);
    return (before << 24) + (0xFFFFFFu - value);
}

void kws_board_putc(char c) {
    if (reported < sizeof report) {
        report[reported++] = c;
    }
}

static int all_read(int handle, void *data, size_t bytes) {
    return handle >= 0 && semihosting_read(handle, data, bytes) == bytes;
}

static void clips(void) {
#ifdef KWS_BENCH_MODEL
    static int8_t in[KWS_MODEL_INPUT_SIZE], out[KWS_MODEL_OUTPUT_SIZE];
    const int from = semihosting_open("clips.bin", SEMIHOSTING_READ_BINARY);
    const int to = semihosting_open("outputs.bin", SEMIHOSTING_WRITE_BINARY);
    while (all_read(from, in, sizeof in)) {
        kws_bench_clip(in, out);
        (void)semihosting_write(to, out, sizeof out);
    }
    semihosting_close(to);
#endif
}

static void audio(void) {
#ifdef KWS_BENCH_FRONTEND
    static int16_t samples[KWS_FRONTEND_FRAME_STRIDE];
    const int from = semihosting_open("audio.bin", SEMIHOSTING_READ_BINARY);
    kws_bench_frontend_reset();
    while (all_read(from, samples, sizeof samples)) {
        kws_bench_frame(samples);
    }
    kws_bench_decision_features();
#endif
}

static void stream(void) {
#ifdef KWS_BENCH_DETECTOR
    static int16_t samples[KWS_FRONTEND_FRAME_STRIDE];
    const int from = semihosting_open("stream.bin", SEMIHOSTING_READ_BINARY);
    while (all_read(from, samples, sizeof samples)) {
        kws_bench_detector_frame(samples);
    }
#endif
}

int main(void) {
    kws_bench_painting(semihosting_open("paint", SEMIHOSTING_READ_BINARY) >= 0); /* not in a run that is traced */
    kws_bench_report_begin("ticks", 0);
    kws_bench_describe();
#ifdef KWS_BENCH_TIMER
    uint32_t start = kws_bench_clock();
    kws_bench_loop(LOOPS);
    start = kws_bench_clock() - start;
    kws_bench_report_number("loop_instructions", 2 * LOOPS);
    kws_bench_report_number("loop_ticks", start);
#endif
    clips();
    audio();
    kws_bench_tally(0);
    stream();
    kws_bench_report_end();
    const int to = semihosting_open("report.json", SEMIHOSTING_WRITE_BINARY);
    (void)semihosting_write(to, report, reported);
    semihosting_close(to);
    return 0;
}
