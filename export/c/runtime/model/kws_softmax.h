/* SPDX-License-Identifier: Apache-2.0 */
/* SOFTMAX over one row of int8 logits, in TFLite's fixed point. */
#ifndef KWS_SOFTMAX_H
#define KWS_SOFTMAX_H

#include "kws_core.h"

typedef struct {
    uint16_t classes;
    int32_t multiplier; /* of a logit's distance from the largest, to 5 integer bits */
    int32_t left_shift;
    int32_t minimum; /* a distance below this has an exponential of 0 */
} kws_softmax;

/* out = round(256 * exp(in - max) / sum) - 128, scale 1/256; exps: scratch of `classes` words. */
void kws_softmax_s8(const kws_softmax *softmax, const int8_t *in, int8_t *out, int32_t *exps);

#endif
