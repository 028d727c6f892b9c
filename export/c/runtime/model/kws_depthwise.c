/* SPDX-License-Identifier: Apache-2.0 */
#include "kws_depthwise.h"

#if KWS_HELIUM
#include "kws_depthwise_helium.h"
#else

#if KWS_DSP
#include "kws_depthwise_dsp.h"
#endif

enum { BLOCK = 8 }; /* channels summed together */

/* n channels from c on, at most BLOCK, at the position whose first tap is (top, left). */
static void block(const kws_depthwise *layer, const int8_t *in, int32_t top, int32_t left, int32_t c, int32_t n,
                  int8_t *out) {
    const int32_t channels = layer->channels;
    const int8_t *weight = layer->weights + c;
    int32_t acc[BLOCK] = {0}, row = top;
    for (int32_t ky = 0; ky < layer->kernel_h; ky++, row += layer->dilation_h) {
        int32_t column = left;
        for (int32_t kx = 0; kx < layer->kernel_w; kx++, column += layer->dilation_w, weight += channels) {
            if (row >= 0 && row < layer->in_h && column >= 0 && column < layer->in_w) {
                const int8_t *from = in + (row * layer->in_w + column) * channels + c;
                for (int32_t i = 0; i < n; i++) {
                    acc[i] += from[i] * weight[i];
                }
            } else {
                for (int32_t i = 0; i < n; i++) {
                    acc[i] += layer->zero_point * weight[i];
                }
            }
        }
    }
    for (int32_t i = 0; i < n; i++) {
        out[i] = kws_quantize(acc[i], &layer->output, c + i);
    }
}

void kws_depthwise_s8(const kws_depthwise *layer, const int8_t *in, int8_t *out) {
    for (int32_t y = 0; y < layer->out_h; y++) {
        const int32_t top = y * layer->stride_h - layer->pad_top;
        for (int32_t x = 0; x < layer->out_w; x++) {
            const int32_t left = x * layer->stride_w - layer->pad_left;
            int32_t c = 0;
#if KWS_DSP
            if (kws_depthwise_fits(layer)) {
                c = layer->channels & ~3;
                kws_depthwise_groups(layer, in, top, left, (uint32_t)c / 4, out);
            }
#endif
            for (; c < layer->channels; c += BLOCK) {
                block(layer, in, top, left, c, layer->channels - c < BLOCK ? layer->channels - c : BLOCK, out + c);
            }
            out += layer->channels;
        }
    }
}

#endif
