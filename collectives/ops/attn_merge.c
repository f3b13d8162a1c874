/* attn_merge - joins partial attention over disjoint sets of positions (flash-decoding's reduction; Dao et al. 2023).
 *
 * An element is m, l, o[dim] (op.h). Per merge each term of l and o gets at most three relative errors of half a unit
 * in the last place: of its weight e^(m_i - m), of the product and of the sum. So after M merges in any order |o/l -
 * exact| <= 2 (3M + 1) 2^-24 sum_j w_j |v_j| / sum_j w_j to first order, the + 1 for (l, o) rounded when they were
 * made; what underflows on the way is below M 2^-126 of the largest |v|, as l >= 1. */
#include <math.h>
#include <string.h>

#include "collectives/op.h"
#include "cpu_forms.h"

/* e^x for x <= 0 in double, by a fixed sequence of operations so that it is the same everywhere; right to the rounding
 * to float. x = k ln 2 + r, |r| <= ln(2) / 2; Taylor to r^12 / 12!, which leaves 2e-16. */
static float weight_of(double x) {
    static const double inverse[] = {
        1,         1,          1. / 2,      1. / 6,       1. / 24,       1. / 120,      1. / 720,
        1. / 5040, 1. / 40320, 1. / 362880, 1. / 3628800, 1. / 39916800, 1. / 479001600};
    static const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33; /* k * ln2_high is exact */
    if (x == 0) return 1;
    if (isnan(x)) return NAN;
    if (x < -104) return 0; /* below half of the least float */
    int k = (int)(x * 1.4426950408889634 - 0.5);
    double r = x - k * ln2_high - k * ln2_low, sum = 0;
    for (int i = 12; i >= 0; i--)
        sum = sum * r + inverse[i];
    return (float)ldexp(sum, k);
}

/* What an element is multiplied by; [0] and [1] for a and b. */
struct weights {
    float a, b;
};

static inline FORM_LOOP void join_to_loop(float *restrict dst, const float *restrict b, struct weights w, size_t n) {
    for (size_t i = 0; i < n; i++)
        dst[i] = dst[i] * w.a + b[i] * w.b;
}
CPU_FORMS(join_to, (float *restrict dst, const float *restrict b, struct weights w, size_t n), (dst, b, w, n))

static inline FORM_LOOP void join_apart_loop(float *restrict dst, const float *restrict a, const float *restrict b,
                                             struct weights w, size_t n) {
    for (size_t i = 0; i < n; i++)
        dst[i] = a[i] * w.a + b[i] * w.b;
}
CPU_FORMS(join_apart,
          (float *restrict dst, const float *restrict a, const float *restrict b, struct weights w, size_t n),
          (dst, a, b, w, n))

static void join(float *dst, const float *a, const float *b, struct weights w, size_t n) {
    if (dst == a)
        join_to(dst, b, w, n);
    else if (dst == b)
        join_to(dst, a, (struct weights){w.b, w.a}, n);
    else
        join_apart(dst, a, b, w, n);
}

static void fill(float *dst, float m, float rest, size_t n) {
    dst[0] = m;
    for (size_t i = 1; i < n; i++)
        dst[i] = rest;
}

static void merge_element(float *dst, const float *a, const float *b, size_t n) {
    float ma = a[0], mb = b[0], m = ma > mb ? ma : mb;
    if (isnan(ma) || isnan(mb)) {
        fill(dst, NAN, NAN, n);
    } else if (m == -INFINITY) {
        fill(dst, -INFINITY, 0, n);
    } else if (ma == -INFINITY || mb == -INFINITY) {
        const float *other = ma == -INFINITY ? b : a;
        if (dst != other) memcpy(dst, other, n * sizeof *dst);
    } else {
        struct weights w = {weight_of((double)ma - m), weight_of((double)mb - m)};
        join(dst, a, b, w, n);
        dst[0] = m == 0 ? 0 : m; /* of -0 and +0 always +0 */
    }
}

static void attn_merge_reduce(const struct coll_op *op, void *dst, const void *a, const void *b, size_t n) {
    size_t width = 2 + (size_t)op->param;
    for (size_t i = 0; i < n * width; i += width)
        merge_element((float *)dst + i, (const float *)a + i, (const float *)b + i, width);
}

static void attn_merge_identity(const struct coll_op *op, void *dst, size_t n) {
    size_t width = 2 + (size_t)op->param;
    for (size_t i = 0; i < n * width; i += width)
        fill((float *)dst + i, -INFINITY, 0, width);
}

const struct coll_op coll_op_attn_merge = {
    .name = "attn_merge",
    .description = "partial attention (m, l, o[dim]) over disjoint positions",
    .rounds = 1,
    .param = 1,
    .param_most = 1 << 16,
    .fixed_bytes = 2 * sizeof(float),
    .param_bytes = sizeof(float),
    .elem_bytes = 3 * sizeof(float),
    .reduce = attn_merge_reduce,
    .identity = attn_merge_identity,
};
