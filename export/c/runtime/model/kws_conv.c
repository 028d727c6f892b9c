/* SPDX-License-Identifier: Apache-2.0 */
#include "kws_conv.h"

#if KWS_HELIUM
#include "kws_conv_helium.h"
#else

#if KWS_DSP
#include "kws_conv_dsp.h"
#else
#include "kws_conv_portable.h"
#endif

/* The patch at output row y, column x. */
static void gather(const kws_conv *conv, const int8_t *in, int32_t y, int32_t x, kws_lane *patch) {
    const int32_t channels = conv->in_c;
    const kws_lane empty = kws_lane_of(conv->zero_point, &conv->output);
    int32_t row = y * conv->stride_h - conv->pad_top;
    const int32_t left = x * conv->stride_w - conv->pad_left;
    if (conv->one_piece && row >= 0 && row + conv->kernel_h <= conv->in_h && left >= 0 &&
        left + conv->kernel_w <= conv->in_w) {
        const uint32_t taps = (uint32_t)conv->kernel_h * conv->kernel_w * conv->in_c;
        kws_fill_lanes(in + (row * conv->in_w + left) * channels, patch, taps, &conv->output);
        return;
    }
    for (int32_t ky = 0; ky < conv->kernel_h; ky++, row += conv->dilation_h) {
        int32_t column = left;
        for (int32_t kx = 0; kx < conv->kernel_w; kx++, column += conv->dilation_w) {
            if (row >= 0 && row < conv->in_h && column >= 0 && column < conv->in_w) {
                kws_fill_lanes(in + (row * conv->in_w + column) * channels, patch, (uint32_t)channels, &conv->output);
            } else {
                for (int32_t c = 0; c < channels; c++) {
                    patch[c] = empty;
                }
            }
            patch += channels;
        }
    }
}

void kws_conv_s8(const kws_conv *conv, const int8_t *in, int8_t *out, kws_lane *patch) {
    const uint32_t taps = (uint32_t)conv->kernel_h * conv->kernel_w * conv->in_c;
    const uint32_t length = (taps + KWS_PATCH_ALIGN - 1) / KWS_PATCH_ALIGN * KWS_PATCH_ALIGN;
    const int32_t row = (int32_t)conv->in_w * conv->in_c;
    uint32_t room = (uint32_t)conv->out_h * conv->out_w * conv->out_c;
    for (uint32_t k = taps; k < length; k++) {
        patch[k] = 0;
    }
    for (int32_t y = 0; y < conv->out_h; y++) {
        for (int32_t x = 0; x < conv->out_w; x++) {
            const kws_lane *here = patch;
            if (conv->contiguous) {
                const int8_t *from = in + y * conv->stride_h * row + x * conv->stride_w * conv->in_c;
#if KWS_DSP
                kws_fill_lanes(from, patch, taps, &conv->output);
#else
                here = from;
#endif
            } else {
                gather(conv, in, y, x, patch);
            }
            kws_conv_position(conv, here, length, out, room);
            out += conv->out_c;
            room -= conv->out_c;
        }
    }
}

#endif
