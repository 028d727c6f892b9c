/* SPDX-License-Identifier: Apache-2.0 */
#include "kws_binary.h"

#if KWS_HELIUM
#include "kws_sum_helium.h"
#else
KWS_SATURATE(saturate_sum, 21) /* KWS_SUM_SHIFT as a number */

/* n elements in a row; step_a and step_b are 0 or 1. */
static void proven(const kws_sum *sum, const int8_t *a, const int8_t *b, int8_t *out, uint32_t n, uint32_t step_a,
                   uint32_t step_b) {
    const int32_t factor_a = sum->factor_a, factor_b = sum->factor_b, constant = sum->constant;
    const int shift = sum->shift;
    if (step_a && step_b && shift == KWS_SUM_SHIFT) {
        for (; n >= 4; n -= 4, a += 4, b += 4, out += 4) { /* reads before it writes: out may be a or b */
            const int32_t q0 = constant + a[0] * factor_a + b[0] * factor_b;
            const int32_t q1 = constant + a[1] * factor_a + b[1] * factor_b;
            const int32_t q2 = constant + a[2] * factor_a + b[2] * factor_b;
            const int32_t q3 = constant + a[3] * factor_a + b[3] * factor_b;
            out[0] = saturate_sum(q0);
            out[1] = saturate_sum(q1);
            out[2] = saturate_sum(q2);
            out[3] = saturate_sum(q3);
        }
    }
    for (; n; n--, a += step_a, b += step_b) {
        *out++ = kws_saturate8((constant + *a * factor_a + *b * factor_b) >> shift);
    }
}
#endif

static void as_tflite(const kws_sum *sum, const int8_t *a, const int8_t *b, int8_t *out, uint32_t n, uint32_t step_a,
                      uint32_t step_b) {
    for (; n; n--) {
        const int32_t wide_a = (*a - sum->zero_a) * (1 << 20), wide_b = (*b - sum->zero_b) * (1 << 20);
        const int32_t scaled_a = kws_multiply_by_quantized(wide_a, sum->factor_a, sum->shift_a);
        const int32_t scaled_b = kws_multiply_by_quantized(wide_b, sum->factor_b, sum->shift_b);
        const int32_t total = scaled_a + sum->sign_b * scaled_b;
        const int32_t scaled = kws_multiply_by_quantized(total, sum->constant, sum->shift_out);
        *out++ = kws_clamp(kws_add(scaled, sum->zero_out), sum->minimum, sum->maximum);
        a += step_a;
        b += step_b;
    }
}

void kws_sum_s8(const kws_sum *sum, const int8_t *a, const int8_t *b, int8_t *out) {
    const kws_loops *const loops = &sum->loops;
    const uint32_t n = loops->extent[3];
    for (uint32_t i = 0; i < loops->extent[0]; i++) {
        for (uint32_t j = 0; j < loops->extent[1]; j++) {
            for (uint32_t k = 0; k < loops->extent[2]; k++) {
                const int8_t *from_a = a + i * loops->stride_a[0] + j * loops->stride_a[1] + k * loops->stride_a[2];
                const int8_t *from_b = b + i * loops->stride_b[0] + j * loops->stride_b[1] + k * loops->stride_b[2];
                if (sum->proven) {
                    proven(sum, from_a, from_b, out, n, loops->stride_a[3], loops->stride_b[3]);
                } else {
                    as_tflite(sum, from_a, from_b, out, n, loops->stride_a[3], loops->stride_b[3]);
                }
                out += n;
            }
        }
    }
}
