/* SPDX-License-Identifier: Apache-2.0 */
/* Helium's steps that the kernels share: four accumulators in a vector on their way to int8. */
#ifndef KWS_CORE_HELIUM_H
#define KWS_CORE_HELIUM_H

#include <arm_mve.h>

#include "kws_core.h"

/* Without optimisation the compiler has too few registers left for the largest loops: others do their work then. */
#if defined(__OPTIMIZE__)
#define KWS_MANY_REGISTERS 1
#else
#define KWS_MANY_REGISTERS 0
#endif

enum { KWS_ROUNDED = 1 << 11 }; /* what kws_output's center has for a shift that rounds down */

/* Four scalars as the lanes of a vector, in order. */
static inline int32x4_t kws_lanes(int32_t a, int32_t b, int32_t c, int32_t d) {
    int32x4_t lanes;
    __asm__("vmov %q0[2], %q0[0], %1, %3\n\tvmov %q0[3], %q0[1], %2, %4" : "=w"(lanes) : "r"(a), "r"(b), "r"(c), "r"(d));
    return lanes;
}

/* round(x / 2^12) in each lane, halves up, saturated to int8; it stands in the lane's lowest byte, as VSTRB.32 stores it.
 * VQRSHRN, as binutils 2.40 makes VQRSHRN of VQSHRN too. */
static inline int32x4_t kws_saturate_lines(int32x4_t x) {
    __asm__("vqrshrnb.s32 %q0, %q0, #12\n\tvqmovnb.s16 %q0, %q0" : "+w"(x));
    return x;
}

/* kws_rising and kws_line for four accumulators of one channel. `form` is a constant where this is inlined; `center` is
 * kws_output's less KWS_ROUNDED. */
static inline __attribute__((always_inline)) int32x4_t kws_requantize(int32x4_t acc, int32_t first, int32x4_t multiplier,
                                                                      int32_t third, int32_t center, int form) {
    int32x4_t u = vaddq_n_s32(vshlq_n_s32(acc, 10), first);
    if (form == KWS_LINE) {
        __asm__("vpt.s32 lt, %q0, zr\n\tvsubt.i32 %q0, %q0, %1" : "+w"(u) : "r"(third) : "p0");
    }
    return kws_saturate_lines(vaddq_n_s32(vmulhq_s32(u, multiplier), center));
}

/* u less `third` in the lanes where u is negative. */
static inline int32x4_t kws_subtract_below_zero(int32x4_t u, int32x4_t third) {
    __asm__("vpt.s32 lt, %q0, zr\n\tvsubt.i32 %q0, %q0, %q1" : "+w"(u) : "w"(third) : "p0");
    return u;
}

/* KWS_ROUND_TWICE from the accumulators with their biases. VQRDMULH is the doubling high product with halves up; before the
 * shift to the right, one less where the product is negative turns its halves up into halves away from zero. */
static inline int32x4_t kws_round_twice(int32x4_t x, int32x4_t multiplier, int32x4_t shift, const kws_output *output) {
    const int32x4_t zero = vdupq_n_s32(0), right = vminq_s32(shift, zero);
    x = vqrdmulhq_s32(vshlq_s32(x, vmaxq_s32(shift, zero)), multiplier);
    x = vqaddq_s32(x, vshrq_n_s32(vandq_s32(x, right), 31));
    x = vaddq_n_s32(vrshlq_s32(x, right), output->zero_point);
    return vmaxq_s32(vminq_s32(x, vdupq_n_s32(output->maximum)), vdupq_n_s32(output->minimum));
}

/* Either of TFLite's own forms, a lane at a time: lane i is of channel + i * step. */
static inline int32x4_t kws_round_lanes(int32x4_t acc, const kws_output *output, int32_t channel, int32_t step) {
    int32_t lanes[4];
    vst1q_s32(lanes, acc);
    for (int32_t i = 0; i < 4; i++, channel += step) {
        lanes[i] = kws_round(lanes[i], output, channel);
    }
    return vld1q_s32(lanes);
}

#endif
