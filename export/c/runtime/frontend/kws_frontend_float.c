/* SPDX-License-Identifier: Apache-2.0 */
/* A frame to a row of features in single-precision float.
 *
 *   mel      between two neighbouring corners a bin's weights in the two filters that it meets sum to 1, and rise by
 *            the same step from bin to bin: S = sum P and R = sum i P (by sums of sums, no table of weights) give
 *            both, step R + offset S and S less that.
 *   log      ln x = e ln 2 + f + f^2 q(f), x = 2^e (1 + f), 1 + f in [sqrt 1/2, sqrt 2), q of degree 6: within 4e-8 of
 *            ln (1 + f), before rounding. An exact zero counts as the configuration's least energy.
 *   DCT      even coefficients see the sums of the bands mirrored about the middle, odd ones the differences.
 *
 * All factors that are common to a frame's bands (1 / N, the 4 of |2X|^2, pre-emphasis) are one product before the
 * logarithm. The only operations are + - *, fused where the core has it; no call into libm.
 */
#include "kws_frontend_internal.h"

#if !KWS_FRONTEND_FIXED

#define POINTS (KWS_FRONTEND_FFT_LENGTH / 2)

/* The bands' energies, band j to word 2j + 3 (the words between the bins are free); the sum over all bins is returned.
 * Stretch 0 has no filter that falls: what it leaves in word 1 is nobody's. */
static float mel(kws_frontend_word *work)
{
    const kws_frontend_word *bin = work + 2 * KWS_FRONTEND_FIRST_BIN;
    float energy = 0.0f, band = 0.0f;
#if KWS_FRONTEND_ENERGY
    for (const kws_frontend_word *below = work; below != bin; below += 2) {
        energy += below->f;
    }
#endif
    for (size_t stretch = 0; stretch <= KWS_FRONTEND_BANDS; stretch++) {
        const size_t width = kws_frontend_widths[stretch];
        const kws_frontend_word *const end = bin + 2 * width, *place = end;
        float sum = 0.0f, weighted = 0.0f;
        while (place != bin) {
            weighted += sum; /* adds bin i of the stretch i times in all */
            place -= 2;
            sum += place->f;
        }
        energy += sum;
        weighted *= kws_frontend_slopes[stretch];
#if KWS_FRONTEND_BETWEEN_BINS
        weighted = MULTIPLY_ADD(kws_frontend_offsets[stretch], sum, weighted);
#elif KWS_FRONTEND_EMPTY_STRETCHES
        if (width == 0) { /* two corners on one bin: it is whole in the filter that it is the centre of */
            sum = bin->f;
        }
#endif
        work[2 * stretch + 1].f = band + (sum - weighted);
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

/* ln of a positive x. Below 2^-126, which no sound comes near, it is about -88. */
static inline float natural_log(float x)
{
    kws_frontend_word word;
    int32_t exponent; /* times 2^23 */
    float f, square, low, middle, high;
    word.f = x;
    exponent = (int32_t)((uint32_t)(word.i - 0x3f3504f3) & 0xff800000u); /* 0x3f3504f3: sqrt 1/2 */
    word.i -= exponent;
    f = word.f - 1.0f;
    square = f * f;
    low = MULTIPLY_ADD(f, 0x1.555a64p-2f, -0x1.0000c4p-1f);
    middle = MULTIPLY_ADD(f, 0x1.974fdcp-3f, -0x1.ff35f6p-3f);
    high = MULTIPLY_ADD(f, 0x1.4e8dc8p-3f, -0x1.62d626p-3f);
    high = MULTIPLY_ADD(square, -0x1.9b0438p-4f, high);
    middle = MULTIPLY_ADD(square, high, middle);
    low = MULTIPLY_ADD(square, middle, low);
    return MULTIPLY_ADD((float)exponent, 0x1.62e430p-24f, MULTIPLY_ADD(square, low, f)); /* ln 2 / 2^23 */
}

static inline float log_energy(float energy)
{
#if KWS_FRONTEND_WINDOWED
    return natural_log(MULTIPLY_ADD(energy, KWS_FRONTEND_SCALE, KWS_FRONTEND_LOG_OFFSET));
#else
    kws_frontend_word scaled;
    scaled.f = energy * KWS_FRONTEND_SCALE;
    return scaled.i == 0 ? KWS_FRONTEND_LOG_OF_ZERO : natural_log(scaled.f);
#endif
}

#if KWS_FRONTEND_ENERGY

/* Coefficient 0 is the frame's log energy, 1 to F - 1 are the DCT's, of the bands in words 0 to BANDS - 1. Twelve
 * coefficients are made at once, from a band and its mirror at a time; the weights stand in the order of their use. */
static void cosines(const kws_frontend_word *work, float energy, float *row)
{
    const float *weights = kws_frontend_cosines;
    row[0] = energy;
    for (size_t first = 1; first < KWS_FRONTEND_COEFFICIENTS; first += 12) {
        const kws_frontend_word *low = work, *high = work + KWS_FRONTEND_BANDS - 1;
        float a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f, e = 0.0f, f = 0.0f; /* odd: first, first + 2, ... */
        float p = 0.0f, q = 0.0f, r = 0.0f, s = 0.0f, t = 0.0f, u = 0.0f; /* even: first + 1, ... */
        for (; low <= high; low++, high--, weights += 12) { /* even weights of a middle band are halved: added twice */
            const float difference = low->f - high->f, sum = low->f + high->f;
            a = MULTIPLY_ADD(weights[0], difference, a);
            b = MULTIPLY_ADD(weights[1], difference, b);
            c = MULTIPLY_ADD(weights[2], difference, c);
            d = MULTIPLY_ADD(weights[3], difference, d);
            e = MULTIPLY_ADD(weights[4], difference, e);
            f = MULTIPLY_ADD(weights[5], difference, f);
            p = MULTIPLY_ADD(weights[6], sum, p);
            q = MULTIPLY_ADD(weights[7], sum, q);
            r = MULTIPLY_ADD(weights[8], sum, r);
            s = MULTIPLY_ADD(weights[9], sum, s);
            t = MULTIPLY_ADD(weights[10], sum, t);
            u = MULTIPLY_ADD(weights[11], sum, u);
        }
        {
            const float twelve[12] = {a, p, b, q, c, r, d, s, e, t, f, u};
            for (size_t k = 0; k < 12 && first + k < KWS_FRONTEND_COEFFICIENTS; k++) {
                row[first + k] = twelve[k];
            }
        }
    }
}

#endif

void kws_frontend_frame(kws_frontend *frontend, kws_frontend_value *row)
{
    kws_frontend_word *const work = frontend->work;
    float energy;
    kws_frontend_pad(work);
    KWS_AFTER_STAGE(KWS_STAGE_PREEMPHASIS);
    kws_frontend_transform(work);
    KWS_AFTER_STAGE(KWS_STAGE_FFT);
    kws_frontend_power(work);
    KWS_AFTER_STAGE(KWS_STAGE_POWER);
    energy = mel(work);
    KWS_AFTER_STAGE(KWS_STAGE_MEL);
#if KWS_FRONTEND_ENERGY
    for (size_t band = 0; band < KWS_FRONTEND_BANDS; band++) {
        work[band].f = log_energy(work[2 * band + 3].f);
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
        const float energy_log = log_energy(work[2 * band + 3].f);
        const float level = MULTIPLY_ADD(energy_log, KWS_FRONTEND_LEVEL_SLOPE, KWS_FRONTEND_LEVEL_OFFSET);
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
        /* to the nearest of the ring's steps, above zero for the cast */
        const float steps = MULTIPLY_ADD(log_energy(work[2 * band + 3].f), KWS_FRONTEND_ROW_SCALE,
                                         32768.5f - KWS_FRONTEND_ROW_MIDDLE * KWS_FRONTEND_ROW_SCALE);
        row[band] = (kws_frontend_value)((int32_t)steps - 32768);
    }
    KWS_AFTER_STAGE(KWS_STAGE_LOG);
#endif
}

#endif
