/* SPDX-License-Identifier: Apache-2.0 */
/* kws_depthwise_s8's inner part for Arm's DSP extension: four neighbouring channels at once, for outputs that are a line. */
#include "kws_depthwise.h"

#define KWS_MOST_SEGMENTS 16 /* taps of a position in at most so many rows of neighbours; beyond, plain C */

/* Taps side by side: inside the input, or outside where every byte is the zero point. */
typedef struct {
    const int8_t *x;
    const int8_t *w;
    uint32_t advance; /* of x from a group of channels to the next: 4, outside 0 */
    uint32_t across;  /* of x from a tap to the next */
    uint32_t taps;
} kws_segment;

/* One position. The function keeps the order of the fields. */
typedef struct {
    kws_segment *segments; /* 0 */
    kws_segment *end;
    const int32_t *first; /* 8 */
    const int32_t *multiplier;
    const int32_t *third; /* 16 */
    int32_t center;
    int8_t *out; /* 24 */
    uint32_t groups;
    uint32_t channels; /* 32 */
} kws_groups;

#define KWS_GROUPS_BODY(correction)                                               \
    "push {r0, r1, r4-r11, lr}\n\t" /* [sp]: groups, [sp, #4]: the segments' end */ \
    "ldr r1, [r0, #4]\n\t"                                                        \
    "str r1, [sp, #4]\n\t"                                                        \
    "ldr r7, [r0, #32]\n\t"                                                       \
    "1: ldr r0, [sp]\n\t"                                                         \
    "ldr r11, [r0]\n\t"                                                           \
    "mov r2, #0\n\t"                                                              \
    "mov r3, #0\n\t"                                                              \
    "mov r12, #0\n\t"                                                             \
    "mov lr, #0\n\t"                                                              \
    "2: ldmia r11, {r0, r1, r4, r9, r10}\n\t"                                     \
    "add r4, r0, r4\n\t"                                                          \
    "add r5, r1, #4\n\t"                                                          \
    "strd r4, r5, [r11], #20\n\t"                                                 \
    "3: ldr r4, [r0]\n\t"                                                         \
    "ldr r5, [r1]\n\t"                                                            \
    "add r0, r0, r9\n\t"                                                          \
    "add r1, r1, r7\n\t"                                                          \
    "sxtb16 r6, r4\n\t"                                                           \
    "sxtb16 r8, r5\n\t"                                                           \
    "sxtb16 r4, r4, ror #8\n\t"                                                   \
    "sxtb16 r5, r5, ror #8\n\t"                                                   \
    "subs r10, r10, #1\n\t"                                                       \
    "smlabb r2, r6, r8, r2\n\t"                                                   \
    "smlatt r12, r6, r8, r12\n\t"                                                 \
    "smlabb r3, r4, r5, r3\n\t"                                                   \
    "smlatt lr, r4, r5, lr\n\t"                                                   \
    "bne 3b\n\t"                                                                  \
    "ldr r4, [sp, #4]\n\t"                                                        \
    "cmp r11, r4\n\t"                                                             \
    "bne 2b\n\t"                                                                  \
    "ldr r0, [sp]\n\t"                                                            \
    "ldrd r1, r10, [r0, #8]\n\t"                                                  \
    "ldmia r1!, {r4, r5, r6, r8}\n\t"                                             \
    "add r2, r4, r2, lsl #10\n\t"                                                 \
    "add r3, r5, r3, lsl #10\n\t"                                                 \
    "add r12, r6, r12, lsl #10\n\t"                                               \
    "add lr, r8, lr, lsl #10\n\t" correction                                      \
    "ldmia r10!, {r4, r5, r6, r8}\n\t"                                            \
    "strd r1, r10, [r0, #8]\n\t"                                                  \
    "ldrd r9, r10, [r0, #20]\n\t"                                                 \
    "smmla r2, r2, r4, r9\n\t"                                                    \
    "smmla r3, r3, r5, r9\n\t"                                                    \
    "smmla r12, r12, r6, r9\n\t"                                                  \
    "smmla lr, lr, r8, r9\n\t"                                                    \
    "ldr r4, [r0, #28]\n\t"                                                       \
    "ssat r2, #8, r2, asr #12\n\t"                                                \
    "ssat r3, #8, r3, asr #12\n\t"                                                \
    "ssat r12, #8, r12, asr #12\n\t"                                              \
    "ssat lr, #8, lr, asr #12\n\t"                                                \
    "subs r4, r4, #1\n\t"                                                         \
    "strb r2, [r10], #1\n\t"                                                      \
    "strb r3, [r10], #1\n\t"                                                      \
    "strb r12, [r10], #1\n\t"                                                     \
    "strb lr, [r10], #1\n\t"                                                      \
    "strd r10, r4, [r0, #24]\n\t"                                                 \
    "bne 1b\n\t"                                                                  \
    "pop {r0, r1, r4-r11, pc}\n\t"

/* u -= third where u is negative, for the group's four. */
#define KWS_GROUP_BELOW_ZERO            \
    "ldr r11, [r0, #16]\n\t"            \
    "ldmia r11!, {r4, r5, r6, r8}\n\t"  \
    "str r11, [r0, #16]\n\t"            \
    "and r4, r4, r2, asr #31\n\t"       \
    "and r5, r5, r3, asr #31\n\t"       \
    "and r6, r6, r12, asr #31\n\t"      \
    "and r8, r8, lr, asr #31\n\t"       \
    "sub r2, r2, r4\n\t"                \
    "sub r3, r3, r5\n\t"                \
    "sub r12, r12, r6\n\t"              \
    "sub lr, lr, r8\n\t"

static __attribute__((naked, noinline, unused)) void kws_groups_rising(kws_groups *groups __attribute__((unused))) {
    __asm__ volatile(KWS_GROUPS_BODY(""));
}

static __attribute__((naked, noinline, unused)) void kws_groups_line(kws_groups *groups __attribute__((unused))) {
    __asm__ volatile(KWS_GROUPS_BODY(KWS_GROUP_BELOW_ZERO));
}

/* How many of `taps` taps from `start`, `step` apart, lie before `limit`. */
static inline int32_t kws_before(int32_t start, int32_t step, int32_t taps, int32_t limit) {
    if (start >= limit) {
        return 0;
    }
    const int32_t count = (limit - 1 - start) / step + 1;
    return count < taps ? count : taps;
}

/* Channels 0 to 4 * groups - 1 at the position whose first tap is (top, left). */
static inline void kws_depthwise_groups(const kws_depthwise *layer, const int8_t *in, int32_t top, int32_t left,
                                        uint32_t groups, int8_t *out) {
    const kws_output *const output = &layer->output;
    const int32_t channels = layer->channels, width = layer->kernel_w, step = layer->dilation_w;
    const int32_t before = kws_before(left, step, width, 0), until = kws_before(left, step, width, layer->in_w);
    const int8_t outside[4] = {layer->zero_point, layer->zero_point, layer->zero_point, layer->zero_point};
    const uint32_t across = (uint32_t)(step * channels);
    const int8_t *weight = layer->weights;
    kws_segment segments[KWS_MOST_SEGMENTS], *segment = segments;
    int32_t row = top;
    for (int32_t ky = 0; ky < layer->kernel_h; ky++, row += layer->dilation_h, weight += width * channels) {
        const int row_inside = row >= 0 && row < layer->in_h;
        const int32_t first = row_inside ? before : width, last = row_inside ? until : width;
        if (first) {
            *segment++ = (kws_segment){outside, weight, 0, 0, (uint32_t)first};
        }
        if (last > first) {
            const int8_t *from = in + (row * layer->in_w + left + first * step) * channels;
            *segment++ = (kws_segment){from, weight + first * channels, 4, across, (uint32_t)(last - first)};
        }
        if (width > last) {
            *segment++ = (kws_segment){outside, weight + last * channels, 0, 0, (uint32_t)(width - last)};
        }
    }
    kws_groups state = {segments, segment, output->first, output->multiplier, output->third, output->center, out,
                        groups, (uint32_t)channels};
    if (output->form == KWS_RISING) {
        kws_groups_rising(&state);
    } else {
        kws_groups_line(&state);
    }
}

/* Whether a position of this layer is served. */
static inline int kws_depthwise_fits(const kws_depthwise *layer) {
    return layer->output.form <= KWS_LINE && layer->channels >= 4 && 3 * layer->kernel_h <= KWS_MOST_SEGMENTS;
}
