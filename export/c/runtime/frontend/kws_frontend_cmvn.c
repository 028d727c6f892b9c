/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisation over the window, a coefficient at a time, as Edge Impulse's MFCC block does it with win_size W > 0: the
 * T rows go on for ever by reflection at their edges; each row's mean over the W rows around it is taken off; each
 * result is divided by the standard deviation of the W results around it, plus 1e-10.
 *
 * Reflection repeats after 2 T rows, each row met twice, so a window is WINDOW_TURNS whole turns and a rest that is
 * shorter than one and slides: a few operations a value, whatever W is. A column is taken relative to its oldest row,
 * so that rows that are all alike come out as exact zeros.
 *
 * Float with a whole turn: float sums. Otherwise sums of integers, which are exact, so that nothing is left behind in
 * them when a loud row leaves a window: the column is scaled by a power of two to WINDOW_BITS bits, which is
 * 2^-WINDOW_BITS of its range, at the default settings as fine as a float.
 *
 * Fixed point: the root of W^2 times the variance has 16 bits, so a value is within 6e-5 of itself, in steps of 2^-16.
 */
#include "kws_frontend_internal.h"

#if KWS_FRONTEND_WINDOW > 0

#if !KWS_FRONTEND_FIXED

static inline float square_root(float x)
{
#if defined(__arm__) && defined(__ARM_FP) && defined(__GNUC__)
    float root; /* sqrtf() would carry a call for negative arguments, for errno's sake */
    __asm__("vsqrt.f32 %0, %1" : "=t"(root) : "t"(x));
    return root;
#else
    return sqrtf(x);
#endif
}

#endif

#define PERIOD (2 * KWS_FRONTEND_FRAMES)

#if KWS_FRONTEND_FIXED || !(KWS_FRONTEND_WINDOW_TURNS > 0) || KWS_FRONTEND_WINDOW_REST > 1
static inline size_t reflected(size_t position)
{
    return position < KWS_FRONTEND_FRAMES ? position : PERIOD - 1 - position;
}
#endif

#if !KWS_FRONTEND_FIXED && KWS_FRONTEND_WINDOW_TURNS > 0

/* The window meets every row, so that no sum in it is ever small beside what has left it: floats do. The sums over
 * whole turns are common to all rows. */
static void normalise_column(const kws_frontend *frontend, size_t column, const kws_frontend_target *target)
{
    const float share = 1.0f / KWS_FRONTEND_WINDOW;
    float deltas[KWS_FRONTEND_FRAMES], centred[KWS_FRONTEND_FRAMES];
    const float *const ring = frontend->ring + column;
    const float reference = ring[frontend->head * KWS_FRONTEND_ROW];
    float total = 0.0f, squares = 0.0f, rest = 0.0f, rest_squares = 0.0f;
    size_t row = frontend->head;
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++, row = kws_frontend_next_row(row)) {
        deltas[frame] = ring[row * KWS_FRONTEND_ROW] - reference;
        total += deltas[frame];
    }
    total *= 2.0f * KWS_FRONTEND_WINDOW_TURNS;
#if KWS_FRONTEND_WINDOW_REST > 1
    for (size_t step = 0; step < KWS_FRONTEND_WINDOW_REST; step++) {
        rest += deltas[reflected((KWS_FRONTEND_WINDOW_START + step) % PERIOD)];
    }
#endif
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++) {
        const float leaving = deltas[kws_frontend_leaving[frame]];
#if KWS_FRONTEND_WINDOW_REST == 1
        rest = leaving;
#endif
        centred[frame] = MULTIPLY_SUBTRACT(total + rest, share, deltas[frame]);
#if KWS_FRONTEND_WINDOW_REST > 1
        rest += deltas[kws_frontend_entering[frame]] - leaving;
#endif
    }
    total = 0.0f;
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++) {
        total += centred[frame];
        squares = MULTIPLY_ADD(centred[frame], centred[frame], squares);
    }
    total *= 2.0f * KWS_FRONTEND_WINDOW_TURNS;
    squares *= 2.0f * KWS_FRONTEND_WINDOW_TURNS;
#if KWS_FRONTEND_WINDOW_REST > 1
    rest = 0.0f;
    for (size_t step = 0; step < KWS_FRONTEND_WINDOW_REST; step++) {
        const float value = centred[reflected((KWS_FRONTEND_WINDOW_START + step) % PERIOD)];
        rest += value;
        rest_squares += value * value;
    }
#endif
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++) {
        const float leaving = centred[kws_frontend_leaving[frame]];
        float mean, variance;
#if KWS_FRONTEND_WINDOW_REST == 1
        rest = leaving;
        rest_squares = leaving * leaving;
#endif
        mean = (total + rest) * share;
        variance = MULTIPLY_SUBTRACT(mean, mean, (squares + rest_squares) * share);
        kws_frontend_store(target, frame * KWS_FRONTEND_COEFFICIENTS + column,
                           centred[frame] / (square_root(fabsf(variance)) + 1e-10f));
#if KWS_FRONTEND_WINDOW_REST > 1
        {
            const float entering = centred[kws_frontend_entering[frame]];
            rest += entering - leaving;
            rest_squares += entering * entering - leaving * leaving;
        }
#endif
    }
}

#else

/* One column of the window, relative to its oldest row and multiplied by a power of two, so that it fills WINDOW_BITS
 * bits. 0 is returned where all rows are alike, otherwise the power of two (1 in fixed point, where it is not used). */
#if KWS_FRONTEND_FIXED

static int gather(const kws_frontend *frontend, size_t column, int32_t *deltas)
{
    const int32_t *const ring = frontend->ring + column;
    const int32_t reference = ring[frontend->head * KWS_FRONTEND_ROW];
    uint32_t seen = 0;
    int left = KWS_FRONTEND_WINDOW_BITS, right = 0;
    size_t row = frontend->head;
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++, row = kws_frontend_next_row(row)) {
        deltas[frame] = ring[row * KWS_FRONTEND_ROW] - reference;
        seen |= (uint32_t)(deltas[frame] ^ (deltas[frame] >> 31));
    }
    if (seen == 0) { /* or rows that are one step of 2^-20 below the oldest */
        return 0;
    }
    for (; seen != 0; seen >>= 1) {
        left--;
    }
    if (left < 0) {
        right = -left;
        left = 0;
    }
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++) {
        deltas[frame] = (int32_t)((uint32_t)deltas[frame] << left) >> right;
    }
    return 1;
}

#else

static float gather(const kws_frontend *frontend, size_t column, int32_t *deltas)
{
    const float *const ring = frontend->ring + column;
    const float reference = ring[frontend->head * KWS_FRONTEND_ROW];
    float largest = 0.0f;
    kws_frontend_word scale;
    size_t row = frontend->head;
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++, row = kws_frontend_next_row(row)) {
        const float size = fabsf(ring[row * KWS_FRONTEND_ROW] - reference);
        largest = size > largest ? size : largest;
    }
    scale.f = largest;
    if (scale.i < 64 << 23) { /* 2^-63 */
        return 0.0f;
    }
    scale.i = (int32_t)(((127u + KWS_FRONTEND_WINDOW_BITS - 1u + 127u) << 23) - ((uint32_t)scale.i & 0x7f800000u));
    row = frontend->head;
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++, row = kws_frontend_next_row(row)) {
        deltas[frame] = (int32_t)((ring[row * KWS_FRONTEND_ROW] - reference) * scale.f);
    }
    return scale.f;
}

#endif

/* deltas to deltas less their windows' means. */
static void centre(const int32_t *deltas, int32_t *centred)
{
    int32_t sum = 0;
    size_t position = KWS_FRONTEND_WINDOW_START;
    for (size_t frame = 0; KWS_FRONTEND_WINDOW_TURNS > 0 && frame < KWS_FRONTEND_FRAMES; frame++) {
        sum += 2 * KWS_FRONTEND_WINDOW_TURNS * deltas[frame];
    }
    for (size_t rest = 0; rest < KWS_FRONTEND_WINDOW_REST; rest++) {
        sum += deltas[reflected(position)];
        position = position + 1 == PERIOD ? 0 : position + 1;
    }
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++) {
        centred[frame] = deltas[frame] - sum / KWS_FRONTEND_WINDOW;
        sum += deltas[kws_frontend_entering[frame]] - deltas[kws_frontend_leaving[frame]];
    }
}

#if KWS_FRONTEND_FIXED

/* value W / sqrt(variance) in 2^-16, where variance is W^2 times that of the values. */
static int32_t ratio(int32_t value, uint64_t variance)
{
    const int32_t limit = 1 << 30;
    int shift;
    uint32_t high, root;
    int64_t result;
    if (variance == 0) { /* the block divides by 1e-10 */
        return value == 0 ? 0 : value < 0 ? -limit : limit;
    }
    shift = (63 - kws_frontend_highest_bit(variance)) / 2;
    high = (uint32_t)(variance << (2 * shift) >> 32); /* from 2^30 on */
    root = ((high >> 16) * 21845 >> 15) + 23156;      /* a straight line, within 3 % of the root */
    root = (root + high / root) / 2;                  /* Newton's steps: 5e-4, then 1e-7 and the last place */
    root = root + high / root;                        /* times two: sqrt(variance) is root 2^(15 - shift) */
    result = (int64_t)value * KWS_FRONTEND_WINDOW * (int64_t)(0xffffffffu / root);
    result = result >> (31 - shift);
    return (int32_t)(result > limit ? limit : result < -limit ? -limit : result);
}

#else

static inline float ratio(int32_t value, uint64_t variance, float least)
{
    const float deviation = square_root((float)(uint32_t)(variance >> 32) * 4294967296.0f + (float)(uint32_t)variance);
    return (float)value * (float)KWS_FRONTEND_WINDOW / (deviation + least);
}

#endif

static void normalise_column(const kws_frontend *frontend, size_t column, const kws_frontend_target *target)
{
    int32_t deltas[KWS_FRONTEND_FRAMES], centred[KWS_FRONTEND_FRAMES];
    int64_t squares = 0;
    int32_t sum = 0;
    size_t position = KWS_FRONTEND_WINDOW_START;
#if KWS_FRONTEND_FIXED
    const int scale = gather(frontend, column, deltas);
#else
    const float scale = gather(frontend, column, deltas);
    const float least = 1e-10f * KWS_FRONTEND_WINDOW * scale;
#endif
    if (scale == 0) {
        for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++) {
            kws_frontend_store(target, frame * KWS_FRONTEND_COEFFICIENTS + column, 0);
        }
        return;
    }
    centre(deltas, centred);
    for (size_t frame = 0; KWS_FRONTEND_WINDOW_TURNS > 0 && frame < KWS_FRONTEND_FRAMES; frame++) {
        sum += 2 * KWS_FRONTEND_WINDOW_TURNS * centred[frame];
        squares += 2 * KWS_FRONTEND_WINDOW_TURNS * (int64_t)kws_frontend_square(centred[frame]);
    }
    for (size_t rest = 0; rest < KWS_FRONTEND_WINDOW_REST; rest++) {
        const int32_t value = centred[reflected(position)];
        sum += value;
        squares += (int64_t)kws_frontend_square(value);
        position = position + 1 == PERIOD ? 0 : position + 1;
    }
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++) {
        const size_t place = frame * KWS_FRONTEND_COEFFICIENTS + column;
        const int32_t entering = centred[kws_frontend_entering[frame]];
        const int32_t leaving = centred[kws_frontend_leaving[frame]];
        /* W^2 times the variance, exactly */
        const uint64_t variance = (uint64_t)(squares * KWS_FRONTEND_WINDOW) - kws_frontend_square(sum);
#if KWS_FRONTEND_FIXED
        kws_frontend_store(target, place, ratio(centred[frame], variance));
#else
        kws_frontend_store(target, place, ratio(centred[frame], variance, least));
#endif
        sum += entering - leaving;
        squares += (int64_t)kws_frontend_square(entering) - (int64_t)kws_frontend_square(leaving);
    }
}

#endif

void kws_frontend_normalise(const kws_frontend *frontend, const kws_frontend_target *target)
{
    for (size_t column = 0; column < KWS_FRONTEND_COEFFICIENTS; column++) {
        normalise_column(frontend, column, target);
    }
}

#endif
