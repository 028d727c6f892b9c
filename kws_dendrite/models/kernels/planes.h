/* Feature maps as planes, and what may follow a convolution: ReLU, largest of each window, dropout.
 *
 * A map of H x W floats is spread over a plane with `stride` floats a row and the gap's rows behind it, so that a tap of
 * a kernel is a plain shifted read over all clips of a channel at once. Gaps hold zeros where they are read.
 */
#ifndef KWS_DENDRITE_PLANES_H
#define KWS_DENDRITE_PLANES_H

#include "rows.h"

#define NOWHERE (-1) /* as the place of a window's maximum: nothing flows back */

typedef uint32_t words __attribute__((vector_size(4 * LANES)));

/* Every second lane of two vectors, from the first or the second on, and two vectors' lanes in turns. */
#ifdef __clang__
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODD(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#define TURNS_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define TURNS_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define EVEN(a, b) __builtin_shuffle(a, b, (mask){0, 2, 4, 6, 8, 10, 12, 14})
#define ODD(a, b) __builtin_shuffle(a, b, (mask){1, 3, 5, 7, 9, 11, 13, 15})
#define TURNS_LOW(a, b) __builtin_shuffle(a, b, (mask){0, 8, 1, 9, 2, 10, 3, 11})
#define TURNS_HIGH(a, b) __builtin_shuffle(a, b, (mask){4, 12, 5, 13, 6, 14, 7, 15})
#endif

INLINE mask lane_mask(void)
{
    mask m;
    for (int i = 0; i < LANES; i++) m[i] = i;
    return m;
}

/* `n` floats of which `room` may be read: zeros behind them. */
INLINE vec load_some(const float *p, int64_t n, int64_t room)
{
    if (room >= LANES) return keep(load(p), lane_mask() < (mask){0} + (int32_t)(n < LANES ? n : LANES));
    vec v = {0};
    memcpy(&v, p, (n < room ? n : room) * sizeof(float));
    return v;
}

/* At least `n` floats of `v`; what follows is still to be written, or `room` says that it is not ours. */
INLINE void store_some(float *p, vec v, int64_t n, int64_t room)
{
    if (room >= LANES) store(p, v);
    else memcpy(p, &v, n * sizeof(float));
}

INLINE void spread_rows(float *to, int64_t stride, const float *from, int64_t width, int64_t first, int64_t last,
                        int64_t all, const int roomy)
{
    const int64_t rest = width % LANES, whole = width - rest;
    const mask tail = lane_mask() < (mask){0} + (int32_t)rest;
    for (int64_t r = first; r < last; r++) {
        const float *a = from + r * width;
        float *b = to + r * stride;
        for (int64_t j = 0; j < whole; j += LANES) store(b + j, load(a + j));
        if (rest) store(b + whole, roomy ? keep(load(a + whole), tail) : load_some(a + whole, rest, all - r * width - whole));
    }
}

/* `rows` of `width` floats, `stride` apart in `to`; what lies between them becomes zero, and up to LANES behind them. */
static void spread(float *to, int64_t stride, const float *from, int64_t width, int64_t rows)
{
    if (stride == width) { memcpy(to, from, rows * width * sizeof(float)); return; }
    const int64_t careful = LANES / width + 1 < rows ? LANES / width + 1 : rows; /* a vector would end behind the last */
    spread_rows(to, stride, from, width, 0, rows - careful, rows * width, 1);
    spread_rows(to, stride, from, width, rows - careful, rows, rows * width, 0);
}

/* The inverse. */
static void gather(float *to, int64_t width, const float *from, int64_t stride, int64_t rows)
{
    if (stride == width) { memcpy(to, from, rows * width * sizeof(float)); return; }
    const int64_t careful = LANES / width + 1 < rows ? LANES / width + 1 : rows, first = rows - careful;
    for (int64_t r = 0; r < first; r++)
        for (int64_t j = 0; j < width; j += LANES) store(to + r * width + j, load(from + r * stride + j));
    for (int64_t r = first; r < rows; r++) memcpy(to + r * width, from + r * stride, width * sizeof(float));
}

/* Whether element `index` of a map stays: the upper 24 bits of a mixed counter against `threshold` (finalizer of
 * MurmurHash3, A. Appleby, public domain). */
INLINE mask stays(uint32_t key, uint32_t index, uint32_t threshold)
{
    words h = ((words)lane_mask() + index) * 0x9E3779B1u + key;
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    h ^= h >> 16;
    return (mask)(h >> 8) >= (mask)((words){0} + threshold);
}

typedef struct {
    int64_t H, W, window_h, window_w, OH, OW; /* OH x OW windows, the last ones may stick out */
} Pooling;

/* Dropout of one member, from its code: the upper half is the share that goes, of 2^24, the lower half its key. */
typedef struct {
    uint32_t threshold, key;
    float scale; /* of what stays */
} Drop;

INLINE Drop drop_of(const int64_t *codes, int64_t member)
{
    Drop drop = {0, 0, 1.0f};
    if (!codes) return drop;
    drop.threshold = (uint32_t)(codes[member] >> 32);
    drop.key = (uint32_t)codes[member];
    drop.scale = (float)(16777216.0 / (16777216.0 - drop.threshold));
    return drop;
}

/* One map behind its convolution: y = dropout(max of each window of relu(z + bias)), and where the maximum was. `room`
 * floats may be written from y on, at least OH * OW. z has `stride` floats a row and may be read LANES * 2 behind them. */
INLINE void pool_map(const Pooling *d, const float *z, int64_t stride, float bias, Drop drop, uint32_t index, float *y,
                     int32_t *where, int64_t room)
{
    const int twos = d->window_h == 2 && d->window_w == 2 && d->OH * 2 <= d->H && d->OW * 2 <= d->W;
    for (int64_t i = 0; i < d->OH; i++)
        for (int64_t j = 0; j < d->OW; j += LANES) {
            const int64_t at = i * d->OW + j, left = d->OW - j < LANES ? d->OW - j : LANES;
            vec most;
            mask place;
            if (twos) {
                const float *a = z + 2 * i * stride + 2 * j, *b = a + stride;
                const vec a0 = load(a), a1 = load(a + LANES), b0 = load(b), b1 = load(b + LANES);
                const vec second = ODD(a0, a1), third = EVEN(b0, b1), fourth = ODD(b0, b1);
                most = EVEN(a0, a1);
                const vec sum = (most + second) + (third + fourth);
                mask above = second > most;
                most = choose(above, second, most);
                place = above & 1;
                above = third > most;
                most = choose(above, third, most);
                place = (above & 2) | (~above & place);
                above = fourth > most;
                most = choose(above, fourth, most);
                place = (above & 3) | (~above & place);
                most = choose(sum == sum, most, sum); /* a NaN comes out as one */
            } else {
                most = splat(0.0f);
                place = (mask){0};
                for (int64_t l = 0; l < left; l++) {
                    const int64_t top = i * d->window_h, first = (j + l) * d->window_w;
                    float best = z[top * stride + first];
                    int32_t found = 0;
                    for (int64_t r = 0; r < d->window_h && top + r < d->H; r++)
                        for (int64_t c = 0; c < d->window_w && first + c < d->W; c++) {
                            const float v = z[(top + r) * stride + first + c];
                            if (v > best || v != v) { best = v; found = (int32_t)(r * d->window_w + c); }
                        }
                    most[l] = best;
                    place[l] = found;
                }
            }
            most += bias;
            mask dead = most <= 0.0f;
            most = keep(most, ~(most < 0.0f)); /* keeps NaN */
            if (drop.threshold) {
                const mask stay = stays(drop.key, index + (uint32_t)at, drop.threshold);
                dead |= ~stay;
                most = keep(most * drop.scale, stay);
            }
            place |= dead; /* all bits of a dead one: NOWHERE */
            store_some(y + at, most, left, room - at);
            if (room - at >= LANES) memcpy(where + at, &place, sizeof place);
            else memcpy(where + at, &place, left * sizeof(int32_t));
        }
}

/* Its gradient into a map of zeros; up to 2 * LANES floats behind it may become zero. Returns the sum. */
INLINE double unpool_map(const Pooling *d, const float *gy, float scale, const int32_t *where, int64_t room, float *gz,
                         int64_t stride)
{
    const int twos = d->window_h == 2 && d->window_w == 2 && d->OH * 2 <= d->H && d->OW * 2 <= d->W;
    vec sum = {0};
    for (int64_t row = 0; row < d->OH * (1 + twos); row++) /* of windows, or of floats: what spills over comes later */
        for (int64_t j = 0; j < d->OW; j += LANES) {
            const int64_t i = twos ? row / 2 : row, at = i * d->OW + j, left = d->OW - j < LANES ? d->OW - j : LANES;
            vec g = load_some(gy + at, left, room - at) * scale;
            mask place = {0};
            if (room - at >= LANES) memcpy(&place, where + at, sizeof place);
            else memcpy(&place, where + at, left * sizeof(int32_t));
            g = keep(g, place != NOWHERE);
            if (!twos || row % 2 == 0) sum += g;
            if (twos) {
                float *a = gz + row * stride + 2 * j;
                const int32_t first = 2 * (int32_t)(row % 2);
                const vec even = keep(g, place == first), odd = keep(g, place == first + 1);
                store(a, TURNS_LOW(even, odd));
                store(a + LANES, TURNS_HIGH(even, odd));
            } else {
                for (int64_t l = 0; l < left; l++)
                    if (place[l] != NOWHERE) {
                        const int64_t r = place[l] / d->window_w, c = place[l] % d->window_w;
                        gz[(i * d->window_h + r) * stride + (j + l) * d->window_w + c] = g[l];
                    }
            }
        }
    return total(sum);
}

#endif
