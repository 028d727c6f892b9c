/* SPDX-License-Identifier: Apache-2.0 */
#include "kws_scale.h"

#if KWS_HELIUM
#include "kws_scale_helium.h"
#else

KWS_SATURATE(saturate_scaled, 20)

/* One channel without a third; it reads four before it writes them: out may be in. */
static inline void straight(const int8_t *in, int8_t *out, uint32_t channels, uint32_t n, int32_t factor,
                            int32_t constant) {
    for (; n >= 4; n -= 4, in += 4 * channels, out += 4 * channels) {
        const int32_t x0 = in[0], x1 = in[channels], x2 = in[2 * channels], x3 = in[3 * channels];
        out[0] = saturate_scaled(x0 * factor + constant);
        out[channels] = saturate_scaled(x1 * factor + constant);
        out[2 * channels] = saturate_scaled(x2 * factor + constant);
        out[3 * channels] = saturate_scaled(x3 * factor + constant);
    }
    for (; n; n--, in += channels, out += channels) {
        *out = saturate_scaled(*in * factor + constant);
    }
}

void kws_scale_s8(const kws_scale *scale, const int8_t *in, int8_t *out) {
    const uint32_t channels = scale->channels;
    for (uint32_t c = 0; c < channels; c++) {
        const int32_t factor = scale->factor[c], constant = scale->constant[c];
        const int32_t third = scale->third ? scale->third[c] : 0, center = scale->center;
        if (!third) {
            straight(in + c, out + c, channels, scale->positions, factor, constant + center);
            continue;
        }
        const int8_t *from = in + c;
        int8_t *to = out + c;
        for (uint32_t n = scale->positions; n; n--, from += channels, to += channels) {
            const int32_t u = *from * factor + constant;
            *to = saturate_scaled(u - (third & (u >> 31)) + center);
        }
    }
}

#endif
