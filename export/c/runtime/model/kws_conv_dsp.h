/* kws_conv_s8's inner part for Arm's DSP extension (Cortex-M4, M7, M33). */
#include "kws_conv.h"

static inline int kws_is_line(const kws_output *output) { return output->form <= KWS_LINE; }

/* n int8 -> int16 lanes in order: times 2^8 for a line, as they are otherwise. */
static inline void kws_fill_lanes(const int8_t *from, kws_lane *to, uint32_t n, const kws_output *output) {
    const int line = kws_is_line(output);
    for (; n >= 4; n -= 4, from += 4, to += 4) {
        uint32_t bytes, even, odd, low, high;
        memcpy(&bytes, from, 4);
        if (line) {
            even = (bytes << 8) & 0xff00ff00u;
            odd = bytes & 0xff00ff00u;
        } else {
            __asm__("sxtb16 %0, %1" : "=r"(even) : "r"(bytes));
            __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(bytes));
        }
        __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(low) : "r"(even), "r"(odd));
        __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(high) : "r"(odd), "r"(even));
        memcpy(to, &low, 4);
        memcpy(to + 2, &high, 4);
    }
    for (; n; n--) {
        *to++ = (kws_lane)(line ? *from * 256 : *from);
        from++;
    }
}

static inline kws_lane kws_lane_of(int8_t value, const kws_output *output) {
    return (kws_lane)(kws_is_line(output) ? value * 256 : value);
}

/* Four channels at one position: acc[i] += sum of weight * lane over [patch, end), a multiple of 4 lanes. Returns the
 * weights behind the tile. 13 instructions for 16 products. */
static __attribute__((noinline)) const int32_t *kws_tile(const int32_t *weights, const kws_lane *patch,
                                                         const kws_lane *end, int32_t acc[4]) {
    int32_t a0 = acc[0], a1 = acc[1], a2 = acc[2], a3 = acc[3];
    __asm__ volatile(
        "1:\n\t"
        "ldrd r4, r5, [%[x]], #8\n\t"
        "ldmia %[w]!, {r6, r8, r9, r10}\n\t"
        "smlad %[a0], r4, r6, %[a0]\n\t"
        "smlad %[a1], r4, r8, %[a1]\n\t"
        "smlad %[a2], r4, r9, %[a2]\n\t"
        "smlad %[a3], r4, r10, %[a3]\n\t"
        "ldmia %[w]!, {r6, r8, r9, r10}\n\t"
        "cmp %[x], %[end]\n\t"
        "smlad %[a0], r5, r6, %[a0]\n\t"
        "smlad %[a1], r5, r8, %[a1]\n\t"
        "smlad %[a2], r5, r9, %[a2]\n\t"
        "smlad %[a3], r5, r10, %[a3]\n\t"
        "bne 1b\n\t"
        : [x] "+r"(patch), [w] "+r"(weights), [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3)
        : [end] "r"(end)
        : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");
    acc[0] = a0;
    acc[1] = a1;
    acc[2] = a2;
    acc[3] = a3;
    return weights;
}

/* All channels at one position. */
static inline void kws_conv_position(const kws_conv *conv, const kws_lane *patch, uint32_t length, int8_t *out) {
    const kws_output *const output = &conv->output;
    const kws_lane *const end = patch + length;
    const int32_t *weights = conv->weights;
    const int32_t channels = conv->out_c, center = output->center;
    for (int32_t c = 0; c < channels; c += 4) {
        const int32_t *const first = output->first + c, *const multiplier = output->multiplier + c;
        int32_t acc[4] = {0, 0, 0, 0};
        int8_t q[4];
        if (kws_is_line(output)) {
            acc[0] = first[0];
            acc[1] = first[1];
            acc[2] = first[2];
            acc[3] = first[3];
        }
        weights = kws_tile(weights, patch, end, acc);
        if (output->form == KWS_RISING) {
            q[0] = kws_rising(acc[0], multiplier[0], center);
            q[1] = kws_rising(acc[1], multiplier[1], center);
            q[2] = kws_rising(acc[2], multiplier[2], center);
            q[3] = kws_rising(acc[3], multiplier[3], center);
        } else if (output->form == KWS_LINE) {
            const int32_t *const third = output->third + c;
            q[0] = kws_line(acc[0], multiplier[0], third[0], center);
            q[1] = kws_line(acc[1], multiplier[1], third[1], center);
            q[2] = kws_line(acc[2], multiplier[2], third[2], center);
            q[3] = kws_line(acc[3], multiplier[3], third[3], center);
        } else {
            for (int32_t i = 0; i < 4; i++) {
                q[i] = kws_round(acc[i], output, c + i);
            }
        }
        *out++ = q[0];
        if (channels - c >= 4) {
            *out++ = q[1];
            *out++ = q[2];
            *out++ = q[3];
        } else {
            for (int32_t i = 1; i < channels - c; i++) {
                *out++ = q[i];
            }
        }
    }
}
