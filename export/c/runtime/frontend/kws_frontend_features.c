/* The window: the ring's rows, normalised where the configuration says so, as floats or quantised.
 *
 * Normalisation (MFCC with win_size W > 0), a coefficient at a time, as Edge Impulse's block does it: the T rows go on
 * for ever by reflection at their edges; each row's mean over the W rows around it is taken off; each result is divided
 * by the standard deviation of the W results around it, plus 1e-10.
 *
 * Reflection repeats after 2 T rows, each row met twice, so a window is WINDOW_TURNS whole turns and a rest shorter than
 * one, which slides. The sums are of integers and so exact: nothing is left behind in them when a loud row leaves, and
 * rows that are all alike come out as exact zeros. For that a column is taken relative to its oldest row and scaled by a
 * power of two to WINDOW_BITS bits, which is 2^-WINDOW_BITS of its range, at the default settings as fine as a float.
 */
#include "kws_frontend_internal.h"

typedef struct {
    float *floats;      /* where floats go, or NULL */
    int8_t *quantised;  /* else where bytes go */
    float scale;
    int32_t zero_point;
} target;

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

static inline void store(const target *to, size_t place, float value)
{
    if (to->floats) {
        to->floats[place] = value;
    } else {
        /* Adding the float below 1/2 and cutting off rounds halves, and them alone, away from zero. */
        float steps = value / to->scale;
        int32_t rounded;
        steps = steps < -512.0f ? -512.0f : steps;
        steps = steps > 512.0f ? 512.0f : steps;
        rounded = (int32_t)(steps < 0.0f ? steps - 0x1.fffffep-2f : steps + 0x1.fffffep-2f) + to->zero_point;
        rounded = rounded < -128 ? -128 : rounded;
        to->quantised[place] = (int8_t)(rounded > 127 ? 127 : rounded);
    }
}

#endif

static inline size_t next_row(size_t row)
{
    return row + 1 == KWS_FRONTEND_FRAMES ? 0 : row + 1;
}

#if KWS_FRONTEND_WINDOW > 0

#define PERIOD (2 * KWS_FRONTEND_FRAMES)

static inline size_t reflected(size_t position)
{
    return position < KWS_FRONTEND_FRAMES ? position : PERIOD - 1 - position;
}

#if KWS_FRONTEND_WINDOW_TURNS > 0

/* The window meets every row, so that no sum in it is ever small beside what has left it: floats do. The sums over whole
 * turns are common to all rows. */
static void normalise_column(const kws_frontend *frontend, size_t column, const target *to)
{
    const float share = 1.0f / KWS_FRONTEND_WINDOW;
    float deltas[KWS_FRONTEND_FRAMES], centred[KWS_FRONTEND_FRAMES];
    const float *const ring = frontend->ring + column;
    const float reference = ring[frontend->head * KWS_FRONTEND_ROW];
    float total = 0.0f, squares = 0.0f, rest = 0.0f, rest_squares = 0.0f;
    size_t row = frontend->head;
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++, row = next_row(row)) {
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
        store(to, frame * KWS_FRONTEND_COEFFICIENTS + column,
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

/* One column of the window, relative to its oldest row; the power of two that it was multiplied by is returned, or 0
 * where all rows are alike. */
static float gather(const kws_frontend *frontend, size_t column, int32_t *deltas)
{
    const float *const ring = frontend->ring + column;
    const float reference = ring[frontend->head * KWS_FRONTEND_ROW];
    float largest = 0.0f;
    kws_frontend_word scale;
    size_t row = frontend->head;
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++, row = next_row(row)) {
        const float size = fabsf(ring[row * KWS_FRONTEND_ROW] - reference);
        largest = size > largest ? size : largest;
    }
    scale.f = largest;
    if (scale.i < 64 << 23) { /* 2^-63 */
        return 0.0f;
    }
    scale.i = ((127 + KWS_FRONTEND_WINDOW_BITS - 1 + 127) << 23) - (scale.i & 0x7f800000);
    row = frontend->head;
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++, row = next_row(row)) {
        deltas[frame] = (int32_t)((ring[row * KWS_FRONTEND_ROW] - reference) * scale.f);
    }
    return scale.f;
}

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

static void normalise_column(const kws_frontend *frontend, size_t column, const target *to)
{
    int32_t deltas[KWS_FRONTEND_FRAMES], centred[KWS_FRONTEND_FRAMES];
    int64_t squares = 0;
    int32_t sum = 0;
    size_t position = KWS_FRONTEND_WINDOW_START;
    const float scale = gather(frontend, column, deltas);
    const float least = 1e-10f * KWS_FRONTEND_WINDOW * scale;
    if (scale == 0.0f) {
        for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++) {
            store(to, frame * KWS_FRONTEND_COEFFICIENTS + column, 0.0f);
        }
        return;
    }
    centre(deltas, centred);
    for (size_t frame = 0; KWS_FRONTEND_WINDOW_TURNS > 0 && frame < KWS_FRONTEND_FRAMES; frame++) {
        sum += 2 * KWS_FRONTEND_WINDOW_TURNS * centred[frame];
        squares += 2 * KWS_FRONTEND_WINDOW_TURNS * ((int64_t)centred[frame] * centred[frame]);
    }
    for (size_t rest = 0; rest < KWS_FRONTEND_WINDOW_REST; rest++) {
        const int32_t value = centred[reflected(position)];
        sum += value;
        squares += (int64_t)value * value;
        position = position + 1 == PERIOD ? 0 : position + 1;
    }
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++) {
        const int32_t entering = centred[kws_frontend_entering[frame]];
        const int32_t leaving = centred[kws_frontend_leaving[frame]];
        /* W^2 times the variance, exactly */
        const uint64_t variance = (uint64_t)(squares * KWS_FRONTEND_WINDOW - (int64_t)sum * sum);
        const float deviation =
            square_root((float)(uint32_t)(variance >> 32) * 4294967296.0f + (float)(uint32_t)variance);
        const float value = (float)centred[frame] * (float)KWS_FRONTEND_WINDOW / (deviation + least);
        store(to, frame * KWS_FRONTEND_COEFFICIENTS + column, value);
        sum += entering - leaving;
        squares += (int64_t)entering * entering - (int64_t)leaving * leaving;
    }
}

#endif

static void finish(const kws_frontend *frontend, const target *to)
{
    for (size_t column = 0; column < KWS_FRONTEND_COEFFICIENTS; column++) {
        normalise_column(frontend, column, to);
    }
}

#elif KWS_FRONTEND_LEVELS

static void finish(const kws_frontend *frontend, const target *to)
{
    size_t row = frontend->head, place = 0;
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++, row = next_row(row)) {
        const kws_frontend_value *const levels = frontend->ring + row * KWS_FRONTEND_ROW;
        for (size_t band = 0; band < KWS_FRONTEND_BANDS; band++, place++) {
            const uint32_t ninth = (uint32_t)levels[KWS_FRONTEND_BANDS + (band >> 3)] >> (band & 7u) & 1u;
            store(to, place, (float)(levels[band] + (ninth << 8)) / 256.0f);
        }
    }
}

#else

static void finish(const kws_frontend *frontend, const target *to)
{
    size_t row = frontend->head, place = 0;
    float mean = 0.0f;
#if KWS_FRONTEND_REMOVE_MEAN
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++) {
        float sum = 0.0f;
        for (size_t column = 0; column < KWS_FRONTEND_COEFFICIENTS; column++) {
            sum += frontend->ring[frame * KWS_FRONTEND_ROW + column];
        }
        mean += sum;
    }
    mean /= (float)(KWS_FRONTEND_FRAMES * KWS_FRONTEND_COEFFICIENTS);
#endif
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++, row = next_row(row)) {
        for (size_t column = 0; column < KWS_FRONTEND_COEFFICIENTS; column++, place++) {
            store(to, place, frontend->ring[row * KWS_FRONTEND_ROW + column] - mean);
        }
    }
}

#endif

void kws_frontend_features(const kws_frontend *frontend, float *out)
{
    const target to = {out, 0, 1.0f, 0};
    finish(frontend, &to);
    KWS_AFTER_STAGE(KWS_STAGE_CMVN);
}

void kws_frontend_quantized(const kws_frontend *frontend, float scale, int zero_point, int8_t *out)
{
    const target to = {0, out, scale, zero_point};
    finish(frontend, &to);
    KWS_AFTER_STAGE(KWS_STAGE_CMVN);
}
