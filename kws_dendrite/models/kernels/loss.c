/* Cross-entropy with smoothed targets: (1 - s) (-log p[label]) + s mean_k(-log p[k]), p the softmax of K logits. */
#include <math.h>

#include "rows.h"

typedef struct {
    const float *logits, *smoothing, *gradient;
    const int64_t *labels;
    float *losses, *out;
    int64_t clips, classes;
} Loss;

static int loss_forward_rows(const void *job, int64_t begin, int64_t end)
{
    const Loss *d = job;
    const int64_t K = d->classes;
    for (int64_t row = begin; row < end; row++) {
        const float *z = d->logits + row * K, s = d->smoothing[row / d->clips];
        float *p = d->out + row * K, most = z[0];
        const int64_t label = d->labels[row];
        double sum = 0.0, all = 0.0;
        if (label < 0 || label >= K) return 1;
        for (int64_t k = 1; k < K; k++) most = z[k] > most ? z[k] : most;
        for (int64_t k = 0; k < K; k++) {
            p[k] = expf(z[k] - most);
            sum += p[k];
            all += z[k] - most;
        }
        const float inverse = (float)(1.0 / sum);
        for (int64_t k = 0; k < K; k++) p[k] *= inverse;
        d->losses[row] = (float)(log(sum) - (1.0 - s) * (z[label] - most) - s * all / K);
    }
    return 0;
}

static int loss_backward_rows(const void *job, int64_t begin, int64_t end)
{
    const Loss *d = job;
    const int64_t K = d->classes;
    for (int64_t row = begin; row < end; row++) {
        const float *p = d->logits + row * K, s = d->smoothing[row / d->clips], g = d->gradient[row];
        float *gz = d->out + row * K;
        for (int64_t k = 0; k < K; k++) gz[k] = g * (p[k] - s / K);
        gz[d->labels[row]] -= g * (1.0f - s);
    }
    return 0;
}

/* Losses (members, clips) and the softmax (members, clips, classes); 1 where a label is none of the classes. */
int loss_forward(float *losses, float *softmax, const float *logits, const int64_t *labels, const float *smoothing,
                 int64_t members, int64_t clips, int64_t classes, int threads)
{
    const Loss d = {.logits = logits, .labels = labels, .smoothing = smoothing, .losses = losses, .out = softmax,
                    .clips = clips, .classes = classes};
    return split(loss_forward_rows, &d, members * clips, threads);
}

int loss_backward(float *out, const float *softmax, const int64_t *labels, const float *smoothing,
                  const float *gradient, int64_t members, int64_t clips, int64_t classes, int threads)
{
    const Loss d = {.logits = softmax, .labels = labels, .smoothing = smoothing, .gradient = gradient, .out = out,
                    .clips = clips, .classes = classes};
    return split(loss_backward_rows, &d, members * clips, threads);
}
