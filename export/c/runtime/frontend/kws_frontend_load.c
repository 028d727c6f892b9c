/* Samples to the FFT's input, pre-emphasised or windowed, in bit-reversed order.
 *
 * The FFT of N real values runs as one of N / 2 complex values z[n] = y[2n] + i y[2n + 1]; z[n] goes to the place whose
 * log2(N / 2) bits are those of n reversed. In blocks of 16 samples the low three bits of n are constants.
 *
 * Pre-emphasis: y[n] = A x[n] - B x[n - 1] in integers, where B / A is the fraction nearest to the coefficient with
 * A < 2^15: exact in 32 bits, for float and fixed point alike. The factor A leaves again in the logarithm's constant.
 * A window (log-mel): y[n] = w[n] x[n], with w in float, or in 1/65536 in the fixed-point version; w is symmetric and
 * half of it is stored.
 */
#include "kws_frontend_internal.h"

#define PAIRS (KWS_FRONTEND_FFT_LENGTH / 2)
#define LOW_BITS_REVERSED(n) (((n) & 1u) * 4u + ((n) & 2u) + ((n) >> 2 & 1u))
#define BLOCK_OFFSET(n) (LOW_BITS_REVERSED((n) >> 1) * (PAIRS / 8) * 2 + ((n) & 1u)) /* of sample n of a block of 16 */

#if KWS_FRONTEND_WINDOWED
#if KWS_FRONTEND_FIXED
#define STORE(word, n, x, before) ((word)->i = (int32_t)window_at(n) * (x))
static uint16_t window_at(uint32_t n)
#else
#define STORE(word, n, x, before) ((word)->f = window_at(n) * (float)(x))
static float window_at(uint32_t n)
#endif
{
    return kws_frontend_window[n <= KWS_FRONTEND_FRAME_LENGTH / 2 ? n : KWS_FRONTEND_FRAME_LENGTH - n];
}
#elif KWS_FRONTEND_EMPHASIS_B == 0
#define STORE(word, n, x, before) ((word)->i = (x))
#else
#define STORE(word, n, x, before) ((word)->i = KWS_FRONTEND_EMPHASIS_A * (x) - KWS_FRONTEND_EMPHASIS_B * (before))
#endif

#define BLOCK_SAMPLE(n)                               \
    do {                                              \
        const int32_t x = samples[n];                 \
        STORE(block + BLOCK_OFFSET(n), position + n, x, before); \
        before = x;                                   \
    } while (0)

void kws_frontend_load(kws_frontend_word *work, uint32_t position, const int16_t *samples, uint32_t count,
                       int16_t previous)
{
    int32_t before = previous;
    (void)before;
    while (count > 0) {
        kws_frontend_word *const block = work + 2u * kws_frontend_reversed[position >> 4];
        if ((position & 15u) == 0 && count >= 16) {
            BLOCK_SAMPLE(0);
            BLOCK_SAMPLE(1);
            BLOCK_SAMPLE(2);
            BLOCK_SAMPLE(3);
            BLOCK_SAMPLE(4);
            BLOCK_SAMPLE(5);
            BLOCK_SAMPLE(6);
            BLOCK_SAMPLE(7);
            BLOCK_SAMPLE(8);
            BLOCK_SAMPLE(9);
            BLOCK_SAMPLE(10);
            BLOCK_SAMPLE(11);
            BLOCK_SAMPLE(12);
            BLOCK_SAMPLE(13);
            BLOCK_SAMPLE(14);
            BLOCK_SAMPLE(15);
            samples += 16;
            position += 16;
            count -= 16;
        } else {
            const int32_t x = *samples++;
            STORE(block + BLOCK_OFFSET(position & 15u), position, x, before);
            before = x;
            position++;
            count--;
        }
    }
}

#if KWS_FRONTEND_FRAME_LENGTH < KWS_FRONTEND_FFT_LENGTH

void kws_frontend_pad(kws_frontend_word *work)
{
    for (uint32_t n = KWS_FRONTEND_FRAME_LENGTH; n < KWS_FRONTEND_FFT_LENGTH; n++) {
        work[2u * kws_frontend_reversed[n >> 4] + BLOCK_OFFSET(n & 15u)].i = 0; /* 0.0f as well */
    }
}

#endif
