/* SPDX-License-Identifier: Apache-2.0 */
/* ADD, SUB and MUL of two int8 tensors, one of them broadcast where its stride is 0. */
#ifndef KWS_BINARY_H
#define KWS_BINARY_H

#include "kws_core.h"

/* The tensors as up to four nested loops, outermost first, neighbouring ones merged where both inputs allow. */
typedef struct {
    uint16_t extent[4];
    uint16_t stride_a[4], stride_b[4]; /* in elements; of the innermost loop 0 or 1 */
} kws_loops;

/* ADD and SUB. `proven`: q = saturate8((a * factor_a + b * factor_b + constant) >> shift), proven equal to TFLite's three
 * roundings for all 65,536 pairs when the sources were generated. Otherwise those three roundings themselves:
 * each input (q - zero_point) << 20 times its multiplier, their sum (difference: `sign_b` is -1) times the output's. The
 * shift is KWS_SUM_SHIFT where that can be proven: as a number it is part of an instruction. */
#define KWS_SUM_SHIFT 21

typedef struct {
    kws_loops loops;
    uint8_t proven;
    uint8_t shift;
    int8_t sign_b;
    int8_t minimum, maximum;
    int16_t zero_a, zero_b, zero_out;
    int32_t factor_a, factor_b, constant; /* proven; otherwise the three multipliers a, b, out */
    int16_t shift_a, shift_b, shift_out;
} kws_sum;

/* MUL: clamp(MultiplyByQuantizedMultiplier((a - zero_a) * (b - zero_b), multiplier, shift) + zero_out). */
typedef struct {
    kws_loops loops;
    int32_t multiplier;
    int16_t shift;
    int16_t zero_a, zero_b, zero_out;
    int8_t minimum, maximum;
} kws_product;

void kws_sum_s8(const kws_sum *sum, const int8_t *a, const int8_t *b, int8_t *out); /* out may be a or b, unbroadcast */
void kws_product_s8(const kws_product *product, const int8_t *a, const int8_t *b, int8_t *out);

#endif
