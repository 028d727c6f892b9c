/* The stack that a call uses, by painting what lies below it. KWS_BENCH_STACK_BYTES says how much may be painted: the
   emulator has plenty, a board's firmware leaves it 0 (nothing is painted) unless its stack is known to be that large. */
#include "bench.h"

#ifndef KWS_BENCH_STACK_BYTES
#define KWS_BENCH_STACK_BYTES 0
#endif

enum { PAINTED_WORDS = KWS_BENCH_STACK_BYTES / 4, CLEARANCE_WORDS = 8 }; /* clearance: this file's own frames */
#define PAINT 0xA5C3F00Fu

static int painting = PAINTED_WORDS > CLEARANCE_WORDS;
static uint32_t *top;

void kws_bench_painting(int on) {
    painting = on;
}

__attribute__((noinline)) void kws_bench_paint(void) {
    uint32_t *sp;
    if (!painting) {
        return;
    }
    __asm__ volatile("mov %0, sp" : "=r"(sp));
    top = sp;
    for (int i = CLEARANCE_WORDS; i < PAINTED_WORDS; ++i) {
        ((volatile uint32_t *)sp)[-i] = PAINT;
    }
}

__attribute__((noinline)) uint32_t kws_bench_painted_over(void) {
    int i = PAINTED_WORDS - 1;
    if (!painting) {
        return 0;
    }
    while (i >= CLEARANCE_WORDS && ((volatile uint32_t *)top)[-i] == PAINT) {
        --i;
    }
    return (uint32_t)i * 4u;
}
