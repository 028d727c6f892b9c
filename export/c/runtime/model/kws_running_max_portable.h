/* SPDX-License-Identifier: Apache-2.0 */
/* kws_running_max_s8's inner parts in plain C99: four bytes at a time in a word. */
#include "kws_running_max.h"

/* The larger of each of four bytes with a sign. */
static inline uint32_t kws_larger_of(uint32_t a, uint32_t b) {
    const uint32_t signs = 0x80808080u, apart = a ^ b;
    const uint32_t low = (a | signs) - (b & ~signs); /* a byte's top bit: the other seven of a are at least those of b */
    const uint32_t takes_a = (low ^ (apart & (low ^ b))) & signs; /* where signs differ: whether b is below zero */
    const uint32_t mask = (takes_a - (takes_a >> 7)) | takes_a;
    return b ^ (apart & mask);
}

static inline uint32_t kws_word_at(const int8_t *from) {
    uint32_t word;
    memcpy(&word, from, 4);
    return word;
}

static inline int8_t kws_larger_byte(int8_t a, int8_t b) { return a > b ? a : b; }

/* out[i] = the larger of a[i] and b[i], from the first on: a may be out, and b lie in it behind a. */
static void kws_upwards(const int8_t *a, const int8_t *b, int8_t *out, uint32_t n) {
    for (; n >= 4; n -= 4, a += 4, b += 4, out += 4) {
        const uint32_t word = kws_larger_of(kws_word_at(a), kws_word_at(b));
        memcpy(out, &word, 4);
    }
    for (; n; n--) {
        *out++ = kws_larger_byte(*a++, *b++);
    }
}

/* out[i] = the largest of out[i], b[i] and `least`, from the last on: b may lie in out, before it. */
static void kws_downwards(int8_t *out, const int8_t *b, uint32_t n, int8_t least) {
    const uint32_t floor = (uint8_t)least * 0x01010101u;
    for (; n >= 4; n -= 4) {
        const uint32_t larger = kws_larger_of(kws_word_at(out + n - 4), kws_word_at(b + n - 4));
        const uint32_t word = least == INT8_MIN ? larger : kws_larger_of(larger, floor);
        memcpy(out + n - 4, &word, 4);
    }
    for (; n; n--) {
        out[n - 1] = kws_larger_byte(kws_larger_byte(out[n - 1], b[n - 1]), least);
    }
}
