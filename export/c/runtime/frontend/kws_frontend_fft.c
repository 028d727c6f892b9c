/* SPDX-License-Identifier: Apache-2.0 */
/* The power spectrum of a frame: N real values by way of a complex FFT of N / 2 points.
 *
 *   FFT      decimation in time, in place, input in bit-reversed order: a first pass of radix 8 or 4, then passes of
 *            radix 4.
 *   power    2X[k] = (Z[k] + conj Z[M - k]) + W^k (Z[k] - conj Z[M - k]) / i, M = N / 2, W = exp(-2 pi i / N);
 *            |2X[k]|^2 goes to word 2k (and 2k + 1 where it has 64 bits): spectrum and power share their place.
 *
 * Float: single precision, products and sums fused where the core does so.
 *
 * Fixed point: the frame is shifted as a whole so that |y| < 2^KWS_FRONTEND_INPUT_BITS, chosen so that nothing can
 * overflow 32 bits after: |2X| <= 2 N max |y| <= 2^30. No shifts between passes; the only roundings are those of
 * products with twiddle factors in 1/32768, downwards. |2X|^2 is exact in 64 bits before it is shifted right by
 * KWS_FRONTEND_POWER_SHIFT, which makes room for the bands' sums.
 */
#include "kws_frontend_internal.h"

#define POINTS (KWS_FRONTEND_FFT_LENGTH / 2)

#if KWS_FRONTEND_FIXED

typedef int32_t number;
typedef int16_t factor;
#define VALUE i
#define HALF_ROOT 23170
#define TIMES_ADD(a, factor, c) ((c) + kws_frontend_times(a, factor))
#define TIMES_SUBTRACT(a, factor, c) ((c) - kws_frontend_times(a, factor))
#define TIMES(a, factor) kws_frontend_times(a, factor)
#define INPUT(word) ((int32_t)((uint32_t)(word).i << left) >> right)

#else

typedef float number;
typedef float factor;
#define VALUE f
#define HALF_ROOT 0.707106781f
#define TIMES_ADD(a, factor, c) MULTIPLY_ADD(a, factor, c)
#define TIMES_SUBTRACT(a, factor, c) MULTIPLY_SUBTRACT(a, factor, c)
#define TIMES(a, factor) ((a) * (factor))
#if KWS_FRONTEND_WINDOWED
#define INPUT(word) ((word).f)
#else
#define INPUT(word) ((float)(word).i)
#endif

#endif

typedef struct {
    number r, i;
} pair;

static inline pair add(pair a, pair b)
{
    const pair c = {a.r + b.r, a.i + b.i};
    return c;
}

static inline pair subtract(pair a, pair b)
{
    const pair c = {a.r - b.r, a.i - b.i};
    return c;
}

/* a + i b and a - i b */
static inline pair add_turned(pair a, pair b)
{
    const pair c = {a.r - b.i, a.i + b.r};
    return c;
}

static inline pair subtract_turned(pair a, pair b)
{
    const pair c = {a.r + b.i, a.i - b.r};
    return c;
}

static inline pair multiply(pair a, factor r, factor i)
{
    const pair c = {TIMES_SUBTRACT(a.i, i, TIMES(a.r, r)), TIMES_ADD(a.i, r, TIMES(a.r, i))};
    return c;
}

static inline pair get(const kws_frontend_word *place)
{
    const pair c = {place[0].VALUE, place[1].VALUE};
    return c;
}

static inline void put(kws_frontend_word *place, pair c)
{
    place[0].VALUE = c.r;
    place[1].VALUE = c.i;
}

/* Four points, a to d in bit-reversed order and already turned, of which the transforms are `apart` words apart. */
static inline void combine(kws_frontend_word *place, size_t apart, pair a, pair b, pair c, pair d)
{
    const pair ab = add(a, b), ba = subtract(a, b), cd = add(c, d), dc = subtract(c, d);
    put(place, add(ab, cd));
    put(place + apart, subtract_turned(ba, dc));
    put(place + 2 * apart, subtract(ab, cd));
    put(place + 3 * apart, add_turned(ba, dc));
}

#define INPUT_PAIR(place) {INPUT((place)[0]), INPUT((place)[1])}

#if KWS_FRONTEND_FIRST_RADIX == 8

/* a + sqrt 1/2 b and a - sqrt 1/2 b */
static inline pair add_scaled(pair a, pair b)
{
    const pair c = {TIMES_ADD(b.r, HALF_ROOT, a.r), TIMES_ADD(b.i, HALF_ROOT, a.i)};
    return c;
}

static inline pair subtract_scaled(pair a, pair b)
{
    const pair c = {TIMES_SUBTRACT(b.r, HALF_ROOT, a.r), TIMES_SUBTRACT(b.i, HALF_ROOT, a.i)};
    return c;
}

static void first_pass(kws_frontend_word *work, int left, int right)
{
    for (kws_frontend_word *place = work; place != work + 2 * POINTS; place += 16) {
        const pair a = INPUT_PAIR(place), b = INPUT_PAIR(place + 2);
        const pair c = INPUT_PAIR(place + 4), d = INPUT_PAIR(place + 6);
        const pair ab = add(a, b), ba = subtract(a, b), cd = add(c, d), dc = subtract(c, d);
        const pair even0 = add(ab, cd), even2 = subtract(ab, cd);
        const pair even1 = subtract_turned(ba, dc), even3 = add_turned(ba, dc);
        const pair e = INPUT_PAIR(place + 8), f = INPUT_PAIR(place + 10);
        const pair g = INPUT_PAIR(place + 12), h = INPUT_PAIR(place + 14);
        const pair ef = add(e, f), fe = subtract(e, f), gh = add(g, h), hg = subtract(g, h);
        const pair odd0 = add(ef, gh), odd2 = subtract(ef, gh);
        const pair odd1 = subtract_turned(fe, hg), odd3 = add_turned(fe, hg);
        const pair turned1 = {odd1.r + odd1.i, odd1.i - odd1.r};  /* times exp(-i pi / 4) sqrt 2 */
        const pair turned3 = {odd3.i - odd3.r, -odd3.r - odd3.i}; /* times exp(-3 i pi / 4) sqrt 2 */
        put(place, add(even0, odd0));
        put(place + 2, add_scaled(even1, turned1));
        put(place + 4, subtract_turned(even2, odd2));
        put(place + 6, add_scaled(even3, turned3));
        put(place + 8, subtract(even0, odd0));
        put(place + 10, subtract_scaled(even1, turned1));
        put(place + 12, add_turned(even2, odd2));
        put(place + 14, subtract_scaled(even3, turned3));
    }
    (void)left;
    (void)right;
}

#else

static void first_pass(kws_frontend_word *work, int left, int right)
{
    for (kws_frontend_word *place = work; place != work + 2 * POINTS; place += 8) {
        const pair a = INPUT_PAIR(place), b = INPUT_PAIR(place + 2);
        const pair c = INPUT_PAIR(place + 4), d = INPUT_PAIR(place + 6);
        combine(place, 2, a, b, c, d);
    }
    (void)left;
    (void)right;
}

#endif

/* Four transforms of `length` points each become one of 4 length points, throughout the work area. With a constant
 * length, once inlined, the four places are one pointer and its offsets. */
static inline void next_pass(kws_frontend_word *work, size_t length)
{
    const size_t step = 6 * (POINTS / 4 / length);
    for (kws_frontend_word *block = work; block != work + 2 * POINTS; block += 8 * length) {
        const factor *twiddles = kws_frontend_twiddles; /* from k = 1 on: k = 0 turns nothing */
        kws_frontend_word *place = block;
        combine(place, 2 * length, get(place), get(place + 2 * length), get(place + 4 * length),
                get(place + 6 * length));
        for (place += 2, twiddles += step - 6; place != block + 2 * length; place += 2, twiddles += step) {
            const pair b = multiply(get(place + 2 * length), twiddles[2], twiddles[3]);
            const pair c = multiply(get(place + 4 * length), twiddles[0], twiddles[1]);
            const pair d = multiply(get(place + 6 * length), twiddles[4], twiddles[5]);
            combine(place, 2 * length, get(place), b, c, d);
        }
    }
}

/* Bits that the frame is shifted to the left by; negative: to the right. */
static int scale_of(const kws_frontend_word *work)
{
#if KWS_FRONTEND_FIXED
    uint32_t seen = 0;
    int shift = KWS_FRONTEND_INPUT_BITS;
    for (const kws_frontend_word *word = work; word != work + KWS_FRONTEND_FFT_LENGTH; word++) {
        seen |= (uint32_t)(word->i ^ (word->i >> 31));
    }
    for (; seen != 0; seen >>= 1) {
        shift--;
    }
    return shift > KWS_FRONTEND_MOST_SHIFT ? KWS_FRONTEND_MOST_SHIFT : shift;
#else
    (void)work;
    return 0;
#endif
}

int kws_frontend_transform(kws_frontend_word *work)
{
    const int shift = scale_of(work);
    first_pass(work, shift > 0 ? shift : 0, shift < 0 ? -shift : 0);
#if POINTS / KWS_FRONTEND_FIRST_RADIX == 16
    next_pass(work, KWS_FRONTEND_FIRST_RADIX);
    next_pass(work, 4 * KWS_FRONTEND_FIRST_RADIX);
#else
    for (size_t length = KWS_FRONTEND_FIRST_RADIX; length < POINTS; length *= 4) {
        next_pass(work, length);
    }
#endif
    return shift;
}

/* |c|^2 */
static inline void put_power(kws_frontend_word *place, pair c)
{
#if KWS_FRONTEND_FIXED
    const uint64_t power = (kws_frontend_square(c.r) + kws_frontend_square(c.i)) >> KWS_FRONTEND_POWER_SHIFT;
    place[0].u = (uint32_t)power;
    place[1].u = (uint32_t)(power >> 32);
#else
    place->f = MULTIPLY_ADD(c.i, c.i, c.r * c.r);
#endif
}

void kws_frontend_power(kws_frontend_word *work)
{
    const pair first = get(work), middle = get(work + POINTS);
    const pair lowest = {2 * (first.r + first.i), 0}, highest = {2 * (first.r - first.i), 0};
    const pair centre = {2 * middle.r, 2 * middle.i};
    const factor *twiddles = kws_frontend_split;
    kws_frontend_word *up = work + 2, *down = work + 2 * POINTS - 2;
    put_power(work, lowest);
    put_power(work + 2 * POINTS, highest);
    put_power(work + POINTS, centre);
    for (; up != down; up += 2, down -= 2, twiddles += 2) {
        const pair a = get(up), b = get(down);
        const pair even = {a.r + b.r, a.i - b.i}, odd = {a.i + b.i, b.r - a.r};
        const pair turned = multiply(odd, twiddles[0], twiddles[1]);
        put_power(up, add(even, turned));
        put_power(down, subtract(even, turned));
    }
}
