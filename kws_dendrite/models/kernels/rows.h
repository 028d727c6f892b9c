/* What the population kernels share: vectors, and rows split over threads.
 *
 * A row is one channel of one member: M = B*T contiguous floats. Rows are independent, so each entry takes the number
 * of threads to split them over. Every function returns 0, or 1 when memory ran out. Vectors are the compiler's
 * generic ones (GCC and Clang; 16 lanes are lowered to whatever the machine has), so there are no intrinsics and no
 * -ffast-math: a NaN or an infinity in the data comes out as PyTorch would give it.
 */
#ifndef KWS_DENDRITE_ROWS_H
#define KWS_DENDRITE_ROWS_H

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 8
#define MAX_THREADS 64
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t mask __attribute__((vector_size(4 * LANES)));

INLINE vec load(const float *p) { vec v; memcpy(&v, p, sizeof v); return v; }
INLINE void store(float *p, vec v) { memcpy(p, &v, sizeof v); }
INLINE vec splat(float v) { return (vec){0} + v; }
INLINE vec choose(mask m, vec a, vec b) { return (vec)(((mask)a & m) | ((mask)b & ~m)); }
INLINE int64_t whole(int64_t n) { return (n + LANES - 1) / LANES * LANES; } /* n, up to full vectors */
INLINE vec keep(vec v, mask m) { return (vec)((mask)v & m); }
INLINE vec relu_vec(vec v) { return keep(v, ~(v < 0.0f)); } /* keeps NaN */
INLINE float relu_one(float v) { return v < 0.0f ? 0.0f : v; }

INLINE double total(vec v)
{
    double sum = 0.0;
    for (int i = 0; i < LANES; i++) sum += v[i];
    return sum;
}

typedef int (*range_function)(const void *job, int64_t begin, int64_t end);
typedef struct { range_function run; const void *job; int64_t begin, end; int failed; } Part;

static void *run_part(void *argument)
{
    Part *part = argument;
    part->failed = part->run(part->job, part->begin, part->end);
    return NULL;
}

static int split(range_function run, const void *job, int64_t rows, int threads)
{
    Part parts[MAX_THREADS];
    pthread_t ids[MAX_THREADS];
    int started[MAX_THREADS] = {0}, failed = 0;
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    if (threads > rows) threads = (int)rows;
    if (threads <= 1) return run(job, 0, rows);
    for (int i = 0; i < threads; i++) {
        parts[i] = (Part){run, job, rows * i / threads, rows * (i + 1) / threads, 0};
        if (i > 0) started[i] = pthread_create(&ids[i], NULL, run_part, &parts[i]) == 0;
    }
    run_part(&parts[0]);
    for (int i = 1; i < threads; i++) {
        if (started[i]) pthread_join(ids[i], NULL);
        else run_part(&parts[i]);
    }
    for (int i = 0; i < threads; i++) failed |= parts[i].failed;
    return failed;
}

#endif
