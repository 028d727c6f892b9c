/* SPDX-License-Identifier: Apache-2.0 */
/* kws_conv_s8's inner part in plain C99. */
#include "kws_conv.h"

static inline void kws_fill_lanes(const int8_t *from, kws_lane *to, uint32_t n, const kws_output *output) {
    (void)output;
    memcpy(to, from, n);
}

static inline kws_lane kws_lane_of(int8_t value, const kws_output *output) {
    (void)output;
    return value;
}

/* All channels at one position. */
static inline void kws_conv_position(const kws_conv *conv, const kws_lane *patch, uint32_t length, int8_t *out,
                                     uint32_t room) {
    (void)room;
    const int8_t *weight = conv->weights;
    int32_t c = 0;
    for (; c + 4 <= conv->out_c; c += 4, weight += 3 * length) { /* four channels share a load of the patch */
        const int8_t *const w1 = weight + length, *const w2 = w1 + length, *const w3 = w2 + length;
        int32_t acc0 = 0, acc1 = 0, acc2 = 0, acc3 = 0;
        for (uint32_t k = 0; k < length; k++) {
            const int32_t x = patch[k];
            acc0 += *weight++ * x;
            acc1 += w1[k] * x;
            acc2 += w2[k] * x;
            acc3 += w3[k] * x;
        }
        out[c] = kws_quantize(acc0, &conv->output, c);
        out[c + 1] = kws_quantize(acc1, &conv->output, c + 1);
        out[c + 2] = kws_quantize(acc2, &conv->output, c + 2);
        out[c + 3] = kws_quantize(acc3, &conv->output, c + 3);
    }
    for (; c < conv->out_c; c++) {
        int32_t acc = 0;
        for (uint32_t k = 0; k < length; k++) {
            acc += *weight++ * patch[k];
        }
        out[c] = kws_quantize(acc, &conv->output, c);
    }
}
