/* Depthwise convolution over time.
 *
 * y[b, o] = sum_t w[t] x[b, o*stride + t*dilation - before], zero outside. Clips are copied, a chunk at a time, into
 * rows with zero margins, where a tap is a plain shifted read. A stride is a stride-1 convolution of which some
 * outputs are dropped (backward: a gradient with zeros between), which is rare enough not to deserve its own loops.
 */

#include "rows.h"

#define CHUNK_FLOATS 4096 /* 16 KiB: two such scratch buffers fill a usual 32 KiB first-level cache */

typedef struct {
    const float *x, *weight, *gy;
    float *y, *gx, *gweight;
    int64_t clips, time, out, kernel, stride, dilation, before;
} Depthwise;

/* y[i] = sum_t w[t] x[i + t*dilation] for `blocks` vectors, the last of which starts at `last`: it may overlap the one
 * before, so that nothing is written past the end. `blocks` is a constant at every call, its sums stay in registers.
 */
INLINE void taps(const float *x, const float *w, int64_t kernel, int64_t dilation, float *y, int64_t last,
                 const int blocks)
{
    vec sum[8];
    for (int j = 0; j < blocks; j++) sum[j] = load(x + (j == blocks - 1 ? last : j * LANES)) * w[0];
    for (int64_t t = 1; t < kernel; t++)
        for (int j = 0; j < blocks; j++)
            sum[j] += load(x + t * dilation + (j == blocks - 1 ? last : j * LANES)) * w[t];
    for (int j = 0; j < blocks; j++) store(y + (j == blocks - 1 ? last : j * LANES), sum[j]);
}

/* One clip of `n` outputs. */
static void convolve(const float *x, const float *w, int64_t kernel, int64_t dilation, float *y, int64_t n)
{
    if (n < LANES) {
        float few[LANES];
        taps(x, w, kernel, dilation, few, 0, 1);
        memcpy(y, few, n * sizeof(float));
        return;
    }
    for (; n > 8 * LANES; n -= 7 * LANES, x += 7 * LANES, y += 7 * LANES)
        taps(x, w, kernel, dilation, y, 6 * LANES, 7);
    const int64_t last = n - LANES;
    switch ((n + LANES - 1) / LANES) {
    case 1: taps(x, w, kernel, dilation, y, last, 1); break;
    case 2: taps(x, w, kernel, dilation, y, last, 2); break;
    case 3: taps(x, w, kernel, dilation, y, last, 3); break;
    case 4: taps(x, w, kernel, dilation, y, last, 4); break;
    case 5: taps(x, w, kernel, dilation, y, last, 5); break;
    case 6: taps(x, w, kernel, dilation, y, last, 6); break;
    case 7: taps(x, w, kernel, dilation, y, last, 7); break;
    default: taps(x, w, kernel, dilation, y, last, 8);
    }
}

/* sums[t] += sum over clips and frames of g[j] x[j + t*dilation] for `count` taps, a constant at every call. */
INLINE void correlate(const float *g, const float *x, int64_t clips, int64_t width, int64_t frames, int64_t dilation,
                      double *sums, const int count)
{
    vec sum[9];
    for (int t = 0; t < count; t++) sum[t] = (vec){0};
    for (int64_t b = 0; b < clips; b++)
        for (int64_t j = 0; j < frames; j += LANES) {
            vec gradient = load(g + b * width + j);
            for (int t = 0; t < count; t++) sum[t] += gradient * load(x + b * width + j + t * dilation);
        }
    for (int t = 0; t < count; t++) sums[t] += total(sum[t]);
}

static int64_t row_width(const Depthwise *d)
{
    const int64_t width = (d->time + LANES - 1) / LANES * LANES + (d->kernel - 1) * d->dilation;
    return (width + LANES - 1) / LANES * LANES;
}

static int depthwise_forward_rows(const void *job, int64_t begin, int64_t end)
{
    const Depthwise *d = job;
    const int64_t width = row_width(d), full = (d->out - 1) * d->stride + 1;
    const int64_t chunk = CHUNK_FLOATS / width > 0 ? CHUNK_FLOATS / width : 1;
    float *padded = calloc(chunk * width + d->time, sizeof(float)), *dense = padded + chunk * width;
    if (!padded) return 1;
    for (int64_t row = begin; row < end; row++)
        for (int64_t first = 0; first < d->clips; first += chunk) {
            const int64_t clips = d->clips - first < chunk ? d->clips - first : chunk;
            const float *x = d->x + (row * d->clips + first) * d->time, *w = d->weight + row * d->kernel;
            float *y = d->y + (row * d->clips + first) * d->out;
            for (int64_t b = 0; b < clips; b++)
                memcpy(padded + b * width + d->before, x + b * d->time, d->time * sizeof(float));
            for (int64_t b = 0; b < clips; b++) {
                float *into = d->stride == 1 ? y + b * d->out : dense;
                convolve(padded + b * width, w, d->kernel, d->dilation, into, full);
                if (d->stride > 1)
                    for (int64_t o = 0; o < d->out; o++) y[b * d->out + o] = dense[o * d->stride];
            }
        }
    free(padded);
    return 0;
}

static int depthwise_backward_rows(const void *job, int64_t begin, int64_t end)
{
    const Depthwise *d = job;
    const int64_t width = row_width(d), full = (d->out - 1) * d->stride + 1, k = d->kernel;
    const int64_t chunk = CHUNK_FLOATS / width > 0 ? CHUNK_FLOATS / width : 1;
    const int64_t margin = (k - 1) * d->dilation - d->before; /* of the gradient, for the mirrored kernel */
    float *xs = calloc(2 * chunk * width + k, sizeof(float));
    double *sums = malloc(k * sizeof(double));
    if (!xs || !sums) { free(xs); free(sums); return 1; }
    float *gs = xs + chunk * width, *mirrored = gs + chunk * width;
    for (int64_t row = begin; row < end; row++) {
        for (int64_t t = 0; t < k; t++) { mirrored[t] = d->weight[row * k + k - 1 - t]; sums[t] = 0.0; }
        for (int64_t first = 0; first < d->clips; first += chunk) {
            const int64_t clips = d->clips - first < chunk ? d->clips - first : chunk;
            const float *gy = d->gy + (row * d->clips + first) * d->out;
            const int64_t at = (row * d->clips + first) * d->time;
            for (int64_t b = 0; b < clips; b++) {
                float *into = gs + b * width + margin;
                if (d->stride == 1) memcpy(into, gy + b * d->out, d->out * sizeof(float));
                else for (int64_t o = 0; o < d->out; o++) into[o * d->stride] = gy[b * d->out + o];
            }
            if (d->gweight) {
                for (int64_t b = 0; b < clips; b++)
                    memcpy(xs + b * width + d->before, d->x + at + b * d->time, d->time * sizeof(float));
                const float *g = gs + margin;
                const int64_t step = d->dilation;
                int64_t t = 0;
                for (; t + 9 <= k; t += 9) correlate(g, xs + t * step, clips, width, full, step, sums + t, 9);
                for (; t + 5 <= k; t += 5) correlate(g, xs + t * step, clips, width, full, step, sums + t, 5);
                for (; t + 3 <= k; t += 3) correlate(g, xs + t * step, clips, width, full, step, sums + t, 3);
                for (; t < k; t++) correlate(g, xs + t * step, clips, width, full, step, sums + t, 1);
            }
            if (d->gx)
                for (int64_t b = 0; b < clips; b++)
                    convolve(gs + b * width, mirrored, k, d->dilation, d->gx + at + b * d->time, d->time);
        }
        if (d->gweight)
            for (int64_t t = 0; t < k; t++) d->gweight[row * k + t] = (float)sums[t];
    }
    free(xs);
    free(sums);
    return 0;
}

int depthwise_forward(const float *x, const float *weight, float *y, int64_t rows, int64_t clips, int64_t time,
                      int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t before, int threads)
{
    Depthwise d = {x, weight, NULL, y, NULL, NULL, clips, time, out, kernel, stride, dilation, before};
    return split(depthwise_forward_rows, &d, rows, threads);
}

/* gx and gweight may be NULL when they are not wanted. */
int depthwise_backward(const float *x, const float *weight, const float *gy, float *gx, float *gweight, int64_t rows,
                       int64_t clips, int64_t time, int64_t out, int64_t kernel, int64_t stride, int64_t dilation,
                       int64_t before, int threads)
{
    Depthwise d = {x, weight, gy, NULL, gx, gweight, clips, time, out, kernel, stride, dilation, before};
    return split(depthwise_backward_rows, &d, rows, threads);
}
