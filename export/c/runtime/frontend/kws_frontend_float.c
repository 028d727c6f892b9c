/* A frame to a row of features in single-precision float.
 *
 *   FFT      N / 2 complex points, decimation in time, in place: a first pass of radix 8 or 4, then passes of radix 4.
 *   power    2X[k] = (Z[k] + conj Z[M - k]) + W^k (Z[k] - conj Z[M - k]) / i, M = N / 2, W = exp(-2 pi i / N);
 *            |2X[k]|^2 goes to word 2k, so that spectrum and power share their place.
 *   mel      between two neighbouring corners a bin's weights in the two filters that it meets sum to 1, and rise by
 *            the same step from bin to bin: S = sum P and R = sum i P (by sums of sums, no table of weights) give
 *            both, step R + offset S and S less that. Band j goes to word j.
 *   log      ln x = e ln 2 + f + f^2 q(f), x = 2^e (1 + f), 1 + f in [sqrt 1/2, sqrt 2), q of degree 6: within 4e-8 of
 *            ln (1 + f), before rounding. An exact zero counts as the configuration's least energy.
 *   DCT      even coefficients see the sums of the bands mirrored about the middle, odd ones the differences.
 *
 * All factors that are common to a frame's bands (1 / N, the 4 of |2X|^2, pre-emphasis) are one addition after the
 * logarithm. The only operations are + - *, fused where the core has it; no call into libm.
 */
#include "kws_frontend_internal.h"

#if !KWS_FRONTEND_FIXED

#include <math.h>

#define POINTS (KWS_FRONTEND_FFT_LENGTH / 2)

#ifdef __FP_FAST_FMAF
#define MULTIPLY_ADD(a, b, c) fmaf(a, b, c)
#define MULTIPLY_SUBTRACT(a, b, c) fmaf(-(a), b, c) /* c - a b */
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#define MULTIPLY_SUBTRACT(a, b, c) ((c) - (a) * (b))
#endif

#if KWS_FRONTEND_WINDOWED
#define INPUT(word) ((word).f)
#else
#define INPUT(word) ((float)(word).i)
#endif

typedef struct {
    float r, i;
} complex32;

static inline complex32 add(complex32 a, complex32 b)
{
    const complex32 c = {a.r + b.r, a.i + b.i};
    return c;
}

static inline complex32 subtract(complex32 a, complex32 b)
{
    const complex32 c = {a.r - b.r, a.i - b.i};
    return c;
}

/* a + i b and a - i b */
static inline complex32 add_turned(complex32 a, complex32 b)
{
    const complex32 c = {a.r - b.i, a.i + b.r};
    return c;
}

static inline complex32 subtract_turned(complex32 a, complex32 b)
{
    const complex32 c = {a.r + b.i, a.i - b.r};
    return c;
}

static inline complex32 multiply(complex32 a, float r, float i)
{
    const complex32 c = {MULTIPLY_SUBTRACT(a.i, i, a.r * r), MULTIPLY_ADD(a.i, r, a.r * i)};
    return c;
}

static inline complex32 input(const kws_frontend_word *place)
{
    const complex32 c = {INPUT(place[0]), INPUT(place[1])};
    return c;
}

static inline complex32 get(const kws_frontend_word *place)
{
    const complex32 c = {place[0].f, place[1].f};
    return c;
}

static inline void put(kws_frontend_word *place, complex32 c)
{
    place[0].f = c.r;
    place[1].f = c.i;
}

#if KWS_FRONTEND_FIRST_RADIX == 8

/* a + h b and a - h b with a real h */
static inline complex32 add_scaled(complex32 a, complex32 b, float h)
{
    const complex32 c = {MULTIPLY_ADD(h, b.r, a.r), MULTIPLY_ADD(h, b.i, a.i)};
    return c;
}

static inline complex32 subtract_scaled(complex32 a, complex32 b, float h)
{
    const complex32 c = {MULTIPLY_SUBTRACT(h, b.r, a.r), MULTIPLY_SUBTRACT(h, b.i, a.i)};
    return c;
}

static void first_pass(kws_frontend_word *work)
{
    const float half_root = 0.707106781f;
    for (kws_frontend_word *place = work; place != work + 2 * POINTS; place += 16) {
        const complex32 a = input(place), b = input(place + 2), c = input(place + 4), d = input(place + 6);
        const complex32 ab = add(a, b), ba = subtract(a, b), cd = add(c, d), dc = subtract(c, d);
        const complex32 even0 = add(ab, cd), even2 = subtract(ab, cd);
        const complex32 even1 = subtract_turned(ba, dc), even3 = add_turned(ba, dc);
        const complex32 e = input(place + 8), f = input(place + 10), g = input(place + 12), h = input(place + 14);
        const complex32 ef = add(e, f), fe = subtract(e, f), gh = add(g, h), hg = subtract(g, h);
        const complex32 odd0 = add(ef, gh), odd2 = subtract(ef, gh);
        const complex32 odd1 = subtract_turned(fe, hg), odd3 = add_turned(fe, hg);
        const complex32 turned1 = {odd1.r + odd1.i, odd1.i - odd1.r}; /* times exp(-i pi / 4) sqrt 2 */
        const complex32 turned3 = {odd3.i - odd3.r, -odd3.r - odd3.i}; /* times exp(-3 i pi / 4) sqrt 2 */
        put(place, add(even0, odd0));
        put(place + 2, add_scaled(even1, turned1, half_root));
        put(place + 4, subtract_turned(even2, odd2));
        put(place + 6, add_scaled(even3, turned3, half_root));
        put(place + 8, subtract(even0, odd0));
        put(place + 10, subtract_scaled(even1, turned1, half_root));
        put(place + 12, add_turned(even2, odd2));
        put(place + 14, subtract_scaled(even3, turned3, half_root));
    }
}

#else

static void first_pass(kws_frontend_word *work)
{
    for (kws_frontend_word *place = work; place != work + 2 * POINTS; place += 8) {
        const complex32 a = input(place), b = input(place + 2), c = input(place + 4), d = input(place + 6);
        const complex32 ab = add(a, b), ba = subtract(a, b), cd = add(c, d), dc = subtract(c, d);
        put(place, add(ab, cd));
        put(place + 2, subtract_turned(ba, dc));
        put(place + 4, subtract(ab, cd));
        put(place + 6, add_turned(ba, dc));
    }
}

#endif

/* Four transforms of `length` points each become one of 4 length points, throughout the work area. */
static void next_pass(kws_frontend_word *work, size_t length)
{
    const float *twiddles = kws_frontend_twiddles;
    const size_t step = 6 * (POINTS / 4 / length);
    for (size_t k = 0; k < length; k++, twiddles += step) {
        const float r1 = twiddles[0], i1 = twiddles[1], r2 = twiddles[2], i2 = twiddles[3];
        const float r3 = twiddles[4], i3 = twiddles[5];
        for (kws_frontend_word *place = work + 2 * k; place < work + 2 * POINTS; place += 8 * length) {
            kws_frontend_word *const p1 = place + 2 * length, *const p2 = p1 + 2 * length, *const p3 = p2 + 2 * length;
            const complex32 a = get(place), b = multiply(get(p1), r2, i2);
            const complex32 c = multiply(get(p2), r1, i1), d = multiply(get(p3), r3, i3);
            const complex32 ab = add(a, b), ba = subtract(a, b), cd = add(c, d), dc = subtract(c, d);
            put(place, add(ab, cd));
            put(p1, subtract_turned(ba, dc));
            put(p2, subtract(ab, cd));
            put(p3, add_turned(ba, dc));
        }
    }
}

static void power(kws_frontend_word *work)
{
    const complex32 first = get(work), middle = get(work + POINTS);
    const float sum = first.r + first.i, difference = first.r - first.i;
    const float *twiddles = kws_frontend_split;
    kws_frontend_word *up = work + 2, *down = work + 2 * POINTS - 2;
    work[0].f = 4.0f * sum * sum;
    work[2 * POINTS].f = 4.0f * difference * difference;
    work[POINTS].f = 4.0f * MULTIPLY_ADD(middle.i, middle.i, middle.r * middle.r);
    for (; up != down; up += 2, down -= 2, twiddles += 2) {
        const complex32 a = get(up), b = get(down);
        const complex32 even = {a.r + b.r, a.i - b.i}, odd = {a.i + b.i, b.r - a.r};
        const complex32 turned = multiply(odd, twiddles[0], twiddles[1]);
        const complex32 low = add(even, turned), high = subtract(even, turned);
        up->f = MULTIPLY_ADD(low.i, low.i, low.r * low.r);
        down->f = MULTIPLY_ADD(high.i, high.i, high.r * high.r);
    }
}

/* The bands' energies to words 0 to BANDS - 1; the sum over all bins is returned. */
static float mel(kws_frontend_word *work)
{
    const kws_frontend_word *bin = work + 2 * KWS_FRONTEND_FIRST_BIN;
    float energy = 0.0f, band = 0.0f;
#if KWS_FRONTEND_ENERGY
    for (const kws_frontend_word *below = work; below != bin; below += 2) {
        energy += below->f;
    }
#endif
    for (size_t segment = 0; segment <= KWS_FRONTEND_BANDS; segment++) {
        const size_t width = kws_frontend_widths[segment];
        const kws_frontend_word *const end = bin + 2 * width, *place = end;
        float sum = 0.0f, weighted = 0.0f;
        while (place != bin) {
            weighted += sum; /* adds bin i of the segment i times in all */
            place -= 2;
            sum += place->f;
        }
        energy += sum;
        weighted *= kws_frontend_slopes[segment];
#if KWS_FRONTEND_BETWEEN_BINS
        weighted = MULTIPLY_ADD(kws_frontend_offsets[segment], sum, weighted);
#else
        if (width == 0) { /* two corners on one bin: it is whole in the filter that it is the centre of */
            sum = bin->f;
        }
#endif
        if (segment > 0) {
            work[segment - 1].f = band + (sum - weighted);
        }
        band = weighted;
        bin = end;
    }
#if KWS_FRONTEND_ENERGY
    for (; bin != work + 2 * POINTS + 2; bin += 2) {
        energy += bin->f;
    }
#endif
    return energy;
}

/* ln of a positive, normal x. */
static inline float natural_log(float x)
{
    kws_frontend_word word;
    int32_t exponent;
    float f, q;
    word.f = x;
    exponent = (word.i - 0x3f3504f3) >> 23; /* 0x3f3504f3: sqrt 1/2. Arithmetic shift, as every compiler has it. */
    word.i -= (int32_t)((uint32_t)exponent << 23);
    f = word.f - 1.0f;
    q = MULTIPLY_ADD(f, -0x1.9b0438p-4f, 0x1.4e8dc8p-3f);
    q = MULTIPLY_ADD(f, q, -0x1.62d626p-3f);
    q = MULTIPLY_ADD(f, q, 0x1.974fdcp-3f);
    q = MULTIPLY_ADD(f, q, -0x1.ff35f6p-3f);
    q = MULTIPLY_ADD(f, q, 0x1.555a64p-2f);
    q = MULTIPLY_ADD(f, q, -0x1.0000c4p-1f);
    q = MULTIPLY_ADD(f * f, q, f);
    return MULTIPLY_ADD((float)exponent, 0x1.62e430p-1f, q);
}

static inline float log_energy(float energy)
{
#if KWS_FRONTEND_WINDOWED
    return natural_log(energy + KWS_FRONTEND_LOG_OFFSET) + KWS_FRONTEND_LOG_SCALE;
#else
    return energy == 0.0f ? KWS_FRONTEND_LOG_OF_ZERO : natural_log(energy) + KWS_FRONTEND_LOG_SCALE;
#endif
}

#if KWS_FRONTEND_ENERGY

/* Coefficient 0 is the frame's log energy, 1 to F - 1 are the DCT's. Its weights stand in the order of their use: three
 * coefficients of one parity at a time, a band at a time. */
static void cosines(kws_frontend_word *work, float energy, float *row)
{
    const float *weights = kws_frontend_cosines;
    for (size_t low = 0, high = KWS_FRONTEND_BANDS - 1; low < high; low++, high--) {
        const float a = work[low].f, b = work[high].f;
        work[low].f = a + b;
        work[high].f = a - b;
    }
    row[0] = energy;
    for (size_t parity = 1; parity <= 2; parity++) {
        const kws_frontend_word *const band = work + (parity == 1 ? KWS_FRONTEND_BANDS - 1 : 0);
        const ptrdiff_t step = parity == 1 ? -1 : 1;
        const size_t count = parity == 1 ? KWS_FRONTEND_BANDS / 2 : (KWS_FRONTEND_BANDS + 1) / 2;
        for (size_t k = parity; k < KWS_FRONTEND_COEFFICIENTS; k += 6) {
            const kws_frontend_word *place = band;
            float a = 0.0f, b = 0.0f, c = 0.0f;
            for (size_t left = count; left > 0; left--, place += step, weights += 3) {
                a = MULTIPLY_ADD(weights[0], place->f, a);
                b = MULTIPLY_ADD(weights[1], place->f, b);
                c = MULTIPLY_ADD(weights[2], place->f, c);
            }
            row[k] = a;
            if (k + 2 < KWS_FRONTEND_COEFFICIENTS) {
                row[k + 2] = b;
            }
            if (k + 4 < KWS_FRONTEND_COEFFICIENTS) {
                row[k + 4] = c;
            }
        }
    }
}

#endif

void kws_frontend_frame(kws_frontend *frontend, kws_frontend_value *row)
{
    kws_frontend_word *const work = frontend->work.words;
    float energy;
    kws_frontend_pad(work);
    KWS_AFTER_STAGE(KWS_STAGE_PREEMPHASIS);
    first_pass(work);
    for (size_t length = KWS_FRONTEND_FIRST_RADIX; length < POINTS; length *= 4) {
        next_pass(work, length);
    }
    KWS_AFTER_STAGE(KWS_STAGE_FFT);
    power(work);
    KWS_AFTER_STAGE(KWS_STAGE_POWER);
    energy = mel(work);
    KWS_AFTER_STAGE(KWS_STAGE_MEL);
#if KWS_FRONTEND_ENERGY
    for (size_t band = 0; band < KWS_FRONTEND_BANDS; band++) {
        work[band].f = log_energy(work[band].f);
    }
    energy = log_energy(energy);
    KWS_AFTER_STAGE(KWS_STAGE_LOG);
    cosines(work, energy, row);
    KWS_AFTER_STAGE(KWS_STAGE_DCT);
#elif KWS_FRONTEND_LEVELS
    (void)energy;
    for (size_t band = 0; band < KWS_FRONTEND_ROW - KWS_FRONTEND_BANDS; band++) {
        row[KWS_FRONTEND_BANDS + band] = 0;
    }
    for (size_t band = 0; band < KWS_FRONTEND_BANDS; band++) {
        const float level = MULTIPLY_ADD(log_energy(work[band].f), KWS_FRONTEND_LEVEL_SLOPE, KWS_FRONTEND_LEVEL_OFFSET);
        if (level >= 256.0f) { /* the ninth bit */
            row[band] = 0;
            row[KWS_FRONTEND_BANDS + (band >> 3)] |= (kws_frontend_value)(1u << (band & 7u));
        } else {
            row[band] = level < 0.5f ? 0 : (kws_frontend_value)level;
        }
    }
    KWS_AFTER_STAGE(KWS_STAGE_LOG);
#else
    (void)energy;
    for (size_t band = 0; band < KWS_FRONTEND_BANDS; band++) {
        row[band] = log_energy(work[band].f);
    }
    KWS_AFTER_STAGE(KWS_STAGE_LOG);
#endif
}

#endif
