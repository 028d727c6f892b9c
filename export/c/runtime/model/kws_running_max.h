/* SPDX-License-Identifier: Apache-2.0 */
/* MAX_POOL_2D of stride 1 and "same" padding along one axis: every step's largest neighbour, int8. */
#ifndef KWS_RUNNING_MAX_H
#define KWS_RUNNING_MAX_H

#include "kws_core.h"

typedef struct {
    uint32_t sequences; /* one behind the other, each by itself */
    uint32_t steps;     /* of a sequence */
    uint32_t width;     /* bytes of a step */
    uint32_t before;    /* steps of the window before the one in question, at most behind + 1 */
    uint32_t behind;
    int8_t minimum, maximum;
} kws_running_max;

/* in and out: (sequences, steps, width), apart. What is outside the sequence is left out. Windows grow by overlapping: the
 * larger of a window and of the same one d steps on is a window that is d steps longer, for any d up to its length, so a
 * window of k steps takes about log2(k) passes over the output, four bytes at a time whatever the channels. */
void kws_running_max_s8(const kws_running_max *pool, const int8_t *in, int8_t *out);

#endif
