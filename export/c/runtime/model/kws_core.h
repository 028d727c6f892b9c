/* SPDX-License-Identifier: Apache-2.0 */
/* What every kernel shares: which instruction set it is built for, and a channel's way from accumulator to int8. */
#ifndef KWS_CORE_H
#define KWS_CORE_H

#include <limits.h>
#include <stdint.h>
#include <string.h>

#if INT32_MAX > INT_MAX || (-1 >> 1) != -1
#error "these kernels need an int of 32 bits and right shifts that keep the sign"
#endif

/* The instruction set is chosen by the compiler's own macros. -DKWS_PORTABLE=1 takes plain C99 everywhere. The kernels for
 * the DSP extension load words at any address, as the core does unless CCR.UNALIGN_TRP is set. */
#if !defined(KWS_PORTABLE)
#define KWS_PORTABLE 0
#endif
#if !KWS_PORTABLE && defined(__GNUC__) && !defined(__clang__) && defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define KWS_HELIUM 1
#define KWS_DSP 0
#elif !KWS_PORTABLE && defined(__GNUC__) && defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && \
    __ARM_ARCH_PROFILE == 'M' && defined(__ARM_FEATURE_UNALIGNED) && !defined(__ARM_BIG_ENDIAN)
#define KWS_HELIUM 0
#define KWS_DSP 1
#else
#define KWS_HELIUM 0
#define KWS_DSP 0
#endif

/* A constant that is there unless the DSP extension's kernels bring their own. */
#if KWS_DSP
#define KWS_OFF_DSP(name) 0
#else
#define KWS_OFF_DSP(name) name
#endif

/* How a channel's accumulator becomes its int8 output. Four forms, chosen when the sources were generated:
 *
 * KWS_RISING, KWS_LINE   a line proven to take the same 255 steps as TFLite's arithmetic for every accumulator that the
 *                        weights can give:
 *                            u = acc * 2^10 + first;   KWS_LINE alone: if (u < 0) u -= third
 *                            q = saturate8((floor(u * multiplier / 2^32) + center) >> 12)
 *                        where first is the offset and third the correction below zero. The accumulator stays below 2^20.
 * KWS_ROUND_TWICE        TFLite's own: clamp(MultiplyByQuantizedMultiplier(acc + first, multiplier, third) + zero_point),
 *                        where first is the bias and third the shift (positive: to the left); two roundings.
 * KWS_ROUND_ONCE         FULLY_CONNECTED's product in double, rounded once, halves away from zero, proven equal in integers:
 *                        with x = acc + first and s = 31 - third,
 *                            clamp(sign(x) * floor((|x| * (multiplier + fine / 2^15) + 2^(s - 1)) / 2^s) + zero_point)
 */
enum { KWS_RISING = 0, KWS_LINE = 1, KWS_ROUND_TWICE = 2, KWS_ROUND_ONCE = 3 };

typedef struct {
    const int32_t *first;      /* by channel, as are the next two; each padded with zeros to a multiple of 4 */
    const int32_t *multiplier;
    const int32_t *third;      /* null for KWS_RISING */
    int32_t center;            /* (zero_point << 12) + (1 << 11); of the lines */
    int16_t zero_point;        /* of the output; for the two roundings, as are the next two */
    int8_t minimum;
    int8_t maximum;
    uint8_t form;
    uint16_t fine; /* of KWS_ROUND_ONCE */
} kws_output;

/* x rounded to the nearest multiple of 2^shift and divided by it, halves away from zero. 0 <= shift <= 31. */
static inline int32_t kws_divide_by_power(int32_t x, int shift) {
    const int32_t mask = (int32_t)(((uint32_t)1 << shift) - 1);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> shift) + (remainder > threshold ? 1 : 0);
}

/* round(a * b / 2^31), halves up, saturated in the one case that needs it. */
static inline int32_t kws_doubling_high(int32_t a, int32_t b) {
    if (a == INT32_MIN && b == INT32_MIN) {
        return INT32_MAX;
    }
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* TFLite's MultiplyByQuantizedMultiplier with two roundings; the left shift wraps. */
static inline int32_t kws_multiply_by_quantized(int32_t x, int32_t multiplier, int32_t shift) {
    const int left = shift > 0 ? (int)shift : 0;
    const int right = shift > 0 ? 0 : (int)-shift;
    return kws_divide_by_power(kws_doubling_high((int32_t)((uint32_t)x << left), multiplier), right);
}

/* a + b as TFLite's kernels add on the machines they run on: wrapped. */
static inline int32_t kws_add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

static inline int8_t kws_clamp(int32_t x, int32_t minimum, int32_t maximum) {
    return (int8_t)(x < minimum ? minimum : x > maximum ? maximum : x);
}

/* floor(u * multiplier / 2^32) + center */
static inline int32_t kws_multiply_high(int32_t u, int32_t multiplier, int32_t center) {
#if KWS_DSP || KWS_HELIUM
    int32_t result;
    __asm__("smmla %0, %1, %2, %3" : "=r"(result) : "r"(u), "r"(multiplier), "r"(center));
    return result;
#else
    return (int32_t)(((int64_t)u * multiplier) >> 32) + center;
#endif
}

/* x, limited to -128 ... 127 */
static inline int8_t kws_saturate8(int32_t x) {
#if !KWS_PORTABLE && defined(__GNUC__) && defined(__ARM_FEATURE_SAT)
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x));
    return (int8_t)result;
#else
    return kws_clamp(x, -128, 127);
#endif
}

/* saturate8(x >> shift) for a shift that is a number here: one instruction where the core saturates. */
#if !KWS_PORTABLE && defined(__GNUC__) && defined(__ARM_FEATURE_SAT)
#define KWS_SATURATE(name, shift)                                          \
    static inline int8_t name(int32_t x) {                                 \
        int32_t result;                                                    \
        __asm__("ssat %0, #8, %1, asr #" #shift : "=r"(result) : "r"(x));  \
        return (int8_t)result;                                             \
    }
#else
#define KWS_SATURATE(name, shift) \
    static inline int8_t name(int32_t x) { return kws_clamp(x >> (shift), -128, 127); }
#endif

KWS_SATURATE(kws_saturate_line, 12)

/* The lines, from u = acc * 2^10 + first. */
static inline int8_t kws_rising(int32_t u, int32_t multiplier, int32_t center) {
    return kws_saturate_line(kws_multiply_high(u, multiplier, center));
}

static inline int8_t kws_line(int32_t u, int32_t multiplier, int32_t third, int32_t center) {
    return kws_saturate_line(kws_multiply_high(u - (third & (u >> 31)), multiplier, center));
}

/* TFLite's own forms, in one place: they are long and rarely needed. */
int8_t kws_round(int32_t acc, const kws_output *output, int32_t channel);

static inline int8_t kws_quantize(int32_t acc, const kws_output *output, int32_t channel) {
    if (output->form > KWS_LINE) {
        return kws_round(acc, output, channel);
    }
    const int32_t u = (int32_t)((uint32_t)acc << 10) + output->first[channel];
    if (output->form == KWS_RISING) {
        return kws_rising(u, output->multiplier[channel], output->center);
    }
    return kws_line(u, output->multiplier[channel], output->third[channel], output->center);
}

#endif
