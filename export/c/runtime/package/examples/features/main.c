/* The model alone: windows of features from standard input, a decision for each on standard output.
 *
 * A window is KWS_MODEL_INPUT_SIZE int8 values, already quantised: clip(round(value / KWS_MODEL_INPUT_SCALE) +
 * KWS_MODEL_INPUT_ZERO_POINT, -128, 127), halves rounded away from zero.
 */
#include <stdio.h>

#include "kws_model.h"

static kws_arena arena;
static int8_t input[KWS_MODEL_INPUT_SIZE];
static int8_t output[KWS_MODEL_OUTPUT_SIZE];

int main(void)
{
    while (fread(input, 1, sizeof input, stdin) == sizeof input) {
        int best = 0;
        int k;

        kws_model_invoke(input, output, &arena);
        for (k = 1; k < KWS_MODEL_OUTPUT_SIZE; k++) {
            if (output[k] > output[best]) {
                best = k;
            }
        }
        printf("%s %.3f\n", kws_model_labels[best],
               (double)(KWS_MODEL_OUTPUT_SCALE * (float)(output[best] - (KWS_MODEL_OUTPUT_ZERO_POINT))));
    }
    return 0;
}
