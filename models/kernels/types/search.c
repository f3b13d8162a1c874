/* The scale searches of ggml's reference quantizers for Q4_K, Q5_K and Q6_K: weighted least squares over a few trial
 * roundings. The order of the float operations is part of the format's "exactly as ggml does": tests compare bytes. */
#include "kernels/types/types.h"

enum { SEARCH_MAX = 32 };

static const float TINY = 1e-15f; /* groups below this are zeros */

/* sums of w*l*x and w*l*l for l = rounding of inv*x, w = x*x */
static void symmetric_sums(const float *x, int n, int half, float inv, float *xl, float *ll) {
    *xl = *ll = 0;
    for (int i = 0; i < n; i++) {
        int l = clamp_int(nearest(inv * x[i]), -half, half - 1);
        float w = x[i] * x[i];
        *xl += w * x[i] * (float)l;
        *ll += w * (float)l * (float)l;
    }
}

/* Scale for integers -half..half-1 of n values: tries 19 inverse scales around -half / (value of largest magnitude).
 * The levels, + half, of the best trial go to level: they are stored where the rounded scale is zero. */
float search_symmetric(const float *x, int n, int half, uint8_t *level) {
    float max = max_magnitude(x, n), xl, ll;
    memset(level, 0, (size_t)n);
    if (fabsf(max) < TINY) return 0;
    float best_inv = (float)-half / max;
    symmetric_sums(x, n, half, best_inv, &xl, &ll);
    float scale = ll != 0 ? xl / ll : 0, best = scale * xl;
    for (int trial = -9; trial <= 9; trial++) {
        if (!trial) continue;
        float inv = -((float)half + 0.1f * (float)trial) / max;
        symmetric_sums(x, n, half, inv, &xl, &ll);
        if (!(ll > 0 && xl * xl > best * ll)) continue;
        scale = xl / ll;
        best = scale * xl;
        best_inv = inv;
    }
    for (int i = 0; i < n; i++)
        level[i] = (uint8_t)(half + clamp_int(nearest(best_inv * x[i]), -half, half - 1));
    return scale;
}

/* One trial of the affine search: x ~ scale * l + low, low <= 0. */
struct affine_fit {
    float scale, low;
    uint8_t l[SEARCH_MAX];
};

static void affine_round(const float *x, int n, int top, float inv, float min, struct affine_fit *fit) {
    for (int i = 0; i < n; i++)
        fit->l[i] = (uint8_t)clamp_int(nearest(inv * (x[i] - min)), 0, top);
}

/* Weighted least squares for the levels in fit; 0 if they determine no line. */
static int affine_solve(const float *x, const float *weight, int n, float sum_w, float sum_x, struct affine_fit *fit) {
    float sum_l = 0, sum_ll = 0, sum_xl = 0;
    for (int i = 0; i < n; i++) {
        float w = weight[i], l = fit->l[i];
        sum_l += w * l;
        sum_ll += w * l * l;
        sum_xl += w * l * x[i];
    }
    float det = sum_w * sum_ll - sum_l * sum_l;
    if (!(det > 0)) return 0;
    fit->scale = (sum_w * sum_xl - sum_x * sum_l) / det;
    fit->low = (sum_ll * sum_x - sum_l * sum_xl) / det;
    if (fit->low > 0) {
        fit->low = 0;
        fit->scale = sum_xl / sum_ll;
    }
    return 1;
}

static float affine_error(const float *x, const float *weight, int n, const struct affine_fit *fit) {
    float error = 0;
    for (int i = 0; i < n; i++) {
        float diff = fit->scale * (float)fit->l[i] + fit->low - x[i];
        error += weight[i] * (diff * diff);
    }
    return error;
}

/* Scale of n values at levels 0..top, and *low = -minimum: starts from the range of x, then tries inverse scales
 * (first + 0.1 i + top) / range for i = 0..steps, the range always from the best minimum so far. The best trial's
 * levels go to level. */
float search_affine(const float *x, const float *weight, int n, int top, float first, int steps, float *low,
                    uint8_t *level) {
    float min, max, sum_w = 0, sum_x = 0;
    min_max(x, n, &min, &max);
    for (int i = 0; i < n; i++) {
        sum_w += weight[i];
        sum_x += weight[i] * x[i];
    }
    if (min > 0) min = 0;
    *low = -min;
    memset(level, 0, (size_t)n);
    if (max == min) return 0;
    float inv = (float)top / (max - min);
    struct affine_fit best = {.scale = 1 / inv, .low = min}, fit;
    affine_round(x, n, top, inv, min, &best);
    float least = affine_error(x, weight, n, &best);
    for (int i = 0; i <= steps; i++) {
        float inv_i = (first + 0.1f * (float)i + (float)top) / (max - best.low);
        affine_round(x, n, top, inv_i, best.low, &fit);
        if (!affine_solve(x, weight, n, sum_w, sum_x, &fit)) continue;
        float error = affine_error(x, weight, n, &fit);
        if (!(error < least)) continue;
        least = error;
        best = fit;
    }
    *low = -best.low;
    memcpy(level, best.l, (size_t)n);
    return best.scale;
}
