/* z + t * a, t one number a row, and its gradients, each in one pass. */
#include "rows.h"

typedef struct {
    const float *z, *t, *a, *g;
    float *out, *gt;
    int64_t size;
} Join;

static int join_forward_rows(const void *job, int64_t begin, int64_t end)
{
    const Join *d = job;
    for (int64_t row = begin; row < end; row++) {
        const float *z = d->z + row * d->size, *a = d->a + row * d->size, t = d->t[row];
        float *y = d->out + row * d->size;
        for (int64_t i = 0; i < d->size; i++) y[i] = z[i] + t * a[i];
    }
    return 0;
}

static int join_backward_rows(const void *job, int64_t begin, int64_t end)
{
    const Join *d = job;
    for (int64_t row = begin; row < end; row++) {
        const float *g = d->g + row * d->size, *a = d->a + row * d->size, t = d->t[row];
        float *ga = d->out ? d->out + row * d->size : NULL;
        vec sum[2] = {{0}};
        double tail = 0.0;
        int64_t i = 0;
        for (; i + 2 * LANES <= d->size; i += 2 * LANES)
            for (int j = 0; j < 2; j++) {
                const vec v = load(g + i + j * LANES);
                sum[j] += v * load(a + i + j * LANES);
                if (ga) store(ga + i + j * LANES, v * t);
            }
        for (; i < d->size; i++) {
            tail += (double)g[i] * a[i];
            if (ga) ga[i] = g[i] * t;
        }
        d->gt[row] = (float)(total(sum[0] + sum[1]) + tail);
    }
    return 0;
}

int join_forward(float *y, const float *z, const float *t, const float *a, int64_t rows, int64_t size, int threads)
{
    const Join d = {.z = z, .t = t, .a = a, .out = y, .size = size};
    return split(join_forward_rows, &d, rows, threads);
}

/* ga may be NULL. */
int join_backward(const float *g, const float *t, const float *a, float *ga, float *gt, int64_t rows, int64_t size,
                  int threads)
{
    const Join d = {.t = t, .a = a, .g = g, .out = ga, .gt = gt, .size = size};
    return split(join_backward_rows, &d, rows, threads);
}
