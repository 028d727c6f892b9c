/* One batch out of a bank of clips: out[p, f, b, t] = bank[copy[p,b], clip[p,b], clamp(t - shift[p,b]), f], as float32.
 *
 * The bank is (A, N, T, F), float16 or float32. Indices are checked by the caller.
 */
#include "rows.h"

typedef struct {
    const void *bank;
    const int64_t *copy, *clip, *shift;
    float *out;
    int64_t clips, time, features, batch;
    int half;
} Gather;

/* IEEE half to float, exact for every value: rescaling by 2^112 also makes a half's subnormals normal. */
INLINE float widen(uint16_t half)
{
    const uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13, sign = (uint32_t)(half & 0x8000) << 16;
    float scaled;
    uint32_t bits;
    memcpy(&scaled, &magnitude, 4);
    scaled *= 0x1p112f;
    memcpy(&bits, &scaled, 4);
    bits = magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : bits; /* infinity and NaN */
    bits |= sign;
    memcpy(&scaled, &bits, 4);
    return scaled;
}

static int gather_rows(const void *job, int64_t begin, int64_t end)
{
    const Gather *d = job;
    const int64_t T = d->time, F = d->features, B = d->batch;
    float *wide = malloc(T * F * sizeof(float));
    if (!wide) return 1;
    for (int64_t row = begin; row < end; row++) {
        const int64_t p = row / B, b = row % B, at = (d->copy[row] * d->clips + d->clip[row]) * T * F;
        const float *source = wide;
        if (d->half) {
            const uint16_t *half = (const uint16_t *)d->bank + at;
            for (int64_t i = 0; i < T * F; i++) wide[i] = widen(half[i]);
        } else {
            source = (const float *)d->bank + at;
        }
        int64_t shift = d->shift[row];
        shift = shift > T ? T : shift < -T ? -T : shift;
        const int64_t first = shift > 0 ? shift : 0, last = shift < 0 ? T + shift : T;
        for (int64_t f = 0; f < F; f++) {
            float *out = d->out + ((p * F + f) * B + b) * T;
            for (int64_t t = 0; t < first; t++) out[t] = source[f];
            for (int64_t t = first; t < last; t++) out[t] = source[(t - shift) * F + f];
            for (int64_t t = last; t < T; t++) out[t] = source[(T - 1) * F + f];
        }
    }
    free(wide);
    return 0;
}

int gather_batch(float *out, const void *bank, const int64_t *copy, const int64_t *clip, const int64_t *shift,
                 int64_t clips, int64_t time, int64_t features, int64_t members, int64_t batch, int half, int threads)
{
    Gather d = {bank, copy, clip, shift, out, clips, time, features, batch, half};
    return split(gather_rows, &d, members * batch, threads);
}
