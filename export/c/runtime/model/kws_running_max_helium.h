/* SPDX-License-Identifier: Apache-2.0 */
/* kws_running_max_s8's inner parts for Arm's Helium: 16 bytes at a time. */
#include <arm_mve.h>

#include "kws_running_max.h"

/* out[i] = the larger of a[i] and b[i], from the first on: a may be out, and b lie in it behind a. */
static void kws_upwards(const int8_t *a, const int8_t *b, int8_t *out, uint32_t n) {
    for (; n >= 16; n -= 16, a += 16, b += 16, out += 16) {
        vstrbq_s8(out, vmaxq_s8(vldrbq_s8(a), vldrbq_s8(b)));
    }
    const mve_pred16_t some = vctp8q(n);
    vstrbq_p_s8(out, vmaxq_s8(vldrbq_z_s8(a, some), vldrbq_z_s8(b, some)), some);
}

/* out[i] = the largest of out[i], b[i] and `least`, from the last on: b may lie in out, before it. */
static void kws_downwards(int8_t *out, const int8_t *b, uint32_t n, int8_t least) {
    const int8x16_t floor = vdupq_n_s8(least);
    for (; n >= 16; n -= 16) {
        const int8x16_t larger = vmaxq_s8(vldrbq_s8(out + n - 16), vldrbq_s8(b + n - 16));
        vstrbq_s8(out + n - 16, vmaxq_s8(larger, floor));
    }
    const mve_pred16_t some = vctp8q(n);
    vstrbq_p_s8(out, vmaxq_s8(vmaxq_s8(vldrbq_z_s8(out, some), vldrbq_z_s8(b, some)), floor), some);
}
