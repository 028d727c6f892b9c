/* DEPTHWISE_CONV_2D with a depth multiplier of 1, int8. */
#ifndef KWS_DEPTHWISE_H
#define KWS_DEPTHWISE_H

#include "kws_core.h"

typedef struct {
    const int8_t *weights; /* (kernel_h, kernel_w, channels) */
    kws_output output;
    uint16_t in_h, in_w, channels;
    uint16_t out_h, out_w;
    uint16_t kernel_h, kernel_w;
    uint16_t stride_h, stride_w;
    uint16_t dilation_h, dilation_w;
    uint16_t pad_top, pad_left;
    int8_t zero_point; /* of the input */
} kws_depthwise;

/* in (in_h, in_w, channels), out (out_h, out_w, channels). A tap outside the input counts as the input's zero point; the
 * zero point's share of the sum is in the channel's constants. */
void kws_depthwise_s8(const kws_depthwise *layer, const int8_t *in, int8_t *out);

#endif
