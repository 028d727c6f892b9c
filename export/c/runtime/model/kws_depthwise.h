/* SPDX-License-Identifier: Apache-2.0 */
/* DEPTHWISE_CONV_2D with a depth multiplier of 1, int8. */
#ifndef KWS_DEPTHWISE_H
#define KWS_DEPTHWISE_H

#include "kws_core.h"

typedef struct {
    const int8_t *weights; /* (kernel_h, kernel_w, channels); a stream of its own where KWS_DEPTHWISE_TEMPORAL runs it */
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

/* A kernel of at most 9 taps along time, one column, whose output is a line. On the DSP extension a function of its own for
 * each shape stands in the model's file; elsewhere it is kws_depthwise_s8. That function relies on the order of the fields. */
#if KWS_DSP
typedef struct {
    const int32_t *weights; /* by channel, in pairs */
    const int8_t *in;
    int8_t *out;
    const int16_t *row;       /* scratch: a channel's lanes, 2^8 times the input */
    uint8_t *body;            /* the high byte of its first input's lane */
    const int32_t *constants; /* by channel: third unless KWS_RISING, multiplier, first */
    const int16_t *even_end;  /* row + 2 lanes an output of the first pass, of the second */
    const int16_t *odd_end;
    uint32_t outputs;
    uint32_t channels; /* 36 */
    int32_t center;
    uint32_t fives; /* inputs: so many times five, and the rest */
    uint32_t rest;
} kws_temporal;

/* row: lanes of scratch, aligned to 4 bytes. A dilated layer is `dilation` layers that interleave. */
static inline void kws_depthwise_temporal(void (*function)(kws_temporal *), const kws_depthwise *layer,
                                          const int32_t *constants, const int8_t *in, int8_t *out, int16_t *row,
                                          uint32_t lanes) {
    const uint32_t dilation = layer->dilation_h, pad = layer->pad_top / dilation, stride = layer->stride_h;
    const int16_t empty = (int16_t)(layer->zero_point * 256);
    for (uint32_t phase = 0; phase < dilation && phase < layer->out_h; phase++) {
        const uint32_t inputs = (layer->in_h - phase + dilation - 1) / dilation;
        const uint32_t outputs = (layer->out_h - phase + dilation - 1) / dilation;
        const uint32_t even = stride == 1 ? (outputs + 1) / 2 : outputs;
        kws_temporal temporal = {
            (const int32_t *)(const void *)layer->weights, in + phase * layer->channels, out + phase * layer->channels,
            row, (uint8_t *)(row + pad) + 1, constants, row + 2 * even, row + 2 * (outputs - even), outputs,
            layer->channels, layer->output.center, inputs / 5, inputs % 5,
        };
        for (uint32_t i = 0; i < lanes; i++) {
            row[i] = i < pad || i >= pad + inputs ? empty : 0;
        }
        function(&temporal);
    }
}
#else
#define kws_depthwise_temporal(function, layer, constants, from, to, row, lanes) kws_depthwise_s8(layer, from, to)
#endif

#endif
