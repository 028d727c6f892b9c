/* Dropout: y = x * scale where the element stays, else 0; `size` elements a member. Its gradient is itself. */
#include "planes.h"

typedef struct {
    const float *x;
    float *y;
    const int64_t *codes;
    int64_t size;
} Dropout;

static int dropout_rows(const void *job, int64_t begin, int64_t end)
{
    const Dropout *d = job;
    for (int64_t p = begin; p < end; p++) {
        const Drop drop = drop_of(d->codes, p);
        for (int64_t j = 0; j < d->size; j += LANES) {
            const int64_t at = p * d->size + j, left = d->size - j;
            const mask stay = stays(drop.key, (uint32_t)j, drop.threshold);
            store_some(d->y + at, keep(load_some(d->x + at, left, left) * drop.scale, stay), left, left);
        }
    }
    return 0;
}

int dropout(float *y, const float *x, const int64_t *codes, int64_t members, int64_t size, int threads)
{
    const Dropout d = {x, y, codes, size};
    return split(dropout_rows, &d, members, threads);
}
