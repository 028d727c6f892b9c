/* SPDX-License-Identifier: Apache-2.0 */
/* kws_scale_s8 for Arm's Helium: four channels of all positions at a time. */
#include <arm_mve.h>

#include "kws_scale.h"

/* saturate8(x >> 20), at the top of the word first. */
static inline int32x4_t kws_saturate_scaled(int32x4_t x) { return vshrq_n_s32(vqshlq_n_s32(x, 4), 24); }

void kws_scale_s8(const kws_scale *scale, const int8_t *in, int8_t *out) {
    const uint32_t channels = scale->channels;
    for (uint32_t c = 0; c < channels; c += 4) {
        const mve_pred16_t some = vctp32q(channels - c);
        const int32x4_t factor = vldrwq_s32(scale->factor + c);
        const int8_t *from = in + c;
        int8_t *to = out + c;
        if (scale->third) {
            const int32x4_t constant = vldrwq_s32(scale->constant + c), third = vldrwq_s32(scale->third + c);
            for (uint32_t n = scale->positions; n; n--, from += channels, to += channels) {
                const int32x4_t u = vaddq_s32(vmulq_s32(vldrbq_z_s32(from, some), factor), constant);
                const int32x4_t below = vandq_s32(third, vshrq_n_s32(u, 31));
                vstrbq_p_s32(to, kws_saturate_scaled(vaddq_n_s32(vsubq_s32(u, below), scale->center)), some);
            }
        } else {
            const int32x4_t constant = vaddq_n_s32(vldrwq_s32(scale->constant + c), scale->center);
            for (uint32_t n = scale->positions; n; n--, from += channels, to += channels) {
                const int32x4_t sum = vaddq_s32(vmulq_s32(vldrbq_z_s32(from, some), factor), constant);
                vstrbq_p_s32(to, kws_saturate_scaled(sum), some);
            }
        }
    }
}
