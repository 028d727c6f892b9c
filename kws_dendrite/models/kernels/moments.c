/* Sums of v = f(u) - mean f(u), f nothing, ReLU or a clip to [-1, 1], with errors and with what else a neuron has.
 *
 * A row is one candidate of one neuron: clips * size floats. Several candidates share a neuron's errors. u alone is
 * read: f(u) is never written, and the backward pass makes it anew.
 */
#include "rows.h"

enum { NOTHING, RELU, CLIP };

typedef struct {
    const float *u, *delta, *others, *clip_delta, *gsquare, *gcross, *gothers;
    float *mean, *square, *cross, *other_sums, *gu;
    int64_t candidates, neurons, clips, size, regressors;
} Moments;

INLINE vec f_vec(vec u, const int f)
{
    if (f == RELU) return relu_vec(u);
    if (f == CLIP) {
        const mask low = u < -1.0f, high = u > 1.0f; /* keeps NaN */
        return (vec)((mask)keep(u, ~(low | high)) | (mask)keep((vec){0} - 1.0f, low) | (mask)keep((vec){0} + 1.0f, high));
    }
    return u;
}

INLINE float f_one(float u, const int f)
{
    if (f == RELU) return relu_one(u);
    if (f == CLIP) return u < -1.0f ? -1.0f : u > 1.0f ? 1.0f : u;
    return u;
}

INLINE int64_t neuron_of(const Moments *d, int64_t row)
{
    return row / (d->candidates * d->neurons) * d->neurons + row % d->neurons;
}

INLINE void forward_row(const Moments *d, int64_t row, const int f)
{
    const int64_t n = d->clips * d->size, L = d->size, R = d->regressors, neuron = neuron_of(d, row);
    const float *u = d->u + row * n, *delta = d->delta + neuron * n;
    double sum = 0.0, squares = 0.0;
    int64_t i = 0;
    const float origin = f_one(u[0], f); /* sums of what is far from zero lose digits, and so do long ones */
    while (i + 4 * LANES <= n) {
        vec part[4] = {{0}};
        for (int turn = 0; turn < 16 && i + 4 * LANES <= n; turn++, i += 4 * LANES)
            for (int j = 0; j < 4; j++) part[j] += f_vec(load(u + i + j * LANES), f) - origin;
        sum += total((part[0] + part[1]) + (part[2] + part[3]));
    }
    for (; i < n; i++) sum += f_one(u[i], f) - origin;
    const double exact = origin + sum / n;
    const float mean = (float)exact;
    for (int64_t b = 0; b < d->clips; b++) {
        const float *x = u + b * L, *e = delta + b * L;
        vec square = {0}, cross = {0};
        double rest_square = 0.0, rest_cross = 0.0;
        int64_t l = 0;
        for (; l + LANES <= L; l += LANES) {
            const vec v = f_vec(load(x + l), f) - mean;
            square += v * v;
            cross += v * load(e + l);
        }
        for (; l < L; l++) {
            const float v = f_one(x[l], f) - mean;
            rest_square += v * v;
            rest_cross += v * e[l];
        }
        squares += total(square) + rest_square;
        rest_cross += (mean - exact) * d->clip_delta[neuron * d->clips + b]; /* of the mean's own rounding */
        d->cross[row * d->clips + b] = (float)(total(cross) + rest_cross);
    }
    for (int64_t r = 0; r < R; r++) {
        const float *other = d->others + (neuron * R + r) * n;
        vec product[2] = {{0}};
        double rest = 0.0;
        for (i = 0; i + 2 * LANES <= n; i += 2 * LANES)
            for (int j = 0; j < 2; j++)
                product[j] += (f_vec(load(u + i + j * LANES), f) - mean) * load(other + i + j * LANES);
        for (; i < n; i++) rest += (f_one(u[i], f) - mean) * other[i];
        d->other_sums[row * R + r] = (float)(total(product[0] + product[1]) + rest);
    }
    d->mean[row] = mean;
    d->square[row] = (float)squares;
}

/* The gradient by v is 2 gsquare v + gcross delta + sum_r gothers other_r; by f(u), that less its mean. v and the
 * others have mean 0, so that the mean is that of gcross delta. */
INLINE void backward_row(const Moments *d, int64_t row, const int f)
{
    const int64_t n = d->clips * d->size, L = d->size, R = d->regressors, neuron = neuron_of(d, row);
    const float *u = d->u + row * n, *delta = d->delta + neuron * n, *gcross = d->gcross + row * d->clips;
    const float *others = d->others + neuron * R * n, *gothers = d->gothers + row * R;
    const float mean = d->mean[row], slope = 2.0f * d->gsquare[row];
    float *gu = d->gu + row * n;
    double all = 0.0;
    for (int64_t b = 0; b < d->clips; b++) all += (double)gcross[b] * d->clip_delta[neuron * d->clips + b];
    const float level = (float)(-all / n);
    for (int64_t b = 0; b < d->clips; b++) {
        const int64_t from = b * L;
        const float weight = gcross[b];
        int64_t l = 0;
        for (; l + LANES <= L; l += LANES) {
            const vec x = load(u + from + l);
            vec g = (f_vec(x, f) - mean) * slope + (load(delta + from + l) * weight + level);
            for (int64_t r = 0; r < R; r++) g += load(others + r * n + from + l) * gothers[r];
            if (f == RELU) g = keep(g, ~(x <= 0.0f));
            if (f == CLIP) g = keep(g, ~((x <= -1.0f) | (x >= 1.0f)));
            store(gu + from + l, g);
        }
        for (; l < L; l++) {
            const float x = u[from + l];
            float g = (f_one(x, f) - mean) * slope + (delta[from + l] * weight + level);
            for (int64_t r = 0; r < R; r++) g += others[r * n + from + l] * gothers[r];
            if ((f == RELU && x <= 0.0f) || (f == CLIP && (x <= -1.0f || x >= 1.0f))) g = 0.0f;
            gu[from + l] = g;
        }
    }
}

#define ROWS(name, row_function, f)                                                                                    \
    static int name(const void *job, int64_t begin, int64_t end)                                                       \
    {                                                                                                                  \
        for (int64_t row = begin; row < end; row++) row_function(job, row, f);                                         \
        return 0;                                                                                                      \
    }

ROWS(forward_nothing, forward_row, NOTHING)
ROWS(forward_relu, forward_row, RELU)
ROWS(forward_clip, forward_row, CLIP)
ROWS(backward_nothing, backward_row, NOTHING)
ROWS(backward_relu, backward_row, RELU)
ROWS(backward_clip, backward_row, CLIP)

/* u is (members, candidates, neurons, clips, size), delta (members, neurons, clips, size), others (members, neurons,
 * regressors, clips, size) of mean 0, clip_delta (members, neurons, clips) each clip's sum of delta; out come mean and
 * square, one a row, cross (rows, clips) and other_sums (rows, regressors). others may be NULL where there are no
 * regressors. */
int moments_forward(const float *u, const float *delta, const float *others, const float *clip_delta, float *mean,
                    float *square, float *cross, float *other_sums, int64_t members, int64_t candidates,
                    int64_t neurons, int64_t clips, int64_t size, int64_t regressors, int f, int threads)
{
    const Moments d = {.u = u, .delta = delta, .others = others, .clip_delta = clip_delta, .mean = mean, .square = square, .cross = cross,
                       .other_sums = other_sums, .candidates = candidates, .neurons = neurons, .clips = clips,
                       .size = size, .regressors = regressors};
    const range_function run = f == RELU ? forward_relu : f == CLIP ? forward_clip : forward_nothing;
    return split(run, &d, members * candidates * neurons, threads);
}

int moments_backward(const float *u, const float *delta, const float *others, const float *clip_delta, float *mean,
                     const float *gsquare, const float *gcross, const float *gothers, float *gu, int64_t members,
                     int64_t candidates, int64_t neurons, int64_t clips, int64_t size, int64_t regressors, int f,
                     int threads)
{
    const Moments d = {.u = u, .delta = delta, .others = others, .clip_delta = clip_delta, .mean = mean,
                       .gsquare = gsquare, .gcross = gcross, .gothers = gothers, .gu = gu, .candidates = candidates,
                       .neurons = neurons, .clips = clips, .size = size, .regressors = regressors};
    const range_function run = f == RELU ? backward_relu : f == CLIP ? backward_clip : backward_nothing;
    return split(run, &d, members * candidates * neurons, threads);
}
