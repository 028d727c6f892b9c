#include "kws_core.h"

int8_t kws_quantize_as_tflite(int32_t acc, const kws_channel *channel, const kws_output *output) {
    const int32_t biased = (int32_t)((uint32_t)acc + (uint32_t)channel->first);
    int32_t scaled;
    if (output->form == KWS_ROUND_ONCE) {
        const int shift = 31 - (int)channel->third;
        scaled = (int32_t)(((int64_t)biased * channel->multiplier + ((int64_t)1 << (shift - 1))) >> shift);
    } else {
        scaled = kws_multiply_by_quantized(biased, channel->multiplier, channel->third);
    }
    return kws_clamp(scaled + output->zero_point, output->minimum, output->maximum);
}
