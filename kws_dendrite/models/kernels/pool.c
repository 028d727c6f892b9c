/* 0.5 * (mean + max) over each row of `time` floats. `where` keeps the first position of the maximum; a NaN in the row
 * comes out as NaN.
 */
#include "rows.h"

typedef struct {
    const float *x, *gy;
    float *y, *gx;
    int32_t *where;
    int64_t time;
} Pool;

INLINE mask lane_numbers(void)
{
    mask m;
    for (int i = 0; i < LANES; i++) m[i] = i;
    return m;
}

static int pool_forward_rows(const void *job, int64_t begin, int64_t end)
{
    const Pool *d = job;
    const int64_t n = d->time;
    for (int64_t row = begin; row < end; row++) {
        const float *x = d->x + row * n;
        float sum = 0.0f, most = x[0];
        int32_t at = 0;
        int64_t i = 0;
        if (n >= LANES) {
            vec sums = load(x), high = sums; /* each lane: its sum, its maximum and where it first was */
            mask where = lane_numbers(), now = where;
            for (i = LANES; i + LANES <= n; i += LANES) {
                const vec v = load(x + i);
                const mask above = v > high;
                now += LANES;
                sums += v;
                high = (vec)(((mask)v & above) | ((mask)high & ~above));
                where = (now & above) | (where & ~above);
            }
            sum = sums[0];
            most = high[0];
            at = where[0];
            for (int j = 1; j < LANES; j++) {
                const int better = high[j] > most || (high[j] == most && where[j] < at);
                sum += sums[j];
                most = better ? high[j] : most;
                at = better ? where[j] : at;
            }
        }
        for (; i < n; i++) {
            sum += x[i];
            at = x[i] > most ? (int32_t)i : at;
            most = x[i] > most ? x[i] : most;
        }
        if (sum != sum) most = sum; /* a NaN (or +inf with -inf) anywhere reaches the mean, hence the result */
        d->where[row] = at;
        d->y[row] = 0.5f * (sum / n + most);
    }
    return 0;
}

static int pool_backward_rows(const void *job, int64_t begin, int64_t end)
{
    const Pool *d = job;
    const int64_t n = d->time;
    for (int64_t row = begin; row < end; row++) {
        const float half = 0.5f * d->gy[row], share = half / n;
        float *gx = d->gx + row * n;
        for (int64_t i = 0; i < n; i++) gx[i] = share;
        gx[d->where[row]] += half;
    }
    return 0;
}

int pool_forward(const float *x, float *y, int32_t *where, int64_t rows, int64_t time, int threads)
{
    Pool d = {.x = x, .y = y, .where = where, .time = time};
    return split(pool_forward_rows, &d, rows, threads);
}

int pool_backward(float *gx, const float *gy, int32_t *where, int64_t rows, int64_t time, int threads)
{
    Pool d = {.gy = gy, .gx = gx, .where = where, .time = time};
    return split(pool_backward_rows, &d, rows, threads);
}
