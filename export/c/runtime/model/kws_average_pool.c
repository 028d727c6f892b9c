#include "kws_pool.h"

void kws_average_pool_s8(const kws_pool *pool, const int8_t *in, int8_t *out) {
    const int32_t channels = pool->channels, row = pool->in_w * channels;
    for (int32_t y = 0; y < pool->out_h; y++) {
        for (int32_t x = 0; x < pool->out_w; x++) {
            const kws_window window = kws_window_at(pool, y, x);
            const int32_t count = (window.bottom - window.top) * (window.right - window.left);
            for (int32_t c = 0; c < channels; c++) {
                int32_t sum = 0;
                for (int32_t i = window.top; i < window.bottom; i++) {
                    const int8_t *from = in + i * row + window.left * channels + c;
                    for (int32_t j = window.left; j < window.right; j++, from += channels) {
                        sum += *from;
                    }
                }
                const int32_t mean = sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
                *out++ = kws_clamp(mean, pool->minimum, pool->maximum);
            }
        }
    }
}
