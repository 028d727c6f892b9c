/* BatchNorm, ReLU, residual.
 *
 * y = residual + relu((x - mean) * weight / sqrt(var + eps) + bias). A row is read once from memory; the later passes
 * find it in cache. The backward pass recomputes the ReLU's sign from x rather than keep a mask.
 */

#include <math.h>

#include "rows.h"

typedef struct {
    const float *x, *weight, *bias, *residual, *gy;
    float *running_mean, *running_var, *mean, *inverse, *y, *gx, *gweight, *gbias;
    int64_t size;
    int training, relu;
    double momentum, eps;
} Norm;

/* Both passes are shifted, by the first value and then by the mean: float sums of what is far from zero lose digits. */
static void statistics(const float *x, int64_t n, double *mean, double *variance)
{
    vec sum[4] = {{0}};
    double tail = 0.0;
    const float origin = x[0];
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int j = 0; j < 4; j++) sum[j] += load(x + i + j * LANES) - origin;
    for (; i < n; i++) tail += x[i] - origin;
    *mean = origin + (total((sum[0] + sum[1]) + (sum[2] + sum[3])) + tail) / n;

    const float centre = (float)*mean;
    vec square[4] = {{0}};
    tail = 0.0;
    for (i = 0; i + 4 * LANES <= n; i += 4 * LANES)
        for (int j = 0; j < 4; j++) {
            vec away = load(x + i + j * LANES) - centre;
            square[j] += away * away;
        }
    for (; i < n; i++) tail += ((double)x[i] - centre) * ((double)x[i] - centre);
    *variance = (total((square[0] + square[1]) + (square[2] + square[3])) + tail) / n;
}

INLINE void norm_row(const float *x, const float *residual, float *y, int64_t n, float mean, float scale, float bias,
                     const int relu, const int add)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec v = (load(x + i) - mean) * scale + bias;
        if (relu) v = relu_vec(v);
        if (add) v += load(residual + i);
        store(y + i, v);
    }
    for (; i < n; i++) {
        float v = (x[i] - mean) * scale + bias;
        if (relu) v = relu_one(v);
        y[i] = add ? v + residual[i] : v;
    }
}

static int norm_forward_rows(const void *job, int64_t begin, int64_t end)
{
    const Norm *d = job;
    const int64_t n = d->size;
    for (int64_t row = begin; row < end; row++) {
        const float *x = d->x + row * n, *residual = d->residual ? d->residual + row * n : NULL;
        float *y = d->y + row * n;
        double mean = d->running_mean[row], variance = d->running_var[row];
        if (d->training) {
            statistics(x, n, &mean, &variance);
            d->running_mean[row] += (float)(d->momentum * (mean - d->running_mean[row]));
            d->running_var[row] += (float)(d->momentum * (variance * n / (n - 1) - d->running_var[row]));
        }
        const float centre = (float)mean, inverse = (float)(1.0 / sqrt(variance + d->eps));
        const float scale = d->weight[row] * inverse, bias = d->bias[row];
        d->mean[row] = centre;
        d->inverse[row] = inverse;
        if (d->relu && residual) norm_row(x, residual, y, n, centre, scale, bias, 1, 1);
        else if (d->relu) norm_row(x, NULL, y, n, centre, scale, bias, 1, 0);
        else if (residual) norm_row(x, residual, y, n, centre, scale, bias, 0, 1);
        else norm_row(x, NULL, y, n, centre, scale, bias, 0, 0);
    }
    return 0;
}

INLINE void norm_backward_row(const Norm *d, int64_t row, const int relu)
{
    const int64_t n = d->size;
    const float *x = d->x + row * n, *gy = d->gy + row * n;
    const float mean = d->mean[row], inverse = d->inverse[row], bias = d->bias[row];
    const float scale = d->weight[row] * inverse;
    vec sum[2] = {{0}}, product[2] = {{0}};
    double tail_sum = 0.0, tail_product = 0.0;
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES)
        for (int j = 0; j < 2; j++) {
            vec away = load(x + i + j * LANES) - mean, g = load(gy + i + j * LANES);
            if (relu) g = keep(g, ~(away * scale + bias <= 0.0f));
            sum[j] += g;
            product[j] += g * away;
        }
    for (; i < n; i++) {
        float away = x[i] - mean, g = relu && away * scale + bias <= 0.0f ? 0.0f : gy[i];
        tail_sum += g;
        tail_product += g * away;
    }
    const double all = total(sum[0] + sum[1]) + tail_sum, slope = total(product[0] + product[1]) + tail_product;
    d->gbias[row] = (float)all;
    d->gweight[row] = (float)(slope * inverse);
    if (!d->gx) return;
    float *gx = d->gx + row * n;
    const float level = d->training ? (float)(-scale * all / n) : 0.0f;
    const float tilt = d->training ? (float)(-scale * slope / n * inverse * inverse) : 0.0f;
    for (i = 0; i + LANES <= n; i += LANES) {
        vec away = load(x + i) - mean, g = load(gy + i);
        if (relu) g = keep(g, ~(away * scale + bias <= 0.0f));
        store(gx + i, g * scale + (away * tilt + level));
    }
    for (; i < n; i++) {
        float away = x[i] - mean, g = relu && away * scale + bias <= 0.0f ? 0.0f : gy[i];
        gx[i] = g * scale + (away * tilt + level);
    }
}

static int norm_backward_rows(const void *job, int64_t begin, int64_t end)
{
    const Norm *d = job;
    for (int64_t row = begin; row < end; row++) {
        if (d->relu) norm_backward_row(d, row, 1);
        else norm_backward_row(d, row, 0);
    }
    return 0;
}

/* residual may be NULL; mean and inverse (one a row) come out for the backward pass. */
int norm_forward(const float *x, const float *weight, const float *bias, float *running_mean, float *running_var,
                 const float *residual, float *y, float *mean, float *inverse, int64_t rows, int64_t size, int training,
                 int relu, double momentum, double eps, int threads)
{
    Norm d = {.x = x, .weight = weight, .bias = bias, .residual = residual, .running_mean = running_mean,
              .running_var = running_var, .mean = mean, .inverse = inverse, .y = y, .size = size,
              .training = training, .relu = relu, .momentum = momentum, .eps = eps};
    return split(norm_forward_rows, &d, rows, threads);
}

/* gx may be NULL. */
int norm_backward(const float *x, const float *weight, const float *bias, const float *gy, float *mean, float *inverse,
                  float *gx, float *gweight, float *gbias, int64_t rows, int64_t size, int training, int relu,
                  int threads)
{
    Norm d = {.x = x, .weight = weight, .bias = bias, .gy = gy, .mean = mean, .inverse = inverse, .gx = gx,
              .gweight = gweight, .gbias = gbias, .size = size, .training = training, .relu = relu};
    return split(norm_backward_rows, &d, rows, threads);
}
