/* SPDX-License-Identifier: Apache-2.0 */
/* kws_conv_s8's inner part for Arm's DSP extension (Cortex-M4, M7, M33). */
#include "kws_conv.h"

static inline int kws_is_line(const kws_output *output) { return output->form <= KWS_LINE; }

/* Bytes 0 to 3 of two words of halves, (0, 2) and (1, 3), to lanes in order. */
static inline void kws_store_lanes(uint32_t even, uint32_t odd, kws_lane *to) {
    uint32_t low, high;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(low) : "r"(even), "r"(odd));
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(high) : "r"(odd), "r"(even));
    memcpy(to, &low, 4);
    memcpy(to + 2, &high, 4);
}

/* n int8 -> int16 lanes in order: times 2^8 for a line, as they are otherwise. */
static inline void kws_fill_lanes(const int8_t *from, kws_lane *to, uint32_t n, const kws_output *output) {
    const int line = kws_is_line(output);
    const int8_t *const fours = from + (n & ~3u), *const end = from + n;
    if (line) {
        for (; from != fours; from += 4, to += 4) {
            uint32_t bytes;
            memcpy(&bytes, from, 4);
            kws_store_lanes((bytes << 8) & 0xff00ff00u, bytes & 0xff00ff00u, to);
        }
    } else {
        for (; from != fours; from += 4, to += 4) {
            uint32_t bytes, even, odd;
            memcpy(&bytes, from, 4);
            __asm__("sxtb16 %0, %1" : "=r"(even) : "r"(bytes));
            __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(bytes));
            kws_store_lanes(even, odd, to);
        }
    }
    while (from != end) {
        *to++ = (kws_lane)(line ? *from * 256 : *from);
        from++;
    }
}

static inline kws_lane kws_lane_of(int8_t value, const kws_output *output) {
    return (kws_lane)(kws_is_line(output) ? value * 256 : value);
}

/* Four channels at one position: acc[i] += sum of weight * lane over [patch, end), a multiple of 4 lanes. Returns the
 * weights behind the tile. 13 instructions for 16 products. */
static __attribute__((naked, noinline)) const int32_t *kws_tile(const int32_t *weights __attribute__((unused)),
                                                               const kws_lane *patch __attribute__((unused)),
                                                               const kws_lane *end __attribute__((unused)),
                                                               int32_t acc[4] __attribute__((unused))) {
    __asm__ volatile(
        "push {r4-r11, lr}\n\t"
        "mov r7, r3\n\t"
        "ldmia r7, {r3, r11, r12, lr}\n\t"
        "1: ldrd r4, r5, [r1], #8\n\t"
        "ldmia r0!, {r6, r8, r9, r10}\n\t"
        "smlad r3, r4, r6, r3\n\t"
        "smlad r11, r4, r8, r11\n\t"
        "smlad r12, r4, r9, r12\n\t"
        "smlad lr, r4, r10, lr\n\t"
        "ldmia r0!, {r6, r8, r9, r10}\n\t"
        "cmp r1, r2\n\t"
        "smlad r3, r5, r6, r3\n\t"
        "smlad r11, r5, r8, r11\n\t"
        "smlad r12, r5, r9, r12\n\t"
        "smlad lr, r5, r10, lr\n\t"
        "bne 1b\n\t"
        "stmia r7, {r3, r11, r12, lr}\n\t"
        "pop {r4-r11, pc}\n\t");
}

/* The whole tiles of a position whose output is a line, in one go. Everything but the two patch registers lives here; the
 * function keeps the order of the fields. */
typedef struct {
    const kws_lane *patch; /* 0 */
    const int32_t *first;  /* 4 */
    const int32_t *multiplier;
    const int32_t *third; /* 12 */
    int32_t center;
    int8_t *out; /* 20 */
    uint32_t tiles;
    const int32_t *weights; /* 28 */
    const kws_lane *end;
} kws_tiles;

#define KWS_TILES_BODY(correction)                                                     \
    "push {r4-r11, lr}\n\t"                                                            \
    "mov r7, r0\n\t"                                                                   \
    "ldrd r1, r11, [r7, #28]\n\t"                                                      \
    "1: ldrd r0, r4, [r7]\n\t"                                                         \
    "ldmia r4!, {r2, r3, r12, lr}\n\t"                                                 \
    "str r4, [r7, #4]\n\t"                                                             \
    "2: ldrd r4, r5, [r0], #8\n\t"                                                     \
    "ldmia r1!, {r6, r8, r9, r10}\n\t"                                                 \
    "smlad r2, r4, r6, r2\n\t"                                                         \
    "smlad r3, r4, r8, r3\n\t"                                                         \
    "smlad r12, r4, r9, r12\n\t"                                                       \
    "smlad lr, r4, r10, lr\n\t"                                                        \
    "ldmia r1!, {r6, r8, r9, r10}\n\t"                                                 \
    "cmp r0, r11\n\t"                                                                  \
    "smlad r2, r5, r6, r2\n\t"                                                         \
    "smlad r3, r5, r8, r3\n\t"                                                         \
    "smlad r12, r5, r9, r12\n\t"                                                       \
    "smlad lr, r5, r10, lr\n\t"                                                        \
    "bne 2b\n\t" correction                                                            \
    "ldr r4, [r7, #8]\n\t"                                                             \
    "ldmia r4!, {r5, r6, r8, r9}\n\t"                                                  \
    "ldr r10, [r7, #16]\n\t"                                                           \
    "str r4, [r7, #8]\n\t"                                                             \
    "smmla r2, r2, r5, r10\n\t"                                                        \
    "smmla r3, r3, r6, r10\n\t"                                                        \
    "smmla r12, r12, r8, r10\n\t"                                                      \
    "smmla lr, lr, r9, r10\n\t"                                                        \
    "ldrd r4, r5, [r7, #20]\n\t"                                                       \
    "ssat r2, #8, r2, asr #12\n\t"                                                     \
    "ssat r3, #8, r3, asr #12\n\t"                                                     \
    "ssat r12, #8, r12, asr #12\n\t"                                                   \
    "ssat lr, #8, lr, asr #12\n\t"                                                     \
    "subs r5, r5, #1\n\t"                                                              \
    "strb r2, [r4], #1\n\t"                                                            \
    "strb r3, [r4], #1\n\t"                                                            \
    "strb r12, [r4], #1\n\t"                                                           \
    "strb lr, [r4], #1\n\t"                                                            \
    "strd r4, r5, [r7, #20]\n\t"                                                       \
    "bne 1b\n\t"                                                                       \
    "str r1, [r7, #28]\n\t"                                                            \
    "pop {r4-r11, pc}\n\t"

/* u -= third where u is negative, for the tile's four. */
#define KWS_BELOW_ZERO              \
    "ldr r4, [r7, #12]\n\t"         \
    "ldmia r4!, {r5, r6, r8, r9}\n\t" \
    "str r4, [r7, #12]\n\t"         \
    "and r5, r5, r2, asr #31\n\t"   \
    "and r6, r6, r3, asr #31\n\t"   \
    "and r8, r8, r12, asr #31\n\t"  \
    "and r9, r9, lr, asr #31\n\t"   \
    "sub r2, r2, r5\n\t"            \
    "sub r3, r3, r6\n\t"            \
    "sub r12, r12, r8\n\t"          \
    "sub lr, lr, r9\n\t"

static __attribute__((naked, noinline, unused)) void kws_tiles_rising(kws_tiles *tiles __attribute__((unused))) {
    __asm__ volatile(KWS_TILES_BODY(""));
}

static __attribute__((naked, noinline, unused)) void kws_tiles_line(kws_tiles *tiles __attribute__((unused))) {
    __asm__ volatile(KWS_TILES_BODY(KWS_BELOW_ZERO));
}

/* All channels at one position. `room`: bytes from `out` to the output's end. A last tile of fewer than four channels writes
 * over the next position's first outputs, which come later, where there is room for it. */
static inline void kws_conv_position(const kws_conv *conv, const kws_lane *patch, uint32_t length, int8_t *out,
                                     uint32_t room) {
    const kws_output *const output = &conv->output;
    const kws_lane *const end = patch + length;
    const int32_t *weights = conv->weights;
    const int32_t channels = conv->out_c;
    const uint32_t all = ((uint32_t)channels + 3) / 4, whole = room >= 4 * all ? all : (uint32_t)channels / 4;
    int32_t c = 0;
    if (kws_is_line(output) && whole) {
        kws_tiles tiles = {patch, output->first, output->multiplier, output->third, output->center, out, whole, weights,
                           end};
        if (output->form == KWS_RISING) {
            kws_tiles_rising(&tiles);
        } else {
            kws_tiles_line(&tiles);
        }
        weights = tiles.weights;
        c = (int32_t)(4 * whole);
    }
    for (; c < channels; c += 4) {
        int32_t acc[4] = {0, 0, 0, 0};
        weights = kws_tile(weights, patch, end, acc);
        for (int32_t i = 0; i < 4 && c + i < channels; i++) {
            if (output->form == KWS_RISING) {
                out[c + i] = kws_rising(acc[i] + output->first[c + i], output->multiplier[c + i], output->center);
            } else if (output->form == KWS_LINE) {
                out[c + i] = kws_line(acc[i] + output->first[c + i], output->multiplier[c + i], output->third[c + i],
                                      output->center);
            } else {
                out[c + i] = kws_round(acc[i], output, c + i);
            }
        }
    }
}
