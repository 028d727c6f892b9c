/* SPDX-License-Identifier: Apache-2.0 */
/* Every function of one int8 value (TANH, LOGISTIC, RELU, RELU6, QUANTIZE): 256 answers, table[q + 128]. */
#ifndef KWS_TABLE_H
#define KWS_TABLE_H

#include "kws_core.h"

void kws_table_s8(const int8_t *table, const int8_t *in, int8_t *out, uint32_t n); /* out may be in */

#endif
