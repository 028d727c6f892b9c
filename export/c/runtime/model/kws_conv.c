#include "kws_conv.h"

#if KWS_DSP
/* n int8 -> int16, in order. */
static inline void widen(const int8_t *from, kws_lane *to, uint32_t n) {
    for (; n >= 4; n -= 4, from += 4, to += 4) {
        uint32_t bytes, even, odd, low, high;
        memcpy(&bytes, from, 4);
        __asm__("sxtb16 %0, %1" : "=r"(even) : "r"(bytes));
        __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(bytes));
        __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(low) : "r"(even), "r"(odd));
        __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(high) : "r"(odd), "r"(even));
        memcpy(to, &low, 4);
        memcpy(to + 2, &high, 4);
    }
    for (; n; n--) {
        *to++ = *from++;
    }
}
#else
static inline void widen(const int8_t *from, kws_lane *to, uint32_t n) { memcpy(to, from, n); }
#endif

/* The patch at output row y, column x. */
static void gather(const kws_conv *conv, const int8_t *in, int32_t y, int32_t x, kws_lane *patch) {
    const int32_t channels = conv->in_c;
    int32_t row = y * conv->stride_h - conv->pad_top;
    const int32_t left = x * conv->stride_w - conv->pad_left;
    for (int32_t ky = 0; ky < conv->kernel_h; ky++, row += conv->dilation_h) {
        int32_t column = left;
        for (int32_t kx = 0; kx < conv->kernel_w; kx++, column += conv->dilation_w) {
            if (row >= 0 && row < conv->in_h && column >= 0 && column < conv->in_w) {
                widen(in + (row * conv->in_w + column) * channels, patch, (uint32_t)channels);
            } else {
                for (int32_t c = 0; c < channels; c++) {
                    patch[c] = conv->zero_point;
                }
            }
            patch += channels;
        }
    }
}

#if KWS_DSP
/* Four channels at one position. `length` lanes, a multiple of 4; advances `weights` past the tile. */
static inline const int32_t *tile(const int32_t *weights, const kws_lane *patch, uint32_t length, int32_t acc[4]) {
    const kws_lane *const end = patch + length;
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    __asm__ volatile(
        "1:\n\t"
        "ldrd r4, r5, [%[x]], #8\n\t"
        "ldmia %[w]!, {r6, r8, r9, r10}\n\t"
        "smlad %[a0], r4, r6, %[a0]\n\t"
        "smlad %[a1], r4, r8, %[a1]\n\t"
        "smlad %[a2], r4, r9, %[a2]\n\t"
        "smlad %[a3], r4, r10, %[a3]\n\t"
        "ldmia %[w]!, {r6, r8, r9, r10}\n\t"
        "cmp %[x], %[end]\n\t"
        "smlad %[a0], r5, r6, %[a0]\n\t"
        "smlad %[a1], r5, r8, %[a1]\n\t"
        "smlad %[a2], r5, r9, %[a2]\n\t"
        "smlad %[a3], r5, r10, %[a3]\n\t"
        "bne 1b\n\t"
        : [x] "+r"(patch), [w] "+r"(weights), [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3)
        : [end] "r"(end)
        : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");
    acc[0] = a0;
    acc[1] = a1;
    acc[2] = a2;
    acc[3] = a3;
    return weights;
}

static inline void position(const kws_conv *conv, const kws_lane *patch, uint32_t length, int8_t *out) {
    const int32_t *weights = conv->weights;
    const kws_channel *channel = conv->output.channels;
    const int32_t center = conv->output.center;
    const uint32_t form = conv->output.form;
    int32_t left = conv->out_c;
    for (; left >= 4; left -= 4, channel += 4, out += 4) {
        int32_t acc[4];
        weights = tile(weights, patch, length, acc);
        if (form == KWS_RISING) {
            out[0] = kws_rising(acc[0], channel, center);
            out[1] = kws_rising(acc[1], channel + 1, center);
            out[2] = kws_rising(acc[2], channel + 2, center);
            out[3] = kws_rising(acc[3], channel + 3, center);
        } else if (form == KWS_LINE) {
            out[0] = kws_line(acc[0], channel, center);
            out[1] = kws_line(acc[1], channel + 1, center);
            out[2] = kws_line(acc[2], channel + 2, center);
            out[3] = kws_line(acc[3], channel + 3, center);
        } else {
            for (int32_t i = 0; i < 4; i++) {
                out[i] = kws_quantize_as_tflite(acc[i], channel + i, &conv->output);
            }
        }
    }
    if (left) {
        int32_t acc[4];
        tile(weights, patch, length, acc);
        for (int32_t i = 0; i < left; i++) {
            out[i] = kws_quantize(acc[i], channel + i, &conv->output);
        }
    }
}
#else
static inline void position(const kws_conv *conv, const kws_lane *patch, uint32_t length, int8_t *out) {
    const int8_t *weight = conv->weights;
    for (int32_t c = 0; c < conv->out_c; c++) {
        int32_t acc = 0;
        for (uint32_t k = 0; k < length; k++) {
            acc += (int32_t)*weight++ * patch[k];
        }
        out[c] = kws_quantize(acc, conv->output.channels + c, &conv->output);
    }
}
#endif

void kws_conv_s8(const kws_conv *conv, const int8_t *in, int8_t *out, kws_lane *patch) {
    const uint32_t taps = (uint32_t)conv->kernel_h * conv->kernel_w * conv->in_c;
    const uint32_t length = (taps + KWS_PATCH_ALIGN - 1) / KWS_PATCH_ALIGN * KWS_PATCH_ALIGN;
    const int32_t row = (int32_t)conv->in_w * conv->in_c;
    for (uint32_t k = taps; k < length; k++) {
        patch[k] = 0;
    }
    for (int32_t y = 0; y < conv->out_h; y++) {
        for (int32_t x = 0; x < conv->out_w; x++) {
            const kws_lane *here = patch;
            if (conv->contiguous) {
                const int8_t *from = in + y * conv->stride_h * row + x * conv->stride_w * conv->in_c;
#if KWS_DSP
                widen(from, patch, taps);
#else
                here = from;
#endif
            } else {
                gather(conv, in, y, x, patch);
            }
            position(conv, here, length, out);
            out += conv->out_c;
        }
    }
}
