#include "kws_core.h"

int8_t kws_round(int32_t acc, const kws_output *output, int32_t channel) {
    const int32_t multiplier = output->multiplier[channel], third = output->third[channel];
    const int32_t biased = (int32_t)((uint32_t)acc + (uint32_t)output->first[channel]);
    int32_t scaled;
    if (output->form == KWS_ROUND_ONCE) {
        const int shift = 31 - (int)third;
        scaled = (int32_t)(((int64_t)biased * multiplier + ((int64_t)1 << (shift - 1))) >> shift);
    } else {
        scaled = kws_multiply_by_quantized(biased, multiplier, third);
    }
    return kws_clamp(scaled + output->zero_point, output->minimum, output->maximum);
}
