/* SPDX-License-Identifier: Apache-2.0 */
/* CONCATENATION of int8 tensors that share scale and zero point: `rows` times `width` bytes into rows of `pitch`. */
#ifndef KWS_CONCAT_H
#define KWS_CONCAT_H

#include "kws_core.h"

static inline void kws_concat_s8(const int8_t *in, int8_t *out, uint32_t rows, uint32_t width, uint32_t pitch) {
    for (; rows; rows--, in += width, out += pitch) {
        memcpy(out, in, width);
    }
}

#endif
