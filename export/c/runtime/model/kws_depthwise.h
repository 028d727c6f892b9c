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
    const int32_t *stream; /* by channel: pairs of weights, third unless KWS_RISING, multiplier, first */
    const int8_t *in;
    int8_t *out;
    const int16_t *row; /* scratch: a channel's lanes, 2^8 times the input */
    uint8_t *body;      /* the high byte of its first input's lane */
    uint32_t lanes;
    const int16_t *even_end; /* row + 2 lanes an output of the first pass, of the second */
    const int16_t *odd_end;
    uint32_t outputs;
    uint32_t channels;
    int32_t center;
} kws_temporal;

/* lanes: how many the row has; the two passes' outputs. */
static inline kws_temporal kws_prepare_temporal(const kws_depthwise *layer, const int8_t *in, int8_t *out, int16_t *row,
                                                uint32_t lanes, uint32_t even, uint32_t odd) {
    const kws_temporal temporal = {
        (const int32_t *)(const void *)layer->weights, in, out, row, (uint8_t *)(row + layer->pad_top) + 1, lanes,
        row + 2 * even, row + 2 * odd, even + odd, layer->channels, layer->output.center,
    };
    const int16_t empty = (int16_t)(layer->zero_point * 256);
    for (uint32_t i = 0; i < lanes; i++) {
        row[i] = i < layer->pad_top || i >= (uint32_t)layer->pad_top + layer->in_h ? empty : 0;
    }
    return temporal;
}

#define KWS_DEPTHWISE_TEMPORAL(function, layer, from, to, row, lanes, even, odd)                            \
    do {                                                                                                    \
        kws_temporal temporal = kws_prepare_temporal((layer), (from), (to), (row), (lanes), (even), (odd)); \
        function(&temporal);                                                                                \
    } while (0)
#else
#define KWS_DEPTHWISE_TEMPORAL(function, layer, from, to, row, lanes, even, odd) kws_depthwise_s8(layer, from, to)
#endif

#endif
