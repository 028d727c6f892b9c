/* SPDX-License-Identifier: Apache-2.0 */
/* Samples to the FFT's input, pre-emphasised or windowed, in bit-reversed order.
 *
 * The FFT of N real values runs as one of N / 2 complex values z[n] = y[2n] + i y[2n + 1]; z[n] goes to the place whose
 * log2(N / 2) bits are those of n reversed. In blocks of 16 samples the low three bits of n are constants.
 *
 * Pre-emphasis: y[n] = A x[n] - B x[n - 1] in integers, where B / A is the fraction nearest to the coefficient with
 * A < 2^15: exact in 32 bits, for float and fixed point alike. The factor A leaves again in the bands' scale. Arm's
 * DSP instructions, where the core has them, do a sample in one.
 * A window (log-mel): y[n] = w[n] x[n], with w in float, or in 1/65536 in the fixed-point version; w is symmetric and
 * half of it is stored.
 */
#include "kws_frontend_internal.h"

#define PAIRS (KWS_FRONTEND_FFT_LENGTH / 2)
#define LOW_BITS_REVERSED(n) (((n) & 1u) * 4u + ((n) & 2u) + ((n) >> 2 & 1u))
#define BLOCK_OFFSET(n) (LOW_BITS_REVERSED((n) >> 1) * (PAIRS / 8) * 2 + ((n) & 1u)) /* of sample n of a block of 16 */

#if KWS_FRONTEND_WINDOWED
/* The stored half serves forwards, then backwards; a block goes one way or, in the middle, a sample at a time. */
#define ONE_WAY(position) \
    (2 * ((position) + 15) <= KWS_FRONTEND_FRAME_LENGTH || 2 * (position) >= KWS_FRONTEND_FRAME_LENGTH)
#if KWS_FRONTEND_FIXED
#define STORE(word, x, before) ((word)->i = (int32_t)*weight * (x), weight += step)
typedef uint16_t kws_frontend_weight;
#else
#define STORE(word, x, before) ((word)->f = *weight * (float)(x), weight += step)
typedef float kws_frontend_weight;
#endif
#elif !KWS_FRONTEND_EMPHASISED
#define STORE(word, x, before) ((word)->i = (x))
#else
#define STORE(word, x, before) ((word)->i = now * (x) + then * (before))
#endif

#ifndef ONE_WAY
#define ONE_WAY(position) 1
#endif

#if KWS_FRONTEND_EMPHASISED && defined(__ARM_FEATURE_SIMD32) && defined(__ARM_FEATURE_DSP)

#include <arm_acle.h>
#include <string.h>

/* Samples n and n + 1 of a block, from one word; `before` becomes that word, its upper half the sample before. */
#define BLOCK_PAIR(n)                                                                          \
    do {                                                                                       \
        int32_t pair;                                                                          \
        memcpy(&pair, samples + (n), sizeof pair);                                             \
        block[BLOCK_OFFSET(n)].i = __smlatb(before, then, now * (int16_t)pair);                \
        block[BLOCK_OFFSET(n) + 1].i = __smuad(pair, both); /* pair's halves times then, now */ \
        before = pair;                                                                         \
    } while (0)
#define BEFORE(sample) ((int32_t)((uint32_t)(sample) << 16))
#define FIRST_OF(before) ((before) >> 16)

#else

#define BLOCK_PAIR(n)                                                       \
    do {                                                                    \
        const int32_t first = samples[n], second = samples[(n) + 1];        \
        STORE(block + BLOCK_OFFSET(n), first, before);                      \
        STORE(block + BLOCK_OFFSET(n) + 1, second, first);                  \
        before = second;                                                    \
    } while (0)
#define BEFORE(sample) (sample)
#define FIRST_OF(before) (before)

#endif

void kws_frontend_load(kws_frontend_word *work, uint32_t position, const int16_t *samples, uint32_t count,
                       int16_t previous)
{
    int32_t before = BEFORE((int32_t)previous);
#if KWS_FRONTEND_EMPHASISED
    const int16_t now = kws_frontend_emphasis[0], then = kws_frontend_emphasis[1]; /* A and -B, left to the registers */
#ifdef __ARM_FEATURE_SIMD32
    const int32_t both = (int32_t)((uint32_t)now << 16 | (uint16_t)then);
#endif
#endif
    while (count > 0) {
        kws_frontend_word *const block = work + 2u * kws_frontend_reversed[position >> 4];
#if KWS_FRONTEND_WINDOWED
        const int rises = 2 * position < KWS_FRONTEND_FRAME_LENGTH;
        const ptrdiff_t step = rises ? 1 : -1;
        const kws_frontend_weight *weight =
            kws_frontend_window + (rises ? position : KWS_FRONTEND_FRAME_LENGTH - position);
#endif
        if ((position & 15u) == 0 && count >= 16 && ONE_WAY(position)) {
            BLOCK_PAIR(0);
            BLOCK_PAIR(2);
            BLOCK_PAIR(4);
            BLOCK_PAIR(6);
            BLOCK_PAIR(8);
            BLOCK_PAIR(10);
            BLOCK_PAIR(12);
            BLOCK_PAIR(14);
            samples += 16;
            position += 16;
            count -= 16;
        } else {
            const int32_t x = *samples++;
            STORE(block + BLOCK_OFFSET(position & 15u), x, FIRST_OF(before));
            before = BEFORE(x);
            position++;
            count--;
        }
    }
    (void)before;
}

#if KWS_FRONTEND_FRAME_LENGTH < KWS_FRONTEND_FFT_LENGTH

void kws_frontend_pad(kws_frontend_word *work)
{
    for (uint32_t n = KWS_FRONTEND_FRAME_LENGTH; n < KWS_FRONTEND_FFT_LENGTH; n++) {
        work[2u * kws_frontend_reversed[n >> 4] + BLOCK_OFFSET(n & 15u)].i = 0; /* 0.0f as well */
    }
}

#endif
