/* SPDX-License-Identifier: Apache-2.0 */
/* What the front end's files share. */
#ifndef KWS_FRONTEND_INTERNAL_H
#define KWS_FRONTEND_INTERNAL_H

#include "kws_frontend.h"
#include "kws_frontend_tables.h"

#ifndef KWS_AFTER_STAGE
#define KWS_AFTER_STAGE(stage) ((void)0)
#endif

/* value^2 */
static inline uint64_t kws_frontend_square(int32_t value)
{
#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
    const uint32_t size = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    const uint32_t high = size >> 16, low = size & 0xffffu;
    return ((uint64_t)(high * high) << 32) + ((uint64_t)(high * low) << 17) + low * low;
#else
    return (uint64_t)((int64_t)value * value);
#endif
}

#if KWS_FRONTEND_FIXED

/* value factor / 2^15, rounded down. */
static inline int32_t kws_frontend_times(int32_t value, int16_t factor)
{
#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__) /* products of 32 bits only; the same result */
    return (int32_t)((uint32_t)((value >> 16) * factor) << 1) + ((int32_t)((uint32_t)value & 0xffffu) * factor >> 15);
#else
    return (int32_t)(((int64_t)value * factor) >> 15);
#endif
}

/* The highest bit's place, of a value above zero. */
static inline int kws_frontend_highest_bit(uint64_t value)
{
#if defined(__GNUC__)
    return 63 - __builtin_clzll(value);
#else
    int place = 0;
    for (int step = 32; step > 0; step >>= 1) {
        if (value >> step) {
            value >>= step;
            place += step;
        }
    }
    return place;
#endif
}

#else

#include <math.h>

/* One rounding, but on an Arm core whose FPU has no instruction for it; a desk has the same numbers as a device. */
#if defined(__FP_FAST_FMAF) || !defined(__arm__)
#define MULTIPLY_ADD(a, b, c) fmaf(a, b, c)
#define MULTIPLY_SUBTRACT(a, b, c) fmaf(-(a), b, c) /* c - a b */
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#define MULTIPLY_SUBTRACT(a, b, c) ((c) - (a) * (b))
#endif

#endif

/* Samples into the FFT's work area, in the order that it wants: kws_frontend_load.c. */
void kws_frontend_load(kws_frontend_word *work, uint32_t position, const int16_t *samples, uint32_t count,
                       int16_t previous);

/* Zeros behind a frame that is shorter than the FFT. */
#if KWS_FRONTEND_FRAME_LENGTH < KWS_FRONTEND_FFT_LENGTH
void kws_frontend_pad(kws_frontend_word *work);
#else
#define kws_frontend_pad(work) ((void)0)
#endif

/* The FFT in place, then the power spectrum in its place: kws_frontend_fft.c. The transform returns the bits that it
 * shifted the frame to the left by (fixed point; 0 in float). */
int kws_frontend_transform(kws_frontend_word *work);
void kws_frontend_power(kws_frontend_word *work);

/* A frame in the work area to a row of the ring: kws_frontend_float.c or kws_frontend_fixed.c. */
void kws_frontend_frame(kws_frontend *frontend, kws_frontend_value *row);

/* Where the window's values go: floats, or bytes when there is no place for floats. */
typedef struct {
    float *floats;
    int8_t *quantised;
#if KWS_FRONTEND_FIXED
    int32_t steps; /* 1 / scale in 2^(16 - shift), from 2^30 on */
    int shift;
    int64_t half; /* 2^(shift - 1) */
#else
    float scale;
#endif
    int32_t zero_point;
} kws_frontend_target;

#if KWS_FRONTEND_FIXED

/* A value in 2^-16. */
static inline void kws_frontend_store(const kws_frontend_target *target, size_t place, int32_t value)
{
    if (target->floats) {
        target->floats[place] = (float)value * (1.0f / 65536.0f);
    } else {
        const int64_t product = (int64_t)value * target->steps;
        int64_t steps =
            product < 0 ? -((target->half - product) >> target->shift) : (target->half + product) >> target->shift;
        steps += target->zero_point;
        target->quantised[place] = (int8_t)(steps < -128 ? -128 : steps > 127 ? 127 : steps);
    }
}

#else

static inline void kws_frontend_store(const kws_frontend_target *target, size_t place, float value)
{
    if (target->floats) {
        target->floats[place] = value;
    } else {
        /* Adding the float below 1/2, with the value's sign, and cutting off rounds halves, and them alone, away from
         * zero. Magnitudes are compared as integers, which order floats of one sign alike. */
        kws_frontend_word steps, half;
        int32_t rounded;
        steps.f = value / target->scale;
        half.i = 0x3effffff;
        if ((steps.i & 0x7fffffff) > 0x44000000) { /* 512: far outside of a byte whatever the zero point */
            steps.i = steps.i < 0 ? (int32_t)0xc4000000u : 0x44000000;
        }
        half.i |= (int32_t)((uint32_t)steps.i & 0x80000000u);
        rounded = (int32_t)(steps.f + half.f) + target->zero_point;
        rounded = rounded < -128 ? -128 : rounded;
        target->quantised[place] = (int8_t)(rounded > 127 ? 127 : rounded);
    }
}

#endif

static inline size_t kws_frontend_next_row(size_t row)
{
    return row + 1 == KWS_FRONTEND_FRAMES ? 0 : row + 1;
}

/* The window, normalised: kws_frontend_cmvn.c. */
void kws_frontend_normalise(const kws_frontend *frontend, const kws_frontend_target *target);

#endif
