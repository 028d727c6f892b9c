/* SPDX-License-Identifier: Apache-2.0 */
/* kws_detector: see kws_detector.h, which states what is computed. */
#include "kws_detector.h"

#include <string.h>

static const uint8_t thresholds[KWS_MODEL_OUTPUT_SIZE] = KWS_DETECTOR_THRESHOLDS;
static const uint8_t releases[KWS_MODEL_OUTPUT_SIZE] = KWS_DETECTOR_RELEASES;

void kws_detector_reset(kws_detector *detector)
{
    memset(detector, 0, sizeof *detector);
    kws_frontend_reset(&detector->frontend, 0);
    detector->wait = KWS_FRONTEND_FRAMES;
}

/* The moving average takes in detector->output. 255 decisions of 255 still fit a 16-bit sum. */
static void smooth(kws_detector *detector)
{
    uint8_t *row = detector->history[detector->oldest];
    unsigned int count;
    size_t k;

    if (detector->decisions < KWS_DETECTOR_SMOOTHING) {
        detector->decisions++;
    }
    detector->oldest = (uint8_t)((detector->oldest + 1u) % KWS_DETECTOR_SMOOTHING);
    count = detector->decisions;
    for (k = 0; k < KWS_MODEL_OUTPUT_SIZE; k++) {
        uint8_t posterior = (uint8_t)(detector->output[k] + 128);

        /* The row that leaves holds zeros until the history is full. */
        detector->sums[k] = (uint16_t)(detector->sums[k] - row[k] + posterior);
        row[k] = posterior;
        detector->posteriors[k] = (uint8_t)((detector->sums[k] + count / 2u) / count);
    }
}

/* Release what fell, find the candidate, and see whether it is a detection. */
static int decide(kws_detector *detector, kws_detection *detection)
{
    const uint8_t *posteriors = detector->posteriors;
    int best = -1;
    int k;

    for (k = 0; k < KWS_MODEL_OUTPUT_SIZE; k++) {
        if (thresholds[k] == 0) {
            continue;
        }
        if (posteriors[k] < releases[k]) {
            detector->held[k] = 0;
        }
        if (best < 0 || posteriors[k] > posteriors[best]) {
            best = k;
        }
    }
    if (best < 0 || posteriors[best] < thresholds[best] || detector->held[best] || detector->quiet > 0 ||
        detector->decisions < KWS_DETECTOR_SMOOTHING) {
        return 0;
    }
    detector->held[best] = 1;
    detector->quiet = KWS_DETECTOR_REFRACTORY;
    detection->label = best;
    detection->score = posteriors[best];
    detection->frame = detector->frame - 1u;
    return 1;
}

/* A frame was completed: a decision, where one is due. */
static int end_frame(kws_detector *detector, kws_detection *detection)
{
    detector->frame++;
    if (detector->quiet > 0) {
        detector->quiet--;
    }
    if (--detector->wait > 0) {
        return 0;
    }
    detector->wait = KWS_DETECTOR_STRIDE;
    kws_frontend_quantized(&detector->frontend, KWS_MODEL_INPUT_SCALE, KWS_MODEL_INPUT_ZERO_POINT, detector->input);
    kws_model_invoke(detector->input, detector->output, &detector->arena);
    smooth(detector);
    return decide(detector, detection);
}

int kws_detector_push_some(kws_detector *detector, const int16_t *samples, size_t count, size_t *used,
                           kws_detection *detection)
{
    size_t done = 0;
    int found = 0;

    while (done < count && !found) {
        /* Frames are completed a stride apart, so that a part of a stride completes one at most. */
        size_t part = count - done < KWS_FRONTEND_FRAME_STRIDE ? count - done : KWS_FRONTEND_FRAME_STRIDE;

        if (kws_frontend_push(&detector->frontend, samples + done, part) > 0) {
            found = end_frame(detector, detection);
        }
        done += part;
    }
    *used = done;
    return found;
}

int kws_detector_push(kws_detector *detector, const int16_t *samples, size_t count, kws_detection *detection)
{
    kws_detection later;
    size_t used;
    int found = 0;

    while (count > 0) {
        if (kws_detector_push_some(detector, samples, count, &used, found ? &later : detection)) {
            found = 1;
        }
        samples += used;
        count -= used;
    }
    return found;
}

const uint8_t *kws_detector_posteriors(const kws_detector *detector)
{
    return detector->posteriors;
}
