/* Attention against softmax in double precision, kernel sets against each other, the cache, norms and rotation. */
#include <math.h>

#include "check.h"
#include "gen.h"
#include "models/mathf.h"

struct problem {
    struct kv_cache cache;
    void *buf;
    float *k, *v, *q; /* k, v [n_ctx][n_kv_heads][head_dim] */
    int n_heads, *kv_of;
    float *q_step, *w_step, *k_step, *v_step; /* NULL, or static steps of heads */
};

static struct problem problem_new(enum kv_type type, int n_heads, int n_kv, int dim, int n_ctx) {
    struct problem p = {.cache = {.type = type, .n_kv_heads = n_kv, .head_dim = dim, .n_ctx = n_ctx},
                        .n_heads = n_heads};
    size_t row = (size_t)(n_kv * dim);
    p.buf = gen_alloc(kv_cache_bytes(type, n_kv, dim, n_ctx));
    kv_cache_place(&p.cache, p.buf);
    p.k = gen_floats(row * (size_t)n_ctx, 1), p.v = gen_floats(row * (size_t)n_ctx, 2);
    p.q = gen_floats((size_t)(n_heads * dim), 1.5f);
    p.kv_of = gen_alloc((size_t)n_heads * sizeof *p.kv_of);
    for (int h = 0; h < n_heads; h++)
        p.kv_of[h] = h * n_kv / n_heads;
    for (int pos = 0; pos < n_ctx; pos++)
        kv_cache_put(&p.cache, pos, p.k + row * (size_t)pos, p.v + row * (size_t)pos);
    return p;
}

/* Steps in [low, 3 * low]. */
static float *gen_steps(int n, float low) {
    float *step = gen_floats((size_t)n, low);
    for (int i = 0; i < n; i++)
        step[i] += 2 * low;
    return step;
}

/* An int4 cache with static steps: some clamp the largest values and weights. */
static struct problem problem_static(int n_heads, int n_kv, int dim, int n_ctx) {
    struct problem p = problem_new(KV_I4, n_heads, n_kv, dim, n_ctx);
    size_t row = (size_t)(n_kv * dim);
    p.q_step = gen_steps(n_heads, 0.1f), p.w_step = gen_steps(n_heads, 0.025f);
    p.cache.k_step = p.k_step = gen_steps(n_kv, 0.07f), p.cache.v_step = p.v_step = gen_steps(n_kv, 0.07f);
    for (int pos = 0; pos < n_ctx; pos++)
        kv_cache_put(&p.cache, pos, p.k + row * (size_t)pos, p.v + row * (size_t)pos);
    return p;
}

static void problem_free(struct problem *p) {
    free(p->buf), free(p->k), free(p->v), free(p->q), free(p->kv_of);
    free(p->q_step), free(p->w_step), free(p->k_step), free(p->v_step);
}

static float *problem_run(const struct problem *p, int visible, float scale, enum act_bits bits) {
    float *out = gen_floats((size_t)(p->n_heads * p->cache.head_dim), 1);
    struct attn_args a = {.cache = &p->cache,
                          .q = p->q,
                          .out = out,
                          .n_queries = 1,
                          .n_heads = p->n_heads,
                          .kv_of = p->kv_of,
                          .n_visible = &visible,
                          .scale = scale,
                          .bits = bits,
                          .q_step = p->q_step,
                          .w_step = p->w_step};
    attention(&a);
    return out;
}

/* What the cache holds for element d of a row, read through its documented layout. */
static double cached(const struct kv_cache *c, int is_v, int head, int pos, int d) {
    size_t row = (size_t)head * (size_t)c->n_ctx + (size_t)pos, dim = (size_t)c->head_dim, col = (size_t)d;
    const void *base = is_v ? c->v : c->k;
    const float *scale = is_v ? c->v_scale : c->k_scale;
    if (c->type == KV_F16) return f16_to_f32(((const uint16_t *)base)[row * dim + col]);
    float s = scale[((size_t)head * ((dim + 31) / 32) + col / 32) * (size_t)c->n_ctx + (size_t)pos];
    if (c->type == KV_I8) return (double)s * ((const int8_t *)base)[row * dim + col];
    int byte = ((const uint8_t *)base)[row * ((dim + 1) / 2) + col / 2];
    return (double)s * ((d % 2 ? byte >> 4 : byte & 15) - 8);
}

/* What mode a4 may lose at dimension d by rounding the weights of each block of 32 positions to fifteenths of the
 * largest, weight and scale of the value taken together: half a fifteenth for each position, times the integer value.
 * s: weights. */
static double rounding_loss(const struct kv_cache *c, int head, int d, const double *s, int visible) {
    double loss = 0;
    for (int first = 0; first < visible; first += 32) {
        double largest = 0, integers = 0;
        for (int j = first; j < visible && j < first + 32; j++) {
            size_t group = (size_t)head * (size_t)((c->head_dim + 31) / 32) + (size_t)d / 32;
            double step = c->v_scale[group * (size_t)c->n_ctx + (size_t)j];
            largest = fmax(largest, s[j] * step);
            integers += fabs(cached(c, 1, head, j, d)) / step;
        }
        loss += 0.5 * largest / 15 * integers;
    }
    return loss;
}

/* The same with static steps, from scores s to out: u = p / step rounded, at most 15. limit: what float may make of the
 * weights that lie so near half an integer that it rounds them the other way. */
static void weigh_static(const struct problem *p, int h, int visible, const double *s, double *out, double *limit) {
    int dim = p->cache.head_dim, kv = p->kv_of[h];
    double m = -INFINITY, l = 0, doubt = 0;
    memset(out, 0, (size_t)dim * sizeof *out);
    for (int first = 0; first < visible; first += 32) {
        double top = m;
        for (int j = first; j < visible && j < first + 32; j++)
            top = fmax(top, s[j]);
        double c = exp(m - top);
        m = top, l *= c, doubt *= c;
        for (int d = 0; d < dim; d++)
            out[d] *= c;
        for (int j = first; j < visible && j < first + 32; j++) {
            double x = exp(s[j] - top) / (double)p->w_step[h], u = fmin(rint(x), 15);
            l += u;
            doubt += x < 16 && fabs(x - floor(x) - 0.5) < 1e-3;
            for (int d = 0; d < dim; d++)
                out[d] += u * cached(&p->cache, 1, kv, j, d);
        }
    }
    for (int d = 0; d < dim; d++) {
        out[d] /= l;
        limit[d] = 2e-5 + 16 * (double)p->v_step[kv] * doubt / l;
    }
}

static void round_query(double *q, int n, float step) {
    for (int d = 0; d < n; d++)
        q[d] = fmin(fmax(rint((float)q[d] / step), -8), 7) * (double)step;
}

/* Softmax attention of one head in double precision over the cache's values; q as given or rounded to int8 or int4
 * where the cache is integer. limit[d] is how far a result may be off: values lie within 2 in magnitude; scores carry
 * errors of a few 2^-24 of their magnitude (under 2^6 here), which the exponential turns into relative errors of the
 * weights. */
static void naive_head(const struct problem *p, int h, int visible, float scale, enum act_bits bits, double *out,
                       double *limit) {
    int dim = p->cache.head_dim, kv = p->kv_of[h];
    double *s = gen_alloc((size_t)visible * sizeof *s), *q = gen_alloc((size_t)dim * sizeof *q), max = -INFINITY,
           sum = 0;
    for (int d = 0; d < dim; d++)
        q[d] = p->q[h * dim + d];
    if (p->q_step) round_query(q, dim, p->q_step[h]);
    for (int g = 0; g < dim && p->cache.type != KV_F16 && !p->q_step; g += 32) {
        float amax = 0, top = bits == ACT_I4 ? 7 : 127;
        int end = g + 32 < dim ? g + 32 : dim;
        for (int d = g; d < end; d++)
            amax = fmaxf(amax, fabsf((float)q[d]));
        for (int d = g; d < end; d++)
            q[d] = rintf((float)q[d] * (top / amax)) * (double)(amax / top);
    }
    for (int j = 0; j < visible; j++) {
        s[j] = 0;
        for (int d = 0; d < dim; d++)
            s[j] += q[d] * cached(&p->cache, 0, kv, j, d);
        s[j] *= scale;
        max = fmax(max, s[j]);
    }
    for (int d = 0; d < dim; d++)
        out[d] = 0;
    for (int j = 0; j < visible && !p->w_step; j++) {
        s[j] = exp(s[j] - max);
        sum += s[j];
        for (int d = 0; d < dim; d++)
            out[d] += s[j] * cached(&p->cache, 1, kv, j, d);
    }
    for (int d = 0; d < dim && !p->w_step; d++) {
        int rounds = bits == ACT_I4 && p->cache.type != KV_F16;
        out[d] /= sum;
        limit[d] = 2e-5 + (rounds ? rounding_loss(&p->cache, kv, d, s, visible) / sum : 0);
    }
    if (p->w_step) weigh_static(p, h, visible, s, out, limit);
    free(s), free(q);
}

static void check_naive(const struct problem *p, int visible, float scale, enum act_bits bits) {
    int dim = p->cache.head_dim;
    double *want = gen_alloc((size_t)dim * sizeof *want), *limit = gen_alloc((size_t)dim * sizeof *limit);
    float *got = problem_run(p, visible, scale, bits);
    for (int h = 0; h < p->n_heads; h++) {
        naive_head(p, h, visible, scale, bits, want, limit);
        for (int d = 0; d < dim; d++)
            CHECK(fabs(got[h * dim + d] - want[d]) <= limit[d], "cache %d a%d dim %d, %d visible: %g for %g",
                  p->cache.type, bits, dim, visible, (double)got[h * dim + d], want[d]);
    }
    free(want), free(limit), free(got);
}

static void check_sets(const struct problem *p, int visible, float scale, enum act_bits bits) {
    size_t bytes = (size_t)(p->n_heads * p->cache.head_dim) * sizeof(float);
    kernels_select("portable");
    float *want = problem_run(p, visible, scale, bits);
    for (const struct kernel_set *const *k = kernel_sets; *k; k++) {
        if (kernels_select((*k)->name)) continue;
        float *got = problem_run(p, visible, scale, bits);
        CHECK(!memcmp(got, want, bytes), "%s: cache %d a%d dim %d, %d visible", (*k)->name, p->cache.type, bits,
              p->cache.head_dim, visible);
        free(got);
    }
    kernels_select(NULL);
    free(want);
}

static void test_random(void) {
    static const int dims[] = {8, 32, 64, 80, 96, 100, 128, 1, 7, 24, 31, 33, 50, 256};
    static const enum act_bits modes[] = {ACT_F32, ACT_I8, ACT_I4};
    gen_seed(41);
    for (int type = KV_F16; type <= KV_I4; type++)
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
            for (int i = 0; i < 5; i++) {
                int n_kv = 1 + gen_int(3), n_ctx = 1 + gen_int(150);
                struct problem p = problem_new((enum kv_type)type, n_kv * (1 + gen_int(10)), n_kv, dims[d], n_ctx);
                float scale = 1 / sqrtf((float)dims[d]);
                for (int m = 0; m < 3; m++) {
                    int visible = 1 + gen_int(n_ctx);
                    check_sets(&p, visible, scale, modes[m]);
                    check_naive(&p, visible, scale, modes[m]);
                }
                problem_free(&p);
            }
}

static void test_static(void) {
    static const int dims[] = {8, 32, 64, 80, 100, 128, 1, 33};
    gen_seed(50);
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (int i = 0; i < 5; i++) {
            int n_kv = 1 + gen_int(3), n_ctx = 1 + gen_int(150), visible = 1 + gen_int(n_ctx);
            struct problem p = problem_static(n_kv * (1 + gen_int(10)), n_kv, dims[d], n_ctx);
            float scale = 1 / sqrtf((float)dims[d]);
            check_sets(&p, visible, scale, ACT_I4);
            check_naive(&p, visible, scale, ACT_I4);
            p.q[0] = NAN; /* counts as 0 */
            float *out = problem_run(&p, visible, scale, ACT_I4);
            CHECK(isfinite(out[0]), "dim %d: %g", dims[d], (double)out[0]);
            free(out);
            problem_free(&p);
        }
}

/* Positions that queries of a tile see: those of a prompt, or around the ends of blocks, in any order. */
static void gen_visible(int *visible, int n, int n_ctx) {
    int causal = gen_int(2), last = n + gen_int(n_ctx - n + 1);
    for (int t = 0; t < n; t++) {
        int near = 32 * gen_int(n_ctx / 32 + 1) + gen_int(3) - 1;
        visible[t] = causal ? last - n + 1 + t : near < 1 ? 1 : near > n_ctx ? n_ctx : near;
    }
}

/* Partial results are the same sums, not yet divided; of no position the element that changes no merge. */
static void check_partial(const char *set, struct attn_args a, const float *want) {
    int dim = a.cache->head_dim, none[14] = {0};
    a.partial_ld = (size_t)a.n_queries;
    a.partial = gen_alloc((size_t)(a.n_queries * a.n_heads * (dim + 2)) * sizeof(float));
    for (int some = 1; some >= 0; some--) {
        int wrong = 0;
        if (!some) a.n_visible = none;
        attention(&a);
        for (int t = 0; t < a.n_queries; t++)
            for (int h = 0; h < a.n_heads; h++) {
                const float *e = a.partial + (h * a.n_queries + t) * (dim + 2);
                wrong += some ? !(e[0] > -INFINITY && e[1] >= 1) : e[0] != -INFINITY || e[1] != 0;
                for (int d = 0; d < dim; d++)
                    wrong += some ? e[2 + d] / e[1] != want[(size_t)t * a.ld + (size_t)(h * dim + d)] : e[2 + d] != 0;
            }
        CHECK(wrong == 0, "%s: cache %d, dim %d, %s: %d partial values", set, a.cache->type, dim,
              some ? "as asked" : "no position", wrong);
    }
    free(a.partial);
}

/* Queries together, over all kernel sets, against the portable kernel with one query at a time. */
static void check_queries(const struct problem *p, int n, const int *visible, enum act_bits bits) {
    int width = p->n_heads * p->cache.head_dim;
    size_t ld = (size_t)(width + gen_int(5)), bytes = (size_t)width * sizeof(float);
    float *q = gen_floats(ld * (size_t)n, 1.5f), *want = gen_floats(ld * (size_t)n, 1),
          *got = gen_alloc(ld * (size_t)n * 4);
    struct attn_args a = {&p->cache, q,    want, ld,        n,         p->n_heads, p->kv_of,
                          visible,   0.2f, bits, p->q_step, p->w_step, NULL,       0};
    kernels_select("portable");
    for (int t = 0; t < n; t++) {
        struct attn_args one = a;
        one.q += (size_t)t * ld, one.out += (size_t)t * ld, one.n_visible += t, one.n_queries = 1, one.ld = 0;
        attention(&one);
    }
    a.out = got;
    for (const struct kernel_set *const *k = kernel_sets; *k; k++) {
        if (kernels_select((*k)->name)) continue;
        memset(got, 0xff, ld * (size_t)n * sizeof *got);
        attention(&a);
        for (int t = 0; t < n; t++)
            CHECK(!memcmp(got + (size_t)t * ld, want + (size_t)t * ld, bytes),
                  "%s: cache %d a%d dim %d, %d heads on %d, query %d of %d sees %d", (*k)->name, p->cache.type, bits,
                  p->cache.head_dim, p->n_heads, p->cache.n_kv_heads, t, n, visible[t]);
        check_partial((*k)->name, a, want);
    }
    kernels_select(NULL);
    free(q), free(want), free(got);
}

static void test_queries(void) {
    static const int dims[] = {8, 80, 96, 100, 64, 128, 13};
    gen_seed(49);
    for (int type = KV_F16; type <= KV_I4; type++)
        for (int share = 1; share <= 9; share++)
            for (int i = 0; i < 4; i++) {
                int n_kv = 1 + gen_int(2), n = 1 + gen_int(14), n_ctx = n + gen_int(110), visible[14];
                struct problem p = problem_new((enum kv_type)type, n_kv * share, n_kv, dims[gen_int(7)], n_ctx);
                for (int bits = 0; bits <= 8; bits += 4) {
                    gen_visible(visible, n, n_ctx);
                    check_queries(&p, n, visible, (enum act_bits)bits);
                }
                problem_free(&p);
            }
    struct problem p = problem_new(KV_I8, 40, 1, 32, 40); /* more heads than go together */
    check_queries(&p, 2, (const int[]){33, 40}, ACT_I8);
    problem_free(&p);
    for (int i = 0; i < 30; i++) {
        int n_kv = 1 + gen_int(2), n = 1 + gen_int(14), n_ctx = n + gen_int(110), visible[14];
        p = problem_static(n_kv * (1 + gen_int(9)), n_kv, dims[gen_int(7)], n_ctx);
        gen_visible(visible, n, n_ctx);
        check_queries(&p, n, visible, ACT_I4);
        problem_free(&p);
    }
}

/* In mode a4 the weights are integers: one position alone gets weight 15/15, so its values come out as stored. */
static void test_int4_weights(void) {
    gen_seed(42);
    for (int type = KV_I8; type <= KV_I4; type++) {
        struct problem p = problem_new((enum kv_type)type, 1, 1, 64, 40);
        float *out = problem_run(&p, 1, 0.125f, ACT_I4);
        for (int d = 0; d < 64; d++)
            CHECK(fabs(out[d] - cached(&p.cache, 1, 0, 0, d)) < 1e-6, "dimension %d", d);
        free(out);
        problem_free(&p);
    }
}

/* What a query sees does not depend on what lies in the cache behind it, nor on the other heads of the call. */
static void test_independence(void) {
    gen_seed(43);
    for (int type = KV_F16; type <= KV_I4; type++) {
        struct problem p = problem_new((enum kv_type)type, 6, 2, 80, 100);
        float *before[100];
        for (int n = 1; n < 100; n += 9)
            before[n] = problem_run(&p, n, 0.1f, ACT_I4);
        for (int n = 91; n >= 1; n -= 9) {
            for (int pos = n; pos < 100; pos++)
                kv_cache_put(&p.cache, pos, p.v, p.k);
            float *after = problem_run(&p, n, 0.1f, ACT_I4);
            CHECK(!memcmp(after, before[n], 480 * sizeof *after), "cache %d: %d visible", type, n);
            struct attn_args one = {.cache = &p.cache,
                                    .q = p.q + 4 * 80,
                                    .out = after,
                                    .n_queries = 1,
                                    .n_heads = 1,
                                    .kv_of = p.kv_of + 4,
                                    .n_visible = &n,
                                    .scale = 0.1f,
                                    .bits = ACT_I4};
            attention(&one);
            CHECK(!memcmp(after, before[n] + 4 * 80, 80 * sizeof *after), "cache %d: head 4 alone", type);
            free(after), free(before[n]);
        }
        problem_free(&p);
    }
}

static void test_cache(void) {
    gen_seed(44);
    for (int type = KV_F16; type <= KV_I4; type++)
        for (int dim = 1; dim < 140; dim += 13) {
            struct problem p = problem_new((enum kv_type)type, 2, 2, dim, 9);
            for (int pos = 0; pos < 9; pos++)
                for (int h = 0; h < 2; h++)
                    for (int d = 0; d < dim; d++) {
                        float k = p.k[(pos * 2 + h) * dim + d], v = p.v[(pos * 2 + h) * dim + d];
                        float step = type == KV_F16 ? 0x1p-10f : type == KV_I8 ? 2.0f / 127 : 2.0f / 7;
                        CHECK(fabs(cached(&p.cache, 0, h, pos, d) - k) <= 0.50001 * step, "k %d %d %d", pos, h, d);
                        CHECK(fabs(cached(&p.cache, 1, h, pos, d) - v) <= 0.50001 * step, "v %d %d %d", pos, h, d);
                    }
            problem_free(&p);
        }
}

static void test_nan(void) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    gen_seed(45);
    for (int type = KV_F16; type <= KV_I4; type++)
        for (int b = 0; b < 3; b++)
            for (int bits = 0; bits <= 8; bits += 4) {
                struct problem p = problem_new((enum kv_type)type, 2, 1, 48, 70);
                p.q[5] = bad[b], p.k[48 * 33 + 7] = bad[b];
                kv_cache_put(&p.cache, 33, p.k + 48 * 33, p.v);
                float *out = problem_run(&p, 70, 0.1f, (enum act_bits)bits);
                CHECK(!isfinite(out[0]), "cache %d a%d: %g", type, bits, (double)out[0]);
                free(out);
                memset(p.buf, 0xff, kv_cache_bytes(p.cache.type, 1, 48, 70));
                free(problem_run(&p, 70, 0.1f, (enum act_bits)bits));
                problem_free(&p);
            }
}

static void test_norms(void) {
    gen_seed(46);
    for (int n = 1; n < 300; n += 1 + gen_int(13)) {
        float *x = gen_floats((size_t)n, 4), *w = gen_floats((size_t)n, 1), *b = gen_floats((size_t)n, 1);
        float *y = gen_floats((size_t)n, 1), *z = gen_floats((size_t)n, 1);
        double mean = 0, square = 0, var = 0;
        for (int i = 0; i < n; i++)
            mean += x[i], square += (double)x[i] * x[i];
        mean /= n;
        for (int i = 0; i < n; i++)
            var += (x[i] - mean) * (x[i] - mean);
        norm_rms(y, x, w, n, 1e-5f);
        norm_layer(z, x, w, b, n, 1e-5f);
        double rms = 1 / sqrt(square / n + 1e-5), inv = 1 / sqrt(var / n + 1e-5), slack = 1e-6 * (1 + 4 * inv);
        for (int i = 0; i < n; i++) {
            CHECK(fabs(y[i] - x[i] * rms * w[i]) <= 2e-6, "rms %d of %d", i, n);
            CHECK(fabs(z[i] - ((x[i] - mean) * inv * w[i] + b[i])) <= slack * 4, "layer %d of %d", i, n);
        }
        memcpy(b, x, (size_t)n * sizeof *x); /* in place, without bias */
        norm_rms(b, b, w, n, 1e-5f);
        CHECK(!memcmp(b, y, (size_t)n * sizeof *y), "in place, %d", n);
        norm_layer(y, x, w, NULL, n, 1e-5f), norm_layer(x, x, w, NULL, n, 1e-5f);
        CHECK(!memcmp(x, y, (size_t)n * sizeof *y), "in place, %d", n);
        free(x), free(w), free(b), free(y), free(z);
    }
}

static void test_rope(void) {
    gen_seed(47);
    for (int interleaved = 0; interleaved < 2; interleaved++)
        for (int dim = 8; dim <= 128; dim += 24) {
            int rope = dim * 3 / 4 / 2 * 2, half = rope / 2;
            float cs[64], sn[64], *x = gen_floats((size_t)(3 * dim), 1), *y = gen_floats((size_t)(3 * dim), 1);
            memcpy(y, x, (size_t)(3 * dim) * sizeof *x);
            for (int i = 0; i < half; i++)
                cs[i] = cosf((float)i), sn[i] = sinf((float)i);
            rope_apply(y, 3, dim, rope, interleaved, cs, sn);
            for (int h = 0; h < 3; h++)
                for (int d = 0; d < dim; d++) {
                    int i = interleaved ? d / 2 : d % half, first = interleaved ? d % 2 == 0 : d < half;
                    int other = interleaved ? d ^ 1 : first ? d + half : d - half;
                    double want = d >= rope ? x[h * dim + d]
                                            : (double)x[h * dim + d] * cs[i] +
                                                  (first ? -1 : 1) * (double)x[h * dim + other] * sn[i];
                    CHECK(fabs(y[h * dim + d] - want) <= 2e-7, "head %d dimension %d of %d", h, d, dim);
                }
            free(x), free(y);
        }
}

/* The order of attention, norms and rotation, frozen. */
static void test_bits(void) {
    static const uint64_t want[] = {0xff317de5c8972d06, 0x56c1b08bcd3182af, 0x1c6f87df85da7e85, 0x4d3eac2bdcbce8a3};
    gen_seed(48);
    for (int type = KV_F16; type <= KV_I4; type++) {
        uint64_t h = 0;
        struct problem p = problem_new((enum kv_type)type, 4, 2, 80, 75);
        for (int bits = 0; bits <= 8; bits += 4) {
            float *out = problem_run(&p, 75, 0.11f, (enum act_bits)bits);
            h = hash_bytes(out, 320 * sizeof *out, h);
            free(out);
        }
        CHECK(h == want[type], "cache %d: 0x%016llx", type, (unsigned long long)h);
        problem_free(&p);
    }
    float *x = gen_floats(333, 2), *w = gen_floats(333, 1), cs[16], sn[16];
    for (int i = 0; i < 16; i++)
        cs[i] = (float)math_cos(i), sn[i] = (float)math_sin(i);
    norm_rms(x, x, w, 333, 1e-5f), norm_layer(x, x, w, w, 333, 1e-6f), rope_apply(x, 9, 37, 32, 1, cs, sn);
    uint64_t h = hash_bytes(x, 333 * sizeof *x, 0);
    CHECK(h == want[3], "vectors: 0x%016llx", (unsigned long long)h);
    free(x), free(w);
}

int main(void) {
    test_random();
    test_static();
    test_queries();
    test_int4_weights();
    test_independence();
    test_cache();
    test_nan();
    test_norms();
    test_rope();
    test_bits();
    return check_report("attention");
}
