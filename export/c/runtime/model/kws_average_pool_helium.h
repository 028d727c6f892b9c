/* SPDX-License-Identifier: Apache-2.0 */
/* Means of up to 8 neighbouring channels over a window, for Arm's Helium. */
#include <arm_mve.h>

#include "kws_pool.h"

enum { KWS_POOLED = 8 };

static inline void kws_means(const kws_pool *pool, const int8_t *in, const kws_window *window, int32_t count, uint32_t n,
                             int8_t *out) {
    const int32_t channels = pool->channels, row = pool->in_w * channels;
    const mve_pred16_t all = vctp16q(n), low = vctp32q(n), high = vctp32q(n > 4 ? n - 4 : 0);
    int32_t sums[KWS_POOLED];
    int32x4_t first = vdupq_n_s32(0), second = first;
    int16x8_t narrow = vdupq_n_s16(0);
    for (int32_t i = window->top; i < window->bottom; i++) {
        const int8_t *from = in + i * row + window->left * channels;
        if (count <= 255) { /* so many int8 fit int16 */
            for (int32_t j = window->left; j < window->right; j++, from += channels) {
                narrow = vaddq_s16(narrow, vldrbq_z_s16(from, all));
            }
        } else {
            for (int32_t j = window->left; j < window->right; j++, from += channels) {
                first = vaddq_s32(first, vldrbq_z_s32(from, low));
                second = vaddq_s32(second, vldrbq_z_s32(from + 4, high));
            }
        }
    }
    if (count <= 255) {
        int16_t halves[KWS_POOLED];
        vst1q_s16(halves, narrow);
        first = vldrhq_s32(halves);
        second = vldrhq_s32(halves + 4);
    }
    vst1q_s32(sums, first);
    vst1q_s32(sums + 4, second);
    for (uint32_t c = 0; c < n; c++) {
        out[c] = mean_of(pool, sums[c], count);
    }
}
