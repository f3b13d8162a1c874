/* Norms and rotary embedding: order.h rules 7 and 9. */
#include <math.h>

#include "kernels/clones.h"
#include "models/kernels.h"

/* Sum over i of x, or of (x - mean)^2, in 16 lanes. */
INLINE float lanes_of(const float *x, int n) {
    float lane[ORDER_LANES] = {0};
    int i = 0;
    for (; i + ORDER_LANES <= n; i += ORDER_LANES)
        for (int j = 0; j < ORDER_LANES; j++)
            lane[j] += x[i + j];
    for (int j = 0; i + j < n; j++)
        lane[j] += x[i + j];
    return order_lanes_sum(lane);
}

INLINE float lanes_of_squares(const float *x, float mean, int n) {
    float lane[ORDER_LANES] = {0};
    int i = 0;
    for (; i + ORDER_LANES <= n; i += ORDER_LANES)
        for (int j = 0; j < ORDER_LANES; j++)
            lane[j] = fmaf(x[i + j] - mean, x[i + j] - mean, lane[j]);
    for (int j = 0; i + j < n; j++)
        lane[j] = fmaf(x[i + j] - mean, x[i + j] - mean, lane[j]);
    return order_lanes_sum(lane);
}

CLONED(void, norm_rms, (float *y, const float *x, const float *weight, int n, float eps), (y, x, weight, n, eps)) {
    float inv = 1.0f / sqrtf(lanes_of_squares(x, 0, n) / (float)n + eps);
    for (int i = 0; i < n; i++)
        y[i] = x[i] * inv * weight[i];
}

CLONED(void, norm_layer, (float *y, const float *x, const float *weight, const float *bias, int n, float eps),
       (y, x, weight, bias, n, eps)) {
    float mean = lanes_of(x, n) / (float)n;
    float inv = 1.0f / sqrtf(lanes_of_squares(x, mean, n) / (float)n + eps);
    for (int i = 0; i < n; i++)
        y[i] = (x[i] - mean) * inv * weight[i];
    if (bias)
        for (int i = 0; i < n; i++)
            y[i] += bias[i];
}

CLONED(void, rope_apply,
       (float *x, int n_heads, int head_dim, int rope_dim, int interleaved, const float *cs, const float *sn),
       (x, n_heads, head_dim, rope_dim, interleaved, cs, sn)) {
    int half = rope_dim / 2, second = interleaved ? 1 : half, step = interleaved ? 2 : 1;
    for (int h = 0; h < n_heads; h++, x += head_dim)
        for (int i = 0; i < half; i++) {
            float *a = x + step * i, *b = a + second, u = *a, v = *b;
            *a = fmaf(u, cs[i], -(v * sn[i]));
            *b = fmaf(u, sn[i], v * cs[i]);
        }
}
