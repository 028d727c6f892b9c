/* One step of AdamW (Loshchilov and Hutter 2019, algorithm 2, as torch.optim.AdamW computes it) for all tensors of a
 * population, each member at its own learning rate and weight decay.
 */
#include <math.h>

#include "rows.h"

/* Of each of `tensors` tensors: its parameters and gradient, (members, size), a gradient of NULL to be left alone; its
 * two moments follow one another in `moments`, tensor by tensor. `decays` are of the tensors that `decayed` names. */
int adamw(float *const *parameters, float *const *gradients, float *moments, const int64_t *sizes,
          const int64_t *decayed, const double *rates, const double *decays, int64_t tensors, int64_t members,
          int64_t step, double beta1, double beta2, double eps, int threads)
{
    (void)threads;
    const double first = 1.0 - pow(beta1, (double)step), root = sqrt(1.0 - pow(beta2, (double)step));
    const float keep1 = (float)(1.0 - beta1), keep2 = (float)(1.0 - beta2), old2 = (float)beta2, small = (float)eps;
    const float inverse = (float)(1.0 / root);
    for (int64_t t = 0; t < tensors; moments += 2 * members * sizes[t], t++) {
        if (!gradients[t]) continue;
        for (int64_t p = 0; p < members; p++) {
            const int64_t n = sizes[t];
            const float shrink = decayed[t] ? (float)(1.0 - rates[p] * decays[p]) : 1.0f;
            const float size = (float)(rates[p] / first);
            float *restrict x = parameters[t] + p * n, *restrict m = moments + p * n;
            float *restrict v = moments + (members + p) * n;
            const float *restrict g = gradients[t] + p * n;
            for (int64_t i = 0; i < n; i++) {
                m[i] += (g[i] - m[i]) * keep1;
                v[i] = v[i] * old2 + g[i] * g[i] * keep2;
                x[i] = x[i] * shrink - size * m[i] / (sqrtf(v[i]) * inverse + small);
            }
        }
    }
    return 0;
}
