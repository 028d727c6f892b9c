/* Convolution over both axes, stride 1, zeros around, bias; then, if asked for, ReLU, pool and dropout in the same pass.
 *
 * z[o, h, w] = bias[o] + sum_{i,r,c} weight[o, i, r, c] x[i, h + r - top, w + c - left], zero outside. A chunk of clips
 * is spread over planes that stay in cache; each tap is then a shifted read of one long row, whatever the map's width.
 * The gradient to x is the same convolution with the mirrored kernel, that to the weights a product of two long rows.
 */
#include "planes.h"

#define CHUNK_FLOATS 98304 /* of input and output planes: 384 KiB, within a usual second-level cache */
#define WIDE 4             /* output channels that are summed at once */
#ifdef __AVX512VL__
#define VECTORS 4 /* of each: as many sums as there are registers for */
#else
#define VECTORS 2
#endif
#define SLACK (2 * VECTORS * LANES + 2 * LANES)

#ifdef __AVX__
#define HOLD(v) __asm__("" : "+x"(v)) /* in a register: GCC would read it from memory at every use, twice the loads */
#else
#define HOLD(v) (void)(v)
#endif

typedef struct {
    const float *x, *weight, *bias, *gy;
    float *y, *gx, *partial;
    int32_t *where;
    const int64_t *codes; /* of dropout, one a member */
    int64_t members, clips, inputs, outputs, kernel_h, kernel_w, top, left;
    int pooled;
    Pooling pool; /* H and W are the map's in any case */
} Conv;

typedef struct {
    int64_t stride, plane, margin, chunk, chunks, length, taps, weights;
} Sizes;

static Sizes sizes_of(const Conv *d)
{
    Sizes s;
    const int64_t bottom = d->kernel_h - 1 - d->top, right = d->kernel_w - 1 - d->left;
    const int64_t gap_h = d->top > bottom ? d->top : bottom, gap_w = d->left > right ? d->left : right;
    s.stride = d->pool.W + gap_w;
    s.plane = (d->pool.H + gap_h) * s.stride;
    s.margin = gap_h * s.stride + gap_w;
    s.chunk = CHUNK_FLOATS / (s.plane * (d->inputs + d->outputs));
    s.chunk = s.chunk < 1 ? 1 : s.chunk > d->clips ? d->clips : s.chunk;
    s.chunks = (d->clips + s.chunk - 1) / s.chunk;
    s.length = 2 * s.margin + s.chunk * s.plane + SLACK;
    s.taps = d->kernel_h * d->kernel_w;
    s.weights = d->outputs * d->inputs * s.taps;
    return s;
}

/* `count` rows of y from `inputs` rows of x; weights are (inputs, taps, outputs) here. Both are constants at a call. */
INLINE void convolve(const float *x, float *y, const float *weight, const float *bias, const int64_t *offsets,
                     int64_t inputs, int64_t taps, int64_t all, int64_t row, int64_t n, const int count)
{
    for (int64_t j = 0; j < n; j += VECTORS * LANES) {
        vec sum[WIDE][VECTORS];
        for (int o = 0; o < count; o++)
            for (int v = 0; v < VECTORS; v++) sum[o][v] = splat(bias ? bias[o] : 0.0f);
        for (int64_t i = 0; i < inputs; i++)
            for (int64_t t = 0; t < taps; t++) {
                const float *from = x + i * row + offsets[t] + j, *w = weight + (i * taps + t) * all;
                vec value[VECTORS];
                for (int v = 0; v < VECTORS; v++) {
                    value[v] = load(from + v * LANES);
                    HOLD(value[v]);
                }
                for (int o = 0; o < count; o++) {
                    vec factor = splat(w[o]);
                    HOLD(factor);
                    for (int v = 0; v < VECTORS; v++) sum[o][v] += value[v] * factor;
                }
            }
        for (int o = 0; o < count; o++)
            for (int v = 0; v < VECTORS; v++) store(y + o * row + j + v * LANES, sum[o][v]);
    }
}

static void convolve_all(const float *x, float *y, const float *weight, const float *bias, const int64_t *offsets,
                         int64_t inputs, int64_t outputs, int64_t taps, int64_t row, int64_t n)
{
    for (int64_t o = 0; o < outputs; o += WIDE) {
        const float *w = weight + o, *b = bias ? bias + o : NULL;
        float *to = y + o * row;
        switch (outputs - o) {
        case 1: convolve(x, to, w, b, offsets, inputs, taps, outputs, row, n, 1); break;
        case 2: convolve(x, to, w, b, offsets, inputs, taps, outputs, row, n, 2); break;
        case 3: convolve(x, to, w, b, offsets, inputs, taps, outputs, row, n, 3); break;
        default: convolve(x, to, w, b, offsets, inputs, taps, outputs, row, n, WIDE);
        }
    }
}

typedef float quad __attribute__((vector_size(4 * LANES / 2)));

INLINE float lanes_total(vec v)
{
    quad halves[2], both;
    memcpy(halves, &v, sizeof v);
    both = halves[0] + halves[1];
    return (both[0] + both[2]) + (both[1] + both[3]);
}

/* sums[o, t] of `count` rows of g and `three` taps of one row of x: products over the whole length. */
INLINE void correlate(const float *g, const float *x, const int64_t *offsets, int64_t row, int64_t n, float *to,
                      int64_t apart, const int count, const int three)
{
    vec sum[WIDE][3];
    for (int o = 0; o < count; o++)
        for (int t = 0; t < three; t++) sum[o][t] = (vec){0};
    for (int64_t j = 0; j < n; j += LANES) {
        vec value[3];
        for (int t = 0; t < three; t++) {
            value[t] = load(x + offsets[t] + j);
            HOLD(value[t]);
        }
        for (int o = 0; o < count; o++) {
            vec gradient = load(g + o * row + j);
            HOLD(gradient);
            for (int t = 0; t < three; t++) sum[o][t] += gradient * value[t];
        }
    }
    for (int o = 0; o < count; o++)
        for (int t = 0; t < three; t++) to[o * apart + t] += lanes_total(sum[o][t]);
}

static void correlate_all(const Conv *d, const Sizes *s, const float *g, const float *x, const int64_t *offsets,
                          int64_t n, float *to)
{
    for (int64_t o = 0; o < d->outputs; o += WIDE)
        for (int64_t i = 0; i < d->inputs; i++)
            for (int64_t t = 0; t < s->taps; t += 3) {
                const float *from = g + o * s->length, *row = x + i * s->length;
                float *into = to + (o * d->inputs + i) * s->taps + t;
                const int64_t apart = d->inputs * s->taps, rest = s->taps - t;
                const int count = (int)(d->outputs - o < WIDE ? d->outputs - o : WIDE);
#define CASE(c) \
    case c: \
        if (rest >= 3) correlate(from, row, offsets + t, s->length, n, into, apart, c, 3); \
        else if (rest == 2) correlate(from, row, offsets + t, s->length, n, into, apart, c, 2); \
        else correlate(from, row, offsets + t, s->length, n, into, apart, c, 1); \
        break;
                switch (count) { CASE(1) CASE(2) CASE(3) CASE(4) }
#undef CASE
            }
}

/* Clips of one chunk, channel by channel, into planes with margins. */
static void spread_clips(const Conv *d, const Sizes *s, const float *from, int64_t channels, int64_t clips, float *to)
{
    const int64_t map = d->pool.H * d->pool.W;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t b = 0; b < clips; b++)
            spread(to + c * s->length + s->margin + b * s->plane, s->stride, from + (c * d->clips + b) * map, d->pool.W,
                   d->pool.H);
}

static void gather_clips(const Conv *d, const Sizes *s, const float *from, int64_t channels, int64_t clips, float *to)
{
    const int64_t map = d->pool.H * d->pool.W;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t b = 0; b < clips; b++)
            gather(to + (c * d->clips + b) * map, d->pool.W, from + c * s->length + s->margin + b * s->plane, s->stride,
                   d->pool.H);
}

static void offsets_of(const Conv *d, const Sizes *s, int64_t sign, int64_t *offsets)
{
    for (int64_t r = 0; r < d->kernel_h; r++)
        for (int64_t c = 0; c < d->kernel_w; c++)
            offsets[r * d->kernel_w + c] = sign * ((r - d->top) * s->stride + c - d->left);
}

static int conv_forward_units(const void *job, int64_t begin, int64_t end)
{
    const Conv *d = job;
    const Sizes s = sizes_of(d);
    const int64_t map = d->pool.H * d->pool.W, out = d->pool.OH * d->pool.OW;
    float *x = calloc((d->inputs + d->outputs) * s.length + s.weights, sizeof(float));
    int64_t *offsets = malloc(s.taps * sizeof(int64_t));
    if (!x || !offsets) { free(x); free(offsets); return 1; }
    float *z = x + d->inputs * s.length, *weight = z + d->outputs * s.length;
    offsets_of(d, &s, 1, offsets);
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t p = unit / s.chunks, first = unit % s.chunks * s.chunk;
        const int64_t clips = d->clips - first < s.chunk ? d->clips - first : s.chunk;
        if (unit == begin || first == 0)
            for (int64_t o = 0; o < d->outputs; o++)
                for (int64_t k = 0; k < d->inputs * s.taps; k++)
                    weight[k * d->outputs + o] = d->weight[p * s.weights + o * d->inputs * s.taps + k];
        spread_clips(d, &s, d->x + (p * d->inputs * d->clips + first) * map, d->inputs, clips, x);
        convolve_all(x + s.margin, z + s.margin, weight, d->pooled || !d->bias ? NULL : d->bias + p * d->outputs,
                     offsets, d->inputs, d->outputs, s.taps, s.length, clips * s.plane);
        if (!d->pooled) {
            gather_clips(d, &s, z, d->outputs, clips, d->y + (p * d->outputs * d->clips + first) * map);
            continue;
        }
        for (int64_t o = 0; o < d->outputs; o++)
            for (int64_t b = 0; b < clips; b++) {
                const int64_t inside = (o * d->clips + first + b) * out, at = p * d->outputs * d->clips * out + inside;
                pool_map(&d->pool, z + o * s.length + s.margin + b * s.plane, s.stride,
                         d->bias ? d->bias[p * d->outputs + o] : 0.0f, drop_of(d->codes, p), (uint32_t)inside,
                         d->y + at, d->where + at, (clips - b) * out);
            }
    }
    free(x);
    free(offsets);
    return 0;
}

static int conv_backward_units(const void *job, int64_t begin, int64_t end)
{
    const Conv *d = job;
    const Sizes s = sizes_of(d);
    const int64_t map = d->pool.H * d->pool.W, out = d->pool.OH * d->pool.OW;
    float *x = calloc((d->inputs + d->outputs) * s.length + s.weights, sizeof(float));
    int64_t *offsets = malloc(2 * s.taps * sizeof(int64_t)), *mirrored = offsets + s.taps;
    if (!x || !offsets) { free(x); free(offsets); return 1; }
    float *g = x + d->inputs * s.length, *weight = g + d->outputs * s.length;
    offsets_of(d, &s, 1, offsets);
    offsets_of(d, &s, -1, mirrored);
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t p = unit / s.chunks, first = unit % s.chunks * s.chunk;
        const int64_t clips = d->clips - first < s.chunk ? d->clips - first : s.chunk, n = clips * s.plane;
        float *sums = d->partial + unit * (s.weights + d->outputs);
        memset(sums, 0, (s.weights + d->outputs) * sizeof(float));
        for (int64_t o = 0; o < d->outputs; o++) {
            float *row = g + o * s.length + s.margin;
            double bias = 0.0;
            if (d->pooled) {
                memset(row, 0, n * sizeof(float));
                for (int64_t b = 0; b < clips; b++) {
                    const int64_t at = ((p * d->outputs + o) * d->clips + first + b) * out;
                    bias += unpool_map(&d->pool, d->gy + at, drop_of(d->codes, p).scale, d->where + at,
                                       (clips - b) * out, row + b * s.plane, s.stride);
                }
            } else {
                const float *from = d->gy + ((p * d->outputs + o) * d->clips + first) * map;
                vec sum = {0};
                int64_t j = 0;
                for (; j + LANES <= clips * map; j += LANES) sum += load(from + j);
                for (; j < clips * map; j++) bias += from[j];
                bias += total(sum);
                for (int64_t b = 0; b < clips; b++) spread(row + b * s.plane, s.stride, from + b * map, d->pool.W, d->pool.H);
            }
            memset(row + n, 0, LANES * sizeof(float)); /* an earlier, longer chunk's */
            sums[s.weights + o] = (float)bias;
        }
        spread_clips(d, &s, d->x + (p * d->inputs * d->clips + first) * map, d->inputs, clips, x);
        correlate_all(d, &s, g + s.margin, x + s.margin, offsets, n, sums);
        if (!d->gx) continue;
        for (int64_t o = 0; o < d->outputs; o++)
            for (int64_t i = 0; i < d->inputs; i++)
                for (int64_t t = 0; t < s.taps; t++)
                    weight[(o * s.taps + t) * d->inputs + i] =
                        d->weight[p * s.weights + (o * d->inputs + i) * s.taps + t];
        convolve_all(g + s.margin, x + s.margin, weight, NULL, mirrored, d->outputs, d->inputs, s.taps, s.length, n);
        gather_clips(d, &s, x, d->inputs, clips, d->gx + (p * d->inputs * d->clips + first) * map);
        for (int64_t i = 0; i < d->inputs; i++) /* the gaps hold sums now */
            memset(x + i * s.length, 0, s.length * sizeof(float));
    }
    free(x);
    free(offsets);
    return 0;
}

/* y is (members, outputs, clips, H, W), or with `pooled` (members, outputs, clips, OH, OW), `where` then as large; bias
 * may be NULL, codes where there is no dropout. */
int conv_forward(float *y, const float *x, const float *weight, const float *bias, int32_t *where,
                 const int64_t *codes, int64_t members, int64_t clips, int64_t inputs, int64_t outputs, int64_t H,
                 int64_t W, int64_t kernel_h, int64_t kernel_w, int64_t top, int64_t left, int64_t window_h,
                 int64_t window_w, int64_t OH, int64_t OW, int pooled, int threads)
{
    const Conv d = {.x = x, .weight = weight, .bias = bias, .y = y, .where = where, .codes = codes, .members = members,
                    .clips = clips, .inputs = inputs, .outputs = outputs, .kernel_h = kernel_h, .kernel_w = kernel_w,
                    .top = top, .left = left, .pooled = pooled, .pool = {H, W, window_h, window_w, OH, OW}};
    return split(conv_forward_units, &d, members * sizes_of(&d).chunks, threads);
}

/* gx may be NULL. gweight and gbias are sums of chunks in order, whatever the number of threads. */
int conv_backward(const float *gy, const float *x, const float *weight, const int32_t *where, const int64_t *codes,
                  float *gx, float *gweight, float *gbias, int64_t members, int64_t clips, int64_t inputs,
                  int64_t outputs, int64_t H, int64_t W, int64_t kernel_h, int64_t kernel_w, int64_t top, int64_t left,
                  int64_t window_h, int64_t window_w, int64_t OH, int64_t OW, int pooled, int threads)
{
    Conv d = {.x = x, .weight = weight, .gy = gy, .where = (int32_t *)where, .codes = codes, .gx = gx,
              .members = members, .clips = clips, .inputs = inputs, .outputs = outputs, .kernel_h = kernel_h,
              .kernel_w = kernel_w, .top = top, .left = left, .pooled = pooled,
              .pool = {H, W, window_h, window_w, OH, OW}};
    const Sizes s = sizes_of(&d);
    const int64_t each = s.weights + outputs;
    d.partial = malloc(members * s.chunks * each * sizeof(float));
    if (!d.partial) return 1;
    const int failed = split(conv_backward_units, &d, members * s.chunks, threads);
    for (int64_t p = 0; p < members && !failed; p++)
        for (int64_t k = 0; k < each; k++) {
            double sum = 0.0;
            for (int64_t c = 0; c < s.chunks; c++) sum += d.partial[(p * s.chunks + c) * each + k];
            if (k < s.weights) gweight[p * s.weights + k] = (float)sum;
            else gbias[p * outputs + k - s.weights] = (float)sum;
        }
    free(d.partial);
    return failed;
}
