/* SPDX-License-Identifier: Apache-2.0 */
#include "kws_depthwise.h"

#if KWS_HELIUM
#include "kws_depthwise_helium.h"
#else

#if KWS_DSP
#include "kws_depthwise_dsp.h"
#endif

/* The taps of a position along one axis: those from `first` to `last` are inside the input, `apart` bytes from each other. */
typedef struct {
    int32_t taps, first, last, apart;
} kws_taps;

/* How many of `taps` taps from `start`, `step` apart, lie before `limit`. */
static int32_t taps_before(int32_t start, int32_t step, int32_t taps, int32_t limit) {
    const int32_t count = start < limit ? (limit - 1 - start) / step + 1 : 0;
    return count < taps ? count : taps;
}

static kws_taps taps_at(int32_t start, int32_t step, int32_t taps, int32_t limit, int32_t size) {
    const kws_taps at = {taps, taps_before(start, step, taps, 0), taps_before(start, step, taps, limit), step * size};
    return at;
}

/* n more taps of four neighbouring channels, whose inputs lie `apart` bytes from each other; returns the next weights. */
static inline const int8_t *four_taps(int32_t *acc0, int32_t *acc1, int32_t *acc2, int32_t *acc3, const int8_t *from,
                                      int32_t apart, const int8_t *weight, int32_t channels, int32_t n) {
    for (; n > 0; n--, from += apart, weight += channels) {
        *acc0 += from[0] * weight[0];
        *acc1 += from[1] * weight[1];
        *acc2 += from[2] * weight[2];
        *acc3 += from[3] * weight[3];
    }
    return weight;
}

/* Channels c to c + 3 at the position whose first tap is `begin` bytes into the input: a row of taps after the other. */
static void four_channels(const kws_depthwise *layer, const int8_t *in, int32_t begin, const kws_taps *outer,
                          const kws_taps *inner, int32_t c, int8_t *out) {
    const int32_t channels = layer->channels, apart = inner->apart;
    const int8_t empty[4] = {layer->zero_point, layer->zero_point, layer->zero_point, layer->zero_point};
    const int8_t *weight = layer->weights + c;
    int32_t acc0 = 0, acc1 = 0, acc2 = 0, acc3 = 0;
    for (int32_t i = 0; i < outer->taps; i++, begin += outer->apart) {
        const int inside = i >= outer->first && i < outer->last;
        const int32_t first = inside ? inner->first : 0, last = inside ? inner->last : 0;
        weight = four_taps(&acc0, &acc1, &acc2, &acc3, empty, 0, weight, channels, first);
        if (last > first) {
            const int8_t *const from = in + (begin + first * apart + c);
            weight = four_taps(&acc0, &acc1, &acc2, &acc3, from, apart, weight, channels, last - first);
        }
        weight = four_taps(&acc0, &acc1, &acc2, &acc3, empty, 0, weight, channels, inner->taps - last);
    }
    out[0] = kws_quantize(acc0, &layer->output, c);
    out[1] = kws_quantize(acc1, &layer->output, c + 1);
    out[2] = kws_quantize(acc2, &layer->output, c + 2);
    out[3] = kws_quantize(acc3, &layer->output, c + 3);
}

/* The same for channel c alone. */
static void one_channel(const kws_depthwise *layer, const int8_t *in, int32_t begin, const kws_taps *outer,
                        const kws_taps *inner, int32_t c, int8_t *out) {
    const int8_t *weight = layer->weights + c;
    int32_t acc = 0;
    for (int32_t i = 0; i < outer->taps; i++, begin += outer->apart) {
        const int inside = i >= outer->first && i < outer->last;
        for (int32_t k = 0; k < inner->taps; k++, weight += layer->channels) {
            const int there = inside && k >= inner->first && k < inner->last;
            acc += *weight * (there ? in[begin + k * inner->apart + c] : layer->zero_point);
        }
    }
    *out = kws_quantize(acc, &layer->output, c);
}

void kws_depthwise_s8(const kws_depthwise *layer, const int8_t *in, int8_t *out) {
    const int32_t channels = layer->channels, row = layer->in_w * channels;
    const int column = layer->kernel_w == 1 && layer->pad_left == 0; /* its taps are one row */
    for (int32_t y = 0; y < layer->out_h; y++) {
        const int32_t top = y * layer->stride_h - layer->pad_top;
        const kws_taps down = taps_at(top, layer->dilation_h, layer->kernel_h, layer->in_h, row);
        for (int32_t x = 0; x < layer->out_w; x++, out += channels) {
            const int32_t left = x * layer->stride_w - layer->pad_left, begin = top * row + left * channels;
            const kws_taps across = taps_at(left, layer->dilation_w, layer->kernel_w, layer->in_w, channels);
            int32_t c = 0;
#if KWS_DSP
            if (kws_depthwise_fits(layer)) {
                c = channels & ~3;
                kws_depthwise_groups(layer, in, top, left, (uint32_t)c / 4, out);
            }
#endif
            for (; c < channels && channels >= 4; c += 4) { /* the last four overlap those before */
                const int32_t at = c + 4 > channels ? channels - 4 : c;
                four_channels(layer, in, begin, column ? &across : &down, column ? &down : &across, at, out + at);
            }
            for (; c < channels; c++) {
                one_channel(layer, in, begin, column ? &across : &down, column ? &down : &across, c, out + c);
            }
        }
    }
}

#endif
