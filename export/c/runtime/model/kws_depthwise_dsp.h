/* kws_depthwise_s8's inner part for Arm's DSP extension: four neighbouring channels at once. */
#include "kws_depthwise.h"

/* acc[i] += x_i * w_i for the four bytes of two words. */
static inline void kws_four_products(const int8_t *x, const int8_t *w, int32_t acc[4]) {
    int32_t inputs, weights, x_even, x_odd, w_even, w_odd;
    memcpy(&inputs, x, 4);
    memcpy(&weights, w, 4);
    __asm__("sxtb16 %0, %1" : "=r"(x_even) : "r"(inputs));
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(x_odd) : "r"(inputs));
    __asm__("sxtb16 %0, %1" : "=r"(w_even) : "r"(weights));
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(w_odd) : "r"(weights));
    __asm__("smlabb %0, %1, %2, %0" : "+r"(acc[0]) : "r"(x_even), "r"(w_even));
    __asm__("smlabb %0, %1, %2, %0" : "+r"(acc[1]) : "r"(x_odd), "r"(w_odd));
    __asm__("smlatt %0, %1, %2, %0" : "+r"(acc[2]) : "r"(x_even), "r"(w_even));
    __asm__("smlatt %0, %1, %2, %0" : "+r"(acc[3]) : "r"(x_odd), "r"(w_odd));
}

/* Channels c to c + 3 at the position whose first tap is (top, left); wholly inside the input or not. */
static inline void kws_depthwise_four(const kws_depthwise *layer, const int8_t *in, int32_t top, int32_t left, int32_t c,
                                      int inside, int8_t *out) {
    const int32_t channels = layer->channels, zero_point = layer->zero_point;
    const int32_t across = layer->dilation_w * channels, down = layer->dilation_h * layer->in_w * channels;
    const int8_t *weight = layer->weights + c;
    const int8_t *from_row = in + (top * layer->in_w + left) * channels + c;
    int32_t acc[4] = {0, 0, 0, 0};
    for (int32_t ky = 0, row = top; ky < layer->kernel_h; ky++, row += layer->dilation_h, from_row += down) {
        const int8_t *from = from_row;
        for (int32_t kx = 0, column = left; kx < layer->kernel_w; kx++, column += layer->dilation_w, from += across) {
            if (inside || (row >= 0 && row < layer->in_h && column >= 0 && column < layer->in_w)) {
                kws_four_products(from, weight, acc);
            } else {
                for (int32_t i = 0; i < 4; i++) {
                    acc[i] += zero_point * weight[i];
                }
            }
            weight += channels;
        }
    }
    for (int32_t i = 0; i < 4; i++) {
        out[i] = kws_quantize(acc[i], &layer->output, c + i);
    }
}
