/* SPDX-License-Identifier: Apache-2.0 */
/* kws_depthwise_s8 for Arm's Helium: along time one channel at a time, elsewhere 16 channels at a time. */
#include "kws_core_helium.h"
#include "kws_depthwise.h"

enum {
    KWS_COLUMN_TAPS = 16,   /* lanes of a vector */
    KWS_COLUMN_OUTPUTS = 8, /* of an iteration */
    KWS_COLUMN_BYTES = 192  /* of a channel's inputs, on the stack */
};

/* A channel of a layer along time: its inputs in a row, its constants. */
typedef struct {
    const int8_t *inputs;
    int8_t *out;
    uint32_t stride; /* bytes from an output's first input to the next one's */
    uint32_t pitch;  /* bytes from an output to the next one */
    int32_t first, third;
    int16x8_t zero_point; /* of the output */
    int8x16_t weights;
    int32x4_t multiplier;
    uint16x8_t offsets; /* of outputs 0, 4, 1, 5, 2, 6, 3, 7 behind the first of an iteration */
} kws_column;

#if KWS_MANY_REGISTERS
/* Eight outputs an iteration; then, where `back` is not 0, one more iteration so many outputs back: a rest of less than
 * eight, and some that were there. FIRST and NEXT load an output's inputs. */
#define KWS_COLUMN_NEAR_FIRST(q) "vldrb.8 " q ", [%[in]], #8\n\t"
#define KWS_COLUMN_NEAR_NEXT(q, at) "vldrb.8 " q ", [%[in], #-" at "]\n\t"
#define KWS_COLUMN_FAR_FIRST(q) "vldrb.8 " q ", [%[in]]\n\tadd %[in], %[in], %[stride]\n\t"
#define KWS_COLUMN_FAR_NEXT(q, at) KWS_COLUMN_FAR_FIRST(q)
#define KWS_COLUMN_DOT(FIRST, NEXT)         \
    FIRST("q0")                             \
    NEXT("q1", "7")                         \
    "vmladav.s8 %[a0], q0, %q[w]\n\t"       \
    NEXT("q0", "6")                         \
    "vmladav.s8 %[a1], q1, %q[w]\n\t"       \
    NEXT("q1", "5")                         \
    "vmladav.s8 %[a2], q0, %q[w]\n\t"       \
    NEXT("q0", "4")                         \
    "vmladav.s8 %[a3], q1, %q[w]\n\t"       \
    "vmov q2[2], q2[0], %[a0], %[a2]\n\t"   \
    "vmov q2[3], q2[1], %[a1], %[a3]\n\t"   \
    NEXT("q1", "3")                         \
    "vmladav.s8 %[a0], q0, %q[w]\n\t"       \
    NEXT("q0", "2")                         \
    "vmladav.s8 %[a1], q1, %q[w]\n\t"       \
    NEXT("q1", "1")                         \
    "vmladav.s8 %[a2], q0, %q[w]\n\t"       \
    "vmladav.s8 %[a3], q1, %q[w]\n\t"       \
    "vmov q0[2], q0[0], %[a0], %[a2]\n\t"   \
    "vmov q0[3], q0[1], %[a1], %[a3]\n\t"   \
    "vmlas.s32 q2, %q[scale], %[first]\n\t" \
    "vmlas.s32 q0, %q[scale], %[first]\n\t"
#define KWS_COLUMN_BELOW_ZERO        \
    "vpt.s32 lt, q2, zr\n\t"         \
    "vsubt.i32 q2, q2, %[third]\n\t" \
    "vpt.s32 lt, q0, zr\n\t"         \
    "vsubt.i32 q0, q0, %[third]\n\t"
#define KWS_COLUMN_LOOP(dot, correction)                                                                           \
    __asm__ volatile("dls lr, lr\n1:\n\t" dot correction                                                           \
                     "vmulh.s32 q2, q2, %q[m]\n\t"                                                                 \
                     "vmulh.s32 q0, q0, %q[m]\n\t"                                                                 \
                     "vqrshrnb.s32 q2, q2, #12\n\t"                                                                \
                     "vqrshrnt.s32 q2, q0, #12\n\t"                                                                \
                     "vqadd.s16 q2, q2, %q[zero]\n\t"                                                              \
                     "vqmovnb.s16 q2, q2\n\t"                                                                      \
                     "vstrb.16 q2, [%[out], %q[offsets]]\n\t"                                                      \
                     "add %[out], %[out], %[pitch], lsl #3\n\t"                                                    \
                     "le lr, 1b\n\t"                                                                               \
                     "cbz %[back], 2f\n\t"                                                                         \
                     "mls %[in], %[back], %[stride], %[in]\n\t"                                                    \
                     "mls %[out], %[back], %[pitch], %[out]\n\t"                                                   \
                     "movs %[back], #0\n\t"                                                                        \
                     "mov lr, #1\n\t"                                                                              \
                     "b 1b\n"                                                                                      \
                     "2:\n\t"                                                                                      \
                     : [in] "+r"(in), [out] "+r"(out), [n] "+r"(n), [back] "+l"(back), [a0] "=&Te"(a0),            \
                       [a1] "=&Te"(a1), [a2] "=&Te"(a2), [a3] "=&Te"(a3)                                           \
                     : [w] "w"(column->weights), [m] "w"(column->multiplier), [zero] "w"(column->zero_point),      \
                       [scale] "w"(vdupq_n_s32(1 << 10)), [offsets] "w"(column->offsets),                          \
                       [first] "r"(column->first), [third] "r"(third), [pitch] "r"(column->pitch),                 \
                       [stride] "r"(column->stride)                                                                \
                     : "q0", "q1", "q2", "p0", "cc", "memory")

/* At least eight outputs of a line. */
static inline void kws_column_line(const kws_column *column, uint32_t outputs, int line) {
    const int8_t *in = column->inputs;
    int8_t *out = column->out;
    const int32_t third = line ? column->third : 0;
    uint32_t back = (0u - outputs) % KWS_COLUMN_OUTPUTS;
    register uint32_t n __asm__("lr") = outputs / KWS_COLUMN_OUTPUTS;
    int32_t a0, a1, a2, a3;
    if (line && column->stride == 1) {
        KWS_COLUMN_LOOP(KWS_COLUMN_DOT(KWS_COLUMN_NEAR_FIRST, KWS_COLUMN_NEAR_NEXT), KWS_COLUMN_BELOW_ZERO);
    } else if (column->stride == 1) {
        KWS_COLUMN_LOOP(KWS_COLUMN_DOT(KWS_COLUMN_NEAR_FIRST, KWS_COLUMN_NEAR_NEXT), "");
    } else if (line) {
        KWS_COLUMN_LOOP(KWS_COLUMN_DOT(KWS_COLUMN_FAR_FIRST, KWS_COLUMN_FAR_NEXT), KWS_COLUMN_BELOW_ZERO);
    } else {
        KWS_COLUMN_LOOP(KWS_COLUMN_DOT(KWS_COLUMN_FAR_FIRST, KWS_COLUMN_FAR_NEXT), "");
    }
}
#else
#define kws_column_line(column, outputs, line) ((void)(outputs))
#endif

/* Any form, any number. */
static inline void kws_column_one(const kws_column *column, uint32_t at, const kws_output *output, int32_t channel) {
    const int32_t acc = vmladavq_s8(vldrbq_s8(column->inputs + at * column->stride), column->weights);
    column->out[at * column->pitch] = kws_quantize(acc, output, channel);
}

/* n int8 at `offsets` and every `step` bytes from there, eight at a time, to one row. */
static inline void kws_lay_out(const int8_t *from, uint16x8_t offsets, uint32_t step, uint32_t n, int8_t *to) {
    __asm__ volatile(
        "wlstp.16 lr, %[n], 2f\n"
        "1:\n\t"
        "vldrb.u16 q0, [%[from], %q[offsets]]\n\t"
        "vstrb.16 q0, [%[to]], #8\n\t"
        "add %[from], %[from], %[step]\n\t"
        "letp lr, 1b\n"
        "2:\n\t"
        : [from] "+r"(from), [to] "+l"(to)
        : [n] "r"(n), [offsets] "w"(offsets), [step] "r"(step)
        : "q0", "lr", "memory");
}

/* Kernels of at most 16 rows, one column: each channel's inputs are laid out in time, and VMLADAV takes all taps of an
 * output at once. Where rows are dilated by d, d such layers interleave. */
static void kws_depthwise_column(const kws_depthwise *layer, const int8_t *in, int8_t *out) {
    static const uint16_t order[8] = {0, 4, 1, 5, 2, 6, 3, 7};
    int8_t inputs[KWS_COLUMN_BYTES];
    const int32_t phases = layer->dilation_h, height = layer->in_h;
    const uint32_t channels = layer->channels, taps = layer->kernel_h, stride = layer->stride_h;
    const uint32_t pitch = channels * (uint32_t)phases, most = (KWS_COLUMN_BYTES - KWS_COLUMN_TAPS) / stride + 1;
    const kws_output *const output = &layer->output;
    const uint16x8_t rows = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)pitch);
    const uint16x8_t even = vmulq_n_u16(vidupq_n_u16(0, 2), layer->channels);
    const uint16x8_t odd = vaddq_n_u16(even, layer->channels);
    const mve_pred16_t evens = vctp16q((taps + 1) / 2), odds = vctp16q(taps / 2);
    const int is_line = output->form <= KWS_LINE, line = output->form == KWS_LINE;
    kws_column column = {.inputs = inputs, .stride = stride, .pitch = pitch};
    column.zero_point = vdupq_n_s16(output->zero_point);
    column.offsets = vmulq_n_u16(vld1q_u16(order), (uint16_t)pitch);
    for (int32_t phase = 0; phase < phases && phase < layer->out_h; phase++) {
        const uint32_t all = (uint32_t)((layer->out_h - phase + phases - 1) / phases);
        for (uint32_t begin = 0; begin < all; begin += most) {
            /* element i of the row is input row top + i * phases */
            const uint32_t outputs = all - begin < most ? all - begin : most;
            const int32_t top = phase + (int32_t)(begin * stride) - layer->pad_top; /* stride is 1 where phases are not */
            const int32_t from = top < 0 ? (phases - 1 - top) / phases : 0;
            const int32_t inside = top < height ? (height - 1 - top) / phases + 1 : 0;
            const int32_t length = (int32_t)((outputs - 1) * stride + taps);
            const int32_t to = inside < length ? inside : length;
            const uint32_t n = to > from ? (uint32_t)(to - from) : 0;
            uint32_t fast = KWS_MANY_REGISTERS && is_line && outputs >= KWS_COLUMN_OUTPUTS ? outputs : 0;
            fast -= fast % KWS_COLUMN_OUTPUTS <= 2 ? fast % KWS_COLUMN_OUTPUTS : 0; /* dearer than one by one */
            for (uint32_t i = 0; i < KWS_COLUMN_BYTES; i += 16) {
                vst1q_s8(inputs + i, vdupq_n_s8(layer->zero_point));
            }
            for (uint32_t c = 0; c < channels; c++) {
                const int8_t *weight = layer->weights + c;
                kws_lay_out(in + (top + from * phases) * (int32_t)channels + c, rows, 8 * pitch, n, inputs + from);
                column.out = out + ((begin * (uint32_t)phases + (uint32_t)phase) * channels + c);
                column.weights = vmovntq_s16((int8x16_t)vldrbq_gather_offset_z_s16(weight, even, evens),
                                             vldrbq_gather_offset_z_s16(weight, odd, odds));
                if (fast) {
                    column.first = output->first[c];
                    column.multiplier = vdupq_n_s32(output->multiplier[c]);
                    column.third = line ? output->third[c] : 0;
                    kws_column_line(&column, fast, line);
                }
                for (uint32_t at = fast; at < outputs; at++) {
                    kws_column_one(&column, at, output, (int32_t)c);
                }
            }
        }
    }
}

/* Sums of 16 channels: lane i of vector j is channel j + 4 i, as widening twice leaves them. */
typedef struct {
    int32x4_t lanes[4];
} kws_sixteen;

static inline void kws_add_products(kws_sixteen *acc, int16x8_t even, int16x8_t odd) {
    acc->lanes[0] = vaddq_s32(acc->lanes[0], vmovlbq_s16(even));
    acc->lanes[1] = vaddq_s32(acc->lanes[1], vmovlbq_s16(odd));
    acc->lanes[2] = vaddq_s32(acc->lanes[2], vmovltq_s16(even));
    acc->lanes[3] = vaddq_s32(acc->lanes[3], vmovltq_s16(odd));
}

/* 16 channels' constants in that order, zeros behind the last channel. */
static inline void kws_load_sixteen(const int32_t *from, uint32_t channels, kws_sixteen *to) {
    for (uint32_t j = 0; j < 4; j++) {
        const uint32_t lanes = channels > j ? (channels - j + 3) / 4 : 0;
        to->lanes[j] = vldrwq_gather_shifted_offset_z_s32(from + j, vidupq_n_u32(0, 4), vctp32q(lanes));
    }
}

typedef struct {
    kws_sixteen first, multiplier, third;
    int16_t zero_point; /* of the output */
} kws_sixteen_constants;

static inline __attribute__((always_inline)) int32x4_t kws_multiply_lanes(const kws_sixteen *acc,
                                                                          const kws_sixteen_constants *constants, int j,
                                                                          int form) {
    int32x4_t u = vaddq_s32(vshlq_n_s32(acc->lanes[j], 10), constants->first.lanes[j]);
    if (form == KWS_LINE) {
        u = kws_subtract_below_zero(u, constants->third.lanes[j]);
    }
    return vmulhq_s32(u, constants->multiplier.lanes[j]);
}

static inline __attribute__((always_inline)) int8x16_t kws_quantize_sixteen(const kws_sixteen *acc,
                                                                            const kws_sixteen_constants *constants,
                                                                            int form) {
    int16x8_t even = (int16x8_t)kws_multiply_lanes(acc, constants, 0, form), odd;
    even = vqrshrnbq_n_s32(even, (int32x4_t)even, 12);
    even = vqrshrntq_n_s32(even, kws_multiply_lanes(acc, constants, 2, form), 12);
    odd = (int16x8_t)kws_multiply_lanes(acc, constants, 1, form);
    odd = vqrshrnbq_n_s32(odd, (int32x4_t)odd, 12);
    odd = vqrshrntq_n_s32(odd, kws_multiply_lanes(acc, constants, 3, form), 12);
    even = vqaddq_n_s16(even, constants->zero_point);
    odd = vqaddq_n_s16(odd, constants->zero_point);
    return vqmovntq_s16(vqmovnbq_s16((int8x16_t)even, even), odd);
}

static inline int8x16_t kws_round_sixteen(const kws_sixteen *acc, const kws_sixteen_constants *constants,
                                          const kws_output *output) {
    int32x4_t q[4];
    for (int j = 0; j < 4; j++) {
        q[j] = kws_round_twice(vaddq_s32(acc->lanes[j], constants->first.lanes[j]), constants->multiplier.lanes[j],
                               constants->third.lanes[j], output);
    }
    const int16x8_t even = vmovntq_s32((int16x8_t)q[0], q[2]), odd = vmovntq_s32((int16x8_t)q[1], q[3]);
    return vmovntq_s16((int8x16_t)even, odd);
}

/* The shift that makes pairs of taps. Unless a weight is -128, two products fit int16: taps can be added in pairs before they
 * widen. Otherwise there are no pairs. */
static inline int kws_pairs_of(const kws_depthwise *layer) {
    const uint32_t n = (uint32_t)layer->kernel_h * layer->kernel_w * layer->channels;
    int8_t least = 127;
    for (uint32_t i = 0; i < n; i += 16) {
        least = vminvq_p_s8(least, vldrbq_z_s8(layer->weights + i, vctp8q(n - i)), vctp8q(n - i));
    }
    return least > -128 ? 1 : 31;
}

/* The products in q6, of even channels, and q4, of odd ones, added to the four sums. */
#define KWS_WIDEN                     \
    "vmovlb.s16 q5, q6\n\t"           \
    "vadd.i32 %q[a0], %q[a0], q5\n\t" \
    "vmovlt.s16 q6, q6\n\t"           \
    "vadd.i32 %q[a2], %q[a2], q6\n\t" \
    "vmovlb.s16 q5, q4\n\t"           \
    "vadd.i32 %q[a1], %q[a1], q5\n\t" \
    "vmovlt.s16 q4, q4\n\t"           \
    "vadd.i32 %q[a3], %q[a3], q4\n\t"
#define KWS_FIRST_TAP                      \
    "vldrb.8 q4, [%[from]]\n\t"            \
    "add %[from], %[from], %[step]\n\t"    \
    "vldrb.8 q5, [%[weight]]\n\t"          \
    "add %[weight], %[weight], %[row]\n\t" \
    "vmullb.s8 q6, q4, q5\n\t"             \
    "vmullt.s8 q4, q4, q5\n\t"

/* n taps of 16 channels, their inputs `step` bytes apart, in pairs where those fit int16; returns the weights behind them.
 * Of what this function's caller writes it reads `empty` alone. */
static inline __attribute__((always_inline)) const int8_t *kws_add_sixteen(kws_sixteen *acc, const int8_t *from, int32_t step,
                                                                           const int8_t *weight, uint32_t channels,
                                                                           int32_t taps, const int8_t *empty, int pairs) {
    register uint32_t n __asm__("lr") = (uint32_t)taps >> pairs;
    uint32_t single = (uint32_t)taps - 2 * n;
    __asm__ volatile(
        "wls lr, lr, 2f\n"
        "1:\n\t" KWS_FIRST_TAP
        "vldrb.8 q5, [%[from]]\n\t"
        "vldrb.8 q7, [%[weight]]\n\t"
        "vmullb.s8 q7, q5, q7\n\t"
        "vadd.i16 q6, q6, q7\n\t"
        "vldrb.8 q7, [%[weight]]\n\t" /* again: there are eight registers */
        "add %[from], %[from], %[step]\n\t"
        "vmullt.s8 q5, q5, q7\n\t"
        "add %[weight], %[weight], %[row]\n\t"
        "vadd.i16 q4, q4, q5\n\t" KWS_WIDEN
        "le lr, 1b\n"
        "2:\n\t"
        "cbz %[single], 4f\n"
        "3:\n\t" KWS_FIRST_TAP KWS_WIDEN
        "subs %[single], %[single], #1\n\t"
        "bne 3b\n"
        "4:\n\t"
        : [from] "+r"(from), [weight] "+r"(weight), [n] "+r"(n), [single] "+l"(single), [a0] "+w"(acc->lanes[0]), [a1] "+w"(acc->lanes[1]),
          [a2] "+w"(acc->lanes[2]), [a3] "+w"(acc->lanes[3])
        : [step] "r"(step), [row] "r"(channels), "m"(*(const int8_t(*)[16])empty)
        : "q4", "q5", "q6", "q7", "cc");
    return weight;
}

/* The same of the channels of `some` alone; `whole` is a constant where this is inlined. */
static inline __attribute__((always_inline)) const int8_t *kws_add_taps(kws_sixteen *acc, const int8_t *from, int32_t step,
                                                                        const int8_t *weight, uint32_t channels, int32_t n,
                                                                        const int8_t *empty, mve_pred16_t some, int pairs,
                                                                        int whole) {
    if (whole) {
        return kws_add_sixteen(acc, from, step, weight, channels, n, empty, pairs);
    }
    for (; n > 0; n--, from += step, weight += channels) {
        const int8x16_t x = vldrbq_z_s8(from, some), w = vldrbq_z_s8(weight, some);
        kws_add_products(acc, vmullbq_int_s8(x, w), vmulltq_int_s8(x, w));
    }
    return weight;
}

/* How many of `taps` taps from `start`, `step` apart, lie before `limit`. */
static inline int32_t kws_taps_before(int32_t start, int32_t step, int32_t taps, int32_t limit) {
    const int32_t n = limit > start ? (limit - start + step - 1) / step : 0;
    return n < taps ? n : taps;
}

/* The sums of at most 16 channels, those of `some`, at the position whose first tap is (top, left). Taps outside the input
 * read `empty`, 16 times its zero point. */
static inline __attribute__((always_inline)) kws_sixteen kws_depthwise_sums(const kws_depthwise *layer, const int8_t *in,
                                                                            const int8_t *weight, int32_t top, int32_t left,
                                                                            const int8_t *empty, mve_pred16_t some,
                                                                            int pairs, int whole) {
    const uint32_t channels = layer->channels;
    const int32_t taps = layer->kernel_w, step = layer->dilation_w * (int32_t)channels;
    const int32_t before = left < 0 ? kws_taps_before(left, layer->dilation_w, taps, 0) : 0;
    const int32_t last = left + (taps - 1) * layer->dilation_w;
    const int32_t until = last < layer->in_w ? taps : kws_taps_before(left, layer->dilation_w, taps, layer->in_w);
    const int32_t pitch = layer->dilation_h * layer->in_w * (int32_t)channels;
    const int8_t *from = in + (top * layer->in_w + left + before * layer->dilation_w) * (int32_t)channels;
    kws_sixteen acc = {{vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)}};
    int32_t row = top;
    for (int32_t ky = layer->kernel_h; ky > 0; ky--, row += layer->dilation_h, from += pitch) {
        if (row < 0 || row >= layer->in_h) {
            weight = kws_add_taps(&acc, empty, 0, weight, channels, taps, empty, some, pairs, whole);
            continue;
        }
        if (before) {
            weight = kws_add_taps(&acc, empty, 0, weight, channels, before, empty, some, pairs, whole);
        }
        weight = kws_add_taps(&acc, from, step, weight, channels, until - before, empty, some, pairs, whole);
        if (until < taps) {
            weight = kws_add_taps(&acc, empty, 0, weight, channels, taps - until, empty, some, pairs, whole);
        }
    }
    return acc;
}

/* At most 16 channels from c on, at all positions. */
static inline __attribute__((always_inline)) void kws_depthwise_tile(const kws_depthwise *layer, const int8_t *in, int8_t *out,
                                                                     uint32_t c, int pairs, int form, int whole) {
    const kws_output *const output = &layer->output;
    const uint32_t channels = layer->channels;
    const mve_pred16_t some = vctp8q(channels - c);
    int8_t empty[16];
    kws_sixteen_constants constants;
    vst1q_s8(empty, vdupq_n_s8(layer->zero_point));
    kws_load_sixteen(output->first + c, channels - c, &constants.first);
    kws_load_sixteen(output->multiplier + c, channels - c, &constants.multiplier);
    constants.zero_point = output->zero_point;
    if (form != KWS_RISING) {
        kws_load_sixteen(output->third + c, channels - c, &constants.third);
    }
    out += c;
    for (int32_t y = 0; y < layer->out_h; y++) {
        for (int32_t x = 0; x < layer->out_w; x++, out += channels) {
            const kws_sixteen acc =
                kws_depthwise_sums(layer, in + c, layer->weights + c, y * layer->stride_h - layer->pad_top,
                                   x * layer->stride_w - layer->pad_left, empty, some, pairs, whole);
            if (form <= KWS_LINE) {
                const int8x16_t q = kws_quantize_sixteen(&acc, &constants, form);
                if (whole) {
                    vstrbq_s8(out, q);
                } else {
                    vstrbq_p_s8(out, q, some);
                }
            } else if (output->form == KWS_ROUND_TWICE) {
                const int8x16_t q = kws_round_sixteen(&acc, &constants, output);
                vstrbq_p_s8(out, q, some);
            } else {
                int32_t sums[16];
                const int32x4x4_t lanes = {{acc.lanes[0], acc.lanes[1], acc.lanes[2], acc.lanes[3]}};
                vst4q_s32(sums, lanes);
                for (uint32_t i = 0; i < 16 && c + i < channels; i++) {
                    out[i] = kws_round(sums[i], output, (int32_t)(c + i));
                }
            }
        }
    }
}

/* One function a form, for the compiler's registers. */
#define KWS_DEPTHWISE_FORM(name, form)                                                                              \
    static __attribute__((noinline)) void name(const kws_depthwise *layer, const int8_t *in, int8_t *out, uint32_t c, \
                                               int pairs) {                                                         \
        if (c + 16 <= layer->channels) {                                                                            \
            kws_depthwise_tile(layer, in, out, c, pairs, form, 1);                                                  \
        } else {                                                                                                    \
            kws_depthwise_tile(layer, in, out, c, pairs, form, 0);                                                  \
        }                                                                                                           \
    }
KWS_DEPTHWISE_FORM(kws_depthwise_rising, KWS_RISING)
KWS_DEPTHWISE_FORM(kws_depthwise_line, KWS_LINE)
KWS_DEPTHWISE_FORM(kws_depthwise_round, KWS_ROUND_TWICE)

void kws_depthwise_s8(const kws_depthwise *layer, const int8_t *in, int8_t *out) {
    const int one_column = layer->in_w == 1 && layer->kernel_w == 1 && layer->kernel_h <= KWS_COLUMN_TAPS;
    const int apart = layer->dilation_h == 1 || layer->stride_h == 1; /* not both */
    if (one_column && apart && (uint32_t)layer->channels * layer->dilation_h <= 8192 && layer->stride_h <= 16) {
        kws_depthwise_column(layer, in, out);
        return;
    }
    const int pairs = kws_pairs_of(layer);
    for (uint32_t c = 0; c < layer->channels; c += 16) {
        if (layer->output.form == KWS_RISING) {
            kws_depthwise_rising(layer, in, out, c, pairs);
        } else if (layer->output.form == KWS_LINE) {
            kws_depthwise_line(layer, in, out, c, pairs);
        } else {
            kws_depthwise_round(layer, in, out, c, pairs);
        }
    }
}
