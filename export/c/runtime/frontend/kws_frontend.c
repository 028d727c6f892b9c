/* SPDX-License-Identifier: Apache-2.0 */
/* The stream: samples to frames, frames to the ring. */
#include "kws_frontend.h"

#include <string.h>

#include "kws_frontend_internal.h"

void kws_frontend_reset(kws_frontend *frontend, int16_t previous)
{
    frontend->position = 0;
    frontend->head = 0;
    frontend->rows = 0;
    frontend->previous = previous;
}

int kws_frontend_ready(const kws_frontend *frontend)
{
    return frontend->rows == KWS_FRONTEND_FRAMES;
}

static void finish_frame(kws_frontend *frontend)
{
    kws_frontend_frame(frontend, frontend->ring + (size_t)frontend->head * KWS_FRONTEND_ROW);
    frontend->head = (uint16_t)(frontend->head + 1 == KWS_FRONTEND_FRAMES ? 0 : frontend->head + 1);
    if (frontend->rows < KWS_FRONTEND_FRAMES) {
        frontend->rows++;
    }
}

#if KWS_FRONTEND_FRAME_LENGTH > KWS_FRONTEND_FRAME_STRIDE

/* Frames overlap: samples wait until a frame is whole. `previous` is the one before samples[0]. */
size_t kws_frontend_push(kws_frontend *frontend, const int16_t *samples, size_t count)
{
    size_t frames = 0;
    while (count > 0) {
        const size_t room = KWS_FRONTEND_FRAME_LENGTH - frontend->position;
        const size_t take = count < room ? count : room;
        memcpy(frontend->samples + frontend->position, samples, take * sizeof *samples);
        frontend->position += (uint32_t)take;
        samples += take;
        count -= take;
        if (take == room) {
            const size_t kept = KWS_FRONTEND_FRAME_LENGTH - KWS_FRONTEND_FRAME_STRIDE;
            kws_frontend_load(frontend->work, 0, frontend->samples, KWS_FRONTEND_FRAME_LENGTH,
                              frontend->previous);
            finish_frame(frontend);
            frontend->previous = frontend->samples[KWS_FRONTEND_FRAME_STRIDE - 1];
            memmove(frontend->samples, frontend->samples + KWS_FRONTEND_FRAME_STRIDE, kept * sizeof *samples);
            frontend->position = (uint32_t)kept;
            frames++;
        }
    }
    return frames;
}

#else

/* Frames do not overlap: samples go straight into the FFT's work area, those between frames are passed over. */
size_t kws_frontend_push(kws_frontend *frontend, const int16_t *samples, size_t count)
{
    size_t frames = 0;
    uint32_t position = frontend->position;
    while (count > 0) {
        const uint32_t end =
            position < KWS_FRONTEND_FRAME_LENGTH ? KWS_FRONTEND_FRAME_LENGTH : KWS_FRONTEND_FRAME_STRIDE;
        const uint32_t take = count < end - position ? (uint32_t)count : end - position;
        if (position < KWS_FRONTEND_FRAME_LENGTH) {
            kws_frontend_load(frontend->work, position, samples, take, frontend->previous);
            if (position + take == KWS_FRONTEND_FRAME_LENGTH) {
                finish_frame(frontend);
                frames++;
            }
        }
        position += take;
        if (position == KWS_FRONTEND_FRAME_STRIDE) {
            position = 0;
        }
        frontend->previous = samples[take - 1];
        samples += take;
        count -= take;
    }
    frontend->position = position;
    return frames;
}

#endif
