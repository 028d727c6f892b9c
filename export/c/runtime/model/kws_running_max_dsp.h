/* SPDX-License-Identifier: Apache-2.0 */
/* kws_running_max_s8's inner parts for Arm's DSP extension: 16 bytes a round, where they are aligned, b at any address. */
#include "kws_running_max.h"

/* ssub8 sets a flag a byte, which sel reads; lr takes the difference. */
#define KWS_LARGER(a, b) "ssub8 lr, " a ", " b "\n\tsel " a ", " a ", " b "\n\t"

/* out[i] = the larger of a[i] and b[i] over `rounds` (above 0) times 16 bytes, from the first on. */
static __attribute__((naked, noinline)) void kws_rounds_up(const int8_t *a __attribute__((unused)),
                                                          const int8_t *b __attribute__((unused)),
                                                          int8_t *out __attribute__((unused)),
                                                          uint32_t rounds __attribute__((unused))) {
    __asm__ volatile(
        "push {r4-r10, lr}\n\t"
        "1: ldmia r0!, {r4-r7}\n\t"
        "ldr r8, [r1], #4\n\t"
        "ldr r9, [r1], #4\n\t"
        "ldr r10, [r1], #4\n\t"
        "ldr r12, [r1], #4\n\t"
        KWS_LARGER("r4", "r8") KWS_LARGER("r5", "r9") KWS_LARGER("r6", "r10") KWS_LARGER("r7", "r12")
        "subs r3, r3, #1\n\t"
        "stmia r2!, {r4-r7}\n\t"
        "bne 1b\n\t"
        "pop {r4-r10, pc}\n\t");
}

/* The bytes before `end` = the largest of themselves, those before b and `floor`'s, `rounds` (above 0) times 16 of them, from
 * the last on. */
static __attribute__((naked, noinline)) void kws_rounds_down(int8_t *end __attribute__((unused)),
                                                            const int8_t *b __attribute__((unused)),
                                                            uint32_t floor __attribute__((unused)),
                                                            uint32_t rounds __attribute__((unused))) {
    __asm__ volatile(
        "push {r4-r10, lr}\n\t"
        "1: ldmdb r0, {r4-r7}\n\t"
        "ldr r12, [r1, #-4]!\n\t"
        "ldr r10, [r1, #-4]!\n\t"
        "ldr r9, [r1, #-4]!\n\t"
        "ldr r8, [r1, #-4]!\n\t"
        KWS_LARGER("r4", "r8") KWS_LARGER("r5", "r9") KWS_LARGER("r6", "r10") KWS_LARGER("r7", "r12")
        KWS_LARGER("r4", "r2") KWS_LARGER("r5", "r2") KWS_LARGER("r6", "r2") KWS_LARGER("r7", "r2")
        "subs r3, r3, #1\n\t"
        "stmdb r0!, {r4-r7}\n\t"
        "bne 1b\n\t"
        "pop {r4-r10, pc}\n\t");
}

static inline int8_t kws_larger_byte(int8_t a, int8_t b) { return a > b ? a : b; }

/* out[i] = the larger of a[i] and b[i], from the first on: a may be out, and b lie in it behind a. */
static inline void kws_upwards(const int8_t *a, const int8_t *b, int8_t *out, uint32_t n) {
    if (n >= 16 && (((uintptr_t)a | (uintptr_t)out) & 3) == 0) {
        const uint32_t done = n & ~15u;
        kws_rounds_up(a, b, out, n / 16);
        a += done, b += done, out += done, n -= done;
    }
    for (; n; n--) {
        *out++ = kws_larger_byte(*a++, *b++);
    }
}

/* out[i] = the largest of out[i], b[i] and `least`, from the last on: b may lie in out, before it. */
static inline void kws_downwards(int8_t *out, const int8_t *b, uint32_t n, int8_t least) {
    while (n) {
        if (n >= 16 && ((uintptr_t)(out + n) & 3) == 0) {
            const uint32_t rounds = n / 16;
            kws_rounds_down(out + n, b + n, (uint8_t)least * 0x01010101u, rounds);
            n -= 16 * rounds;
        } else {
            n--;
            out[n] = kws_larger_byte(kws_larger_byte(out[n], b[n]), least);
        }
    }
}
