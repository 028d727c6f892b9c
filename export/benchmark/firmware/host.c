/* The C build on the host: nanoseconds of each inference, one a line.
   host CLIP RUNS: CLIP is a file of KWS_MODEL_INPUT_SIZE int8 features. */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kws_model.h"

enum { WARM_UP = 50 };

static int8_t in[KWS_MODEL_INPUT_SIZE], out[KWS_MODEL_OUTPUT_SIZE];
static kws_arena arena;

int main(int argc, char **argv) {
    FILE *clip = argc == 3 ? fopen(argv[1], "rb") : NULL;
    const long runs = argc == 3 ? atol(argv[2]) : 0;
    if (clip == NULL || fread(in, 1, sizeof in, clip) != sizeof in) {
        return 1;
    }
    for (long run = -WARM_UP; run < runs; ++run) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        kws_model_invoke(in, out, &arena);
        clock_gettime(CLOCK_MONOTONIC, &end);
        if (run >= 0) {
            printf("%lld\n", (long long)(end.tv_sec - start.tv_sec) * 1000000000LL + (end.tv_nsec - start.tv_nsec));
        }
    }
    return 0;
}
