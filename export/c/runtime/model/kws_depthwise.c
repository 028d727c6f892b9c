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

/* n more taps of four neighbouring channels, or of one. */
static inline void add_taps(int32_t acc[4], const int8_t *from, int32_t apart, const int8_t *weight, int32_t channels,
                            int32_t n, int four) {
    if (four) {
        int32_t acc0 = acc[0], acc1 = acc[1], acc2 = acc[2], acc3 = acc[3];
        for (; n > 0; n--, from += apart, weight += channels) {
            acc0 += from[0] * weight[0];
            acc1 += from[1] * weight[1];
            acc2 += from[2] * weight[2];
            acc3 += from[3] * weight[3];
        }
        acc[0] = acc0, acc[1] = acc1, acc[2] = acc2, acc[3] = acc3;
    } else {
        for (; n > 0; n--, from += apart, weight += channels) {
            acc[0] += *from * *weight;
        }
    }
}

/* Channel c, and the three behind it where it is four, at the position whose first tap is `begin` bytes into the input: a row
 * of taps after the other. */
static void position(const kws_depthwise *layer, const int8_t *in, int32_t begin, const kws_taps *outer,
                     const kws_taps *inner, int32_t c, int four, int8_t *out) {
    const int32_t channels = layer->channels;
    const int8_t empty[4] = {layer->zero_point, layer->zero_point, layer->zero_point, layer->zero_point};
    const int8_t *weight = layer->weights + c;
    int32_t acc[4] = {0, 0, 0, 0};
    for (int32_t i = 0; i < outer->taps; i++, begin += outer->apart, weight += inner->taps * channels) {
        const int inside = i >= outer->first && i < outer->last;
        const int32_t first = inside ? inner->first : inner->taps, last = inside ? inner->last : inner->taps;
        add_taps(acc, empty, 0, weight, channels, first, four);
        if (last > first) {
            add_taps(acc, in + (begin + first * inner->apart + c), inner->apart, weight + first * channels, channels,
                     last - first, four);
        }
        add_taps(acc, empty, 0, weight + last * channels, channels, inner->taps - last, four);
    }
    for (int32_t i = 0; i < (four ? 4 : 1); i++) {
        out[i] = kws_quantize(acc[i], &layer->output, c + i);
    }
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
            for (; c < channels; c += channels < 4 ? 1 : 4) { /* the last four overlap those before */
                const int32_t at = channels >= 4 && c + 4 > channels ? channels - 4 : c;
                position(layer, in, begin, column ? &across : &down, column ? &down : &across, at, channels >= 4, out + at);
            }
        }
    }
}

#endif
