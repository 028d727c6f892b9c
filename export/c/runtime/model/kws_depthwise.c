#include "kws_depthwise.h"

void kws_depthwise_s8(const kws_depthwise *layer, const int8_t *in, int8_t *out) {
    const int32_t channels = layer->channels;
    for (int32_t y = 0; y < layer->out_h; y++) {
        const int32_t top = y * layer->stride_h - layer->pad_top;
        for (int32_t x = 0; x < layer->out_w; x++) {
            const int32_t left = x * layer->stride_w - layer->pad_left;
            for (int32_t c = 0; c < channels; c++) {
                const int8_t *weight = layer->weights + c;
                int32_t acc = 0;
                int32_t row = top;
                for (int32_t ky = 0; ky < layer->kernel_h; ky++, row += layer->dilation_h) {
                    int32_t column = left;
                    for (int32_t kx = 0; kx < layer->kernel_w; kx++, column += layer->dilation_w) {
                        const int inside = row >= 0 && row < layer->in_h && column >= 0 && column < layer->in_w;
                        const int32_t q = inside ? in[(row * layer->in_w + column) * channels + c] : layer->zero_point;
                        acc += q * *weight;
                        weight += channels;
                    }
                }
                *out++ = kws_quantize(acc, &layer->output, c);
            }
        }
    }
}
