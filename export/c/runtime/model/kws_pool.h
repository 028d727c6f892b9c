/* SPDX-License-Identifier: Apache-2.0 */
/* AVERAGE_POOL_2D and MAX_POOL_2D, int8; scale and zero point are the same before and after. */
#ifndef KWS_POOL_H
#define KWS_POOL_H

#include "kws_core.h"

typedef struct {
    uint16_t in_h, in_w, channels;
    uint16_t out_h, out_w;
    uint16_t window_h, window_w;
    uint16_t stride_h, stride_w;
    uint16_t pad_top, pad_left;
    int8_t minimum, maximum;
} kws_pool;

/* The mean of the window's part inside the input, halves away from zero. */
void kws_average_pool_s8(const kws_pool *pool, const int8_t *in, int8_t *out);
/* Its largest value. */
void kws_max_pool_s8(const kws_pool *pool, const int8_t *in, int8_t *out);

/* The window's rows and columns that lie inside the input, at output (y, x). */
typedef struct {
    int32_t top, bottom, left, right; /* bottom and right are exclusive */
} kws_window;

static inline kws_window kws_window_at(const kws_pool *pool, int32_t y, int32_t x) {
    kws_window window;
    window.top = y * pool->stride_h - pool->pad_top;
    window.left = x * pool->stride_w - pool->pad_left;
    window.bottom = window.top + pool->window_h;
    window.right = window.left + pool->window_w;
    window.top = window.top < 0 ? 0 : window.top;
    window.left = window.left < 0 ? 0 : window.left;
    window.bottom = window.bottom > pool->in_h ? pool->in_h : window.bottom;
    window.right = window.right > pool->in_w ? pool->in_w : window.right;
    return window;
}

#endif
