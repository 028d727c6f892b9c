/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D and FULLY_CONNECTED, int8. */
#ifndef KWS_CONV_H
#define KWS_CONV_H

#include "kws_core.h"

/* A patch is the inputs under the kernel at one position, K = kernel_h * kernel_w * in_c of them in the order of the
 * weights, padding filled with the input's zero point.
 *
 * Portable and Helium: int8 lanes, weights int8 (out_c, K).
 * DSP: int16 lanes, a pair of them one operand of SMLAD, their number rounded up to a multiple of 4 by zeros; weights
 * int16 pairs [ceil(out_c / 4)][ceil4(K) / 2][4], the four channels of a tile side by side, so that one load of four words
 * feeds four accumulators. Where the output is a line, lanes hold 2^8 times the input and weights 2^2 times theirs: the
 * sum, begun at `first`, is the line's u.
 */
#if KWS_DSP
typedef int16_t kws_lane;
typedef int32_t kws_conv_weight;
#define KWS_PATCH_ALIGN 4
#else
typedef int8_t kws_lane;
typedef int8_t kws_conv_weight;
#define KWS_PATCH_ALIGN 1
#endif

typedef struct {
    const kws_conv_weight *weights;
    kws_output output;
    uint16_t in_h, in_w, in_c;
    uint16_t out_h, out_w, out_c;
    uint16_t kernel_h, kernel_w;
    uint16_t stride_h, stride_w;
    uint16_t dilation_h, dilation_w;
    uint16_t pad_top, pad_left;
    uint8_t one_piece;  /* a patch wholly inside the input lies there in one piece, undilated */
    uint8_t contiguous; /* all patches do: there is no padding, and dilation and strides step whole pieces */
    int8_t zero_point;   /* of the input */
} kws_conv;

/* in (in_h, in_w, in_c), out (out_h, out_w, out_c), patch: scratch of ceil4(K) lanes, aligned to 4 bytes.
 * The accumulator is the plain sum of weight * input; the zero point's share is in the channel's constants. */
void kws_conv_s8(const kws_conv *conv, const int8_t *in, int8_t *out, kws_lane *patch);

/* A 1 x 1 kernel of at most 14 channels, whose output is a line. On the DSP extension a function of its own for each
 * number of taps stands in the model's file; elsewhere it is kws_conv_s8. The order of the fields is that function's. */
#if KWS_DSP
typedef struct {
    const int32_t *stream; /* by channel: first, weights in pairs, multiplier, third unless KWS_RISING */
    const int8_t *in;
    int8_t *out;
    uint32_t step; /* bytes from a position's input to the next one's */
    int32_t center;
    uint32_t channels;
    uint32_t positions;
} kws_narrow;

#define KWS_CONV_NARROW(function, conv, from, to, patch) \
    do { \
        kws_narrow narrow = {(conv)->weights, (from), (to), (uint32_t)(conv)->stride_h * (conv)->in_c, \
                             (conv)->output.center, (conv)->out_c, (conv)->out_h}; \
        (void)(patch); \
        function(&narrow); \
    } while (0)
#else
#define KWS_CONV_NARROW(function, conv, from, to, patch) kws_conv_s8(conv, from, to, patch)
#endif

#endif
