/* SPDX-License-Identifier: Apache-2.0 */
#include "kws_running_max.h"

#if KWS_HELIUM
#include "kws_running_max_helium.h"
#elif KWS_DSP
#include "kws_running_max_dsp.h"
#else
#include "kws_running_max_portable.h"
#endif

/* One sequence. */
static void run(const kws_running_max *pool, const int8_t *in, int8_t *out) {
    const uint32_t width = pool->width, all = pool->steps * width, goal = pool->behind + 1;
    const uint32_t before = pool->before < pool->steps ? pool->before : pool->steps;
    const int8_t *from = in;
    for (uint32_t length = 1; length < goal && length < pool->steps;) { /* windows that begin at their step */
        const uint32_t more = goal - length < length ? goal - length : length, shift = more * width;
        kws_upwards(from, from + shift, out, all - shift);
        if (from == in) {
            memcpy(out + all - shift, in + all - shift, shift); /* these reach the end already */
            from = out;
        }
        length += more;
    }
    if (from == in) {
        memcpy(out, in, all);
    }
    /* And by as many steps before: what begins there reaches far enough. At the sequence's begin, the first steps' windows,
     * final already, reach those of as many steps behind them. */
    kws_downwards(out + before * width, out, all - before * width, pool->minimum);
    kws_downwards(out, out, before ? width : 0, pool->minimum);
    for (uint32_t done = 1; done < before;) {
        const uint32_t more = before - done < done ? before - done : done;
        kws_downwards(out + done * width, out, more * width, pool->minimum);
        done += more;
    }
}

void kws_running_max_s8(const kws_running_max *pool, const int8_t *in, int8_t *out) {
    const uint32_t all = pool->steps * pool->width;
    for (uint32_t i = 0; i < pool->sequences; i++, in += all, out += all) {
        run(pool, in, out);
        for (uint32_t j = 0; pool->maximum < 127 && j < all; j++) {
            out[j] = out[j] < pool->maximum ? out[j] : pool->maximum;
        }
    }
}
