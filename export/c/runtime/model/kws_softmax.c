/* SPDX-License-Identifier: Apache-2.0 */
#include "kws_softmax.h"

/* Qn is a number with n integer bits and 31 - n fractional ones. Every product is the doubling high multiplication with
 * halves rounded up; constants and steps are those of gemmlowp's fixedpoint.h, which TFLite's reference kernel uses. */

static int32_t saturated_shift(int32_t x, int left) {
    const int32_t limit = INT32_MAX >> left;
    return x > limit ? INT32_MAX : x < -limit - 1 ? INT32_MIN : (int32_t)((uint32_t)x << left);
}

/* exp(a), a in Q5 and at most 0, to Q0: a quarter's remainder by a Taylor polynomial about -1/8, the whole quarters by one
 * constant for each bit. */
static int32_t exp_of_negative(int32_t a) {
    static const int32_t powers[7] = {/* exp(-1/4), exp(-1/2), ... exp(-16) in Q0 */
                                      1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    const int32_t quarter = 1 << 24;
    const int32_t rest = (a & (quarter - 1)) - quarter; /* [-1/4, 0) */
    const int32_t x = saturated_shift(rest, 5) + (1 << 28);
    const int32_t x2 = kws_doubling_high(x, x);
    const int32_t x3 = kws_doubling_high(x2, x);
    const int32_t x4 = kws_doubling_high(x2, x2);
    const int32_t third = kws_doubling_high(kws_divide_by_power(x4, 2) + x3, 715827883); /* (x4 / 4 + x3) / 3 */
    const int32_t tail = kws_divide_by_power(third + x2, 1);
    int32_t result = 1895147668 + kws_doubling_high(1895147668, x + tail); /* exp(-1/8) */
    const int32_t quarters = rest - a;
    for (int bit = 0; bit < 7; bit++) {
        if (quarters & (int32_t)((uint32_t)1 << (24 + bit))) {
            result = kws_doubling_high(result, powers[bit]);
        }
    }
    return a == 0 ? INT32_MAX : result;
}

/* 1 / (1 + a), a in Q0 and [0, 1), to Q0: Newton and Raphson on half the denominator, three steps. */
static int32_t one_over_one_plus(int32_t a) {
    const int64_t sum = (int64_t)a + INT32_MAX;
    const int32_t half = (int32_t)((sum + (sum >= 0 ? 1 : -1)) / 2);
    int32_t x = 1515870810 + kws_doubling_high(half, -1010580540); /* 48 / 17 - 32 / 17 * half, Q2 */
    for (int step = 0; step < 3; step++) {
        const int32_t product = kws_doubling_high(half, x);
        x += saturated_shift(kws_doubling_high(x, (1 << 29) - product), 2);
    }
    return saturated_shift(x, 1);
}

void kws_softmax_s8(const kws_softmax *softmax, const int8_t *in, int8_t *out, int32_t *exps) {
    int32_t largest = in[0];
    for (int32_t c = 1; c < softmax->classes; c++) {
        largest = in[c] > largest ? in[c] : largest;
    }
    uint32_t sum = 0; /* Q12 */
    for (int32_t c = 0; c < softmax->classes; c++) {
        const int32_t distance = in[c] - largest;
        exps[c] = -1;
        if (distance >= softmax->minimum) {
            const int32_t wide = (int32_t)((uint32_t)distance << softmax->left_shift);
            exps[c] = exp_of_negative(kws_doubling_high(wide, softmax->multiplier));
            sum += (uint32_t)kws_divide_by_power(exps[c], 12);
        }
    }
    int headroom = 0; /* leading zeros + 1 of a positive sum */
    while (!((sum << headroom) & 0x80000000u)) {
        headroom++;
    }
    const int32_t scale = one_over_one_plus((int32_t)((sum << headroom) - 0x80000000u));
    const int shift = 12 - headroom + 31 - 8;
    for (int32_t c = 0; c < softmax->classes; c++) {
        const int32_t share = exps[c] < 0 ? 0 : kws_divide_by_power(kws_doubling_high(scale, exps[c]), shift);
        out[c] = kws_clamp(share - 128, -128, 127);
    }
}
