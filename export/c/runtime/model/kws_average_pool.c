/* SPDX-License-Identifier: Apache-2.0 */
#include "kws_pool.h"

/* The mean of `count` values, halves away from zero. */
static inline int8_t mean_of(const kws_pool *pool, int32_t sum, int32_t count) {
    const int32_t half = count / 2;
    return kws_clamp((sum > 0 ? sum + half : sum - half) / count, pool->minimum, pool->maximum);
}

#if KWS_HELIUM
#include "kws_average_pool_helium.h"
#elif KWS_DSP
/* Four neighbouring channels at once, two sums in a word: at most 255 values each. */
static inline void four_means(const kws_pool *pool, const int8_t *in, const kws_window *window, int32_t count, int8_t *out) {
    const int32_t channels = pool->channels, row = pool->in_w * channels;
    int32_t even = 0, odd = 0; /* channels 0 and 2, 1 and 3 */
    for (int32_t i = window->top; i < window->bottom; i++) {
        const int8_t *from = in + i * row + window->left * channels;
        for (int32_t j = window->left; j < window->right; j++, from += channels) {
            int32_t bytes;
            memcpy(&bytes, from, 4);
            __asm__("sxtab16 %0, %0, %1" : "+r"(even) : "r"(bytes));
            __asm__("sxtab16 %0, %0, %1, ror #8" : "+r"(odd) : "r"(bytes));
        }
    }
    out[0] = mean_of(pool, (int16_t)even, count);
    out[1] = mean_of(pool, (int16_t)odd, count);
    out[2] = mean_of(pool, even >> 16, count);
    out[3] = mean_of(pool, odd >> 16, count);
}
#endif

void kws_average_pool_s8(const kws_pool *pool, const int8_t *in, int8_t *out) {
    const int32_t channels = pool->channels, row = pool->in_w * channels;
    for (int32_t y = 0; y < pool->out_h; y++) {
        for (int32_t x = 0; x < pool->out_w; x++, out += channels) {
            const kws_window window = kws_window_at(pool, y, x);
            const int32_t count = (window.bottom - window.top) * (window.right - window.left);
            int32_t c = 0;
#if KWS_HELIUM
            for (; c < channels; c += KWS_POOLED) {
                const int32_t n = channels - c < KWS_POOLED ? channels - c : KWS_POOLED;
                kws_means(pool, in + c, &window, count, (uint32_t)n, out + c);
            }
#elif KWS_DSP
            for (; c < channels && channels >= 4 && count <= 255; c += 4) { /* the last four overlap those before */
                const int32_t at = c + 4 > channels ? channels - 4 : c;
                four_means(pool, in + at, &window, count, out + at);
            }
#endif
            for (; c < channels; c++) {
                int32_t sum = 0;
                for (int32_t i = window.top; i < window.bottom; i++) {
                    const int8_t *from = in + i * row + window.left * channels + c;
                    for (int32_t j = window.left; j < window.right; j++, from += channels) {
                        sum += *from;
                    }
                }
                out[c] = mean_of(pool, sum, count);
            }
        }
    }
}
