/* SPDX-License-Identifier: Apache-2.0 */
#include "kws_pool.h"

#if KWS_HELIUM
#include "kws_max_pool_helium.h"
#else

#if KWS_DSP
/* The larger of each of four bytes. */
static inline int32_t larger_of(int32_t a, int32_t b) {
    int32_t difference, result; /* ssub8 sets a flag a byte, which sel reads */
    __asm__("ssub8 %0, %2, %3\n\tsel %1, %2, %3" : "=&r"(difference), "=r"(result) : "r"(a), "r"(b));
    return result;
}

/* Four neighbouring channels at once. */
static inline void four_largest(const kws_pool *pool, const int8_t *in, const kws_window *window, int8_t *out) {
    const int32_t channels = pool->channels, row = pool->in_w * channels;
    int32_t largest = (int32_t)0x80808080u;
    for (int32_t i = window->top; i < window->bottom; i++) {
        const int8_t *from = in + i * row + window->left * channels;
        for (int32_t j = window->left; j < window->right; j++, from += channels) {
            int32_t bytes;
            memcpy(&bytes, from, 4);
            largest = larger_of(bytes, largest);
        }
    }
    for (int32_t c = 0; c < 4; c++) {
        out[c] = kws_clamp((int8_t)(largest >> (8 * c)), pool->minimum, pool->maximum);
    }
}
#endif

void kws_max_pool_s8(const kws_pool *pool, const int8_t *in, int8_t *out) {
    const int32_t channels = pool->channels, row = pool->in_w * channels;
    for (int32_t y = 0; y < pool->out_h; y++) {
        for (int32_t x = 0; x < pool->out_w; x++, out += channels) {
            const kws_window window = kws_window_at(pool, y, x);
            int32_t c = 0;
#if KWS_DSP
            for (; c < channels && channels >= 4; c += 4) { /* the last four overlap those before */
                const int32_t at = c + 4 > channels ? channels - 4 : c;
                four_largest(pool, in + at, &window, out + at);
            }
#endif
            for (; c < channels; c++) {
                int32_t largest = -128;
                for (int32_t i = window.top; i < window.bottom; i++) {
                    const int8_t *from = in + i * row + window.left * channels + c;
                    for (int32_t j = window.left; j < window.right; j++, from += channels) {
                        largest = *from > largest ? *from : largest;
                    }
                }
                out[c] = kws_clamp(largest, pool->minimum, pool->maximum);
            }
        }
    }
}

#endif
