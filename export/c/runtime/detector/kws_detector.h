/* SPDX-License-Identifier: Apache-2.0 */
/* kws_detector: samples in, smoothed posteriors and detections out.
 *
 * What happens, exactly (all of it in integers; the front end alone may use floats):
 *
 *   frames     kws_frontend turns samples into rows of features. Frames are counted from 0 at the reset.
 *   decisions  The first is made when the window's T = KWS_FRONTEND_FRAMES rows are there, at frame T - 1, then one
 *              every KWS_DETECTOR_STRIDE frames: the last T rows are quantised and go through the model.
 *   posterior  u[k] = q[k] + 128, q[k] the model's int8 output: TFLite's softmax has scale 1/256 and zero point -128,
 *              so u / 256 is the probability and 255 is as sure as it gets.
 *   smoothing  s[k] = (u[k] summed over the last n decisions + n / 2) / n, divisions rounding down, which is the mean
 *              rounded to nearest with halves up; n = min(decisions so far, KWS_DETECTOR_SMOOTHING). This is the moving
 *              average of Chen, Parada and Heigold, "Small-footprint keyword spotting using deep neural networks",
 *              ICASSP 2014, section 2.3, which Sainath and Parada, "Convolutional neural networks for small-footprint
 *              keyword spotting", Interspeech 2015, use too; here a label is a whole word, so that their product over
 *              the parts of a phrase has one factor. Edge Impulse's continuous mode averages in the same way, over half
 *              of a window's decisions.
 *   candidate  The keyword (a label whose threshold is not 0) with the highest s, the first of equals.
 *   detection  A decision detects its candidate k when all of these hold:
 *                - KWS_DETECTOR_SMOOTHING decisions have been made, so that no single one can speak for all;
 *                - s[k] >= threshold[k];
 *                - refractory: the last detection, of whatever label, is at least KWS_DETECTOR_REFRACTORY frames ago;
 *                - hysteresis: since its own last detection, s[k] was below release[k] at a decision, at least once.
 *
 * Detections depend on the samples alone, not on how they are cut into calls.
 *
 * Plain C99, no allocation, no state outside the struct: one for each audio stream, static rather than on the stack.
 * Not reentrant for one struct: collect samples in the interrupt, push them from the main loop or a thread.
 */
#ifndef KWS_DETECTOR_H
#define KWS_DETECTOR_H

#include <stddef.h>
#include <stdint.h>

#include "kws_frontend.h"
#include "kws_model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Frames from one decision to the next. */
#define KWS_DETECTOR_STRIDE @STRIDE@
/* Decisions in the moving average. */
#define KWS_DETECTOR_SMOOTHING @SMOOTHING@
/* Frames after a detection without another one. */
#define KWS_DETECTOR_REFRACTORY @REFRACTORY@
/* For each label, in the order of kws_model_labels:
 * @LABELS@.
 * Detected at this smoothed posterior or above; 0: a background label, never detected. */
#define KWS_DETECTOR_THRESHOLDS {@THRESHOLDS@}
/* Re-armed below this smoothed posterior. */
#define KWS_DETECTOR_RELEASES {@RELEASES@}

/* Samples in which there cannot be two detections: the refractory period in whole decisions. */
#define KWS_DETECTOR_MAX_PUSH \
    ((size_t)KWS_FRONTEND_FRAME_STRIDE * KWS_DETECTOR_STRIDE * \
     (KWS_DETECTOR_REFRACTORY > KWS_DETECTOR_STRIDE \
          ? (KWS_DETECTOR_REFRACTORY + KWS_DETECTOR_STRIDE - 1) / KWS_DETECTOR_STRIDE : 1))

#if KWS_MODEL_OUTPUT_SIZE != @CLASSES@
#error "kws_detector.h was generated for @CLASSES@ labels: generate the folder again"
#endif
#if KWS_MODEL_OUTPUT_ZERO_POINT != -128
#error "kws_detector reads a softmax output, with scale 1/256 and zero point -128"
#endif
#if KWS_MODEL_INPUT_SIZE != KWS_FRONTEND_FRAMES * KWS_FRONTEND_COEFFICIENTS
#error "the model's input is not the front end's window"
#endif
#if KWS_DETECTOR_STRIDE < 1 || KWS_DETECTOR_STRIDE > KWS_FRONTEND_FRAMES
#error "KWS_DETECTOR_STRIDE must be from 1 to the frames of the window, or audio goes unheard"
#endif

/* All of a detector's memory; its fields are the detector's own. */
typedef struct {
    kws_frontend frontend;
    kws_arena arena;
    uint32_t frame;                                               /* frames completed */
    uint16_t sums[KWS_MODEL_OUTPUT_SIZE];                         /* of the history, label by label */
    uint16_t wait;                                                /* frames until the next decision */
    uint16_t quiet;                                               /* frames of the refractory period left */
    uint8_t decisions;                                            /* made, up to KWS_DETECTOR_SMOOTHING */
    uint8_t oldest;                                               /* row of the history that is replaced next */
    uint8_t history[KWS_DETECTOR_SMOOTHING][KWS_MODEL_OUTPUT_SIZE];
    uint8_t posteriors[KWS_MODEL_OUTPUT_SIZE];
    uint8_t held[KWS_MODEL_OUTPUT_SIZE];                          /* 1: detected and not yet released */
    int8_t input[KWS_MODEL_INPUT_SIZE];
    int8_t output[KWS_MODEL_OUTPUT_SIZE];
} kws_detector;

typedef struct {
    int label;      /* index into kws_model_labels */
    uint8_t score;  /* its smoothed posterior, 0..255 for 0..1 */
    uint32_t frame; /* the frame that the decision ended on; it starts at sample frame * KWS_FRONTEND_FRAME_STRIDE */
} kws_detection;

/* As at power-up: nothing heard. Call it once before the first push, and wherever the audio was interrupted. */
void kws_detector_reset(kws_detector *detector);

/* Take `count` samples (16 bit, mono, KWS_FRONTEND_SAMPLE_RATE), all of them. Returns 1 and fills `detection` when
 * there was a detection in them, else 0 and leaves it alone. Up to KWS_DETECTOR_MAX_PUSH samples hold one detection at
 * most, and a microphone's buffer is far smaller; of a longer call the first detection is reported, the others are not:
 * use kws_detector_push_some there. */
int kws_detector_push(kws_detector *detector, const int16_t *samples, size_t count, kws_detection *detection);

/* The same for any number of samples: stops after a detection and says in `used` how many samples it took; call it
 * again with the rest. Without a detection it takes them all. No detection is ever lost:
 *
 *     for (; count > 0; samples += used, count -= used) {
 *         if (kws_detector_push_some(&detector, samples, count, &used, &detection)) { ... }
 *     }
 */
int kws_detector_push_some(kws_detector *detector, const int16_t *samples, size_t count, size_t *used,
                           kws_detection *detection);

/* The smoothed posteriors of the last decision, KWS_MODEL_OUTPUT_SIZE of them; zeros before the first. */
const uint8_t *kws_detector_posteriors(const kws_detector *detector);

#ifdef __cplusplus
}
#endif

#endif
