#include "kws_pool.h"

void kws_max_pool_s8(const kws_pool *pool, const int8_t *in, int8_t *out) {
    const int32_t channels = pool->channels, row = pool->in_w * channels;
    for (int32_t y = 0; y < pool->out_h; y++) {
        for (int32_t x = 0; x < pool->out_w; x++) {
            const kws_window window = kws_window_at(pool, y, x);
            for (int32_t c = 0; c < channels; c++) {
                int32_t largest = -128;
                for (int32_t i = window.top; i < window.bottom; i++) {
                    const int8_t *from = in + i * row + window.left * channels + c;
                    for (int32_t j = window.left; j < window.right; j++, from += channels) {
                        largest = *from > largest ? *from : largest;
                    }
                }
                *out++ = kws_clamp(largest, pool->minimum, pool->maximum);
            }
        }
    }
}
