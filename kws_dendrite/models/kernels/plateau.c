/* A neuron with a plateau dendrite, its ReLU and the residual in one pass: y = residual + relu(z + t * relu(m)), m the
 * largest of `taps` frames about each frame of a row of `time` floats; frames outside the row do not count. `t` is one
 * value for every `clips` rows. The backward pass computes all but z again: that costs less than reading it.
 *
 * Of equal maxima the first takes the gradient. A NaN may be passed over by a maximum.
 */
#include "rows.h"

#include <math.h>

typedef struct {
    const float *z, *t, *residual, *gy;
    float *y, *gz, *gt; /* gt: one value a row */
    int64_t time, taps, before, clips;
} Plateau;

/* most[i] = max(most[i .. i + taps - 1]) in place, windows of 1, 2, 4, ... joined; `most` has `width` values, a whole
 * vector of room behind them. */
INLINE void widen(float *most, int32_t *at, int64_t width, int64_t taps)
{
    for (int64_t reach = 1, step; reach < taps; reach += step) {
        step = reach < taps - reach ? reach : taps - reach;
        for (int64_t i = 0; i + step < width; i += LANES) {
            const vec here = load(most + i), ahead = load(most + i + step);
            const mask later = ahead > here;
            store(most + i, choose(later, ahead, here));
            if (at) {
                mask first, second;
                memcpy(&first, at + i, sizeof first);
                memcpy(&second, at + i + step, sizeof second);
                first = (second & later) | (first & ~later);
                memcpy(at + i, &first, sizeof first);
            }
        }
    }
}

INLINE void put(float *most, const float *z, const Plateau *d, int64_t room)
{
    for (int64_t i = 0; i < room; i++) most[i] = -INFINITY;
    memcpy(most + d->before, z, d->time * sizeof(float));
}

static int plateau_forward_rows(const void *job, int64_t begin, int64_t end)
{
    const Plateau *d = job;
    const int64_t n = d->time, width = n + d->taps - 1, room = whole(width) + d->taps + LANES;
    float *most = malloc(room * sizeof(float));
    if (!most) return 1;
    for (int64_t row = begin; row < end; row++) {
        const float *z = d->z + row * n, *residual = d->residual ? d->residual + row * n : NULL;
        const float t = d->t[row / d->clips];
        float *y = d->y + row * n;
        put(most, z, d, room);
        widen(most, NULL, width, d->taps);
        int64_t i = 0;
        for (; i + LANES <= n; i += LANES) {
            const vec out = relu_vec(load(z + i) + splat(t) * relu_vec(load(most + i)));
            store(y + i, residual ? load(residual + i) + out : out);
        }
        for (; i < n; i++) {
            const float out = relu_one(z[i] + t * relu_one(most[i]));
            y[i] = residual ? residual[i] + out : out;
        }
    }
    free(most);
    return 0;
}

static int plateau_backward_rows(const void *job, int64_t begin, int64_t end)
{
    const Plateau *d = job;
    const int64_t n = d->time, width = n + d->taps - 1, room = whole(width) + d->taps + LANES;
    float *most = malloc(room * sizeof(float)), *sums = calloc(room, sizeof(float)), *share = malloc(room * sizeof(float));
    int32_t *at = malloc(room * sizeof(int32_t)), *places = malloc(room * sizeof(int32_t));
    const int failed = !most || !sums || !share || !at || !places;
    for (int64_t i = 0; !failed && i < room; i++) places[i] = (int32_t)i;
    for (int64_t row = begin; !failed && row < end; row++) {
        const float *z = d->z + row * n, *gy = d->gy + row * n;
        const float t = d->t[row / d->clips];
        float *gz = d->gz + row * n, gt = 0.0f;
        put(most, z, d, room);
        memcpy(at, places, room * sizeof(int32_t));
        widen(most, at, width, d->taps);
        vec gts = splat(0.0f);
        int64_t i = 0;
        for (; i + LANES <= n; i += LANES) {
            const vec top = load(most + i), a = relu_vec(top), scale = splat(t);
            const vec gu = keep(load(gy + i), load(z + i) + scale * a > 0.0f);
            gts += gu * a;
            store(gz + i, gu);
            store(share + i, keep(gu * scale, top > 0.0f));
        }
        for (; i < n; i++) {
            const float a = relu_one(most[i]), gu = z[i] + t * a > 0.0f ? gy[i] : 0.0f;
            gt += gu * a;
            gz[i] = gu;
            share[i] = most[i] > 0.0f ? gu * t : 0.0f;
        }
        d->gt[row] = gt + (float)total(gts);
        for (i = 0; i < n; i++) sums[at[i]] += share[i];
        for (i = 0; i < n; i++) gz[i] += sums[d->before + i];
        memset(sums, 0, room * sizeof(float));
    }
    free(most), free(sums), free(share), free(at), free(places);
    return failed;
}

int plateau_forward(const float *z, const float *t, const float *residual, float *y, int64_t rows, int64_t time,
                    int64_t taps, int64_t before, int64_t clips, int threads)
{
    Plateau d = {.z = z, .t = t, .residual = residual, .y = y, .time = time, .taps = taps, .before = before,
                 .clips = clips};
    return split(plateau_forward_rows, &d, rows, threads);
}

int plateau_backward(const float *z, const float *t, const float *gy, float *gz, float *gt, int64_t rows, int64_t time,
                     int64_t taps, int64_t before, int64_t clips, int threads)
{
    Plateau d = {.z = z, .t = t, .gy = gy, .gz = gz, .gt = gt, .time = time, .taps = taps, .before = before,
                 .clips = clips};
    return split(plateau_backward_rows, &d, rows, threads);
}
