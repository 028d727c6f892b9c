/* CONV_2D and FULLY_CONNECTED, int8. */
#ifndef KWS_CONV_H
#define KWS_CONV_H

#include "kws_core.h"

/* A patch is the inputs under the kernel at one position, K = kernel_h * kernel_w * in_c of them in the order of the
 * weights, padding filled with the input's zero point. Its length is rounded up so that the inner loop has no tail. */
#if KWS_DSP
typedef int16_t kws_lane; /* widened: a pair of them is one operand of SMLAD */
#define KWS_PATCH_ALIGN 4
#else
typedef int8_t kws_lane;
#define KWS_PATCH_ALIGN 1
#endif

/* Weights. Portable and Helium: int8 (out_c, K). DSP: int16 pairs [ceil(out_c / 4)][ceil4(K) / 2][4], the four channels
 * of a tile side by side, so that one load of four words feeds four accumulators; zeros fill up. */
#if KWS_DSP
typedef int32_t kws_conv_weight;
#else
typedef int8_t kws_conv_weight;
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
    uint16_t contiguous; /* every patch lies in one piece in the input: no padding, whole rows */
    int8_t zero_point;   /* of the input */
} kws_conv;

/* in (in_h, in_w, in_c), out (out_h, out_w, out_c), patch: scratch of ceil4(K) lanes, aligned to 4 bytes.
 * The accumulator is the plain sum of weight * input; the zero point's share is in the channel's constants. */
void kws_conv_s8(const kws_conv *conv, const int8_t *in, int8_t *out, kws_lane *patch);

#endif
