/* The largest of `taps` frames about each frame of a row of `time` floats; frames outside the row do not count.
 *
 * Of equal maxima the first takes the gradient. A NaN may be passed over.
 */
#include "rows.h"

#include <math.h>

typedef struct {
    const float *x, *y, *gy;
    float *out;
    int64_t time, taps, before;
} Window;

static int64_t whole(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

INLINE void put(float *padded, const float *x, const Window *d, float outside, int64_t width)
{
    for (int64_t i = 0; i < width; i++) padded[i] = outside;
    memcpy(padded + d->before, x, d->time * sizeof(float));
}

static int window_forward_rows(const void *job, int64_t begin, int64_t end)
{
    const Window *d = job;
    const int64_t n = whole(d->time), width = n + d->taps - 1;
    float *padded = malloc((width + n) * sizeof(float)), *y = padded + width;
    if (!padded) return 1;
    for (int64_t row = begin; row < end; row++) {
        put(padded, d->x + row * d->time, d, -INFINITY, width);
        for (int64_t i = 0; i < n; i += LANES) {
            vec most = load(padded + i);
            for (int64_t k = 1; k < d->taps; k++) {
                const vec v = load(padded + i + k);
                const mask above = v > most;
                most = (vec)(((mask)v & above) | ((mask)most & ~above));
            }
            store(y + i, most);
        }
        memcpy(d->out + row * d->time, y, d->time * sizeof(float));
    }
    free(padded);
    return 0;
}

static int window_backward_rows(const void *job, int64_t begin, int64_t end)
{
    const Window *d = job;
    const int64_t n = whole(d->time), width = n + d->taps - 1;
    float *padded = calloc(2 * width + 2 * n, sizeof(float));
    if (!padded) return 1;
    float *gx = padded + width, *y = gx + width, *gy = y + n;
    for (int64_t row = begin; row < end; row++) {
        put(padded, d->x + row * d->time, d, -INFINITY, width);
        memset(gx, 0, width * sizeof(float));
        memcpy(y, d->y + row * d->time, d->time * sizeof(float)); /* behind the row both stay 0 */
        memcpy(gy, d->gy + row * d->time, d->time * sizeof(float));
        for (int64_t i = 0; i < n; i += LANES) {
            const vec most = load(y + i), g = load(gy + i);
            mask open = most == most;
            for (int64_t k = 0; k < d->taps; k++) {
                const mask here = (load(padded + i + k) == most) & open;
                store(gx + i + k, load(gx + i + k) + keep(g, here));
                open &= ~here;
            }
        }
        memcpy(d->out + row * d->time, gx + d->before, d->time * sizeof(float));
    }
    free(padded);
    return 0;
}

int window_forward(const float *x, float *y, int64_t rows, int64_t time, int64_t taps, int64_t before, int threads)
{
    Window d = {x, NULL, NULL, y, time, taps, before};
    return split(window_forward_rows, &d, rows, threads);
}

int window_backward(const float *x, const float *y, const float *gy, float *gx, int64_t rows, int64_t time,
                    int64_t taps, int64_t before, int threads)
{
    Window d = {x, y, gy, gx, time, taps, before};
    return split(window_backward_rows, &d, rows, threads);
}
