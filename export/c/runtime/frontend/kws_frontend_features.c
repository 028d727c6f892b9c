/* SPDX-License-Identifier: Apache-2.0 */
/* The window: the ring's rows, oldest first, normalised where the configuration says so, as floats or quantised. */
#include "kws_frontend_internal.h"

#include <string.h>

#if KWS_FRONTEND_WINDOW > 0

#define finish kws_frontend_normalise

#elif KWS_FRONTEND_LEVELS

static void store_level(const kws_frontend_target *target, size_t place, int32_t level)
{
#if KWS_FRONTEND_FIXED
    kws_frontend_store(target, place, level * 256);
#else
    kws_frontend_store(target, place, (float)level / 256.0f);
#endif
}

/* There are 257 levels, so each is quantised once, whatever the window's size. */
static void finish(const kws_frontend *frontend, const kws_frontend_target *target)
{
    int8_t bytes[257];
    size_t row = frontend->head, place = 0;
    if (target->quantised) {
        for (int32_t level = 0; level <= 256; level++) {
            kws_frontend_target table = *target;
            table.quantised = bytes;
            store_level(&table, (size_t)level, level);
        }
    }
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++, row = kws_frontend_next_row(row)) {
        const kws_frontend_value *const levels = frontend->ring + row * KWS_FRONTEND_ROW;
        for (size_t band = 0; band < KWS_FRONTEND_BANDS; band++, place++) {
            const uint32_t ninth = (uint32_t)levels[KWS_FRONTEND_BANDS + (band >> 3)] >> (band & 7u) & 1u;
            const uint32_t level = levels[band] | ninth << 8;
            if (target->quantised) {
                target->quantised[place] = bytes[level];
            } else {
                store_level(target, place, (int32_t)level);
            }
        }
    }
}

#elif KWS_FRONTEND_WINDOWED

/* Log-mel. The mean over time and bands is relative to one value: where all are alike it is just that. */
static void finish(const kws_frontend *frontend, const kws_frontend_target *target)
{
    const int32_t count = KWS_FRONTEND_FRAMES * KWS_FRONTEND_ROW;
    const int32_t reference = KWS_FRONTEND_REMOVE_MEAN ? frontend->ring[0] : 0;
    int64_t total = 0;
    size_t row = frontend->head, place = 0;
    for (int32_t value = 0; KWS_FRONTEND_REMOVE_MEAN && value < count; value++) {
        total += frontend->ring[value] - reference;
    }
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++, row = kws_frontend_next_row(row)) {
        const kws_frontend_value *const values = frontend->ring + row * KWS_FRONTEND_ROW;
#if KWS_FRONTEND_FIXED
        const int32_t middle = KWS_FRONTEND_REMOVE_MEAN ? (int32_t)(total * -(65536 / KWS_FRONTEND_ROW_SCALE) / count)
                                                        : KWS_FRONTEND_ROW_MIDDLE / 16; /* 2^-16 */
        for (size_t band = 0; band < KWS_FRONTEND_BANDS; band++, place++) {
            kws_frontend_store(target, place, (values[band] - reference) * (65536 / KWS_FRONTEND_ROW_SCALE) + middle);
        }
#else
        const float middle = KWS_FRONTEND_REMOVE_MEAN ? -(float)total / (float)(count * KWS_FRONTEND_ROW_SCALE)
                                                      : KWS_FRONTEND_ROW_MIDDLE;
        for (size_t band = 0; band < KWS_FRONTEND_BANDS; band++, place++) {
            const float value = (float)(values[band] - reference) * (1.0f / KWS_FRONTEND_ROW_SCALE);
            kws_frontend_store(target, place, value + middle);
        }
#endif
    }
}

#else

/* MFCC without normalisation. */
static void finish(const kws_frontend *frontend, const kws_frontend_target *target)
{
    size_t row = frontend->head, place = 0;
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++, row = kws_frontend_next_row(row)) {
        for (size_t column = 0; column < KWS_FRONTEND_COEFFICIENTS; column++, place++) {
            const kws_frontend_value value = frontend->ring[row * KWS_FRONTEND_ROW + column];
#if KWS_FRONTEND_FIXED
            kws_frontend_store(target, place, (value + 8) >> 4); /* 2^-20 to 2^-16 */
#else
            kws_frontend_store(target, place, value);
#endif
        }
    }
}

#endif

void kws_frontend_features(const kws_frontend *frontend, float *out)
{
#if KWS_FRONTEND_FIXED
    const kws_frontend_target target = {out, 0, 0, 0, 0, 0};
#else
    const kws_frontend_target target = {out, 0, 1.0f, 0};
#endif
    finish(frontend, &target);
    KWS_AFTER_STAGE(KWS_STAGE_CMVN);
}

#if KWS_FRONTEND_FIXED

/* 1 / scale, by long division of the float's mantissa: no arithmetic in floats. */
static void invert(float scale, kws_frontend_target *target)
{
    uint32_t bits, mantissa, rest, quotient;
    memcpy(&bits, &scale, sizeof bits);
    mantissa = (bits & 0x7fffffu) | 0x800000u; /* scale = mantissa 2^(exponent - 150) */
    quotient = 0x80000000u / mantissa;         /* 2^31 / mantissa, from 2^7 to 2^8 */
    rest = 0x80000000u % mantissa;
    for (int step = 0; step < 2; step++) {
        quotient = quotient << 8 | (rest << 8) / mantissa;
        rest = (rest << 8) % mantissa;
    }
    quotient = quotient << 7 | (rest << 7) / mantissa; /* 2^54 / mantissa: 2^30 to 2^31 */
    target->shift = (int)(bits >> 23) - 80;            /* 16 + 54 + exponent - 150 */
    target->shift = target->shift < 1 ? 1 : target->shift > 61 ? 61 : target->shift;
    target->half = (int64_t)1 << (target->shift - 1);
    target->steps = quotient > 0x7fffffffu ? 0x7fffffff : (int32_t)quotient;
}

#endif

void kws_frontend_quantized(const kws_frontend *frontend, float scale, int zero_point, int8_t *out)
{
#if KWS_FRONTEND_FIXED
    kws_frontend_target target = {0, out, 0, 0, 0, zero_point};
    invert(scale, &target);
#else
    const kws_frontend_target target = {0, out, scale, zero_point};
#endif
    finish(frontend, &target);
    KWS_AFTER_STAGE(KWS_STAGE_CMVN);
}
