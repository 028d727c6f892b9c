/* SPDX-License-Identifier: Apache-2.0 */
/* DEPTHWISE_CONV_2D of one tap, int8: each channel's values times a factor of its own, plus a constant. */
#ifndef KWS_SCALE_H
#define KWS_SCALE_H

#include "kws_core.h"

/* u = x * factor + constant; where the channel has a third and u < 0: u -= third
 * q = saturate8((u + center) >> 20)
 * proven equal to TFLite's arithmetic for all 256 values of x, channel by channel, when the sources were generated: it rounds
 * halves away from zero, and third is what that takes below zero. No sum leaves int32. */
typedef struct {
    const int32_t *factor, *constant; /* by channel, as is the next; each padded with zeros to a multiple of 4 */
    const int32_t *third;             /* null where no channel has one */
    int32_t center;                   /* (zero point << 20) + (1 << 19) */
    uint32_t channels, positions;
} kws_scale;

void kws_scale_s8(const kws_scale *scale, const int8_t *in, int8_t *out); /* out may be in */

#endif
