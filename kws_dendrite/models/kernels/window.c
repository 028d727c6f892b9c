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
                most = choose(v > most, v, most);
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
    /* Frame j takes from the windows i = j + before - k whose first maximum is their tap k: sums of loads alone, where
     * adding each window's gradient to overlapping places would wait for every store. */
    const int64_t lead = d->taps - 1, spread = lead + n + d->taps; /* windows before and behind the row: none */
    float *padded = calloc(width + 2 * n + 2 * spread, sizeof(float));
    if (!padded) return 1;
    float *y = padded + width, *out = y + n, *gy = out + n, *tap = gy + spread;
    for (int64_t row = begin; row < end; row++) {
        put(padded, d->x + row * d->time, d, -INFINITY, width);
        memcpy(y, d->y + row * d->time, d->time * sizeof(float)); /* behind the row all stay 0 */
        memcpy(gy + lead, d->gy + row * d->time, d->time * sizeof(float));
        for (int64_t i = 0; i < n; i += LANES) {
            const vec most = load(y + i);
            vec first = splat(-1.0f);
            for (int64_t k = lead; k >= 0; k--) first = choose(load(padded + i + k) == most, splat((float)k), first);
            store(tap + lead + i, first);
        }
        for (int64_t j = 0; j < n; j += LANES) {
            vec sum = splat(0.0f);
            for (int64_t k = lead; k >= 0; k--) {
                const int64_t i = lead + j + d->before - k;
                sum += keep(load(gy + i), load(tap + i) == splat((float)k));
            }
            store(out + j, sum);
        }
        memcpy(d->out + row * d->time, out, d->time * sizeof(float));
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
