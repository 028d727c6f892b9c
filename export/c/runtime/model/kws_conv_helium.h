/* kws_conv_s8 for Arm's Helium (Cortex-M52, M55, M85): four positions at a time.
 *
 * VMLADAV adds 16 int8 products into one accumulator. The accumulators of four positions, one channel, are the lanes of a
 * vector on their way to int8, so that a channel's constants are scalars. At most 16 taps: the four patches stay in
 * registers, zeros behind the last tap, and the weights have rows of 16. More: rows of K, and the loop over taps predicates
 * its own tail. A patch that lies in one piece in the input is read there; any other is gathered into scratch, which
 * holds 4 of at most 64 taps, 2 of more.
 */
#include "kws_conv.h"
#include "kws_core_helium.h"

#define KWS_POSITIONS 4

/* Four positions: their patches, and where their outputs lie behind the first's. */
typedef struct {
    const int8_t *patch[KWS_POSITIONS];
    uint32x4_t offsets;
} kws_positions;

/* The patch whose first tap is at (row, column) of the input, copied; the zero point outside. */
static inline void kws_gather(const kws_conv *conv, const int8_t *in, int32_t row, int32_t left, int8_t *patch) {
    const uint32_t channels = conv->in_c;
    for (int32_t ky = 0; ky < conv->kernel_h; ky++, row += conv->dilation_h) {
        int32_t column = left;
        for (int32_t kx = 0; kx < conv->kernel_w; kx++, column += conv->dilation_w, patch += channels) {
            const int8_t *from = in + (row * conv->in_w + column) * (int32_t)channels;
            const int inside = row >= 0 && row < conv->in_h && column >= 0 && column < conv->in_w;
            for (uint32_t c = 0; c < channels; c += 16) {
                const mve_pred16_t rest = vctp8q(channels - c);
                const int8x16_t value = inside ? vldrbq_z_s8(from + c, rest) : vdupq_n_s8(conv->zero_point);
                vstrbq_p_s8(patch + c, value, rest);
            }
        }
    }
}

/* Sums of weight * input of four patches over `taps`, a positive number of them. */
static inline int32x4_t kws_dot(const int8_t *weight, const int8_t *const patch[KWS_POSITIONS], uint32_t taps) {
    const int8_t *p0 = patch[0], *p1 = patch[1], *p2 = patch[2], *p3 = patch[3];
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    __asm__ volatile(
        "dlstp.8 lr, %[taps]\n"
        "1:\n\t"
        "vldrb.8 q0, [%[w]], #16\n\t"
        "vldrb.8 q1, [%[p0]], #16\n\t"
        "vmladava.s8 %[a0], q0, q1\n\t"
        "vldrb.8 q2, [%[p1]], #16\n\t"
        "vmladava.s8 %[a1], q0, q2\n\t"
        "vldrb.8 q1, [%[p2]], #16\n\t"
        "vmladava.s8 %[a2], q0, q1\n\t"
        "vldrb.8 q2, [%[p3]], #16\n\t"
        "vmladava.s8 %[a3], q0, q2\n\t"
        "letp lr, 1b\n\t"
        : [w] "+r"(weight), [p0] "+r"(p0), [p1] "+r"(p1), [p2] "+r"(p2), [p3] "+r"(p3), [a0] "+Te"(a0),
          [a1] "+Te"(a1), [a2] "+Te"(a2), [a3] "+Te"(a3)
        : [taps] "r"(taps)
        : "q0", "q1", "q2", "lr", "memory");
    return kws_lanes(a0, a1, a2, a3);
}

/* All channels at four positions. `form` and `narrow` are constants where this is inlined. */
static inline __attribute__((always_inline)) void kws_conv_positions(const kws_conv *conv, const kws_positions *at,
                                                                     uint32_t taps, int8_t *out, int form, int narrow) {
    const kws_output *const output = &conv->output;
    const int32_t *first = output->first, *multiplier = output->multiplier, *third = output->third;
    const int8_t *weight = conv->weights;
    const int32_t center = output->center - KWS_ROUNDED;
    const uint32x4_t offsets = at->offsets;
    const mve_pred16_t held = vctp8q(narrow ? taps : 0);
    const int8x16_t x0 = vldrbq_z_s8(at->patch[0], held), x1 = vldrbq_z_s8(at->patch[1], held);
    const int8x16_t x2 = vldrbq_z_s8(at->patch[2], held), x3 = vldrbq_z_s8(at->patch[3], held);
    for (int32_t c = 0; c < conv->out_c; c++) {
        int32x4_t acc;
        if (narrow) {
            const int8x16_t w = vldrbq_s8(weight);
            acc = kws_lanes(vmladavq_s8(x0, w), vmladavq_s8(x1, w), vmladavq_s8(x2, w), vmladavq_s8(x3, w));
            weight += 16;
        } else {
            acc = kws_dot(weight, at->patch, taps);
            weight += taps;
        }
        if (form <= KWS_LINE) {
            const int32_t correction = form == KWS_LINE ? *third++ : 0;
            acc = kws_requantize(acc, *first++, vdupq_n_s32(*multiplier++), correction, center, form);
        } else {
            acc = kws_round_lanes(acc, output, c);
        }
        vstrbq_scatter_offset_s32(out++, offsets, acc);
    }
}

static inline __attribute__((always_inline)) void kws_conv_form(const kws_conv *conv, const int8_t *in, int8_t *out,
                                                                int8_t *scratch, int form) {
    const uint32_t taps = (uint32_t)conv->kernel_h * conv->kernel_w * conv->in_c;
    const uint32_t slots = taps <= 64 ? KWS_POSITIONS : 2;
    const int32_t channels = conv->in_c, width = conv->out_w, total = conv->out_h * width;
    const int whole_rows = conv->kernel_h == 1 || (conv->in_w == conv->kernel_w && conv->dilation_h == 1);
    const int whole = whole_rows && (conv->kernel_w == 1 || conv->dilation_w == 1);
    const int32_t reach_h = (conv->kernel_h - 1) * conv->dilation_h, reach_w = (conv->kernel_w - 1) * conv->dilation_w;
    int32_t row = -conv->pad_top, column = -conv->pad_left, x = 0;
    for (int32_t done = 0; done < total;) {
        kws_positions at;
        uint32_t count = 0, gathered = 0;
        while (count < KWS_POSITIONS && done < total) {
            const int8_t *patch = in + (row * conv->in_w + column) * channels;
            if (!whole || row < 0 || row + reach_h >= conv->in_h || column < 0 || column + reach_w >= conv->in_w) {
                if (gathered == slots) {
                    break;
                }
                kws_gather(conv, in, row, column, scratch + gathered * taps);
                patch = scratch + gathered++ * taps;
            }
            at.patch[count++] = patch;
            done++;
            column += conv->stride_w;
            if (++x == width) {
                x = 0;
                column = -conv->pad_left;
                row += conv->stride_h;
            }
        }
        for (uint32_t i = count; i < KWS_POSITIONS; i++) {
            at.patch[i] = at.patch[count - 1]; /* computed again, stored at the same place */
        }
        at.offsets = vminq_u32(vidupq_n_u32(0, 1), vdupq_n_u32(count - 1));
        at.offsets = vmulq_n_u32(at.offsets, conv->out_c);
        if (taps <= 16) {
            kws_conv_positions(conv, &at, taps, out, form, 1);
        } else {
            kws_conv_positions(conv, &at, taps, out, form, 0);
        }
        out += count * conv->out_c;
    }
}

void kws_conv_s8(const kws_conv *conv, const int8_t *in, int8_t *out, kws_lane *patch) {
    if (conv->output.form == KWS_RISING) {
        kws_conv_form(conv, in, out, patch, KWS_RISING);
    } else if (conv->output.form == KWS_LINE) {
        kws_conv_form(conv, in, out, patch, KWS_LINE);
    } else {
        kws_conv_form(conv, in, out, patch, KWS_ROUND_TWICE);
    }
}
