/* ReLU, largest of each window, dropout: maps (rows, clips, H, W) -> (rows, clips, OH, OW). A row is one channel of one
 * member; dropout numbers elements within a member.
 */
#include "planes.h"

typedef struct {
    const float *x, *gy;
    float *y, *gx;
    int32_t *where;
    const int64_t *codes;
    int64_t channels, clips;
    Pooling pool;
} ReluPool;

static int relu_pool_forward_rows(const void *job, int64_t begin, int64_t end)
{
    const ReluPool *d = job;
    const int64_t map = d->pool.H * d->pool.W, out = d->pool.OH * d->pool.OW;
    float *z = calloc(map + 2 * LANES, sizeof(float));
    if (!z) return 1;
    for (int64_t row = begin; row < end; row++)
        for (int64_t b = 0; b < d->clips; b++) {
            const int64_t at = row * d->clips + b, inside = row % d->channels * d->clips + b;
            memcpy(z, d->x + at * map, map * sizeof(float));
            pool_map(&d->pool, z, d->pool.W, 0.0f, drop_of(d->codes, row / d->channels), (uint32_t)(inside * out),
                     d->y + at * out, d->where + at * out, (d->clips - b) * out);
        }
    free(z);
    return 0;
}

static int relu_pool_backward_rows(const void *job, int64_t begin, int64_t end)
{
    const ReluPool *d = job;
    const int64_t map = d->pool.H * d->pool.W, out = d->pool.OH * d->pool.OW;
    float *z = malloc((map + 2 * LANES) * sizeof(float));
    if (!z) return 1;
    for (int64_t row = begin; row < end; row++)
        for (int64_t b = 0; b < d->clips; b++) {
            const int64_t at = row * d->clips + b;
            memset(z, 0, map * sizeof(float));
            unpool_map(&d->pool, d->gy + at * out, drop_of(d->codes, row / d->channels).scale, d->where + at * out,
                       (d->clips - b) * out, z, d->pool.W);
            memcpy(d->gx + at * map, z, map * sizeof(float));
        }
    free(z);
    return 0;
}

/* codes may be NULL where there is no dropout. */
int relu_pool_forward(const float *x, float *y, int32_t *where, const int64_t *codes, int64_t members, int64_t channels,
                      int64_t clips, int64_t H, int64_t W, int64_t window_h, int64_t window_w, int64_t OH, int64_t OW,
                      int threads)
{
    const ReluPool d = {.x = x, .y = y, .where = where, .codes = codes, .channels = channels, .clips = clips,
                        .pool = {H, W, window_h, window_w, OH, OW}};
    return split(relu_pool_forward_rows, &d, members * channels, threads);
}

int relu_pool_backward(float *gx, const float *gy, const int32_t *where, const int64_t *codes, int64_t members,
                       int64_t channels, int64_t clips, int64_t H, int64_t W, int64_t window_h, int64_t window_w,
                       int64_t OH, int64_t OW, int threads)
{
    const ReluPool d = {.gx = gx, .gy = gy, .where = (int32_t *)where, .codes = codes, .channels = channels,
                        .clips = clips, .pool = {H, W, window_h, window_w, OH, OW}};
    return split(relu_pool_backward_rows, &d, members * channels, threads);
}
