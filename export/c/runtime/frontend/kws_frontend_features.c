/* The window: the ring's rows, oldest first, normalised where the configuration says so, as floats or quantised. */
#include "kws_frontend_internal.h"

#if KWS_FRONTEND_WINDOW > 0

#define finish kws_frontend_normalise

#elif KWS_FRONTEND_LEVELS

static void finish(const kws_frontend *frontend, const kws_frontend_target *target)
{
    size_t row = frontend->head, place = 0;
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++, row = kws_frontend_next_row(row)) {
        const kws_frontend_value *const levels = frontend->ring + row * KWS_FRONTEND_ROW;
        for (size_t band = 0; band < KWS_FRONTEND_BANDS; band++, place++) {
            const int32_t ninth = levels[KWS_FRONTEND_BANDS + (band >> 3)] >> (band & 7u) & 1;
            const int32_t level = levels[band] + ninth * 256;
#if KWS_FRONTEND_FIXED
            kws_frontend_store(target, place, level * 256);
#else
            kws_frontend_store(target, place, (float)level / 256.0f);
#endif
        }
    }
}

#else

/* Log-mel's mean over time and bands, row by row. */
static kws_frontend_value mean_of(const kws_frontend *frontend)
{
#if KWS_FRONTEND_REMOVE_MEAN
#if KWS_FRONTEND_FIXED
    int64_t total = 0, sum;
#else
    float total = 0.0f, sum;
#endif
    for (size_t row = 0; row < KWS_FRONTEND_FRAMES; row++) {
        sum = 0;
        for (size_t column = 0; column < KWS_FRONTEND_COEFFICIENTS; column++) {
            sum += frontend->ring[row * KWS_FRONTEND_ROW + column];
        }
        total += sum;
    }
    return (kws_frontend_value)(total / (KWS_FRONTEND_FRAMES * KWS_FRONTEND_COEFFICIENTS));
#else
    (void)frontend;
    return 0;
#endif
}

static void finish(const kws_frontend *frontend, const kws_frontend_target *target)
{
    const kws_frontend_value mean = mean_of(frontend);
    size_t row = frontend->head, place = 0;
    for (size_t frame = 0; frame < KWS_FRONTEND_FRAMES; frame++, row = kws_frontend_next_row(row)) {
        for (size_t column = 0; column < KWS_FRONTEND_COEFFICIENTS; column++, place++) {
            const kws_frontend_value value = frontend->ring[row * KWS_FRONTEND_ROW + column] - mean;
#if KWS_FRONTEND_FIXED
            kws_frontend_store(target, place, (value + 8) >> 4); /* 2^-20 to 2^-16 */
#else
            kws_frontend_store(target, place, value);
#endif
        }
    }
}

#endif

void kws_frontend_features(const kws_frontend *frontend, float *out)
{
#if KWS_FRONTEND_FIXED
    const kws_frontend_target target = {out, 0, 0, 0};
#else
    const kws_frontend_target target = {out, 0, 1.0f, 0};
#endif
    finish(frontend, &target);
    KWS_AFTER_STAGE(KWS_STAGE_CMVN);
}

void kws_frontend_quantized(const kws_frontend *frontend, float scale, int zero_point, int8_t *out)
{
#if KWS_FRONTEND_FIXED /* the only arithmetic in floats: once a window */
    const float least = 1.0f / 16384.0f; /* a scale below would not fit; it is taken as this */
    const kws_frontend_target target = {0, out, (int64_t)(16777216.0f / (scale < least ? least : scale)), zero_point};
#else
    const kws_frontend_target target = {0, out, scale, zero_point};
#endif
    finish(frontend, &target);
    KWS_AFTER_STAGE(KWS_STAGE_CMVN);
}
