/* SPDX-License-Identifier: Apache-2.0 */
/* A frame to a row of features in integers alone, for cores without an FPU.
 *
 *   mel      as in float, on 64-bit sums: S = sum P, R = sum i P; the rising filter's part is slope R + offset S, with
 *            32-bit mantissas of R and S under one exponent and slope and offset in 2^-32; the falling one's is S less
 *            that. The logarithm is taken here as well: a band needs 64 bits before it and 32 after.
 *   log      log2 of the 64-bit sum: its highest bit's place, the 32 bits behind as a fraction f, and a table of
 *            log2(1 + f) - f at 64 points, straight between them: ln is within 3e-5. In 2^-20.
 *   DCT      as in float, weights in 2^-15, each product rounded down to 2^-20.
 *
 * Rows of the ring are in 2^-20 (MFCC), in steps of 1 / ROW_SCALE from ROW_MIDDLE (log-mel), or levels of 1/256 (MFE).
 */
#include "kws_frontend_internal.h"

#if KWS_FRONTEND_FIXED

/* ln of an energy in 2^-20; `shift` is what the frame was shifted by. */
static int32_t log_energy(uint64_t energy, int shift)
{
#if KWS_FRONTEND_WINDOWED
    /* MOST_SHIFT keeps this within 60 bits */
    energy += shift * 2 + KWS_FRONTEND_LOG_OFFSET_EXPONENT >= 0
                  ? (uint64_t)KWS_FRONTEND_LOG_OFFSET << (shift * 2 + KWS_FRONTEND_LOG_OFFSET_EXPONENT)
                  : (uint64_t)KWS_FRONTEND_LOG_OFFSET >> -(shift * 2 + KWS_FRONTEND_LOG_OFFSET_EXPONENT);
#endif
    if (energy == 0) {
        return KWS_FRONTEND_LOG_OF_ZERO;
    } else {
        const int place = kws_frontend_highest_bit(energy);
        const uint32_t fraction = (uint32_t)(place >= 32 ? energy >> (place - 32) : energy << (32 - place));
        const uint16_t *const bend = kws_frontend_bends + (fraction >> 26);
        const int32_t between = (int32_t)(fraction >> 11 & 0x7fffu);
        const int32_t bent = bend[0] + ((((int32_t)bend[1] - bend[0]) * between) >> 15); /* 2^-19 */
        const int32_t log2 = ((place - 2 * shift) * (1 << 23)) + (int32_t)(fraction >> 9) + bent * 16; /* 2^-23 */
        return (int32_t)(((int64_t)log2 * 1488522236) >> 34) + KWS_FRONTEND_LOG_SCALE; /* ln 2 = 1488522236 / 2^31 */
    }
}

static uint64_t bin_at(const kws_frontend_word *place)
{
    return (uint64_t)place[1].u << 32 | place[0].u;
}

/* The bands' log energies, band j to word j: by then the bins of that place have been read, as two neighbouring
 * stretches always have a bin. The log of the sum over all bins is returned. */
static int32_t mel(kws_frontend_word *work, int shift)
{
    const kws_frontend_word *bin = work + 2 * KWS_FRONTEND_FIRST_BIN;
    uint64_t energy = 0, band = 0;
#if KWS_FRONTEND_ENERGY
    for (const kws_frontend_word *below = work; below != bin; below += 2) {
        energy += bin_at(below);
    }
#endif
    for (size_t stretch = 0; stretch <= KWS_FRONTEND_BANDS; stretch++) {
        const size_t width = kws_frontend_widths[stretch];
        const kws_frontend_word *const end = bin + 2 * width, *place = end;
        uint64_t sum = 0, weighted = 0, rising;
        int spare;
        while (place != bin) {
            weighted += sum; /* adds bin i of the stretch i times in all */
            place -= 2;
            sum += bin_at(place);
        }
        energy += sum;
        spare = kws_frontend_highest_bit(weighted | sum | 0x80000000u) - 31;
        rising = (uint64_t)(uint32_t)(weighted >> spare) * kws_frontend_slopes[stretch] >> 32;
#if KWS_FRONTEND_BETWEEN_BINS
        rising += (uint64_t)(uint32_t)(sum >> spare) * kws_frontend_offsets[stretch] >> 32;
#endif
        rising <<= spare;
#if KWS_FRONTEND_EMPTY_STRETCHES
        if (width == 0) { /* two corners on one bin: it is whole in the filter that it is the centre of */
            sum = bin_at(bin);
        }
#endif
        rising = rising > sum ? sum : rising;
        if (stretch > 0) {
            work[stretch - 1].i = log_energy(band + (sum - rising), shift);
        }
        band = rising;
        bin = end;
    }
#if KWS_FRONTEND_ENERGY
    for (; bin != work + KWS_FRONTEND_FFT_LENGTH + 2; bin += 2) {
        energy += bin_at(bin);
    }
    return log_energy(energy, shift);
#else
    (void)energy;
    return 0;
#endif
}

#if KWS_FRONTEND_ENERGY

static void cosines(kws_frontend_word *work, int32_t energy, int32_t *row)
{
    const int16_t *weights = kws_frontend_cosines;
    row[0] = energy;
    for (kws_frontend_word *low = work, *high = work + KWS_FRONTEND_BANDS - 1; low < high; low++, high--) {
        const int32_t sum = low->i + high->i;
        high->i = low->i - high->i;
        low->i = sum;
    }
    for (size_t k = 1; k < KWS_FRONTEND_COEFFICIENTS; k++) { /* odd ones see the differences, even ones the sums */
        const kws_frontend_word *place = k & 1u ? work + KWS_FRONTEND_BANDS - 1 : work;
        const ptrdiff_t step = k & 1u ? -1 : 1;
        int32_t sum = 0;
        for (size_t left = k & 1u ? KWS_FRONTEND_BANDS / 2 : (KWS_FRONTEND_BANDS + 1) / 2; left > 0; left--) {
            sum += kws_frontend_times(place->i, *weights++);
            place += step;
        }
        row[k] = sum;
    }
}

#endif

void kws_frontend_frame(kws_frontend *frontend, kws_frontend_value *row)
{
    kws_frontend_word *const work = frontend->work;
    int shift;
    int32_t energy;
    kws_frontend_pad(work);
    KWS_AFTER_STAGE(KWS_STAGE_PREEMPHASIS);
    shift = kws_frontend_transform(work);
    KWS_AFTER_STAGE(KWS_STAGE_FFT);
    kws_frontend_power(work);
    KWS_AFTER_STAGE(KWS_STAGE_POWER);
    energy = mel(work, shift);
    KWS_AFTER_STAGE(KWS_STAGE_MEL);
    KWS_AFTER_STAGE(KWS_STAGE_LOG);
#if KWS_FRONTEND_ENERGY
    cosines(work, energy, row);
    KWS_AFTER_STAGE(KWS_STAGE_DCT);
#else
    (void)energy;
#if KWS_FRONTEND_LEVELS
    for (size_t place = KWS_FRONTEND_BANDS; place < KWS_FRONTEND_ROW; place++) {
        row[place] = 0;
    }
#endif
    for (size_t band = 0; band < KWS_FRONTEND_BANDS; band++) {
#if KWS_FRONTEND_LEVELS
        const int64_t scaled = (int64_t)work[band].i * KWS_FRONTEND_LEVEL_SLOPE; /* 2^-36 */
        const int32_t level = (int32_t)((scaled + KWS_FRONTEND_LEVEL_OFFSET) >> 36);
        if (level >= 256) { /* the ninth bit */
            row[band] = 0;
            row[KWS_FRONTEND_BANDS + (band >> 3)] |= (kws_frontend_value)(1u << (band & 7u));
        } else {
            row[band] = (kws_frontend_value)(level < 0 ? 0 : level);
        }
#else
        const int32_t step = (1 << 20) / KWS_FRONTEND_ROW_SCALE;
        row[band] = (kws_frontend_value)((work[band].i - KWS_FRONTEND_ROW_MIDDLE + step / 2) >> KWS_FRONTEND_ROW_SHIFT);
#endif
    }
#endif
}

#endif
