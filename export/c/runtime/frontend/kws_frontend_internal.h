/* What the front end's files share. */
#ifndef KWS_FRONTEND_INTERNAL_H
#define KWS_FRONTEND_INTERNAL_H

#include "kws_frontend.h"
#include "kws_frontend_tables.h"

#ifndef KWS_AFTER_STAGE
#define KWS_AFTER_STAGE(stage) ((void)0)
#endif

#if !KWS_FRONTEND_FIXED

#include <math.h>

/* One rounding where the core has the instruction, two elsewhere. */
#ifdef __FP_FAST_FMAF
#define MULTIPLY_ADD(a, b, c) fmaf(a, b, c)
#define MULTIPLY_SUBTRACT(a, b, c) fmaf(-(a), b, c) /* c - a b */
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#define MULTIPLY_SUBTRACT(a, b, c) ((c) - (a) * (b))
#endif

#endif

/* Samples into the FFT's work area, in the order that it wants: kws_frontend_load.c. */
void kws_frontend_load(kws_frontend_word *work, uint32_t position, const int16_t *samples, uint32_t count,
                       int16_t previous);

/* Zeros behind a frame that is shorter than the FFT. */
#if KWS_FRONTEND_FRAME_LENGTH < KWS_FRONTEND_FFT_LENGTH
void kws_frontend_pad(kws_frontend_word *work);
#else
#define kws_frontend_pad(work) ((void)0)
#endif

/* A frame in the work area to a row of the ring: kws_frontend_float.c or kws_frontend_fixed.c. */
void kws_frontend_frame(kws_frontend *frontend, kws_frontend_value *row);

#endif
