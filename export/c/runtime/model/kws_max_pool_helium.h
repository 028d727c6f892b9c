/* SPDX-License-Identifier: Apache-2.0 */
/* kws_max_pool_s8 for Arm's Helium: 16 channels at a time. */
#include <arm_mve.h>

#include "kws_pool.h"

void kws_max_pool_s8(const kws_pool *pool, const int8_t *in, int8_t *out) {
    const int32_t channels = pool->channels, row = pool->in_w * channels;
    for (int32_t y = 0; y < pool->out_h; y++) {
        for (int32_t x = 0; x < pool->out_w; x++, out += channels) {
            const kws_window window = kws_window_at(pool, y, x);
            for (int32_t c = 0; c < channels; c += 16) {
                const mve_pred16_t some = vctp8q((uint32_t)(channels - c));
                int8x16_t largest = vdupq_n_s8(pool->minimum);
                for (int32_t i = window.top; i < window.bottom; i++) {
                    const int8_t *from = in + i * row + window.left * channels + c;
                    for (int32_t j = window.left; j < window.right; j++, from += channels) {
                        largest = vmaxq_s8(largest, vldrbq_z_s8(from, some));
                    }
                }
                vstrbq_p_s8(out + c, vminq_s8(largest, vdupq_n_s8(pool->maximum)), some);
            }
        }
    }
}
