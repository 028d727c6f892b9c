/* SPDX-License-Identifier: Apache-2.0 */
/* kws_conv_s8 for Arm's Helium (Cortex-M52, M55, M85).
 *
 * VMLADAV adds 16 int8 products into one accumulator. Four accumulators go to int8 as the lanes of a vector: those of four
 * positions, one channel, or, where a position is alone, of four channels. At most 16 taps: weights have rows of 16, zeros
 * behind the last tap. More: rows of K, and the loop over taps predicates its own tail.
 *
 * A patch that lies in one piece in the input is read there; any other is gathered into scratch, which holds 4 of at most
 * 64 taps, 2 of more.
 */
#include "kws_conv.h"
#include "kws_core_helium.h"

enum { KWS_POSITIONS = 4, KWS_NARROW = 16 };

/* Sums of product of one row of `taps` int8, a positive number of them, with each of four. */
static inline int32x4_t kws_dot(const int8_t *one, const int8_t *const four[4], uint32_t taps) {
    const int8_t *p0 = four[0], *p1 = four[1], *p2 = four[2], *p3 = four[3];
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    __asm__ volatile(
        "dlstp.8 lr, %[taps]\n"
        "1:\n\t"
        "vldrb.8 q0, [%[one]], #16\n\t"
        "vldrb.8 q1, [%[p0]], #16\n\t"
        "vmladava.s8 %[a0], q0, q1\n\t"
        "vldrb.8 q2, [%[p1]], #16\n\t"
        "vmladava.s8 %[a1], q0, q2\n\t"
        "vldrb.8 q1, [%[p2]], #16\n\t"
        "vmladava.s8 %[a2], q0, q1\n\t"
        "vldrb.8 q2, [%[p3]], #16\n\t"
        "vmladava.s8 %[a3], q0, q2\n\t"
        "letp lr, 1b\n\t"
        : [one] "+r"(one), [p0] "+r"(p0), [p1] "+r"(p1), [p2] "+r"(p2), [p3] "+r"(p3), [a0] "+Te"(a0), [a1] "+Te"(a1),
          [a2] "+Te"(a2), [a3] "+Te"(a3)
        : [taps] "r"(taps)
        : "q0", "q1", "q2", "lr", "memory");
    return kws_lanes(a0, a1, a2, a3);
}

/* All channels at one position, four at a time. `form` is a constant where this is inlined, as below. */
static inline __attribute__((always_inline)) void kws_conv_channels(const kws_conv *conv, const int8_t *patch, uint32_t taps,
                                                                    int8_t *out, int form) {
    const kws_output *const output = &conv->output;
    const uint32_t pitch = taps <= KWS_NARROW ? KWS_NARROW : taps, channels = conv->out_c;
    const int32_t center = output->center - KWS_ROUNDED;
    for (uint32_t c = 0; c < channels; c += 4) {
        const int8_t *rows[4];
        for (uint32_t i = 0; i < 4; i++) {
            rows[i] = conv->weights + (c + i < channels ? c + i : channels - 1) * pitch;
        }
        int32x4_t acc = kws_dot(patch, rows, taps);
        if (form <= KWS_LINE) {
            int32x4_t u = vaddq_s32(vshlq_n_s32(acc, 10), vld1q_s32(output->first + c));
            if (form == KWS_LINE) {
                u = kws_subtract_below_zero(u, vld1q_s32(output->third + c));
            }
            acc = kws_saturate_lines(vaddq_n_s32(vmulhq_s32(u, vld1q_s32(output->multiplier + c)), center));
        } else if (output->form == KWS_ROUND_TWICE) {
            acc = kws_round_twice(vaddq_s32(acc, vld1q_s32(output->first + c)), vld1q_s32(output->multiplier + c),
                                  vld1q_s32(output->third + c), output);
        } else {
            acc = kws_round_lanes(acc, output, (int32_t)c, 1);
        }
        vstrbq_p_s32(out + c, acc, vctp32q(channels - c));
    }
}

/* All channels at four positions, whose outputs lie at `offsets`. */
static inline __attribute__((always_inline)) void kws_conv_positions(const kws_conv *conv, const int8_t *const patches[4],
                                                                     uint32x4_t offsets, uint32_t taps, int8_t *out,
                                                                     int form) {
    const kws_output *const output = &conv->output;
    const int32_t *first = output->first, *multiplier = output->multiplier, *third = output->third;
    const uint32_t pitch = taps <= KWS_NARROW ? KWS_NARROW : taps;
    const int8_t *weight = conv->weights;
    const int32_t center = output->center - KWS_ROUNDED;
    for (uint32_t channels = conv->out_c, c = 0; c < channels; c++, weight += pitch) {
        int32x4_t acc = kws_dot(weight, patches, taps);
        if (form <= KWS_LINE) {
            const int32_t correction = form == KWS_LINE ? third[c] : 0;
            acc = kws_requantize(acc, first[c], vdupq_n_s32(multiplier[c]), correction, center, form);
        } else if (output->form == KWS_ROUND_TWICE) {
            acc = kws_round_twice(vaddq_n_s32(acc, first[c]), vdupq_n_s32(multiplier[c]), vdupq_n_s32(third[c]), output);
        } else {
            acc = kws_round_lanes(acc, output, (int32_t)c, 0);
        }
        vstrbq_scatter_offset_s32(out + c, offsets, acc);
    }
}

/* n bytes copied, or set to a value; returns their end. */
static inline int8_t *kws_copy(int8_t *to, const int8_t *from, uint32_t n) {
    int8_t *const end = to + n;
    __asm__ volatile(
        "wlstp.8 lr, %[n], 2f\n"
        "1:\n\t"
        "vldrb.8 q0, [%[from]], #16\n\t"
        "vstrb.8 q0, [%[to]], #16\n\t"
        "letp lr, 1b\n"
        "2:\n\t"
        : [from] "+r"(from), [to] "+r"(to)
        : [n] "r"(n)
        : "q0", "lr", "memory");
    return end;
}

static inline int8_t *kws_fill(int8_t *to, int8x16_t value, uint32_t n) {
    int8_t *const end = to + n;
    __asm__ volatile(
        "wlstp.8 lr, %[n], 2f\n"
        "1:\n\t"
        "vstrb.8 %q[value], [%[to]], #16\n\t"
        "letp lr, 1b\n"
        "2:\n\t"
        : [to] "+r"(to)
        : [n] "r"(n), [value] "w"(value)
        : "lr", "memory");
    return end;
}

/* The patch whose first tap is at (row, left) of the input, copied; the zero point outside. */
static inline void kws_gather(const kws_conv *conv, const int8_t *in, int32_t row, int32_t left, int8_t *patch) {
    const int32_t channels = conv->in_c, taps = conv->kernel_w, width = conv->in_w, dilation = conv->dilation_w;
    const int8x16_t empty = vdupq_n_s8(conv->zero_point);
    const int32_t before = left < 0 ? (-left < taps ? -left : taps) : 0; /* of undilated taps, those left of the input */
    const int32_t until = width - left < taps ? (width > left ? width - left : 0) : taps;
    for (int32_t ky = 0; ky < conv->kernel_h; ky++, row += conv->dilation_h) {
        const int8_t *const from = in + (row * width + left) * channels;
        if (row < 0 || row >= conv->in_h) {
            patch = kws_fill(patch, empty, (uint32_t)(taps * channels));
        } else if (dilation == 1) {
            if (before) {
                patch = kws_fill(patch, empty, (uint32_t)(before * channels));
            }
            patch = kws_copy(patch, from + before * channels, (uint32_t)((until - before) * channels));
            if (until < taps) {
                patch = kws_fill(patch, empty, (uint32_t)((taps - until) * channels));
            }
        } else {
            for (int32_t kx = 0, column = left; kx < taps; kx++, column += dilation) {
                const int inside = column >= 0 && column < width;
                patch = inside ? kws_copy(patch, from + (column - left) * channels, (uint32_t)channels)
                               : kws_fill(patch, empty, (uint32_t)channels);
            }
        }
    }
}

static inline __attribute__((always_inline)) void kws_conv_form(const kws_conv *conv, const int8_t *in, int8_t *out,
                                                                int8_t *scratch, int form) {
    const uint32_t taps = (uint32_t)conv->kernel_h * conv->kernel_w * conv->in_c;
    const uint32_t slots = taps <= 64 ? KWS_POSITIONS : 2;
    const int32_t channels = conv->in_c, width = conv->out_w, total = conv->out_h * width;
    const int32_t reach_h = (conv->kernel_h - 1) * conv->dilation_h, reach_w = (conv->kernel_w - 1) * conv->dilation_w;
    int32_t row = -conv->pad_top, column = -conv->pad_left, x = 0;
    for (int32_t done = 0; done < total;) {
        const int8_t *patches[KWS_POSITIONS];
        uint32_t count = 0, gathered = 0;
        while (count < KWS_POSITIONS && done < total) {
            const int inside = row >= 0 && row + reach_h < conv->in_h && column >= 0 && column + reach_w < conv->in_w;
            const int8_t *patch = in + (row * conv->in_w + column) * channels;
            if (!conv->one_piece || !inside) {
                if (gathered == slots) {
                    break;
                }
                patch = scratch + gathered++ * taps;
                kws_gather(conv, in, row, column, scratch + (gathered - 1) * taps);
            }
            patches[count++] = patch;
            done++;
            column += conv->stride_w;
            if (++x == width) {
                x = 0;
                column = -conv->pad_left;
                row += conv->stride_h;
            }
        }
        if (count == 1) {
            kws_conv_channels(conv, patches[0], taps, out, form);
        } else {
            uint32x4_t offsets = vminq_u32(vidupq_n_u32(0, 1), vdupq_n_u32(count - 1));
            for (uint32_t i = count; i < KWS_POSITIONS; i++) {
                patches[i] = patches[count - 1]; /* computed again, stored at the same place */
            }
            offsets = vmulq_n_u32(offsets, conv->out_c);
            kws_conv_positions(conv, (const int8_t *const *)patches, offsets, taps, out, form);
        }
        out += count * conv->out_c;
    }
}

#if KWS_MANY_REGISTERS
/* Two channels an iteration at four positions, whose patches are held in registers: 8 outputs of 16 taps each. */
#define KWS_NARROW_DOT(sums)                          \
    "vldrb.8 q4, [%[w]], #16\n\t"                     \
    "vmladav.s8 %[a0], %q[x0], q4\n\t"                \
    "vmladav.s8 %[a1], %q[x1], q4\n\t"                \
    "vmladav.s8 %[a2], %q[x2], q4\n\t"                \
    "vmladav.s8 %[a3], %q[x3], q4\n\t"                \
    "vmov " sums "[2], " sums "[0], %[a0], %[a2]\n\t" \
    "vmov " sums "[3], " sums "[1], %[a1], %[a3]\n\t"
#define KWS_NARROW_BELOW_ZERO          \
    "ldrd %[a0], %[a1], [%[third]], #8\n\t" \
    "vpt.s32 lt, q5, zr\n\t"           \
    "vsubt.i32 q5, q5, %[a0]\n\t"      \
    "vpt.s32 lt, q6, zr\n\t"           \
    "vsubt.i32 q6, q6, %[a1]\n\t"
#define KWS_NARROW_LOOP(correction)                                                                                  \
    __asm__ volatile("dls lr, lr\n1:\n\t" KWS_NARROW_DOT("q5") KWS_NARROW_DOT("q6")                                \
                     "ldrd %[a0], %[a1], [%[first]], #8\n\t"                                                         \
                     "vmlas.s32 q5, %q[scale], %[a0]\n\t"                                                                   \
                     "vmlas.s32 q6, %q[scale], %[a1]\n\t" correction                                                        \
                     "ldrd %[a0], %[a1], [%[multiplier]], #8\n\t"                                                    \
                     "vdup.32 q4, %[a0]\n\t"                                                                         \
                     "vmulh.s32 q5, q5, q4\n\t"                                                                      \
                     "vdup.32 q4, %[a1]\n\t"                                                                         \
                     "vmulh.s32 q6, q6, q4\n\t"                                                                      \
                     "vldrh.16 q4, [%[offsets]]\n\t"                                                                 \
                     "vqrshrnb.s32 q5, q5, #12\n\t"                                                                  \
                     "vqrshrnt.s32 q5, q6, #12\n\t"                                                                  \
                     "vldrh.16 q6, [%[offsets], #16]\n\t"                                                           \
                     "vqadd.s16 q5, q5, q6\n\t"                                                                     \
                     "vqmovnb.s16 q5, q5\n\t"                                                                        \
                     "vstrb.16 q5, [%[out], q4]\n\t"                                                                 \
                     "adds %[out], %[out], #2\n\t"                                                                   \
                     "le lr, 1b\n\t"                                                                                 \
                     : [w] "+r"(weight), [out] "+l"(out), [first] "+r"(first), [multiplier] "+r"(multiplier),        \
                       [third] "+r"(third), [n] "+r"(n), [a0] "=&Te"(a0), [a1] "=&Te"(a1), [a2] "=&Te"(a2),          \
                       [a3] "=&Te"(a3)                                                                               \
                     : [scale] "w"(vdupq_n_s32(1 << 10)), [x0] "w"(x0), [x1] "w"(x1), [x2] "w"(x2), [x3] "w"(x3),                       \
                       [offsets] "r"(offsets)                                                                        \
                     : "q4", "q5", "q6", "p0", "cc", "memory")

typedef struct {
    const int8_t *weight;
    const int32_t *first, *multiplier, *third;
    const uint16_t *offsets; /* 8 of two channels, four positions: lane 2 i + j is channel j at position i; then 8 times the
                              * output's zero point */
} kws_narrow;

static inline __attribute__((always_inline)) void kws_narrow_pairs(const kws_narrow *at, int8x16_t x0, int8x16_t x1,
                                                                   int8x16_t x2, int8x16_t x3, int32_t channel,
                                                                   uint32_t pairs, int8_t *out, int form) {
    const int8_t *weight = at->weight + channel * KWS_NARROW;
    const int32_t *first = at->first + channel, *multiplier = at->multiplier + channel;
    const int32_t *third = form == KWS_LINE ? at->third + channel : first;
    const uint16_t *const offsets = at->offsets;
    register uint32_t n __asm__("lr") = pairs;
    int32_t a0, a1, a2, a3;
    out += channel;
    if (form == KWS_LINE) {
        KWS_NARROW_LOOP(KWS_NARROW_BELOW_ZERO);
    } else {
        KWS_NARROW_LOOP("");
    }
}

/* A line's layer of at most 16 taps, at least 4 positions, each `step` bytes of the input behind the one before, and at
 * least 2 channels. What is left of a tile of 4 positions or 2 channels is computed with a part of its neighbour again. */
static inline __attribute__((always_inline)) void kws_conv_narrow(const kws_conv *conv, const int8_t *in, int8_t *out,
                                                                  uint32_t taps, uint32_t step, int form) {
    static const uint16_t position[8] = {0, 0, 1, 1, 2, 2, 3, 3};
    const uint32_t total = (uint32_t)conv->out_h * conv->out_w;
    const int32_t channels = conv->out_c;
    const mve_pred16_t some = vctp8q(taps);
    const kws_output *const output = &conv->output;
    uint16_t offsets[16];
    const kws_narrow at = {conv->weights, output->first, output->multiplier, output->third, offsets};
    const uint16x8_t odd = vandq_u16(vidupq_n_u16(0, 1), vdupq_n_u16(1));
    vst1q_u16(offsets, vaddq_u16(vmulq_n_u16(vld1q_u16(position), conv->out_c), odd));
    vst1q_u16(offsets + 8, vdupq_n_u16((uint16_t)output->zero_point));
    for (uint32_t done = 0; done < total; done += KWS_POSITIONS) {
        const uint32_t p = total - done < KWS_POSITIONS ? total - KWS_POSITIONS : done;
        const int8_t *const from = in + p * step;
        int8_t *const to = out + p * (uint32_t)channels;
        const int8x16_t x0 = vldrbq_z_s8(from, some), x1 = vldrbq_z_s8(from + step, some);
        const int8x16_t x2 = vldrbq_z_s8(from + 2 * step, some), x3 = vldrbq_z_s8(from + 3 * step, some);
        kws_narrow_pairs(&at, x0, x1, x2, x3, 0, (uint32_t)channels / 2, to, form);
        if (channels & 1) {
            kws_narrow_pairs(&at, x0, x1, x2, x3, channels - 2, 1, to, form);
        }
    }
}
#else
#define kws_conv_narrow(conv, in, out, taps, step, form) ((void)(step))
#endif

void kws_conv_s8(const kws_conv *conv, const int8_t *in, int8_t *out, kws_lane *patch) {
    const uint32_t taps = (uint32_t)conv->kernel_h * conv->kernel_w * conv->in_c;
    const uint32_t across = (uint32_t)conv->stride_w * conv->in_c, down = (uint32_t)conv->stride_h * conv->in_w * conv->in_c;
    const int even = conv->out_h == 1 || conv->out_w == 1 || across * conv->out_w == down;
    const uint32_t step = conv->out_w == 1 ? down : across;
    const int narrow = KWS_MANY_REGISTERS && taps <= KWS_NARROW && conv->contiguous && even && conv->out_c >= 2 && conv->out_c <= 16384 &&
                       (uint32_t)conv->out_h * conv->out_w >= KWS_POSITIONS;
    if (conv->output.form == KWS_RISING) {
        if (narrow) {
            kws_conv_narrow(conv, in, out, taps, step, KWS_RISING);
        } else {
            kws_conv_form(conv, in, out, patch, KWS_RISING);
        }
    } else if (conv->output.form == KWS_LINE) {
        if (narrow) {
            kws_conv_narrow(conv, in, out, taps, step, KWS_LINE);
        } else {
            kws_conv_form(conv, in, out, patch, KWS_LINE);
        }
    } else {
        kws_conv_form(conv, in, out, patch, KWS_ROUND_TWICE);
    }
}
