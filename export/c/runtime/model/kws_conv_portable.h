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
    for (int32_t c = 0; c < conv->out_c; c++) {
        int32_t acc = 0;
        uint32_t k = 0;
        for (; k + 4 <= length; k += 4, weight += 4) {
            acc += weight[0] * patch[k] + weight[1] * patch[k + 1] + weight[2] * patch[k + 2] + weight[3] * patch[k + 3];
        }
        for (; k < length; k++) {
            acc += *weight++ * patch[k];
        }
        out[c] = kws_quantize(acc, &conv->output, c);
    }
}
