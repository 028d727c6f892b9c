/* SPDX-License-Identifier: Apache-2.0 */
#include "kws_core.h"

int8_t kws_round(int32_t acc, const kws_output *output, int32_t channel) {
    const int32_t multiplier = output->multiplier[channel], third = output->third[channel];
    const int32_t biased = (int32_t)((uint32_t)acc + (uint32_t)output->first[channel]);
    int32_t scaled;
    if (output->form == KWS_ROUND_ONCE) {
        const int shift = 31 - (int)third;
        const uint64_t size = biased < 0 ? 0 - (uint64_t)biased : (uint64_t)biased;
        const uint64_t product = size * (uint32_t)multiplier + (size * output->fine >> 15);
        const int64_t rounded = (int64_t)((product + ((uint64_t)1 << (shift - 1))) >> shift);
        const int64_t limited = rounded > 512 ? 512 : rounded; /* far outside int8, and inside int32 */
        scaled = (int32_t)(biased < 0 ? -limited : limited);
    } else {
        scaled = kws_multiply_by_quantized(biased, multiplier, third);
    }
    return kws_clamp(kws_add(scaled, output->zero_point), output->minimum, output->maximum);
}
