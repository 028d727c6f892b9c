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
static inline void kws_conv_position(const kws_conv *conv, const kws_lane *patch, uint32_t length, int8_t *out) {
    const int8_t *weight = conv->weights;
    for (int32_t c = 0; c < conv->out_c; c++) {
        int32_t acc = 0;
        for (uint32_t k = 0; k < length; k++) {
            acc += (int32_t)*weight++ * patch[k];
        }
        out[c] = kws_quantize(acc, &conv->output, c);
    }
}
