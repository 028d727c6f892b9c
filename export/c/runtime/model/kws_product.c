/* SPDX-License-Identifier: Apache-2.0 */
#include "kws_binary.h"

void kws_product_s8(const kws_product *product, const int8_t *a, const int8_t *b, int8_t *out) {
    const kws_loops *const loops = &product->loops;
    for (uint32_t i = 0; i < loops->extent[0]; i++) {
        for (uint32_t j = 0; j < loops->extent[1]; j++) {
            for (uint32_t k = 0; k < loops->extent[2]; k++) {
                const int8_t *from_a = a + i * loops->stride_a[0] + j * loops->stride_a[1] + k * loops->stride_a[2];
                const int8_t *from_b = b + i * loops->stride_b[0] + j * loops->stride_b[1] + k * loops->stride_b[2];
                for (uint32_t n = loops->extent[3]; n; n--) {
                    const int32_t raw = (*from_a - product->zero_a) * (*from_b - product->zero_b);
                    const int32_t scaled = kws_multiply_by_quantized(raw, product->multiplier, product->shift);
                    *out++ = kws_clamp(kws_add(scaled, product->zero_out), product->minimum, product->maximum);
                    from_a += loops->stride_a[3];
                    from_b += loops->stride_b[3];
                }
            }
        }
    }
}
