/* Features on standard input, clip after clip; for each what was watched, if anything, and the scores on standard output. */
#include <stdio.h>

#include "kws_model.h"

#ifdef KWS_WATCHED_BYTES
void kws_watch(const void *data, unsigned bytes) { fwrite(data, 1, bytes, stdout); }
#endif

int main(void) {
    static int8_t in[KWS_MODEL_INPUT_SIZE], out[KWS_MODEL_OUTPUT_SIZE];
    static kws_arena arena;
    while (fread(in, 1, sizeof in, stdin) == sizeof in) {
        kws_model_invoke(in, out, &arena);
        fwrite(out, 1, sizeof out, stdout);
    }
    return fflush(stdout) != 0;
}
