/* SPDX-License-Identifier: Apache-2.0 */
/* kws_sum_s8's proven line for Arm's Helium: four elements at a time, the last ones predicated. */
#include <arm_mve.h>

#include "kws_binary.h"

/* From a's widened lanes in q0 on: saturate8((q0 * factor + constant [+ b * factor_b]) >> shift). */
#define KWS_SUM_OUT                     \
    "vshl.s32 q0, %[shift]\n\t"         \
    "vqmovnb.s32 q0, q0\n\t"            \
    "vqmovnb.s16 q0, q0\n\t"            \
    "vstrb.32 q0, [%[out]], #4\n\t"     \
    "letp lr, 1b\n\t"

static void kws_add_lines(const kws_sum *sum, const int8_t *a, const int8_t *b, int8_t *out, uint32_t n) {
    __asm__ volatile(
        "dlstp.32 lr, %[n]\n1:\n\t"
        "vldrb.s32 q0, [%[a]], #4\n\t"
        "vldrb.s32 q1, [%[b]], #4\n\t"
        "vmlas.s32 q0, %q[factor_a], %[constant]\n\t"
        "vmla.s32 q0, q1, %[factor_b]\n\t" KWS_SUM_OUT
        : [a] "+l"(a), [b] "+l"(b), [out] "+l"(out)
        : [n] "r"(n), [factor_a] "w"(vdupq_n_s32(sum->factor_a)), [factor_b] "r"(sum->factor_b),
          [constant] "r"(sum->constant), [shift] "r"(-(int32_t)sum->shift)
        : "q0", "q1", "lr", "memory");
}

/* The same where the other operand's share is part of the constant. */
static void kws_add_line(const kws_sum *sum, const int8_t *a, int8_t *out, uint32_t n, int32_t factor, int32_t constant) {
    __asm__ volatile(
        "dlstp.32 lr, %[n]\n1:\n\t"
        "vldrb.s32 q0, [%[a]], #4\n\t"
        "vmlas.s32 q0, %q[factor], %[constant]\n\t" KWS_SUM_OUT
        : [a] "+l"(a), [out] "+l"(out)
        : [n] "r"(n), [factor] "w"(vdupq_n_s32(factor)), [constant] "r"(constant), [shift] "r"(-(int32_t)sum->shift)
        : "q0", "lr", "memory");
}

/* n elements in a row, at least one; step_a and step_b are 0 or 1. Every load comes before the store of the same
 * elements: out may be a or b. */
static void proven(const kws_sum *sum, const int8_t *a, const int8_t *b, int8_t *out, uint32_t n, uint32_t step_a,
                   uint32_t step_b) {
    if (step_a && step_b) {
        kws_add_lines(sum, a, b, out, n);
    } else if (step_a) {
        kws_add_line(sum, a, out, n, sum->factor_a, *b * sum->factor_b + sum->constant);
    } else if (step_b) {
        kws_add_line(sum, b, out, n, sum->factor_b, *a * sum->factor_a + sum->constant);
    } else {
        memset(out, kws_clamp((*a * sum->factor_a + *b * sum->factor_b + sum->constant) >> sum->shift, -128, 127), n);
    }
}
