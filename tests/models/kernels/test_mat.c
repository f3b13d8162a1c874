/* Matrix products: every kernel set gives the portable bits, any cut of the leaves gives the whole's bits, and the
 * result is as near to the true product as the formula promises. */
#include <float.h>
#include <math.h>

#include "check.h"
#include "gen.h"

static const enum act_bits modes[] = {ACT_F32, ACT_I8, ACT_I4};

static struct gen_matrix random_matrix(const struct tensor_type *type, int mode, int cut) {
    struct order_axis axis = gen_axis(type, cut);
    int tokens = gen_int(4) ? 1 + gen_int(9) : 1 + gen_int(40);
    return gen_matrix(type, axis, 1 + gen_int(40), tokens, type->per_channel && mode && gen_int(2));
}

static void describe(char *buf, size_t cap, const struct gen_matrix *m, enum act_bits bits) {
    snprintf(buf, cap, "%s a%d step %g: %d x %d, %d leaves of cut %d, %d tokens", m->type->name, bits,
             (double)m->act_step, m->rows, m->axis.cols, m->axis.n_leaves, m->axis.cut, m->tokens);
}

/* All sets against the portable one reading rows, for some leaves. */
static void check_sets(const struct gen_matrix *m, enum act_bits bits) {
    int leaf0 = gen_int(2) ? 0 : gen_int(m->axis.n_leaves), leaf1 = leaf0 + 1 + gen_int(m->axis.n_leaves - leaf0);
    struct mat w = gen_shard(m, leaf0, leaf1);
    size_t bytes = (size_t)w.n_nodes * (size_t)m->tokens * (size_t)m->rows * sizeof(float);
    char what[200];
    describe(what, sizeof what, m, bits);
    CHECK(kernels_select("portable") == 0, "portable");
    float *want = gen_product(m, &w, bits);
    uint8_t *mem;
    struct mat panels = gen_panels(&w, &mem);
    for (const struct kernel_set *const *k = kernel_sets; *k; k++) {
        if (kernels_select((*k)->name)) continue;
        for (int i = 0; i < 2; i++) {
            float *got = gen_product(m, i ? &panels : &w, bits);
            CHECK(!memcmp(got, want, bytes), "%s on %s differs from portable: %s, leaves [%d, %d)", (*k)->name,
                  i ? "panels" : "rows", what, leaf0, leaf1);
            free(got);
        }
    }
    kernels_select(NULL);
    free(want), free(mem);
}

/* Sums of subtrees of neighbouring shards, joined as an all-reduce joins them. */
struct part {
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    int n;
    float *v; /* [n][size] */
};

static void part_merge(struct part *a, struct part *b, size_t size) {
    struct pairtree_join joins[PAIRTREE_MAX_NODES];
    struct pairtree_node out[PAIRTREE_MAX_NODES];
    int slot[PAIRTREE_MAX_NODES], n_joins;
    int n = pairtree_merge(a->nodes, a->n, b->nodes, b->n, out, slot, joins, &n_joins);
    float *v = gen_alloc((size_t)(a->n + b->n) * size * sizeof *v), *all = gen_alloc((size_t)n * size * sizeof *v);
    memcpy(v, a->v, (size_t)a->n * size * sizeof *v);
    memcpy(v + (size_t)a->n * size, b->v, (size_t)b->n * size * sizeof *v);
    for (int j = 0; j < n_joins; j++)
        for (size_t i = 0; i < size; i++)
            v[(size_t)joins[j].a * size + i] += v[(size_t)joins[j].b * size + i];
    for (int k = 0; k < n; k++)
        memcpy(all + (size_t)k * size, v + (size_t)slot[k] * size, size * sizeof *v);
    free(v), free(a->v), free(b->v);
    memcpy(a->nodes, out, sizeof out);
    a->n = n;
    a->v = all;
}

static void check_shards(const struct gen_matrix *m, enum act_bits bits) {
    int n = m->axis.n_leaves;
    size_t size = (size_t)m->tokens * (size_t)m->rows;
    struct mat whole = gen_shard(m, 0, n);
    struct part sum = {.n = 0, .v = gen_alloc(4)};
    char what[200];
    describe(what, sizeof what, m, bits);
    float *want = gen_product(m, &whole, bits);
    for (int leaf0 = 0, leaf1; leaf0 < n; leaf0 = leaf1) {
        leaf1 = leaf0 + 1 + gen_int(n - leaf0);
        struct mat w = gen_shard(m, leaf0, leaf1);
        struct part p = {.n = pairtree_cover(n, leaf0, leaf1, p.nodes)};
        p.v = gen_product(m, &w, bits);
        part_merge(&sum, &p, size);
    }
    CHECK(sum.n == 1 && !memcmp(sum.v, want, size * sizeof *want), "sum of shards: %s", what);
    free(want), free(sum.v);
}

/* True value and sum of magnitudes of one product: weights by exact arithmetic from their integers, activations as the
 * kernel sees them. */
static double exact_product(const struct gen_matrix *m, int row, const double *x, double *magnitude) {
    double sum = 0;
    *magnitude = 0;
    for (int c = 0; c < m->axis.cols; c++) {
        const uint8_t *at =
            m->data + (size_t)row * m->stride + tensor_type_row_bytes(m->type, c / m->type->block * m->type->block);
        double w, low = 0;
        if (m->type->is_float) {
            float v;
            m->type->dequantize(at, 1, &v, 1);
            w = v;
        } else {
            struct weight_piece p;
            m->type->unpack(at, c % m->type->block / 32, m->step[row], &p);
            w = (double)p.d * p.scale[c % 32 / 16] * p.q[c % 32];
            low = m->type->has_min ? (double)p.m * p.min : 0;
        }
        sum += (w + low) * x[c];
        *magnitude += (fabs(w) + fabs(low)) * fabs(x[c]);
    }
    return sum;
}

/* What a token's activations are after rounding, from the act structure. */
static void seen_activations(const struct gen_matrix *m, enum act_bits bits, int t, double *x) {
    int n = order_group_count(&m->axis, 0, m->axis.n_leaves);
    struct order_group *g = gen_alloc((size_t)n * sizeof *g);
    void *buf = gen_alloc(act_bytes(bits, 1, n));
    struct act a;
    order_groups(&m->axis, 0, m->axis.n_leaves, g);
    act_init(&a, bits, m->act_step, g, n, m->x + (size_t)t * m->ldx, m->ldx, 1, buf);
    for (int i = 0; i < n; i++)
        for (int c = g[i].begin; c < g[i].end; c++)
            x[c] =
                bits && !m->type->is_float ? (double)a.q[i][c % 32] * a.scale[i] : m->x[(size_t)t * m->ldx + (size_t)c];
    free(g), free(buf);
}

/* Each step of the chain, and each rounding of a weight or scale, adds at most 2^-24 of the magnitudes: with n the
 * length of the longest chain through a sum (16 lanes or one), log2 of the leaves on the tree, and 8 for scales and
 * lanes. */
static void check_accuracy(const struct gen_matrix *m, enum act_bits bits) {
    double *x = gen_alloc((size_t)m->axis.cols * sizeof *x), magnitude;
    struct mat w = gen_shard(m, 0, m->axis.n_leaves);
    float *y = gen_product(m, &w, bits);
    int floats = m->type->is_float || !bits;
    int chain = floats ? m->axis.cols / 16 : 2 * order_group_count(&m->axis, 0, m->axis.n_leaves);
    double bound = (chain + m->axis.n_leaves + 8) * 0x1p-24;
    char what[200];
    describe(what, sizeof what, m, bits);
    for (int t = 0; t < m->tokens; t++) {
        seen_activations(m, bits, t, x);
        for (int r = 0; r < m->rows; r++) {
            double want = exact_product(m, r, x, &magnitude), got = y[(size_t)t * (size_t)m->rows + (size_t)r];
            CHECK(fabs(got - want) <= bound * magnitude, "row %d token %d: %g for %g, limit %g: %s", r, t, got, want,
                  bound * magnitude, what);
        }
    }
    free(x), free(y);
}

static void test_random(void) {
    gen_seed(31);
    for (const struct tensor_type *const *type = tensor_types; *type; type++)
        for (int mode = 0; mode < 3; mode++)
            for (int i = 0; i < 36; i++) {
                struct gen_matrix m = random_matrix(*type, mode, i % 3);
                check_sets(&m, modes[mode]);
                check_shards(&m, modes[mode]);
                if (i % 4 == 0) check_accuracy(&m, modes[mode]);
                gen_matrix_free(&m);
            }
}

/* One shape for all: the canonical order itself, frozen. Integer formats and float ones. */
static void test_bits(void) {
    static const struct {
        const char *type;
        uint64_t hash[3];
    } want[] = {{"F32", {0x593844766a22e71a, 0x593844766a22e71a, 0x593844766a22e71a}},
                {"F16", {0xbed25d155731e072, 0xbed25d155731e072, 0xbed25d155731e072}},
                {"BF16", {0x6a627b2db2a68fed, 0x6a627b2db2a68fed, 0x6a627b2db2a68fed}},
                {"Q8_0", {0xa82d7981421decdb, 0x65d91f42d46002d7, 0x8d0f5ebce111b9cb}},
                {"Q4_0", {0x1dc3a641c519846f, 0x91079d14f715010b, 0x75f0090ddded9f37}},
                {"Q4_1", {0x77b307bc2ff85df9, 0xb72a13ac34ea5360, 0x576aee50af411e13}},
                {"Q5_0", {0x00885d25826c8e67, 0x0ea6abdabe9385f8, 0x255204de5b9b5854}},
                {"Q5_1", {0x8de13a4b0dee9f44, 0xc30bc4311ff5f34d, 0x5655ebee80c8cf95}},
                {"Q4_K", {0x7724e7d6d3fbc7df, 0xcac4d29beac56cca, 0xa869ad2a07a338b6}},
                {"Q5_K", {0xffd0f844f3f4917e, 0x3b3efd5a94973e0f, 0x45dfe43a552aaf65}},
                {"Q6_K", {0x9951467b8b0ec369, 0x0db49f18b2e8285c, 0xccae2cb6e5e24120}},
                {"I4", {0x54f5f85b34943aec, 0x45f5902be64e790c, 0xbe5ef777bd1dcef0}},
                {"I8", {0x7ed2697f7499ba6c, 0xeb7c72ed38f47f84, 0x5ad68b6c08dd2faa}}};
    for (size_t k = 0; k < sizeof want / sizeof *want; k++)
        for (int mode = 0; mode < 3; mode++) {
            uint64_t h = 0;
            gen_seed(32);
            for (int cut = 0; cut < 3; cut++) {
                struct order_axis axis = cut == ORDER_WHOLE   ? order_axis_whole(512)
                                         : cut == ORDER_HEADS ? order_axis_heads(32, 80)
                                                              : order_axis_runs(4864);
                struct gen_matrix m = gen_matrix(tensor_type_find(want[k].type), axis, 5, 3, 0);
                struct mat w = gen_shard(&m, 0, axis.n_leaves);
                float *y = gen_product(&m, &w, modes[mode]);
                h = hash_bytes(y, 15 * sizeof *y, h);
                free(y);
                gen_matrix_free(&m);
            }
            CHECK(h == want[k].hash[mode], "%s %d: 0x%016llx", want[k].type, mode, (unsigned long long)h);
        }
}

/* Q8_0 rows of 64 columns of ones: column sums by hand, in both rules. */
static void test_by_hand(void) {
    const struct tensor_type *t = tensor_type_find("Q8_0");
    float w[64], x[64];
    uint8_t row[68];
    for (int i = 0; i < 64; i++)
        w[i] = 1, x[i] = i < 32 ? 1 : -2;
    t->quantize(w, 1, row, 64);
    struct gen_matrix m = {
        .type = t, .axis = order_axis_whole(64), .rows = 1, .tokens = 1, .data = row, .stride = 68, .ldx = 64, .x = x};
    struct mat s = gen_shard(&m, 0, 1);
    float d = 0;
    t->dequantize(row, 1, w, 64);
    d = w[0] / 127;
    for (int mode = 0; mode < 2; mode++) {
        float *y = gen_product(&m, &s, modes[mode]);
        CHECK(fabsf(*y + 32 * 127 * d) < 1e-5f, "%g", (double)*y);
        free(y);
    }
}

static void check_group(const char *what, const float *x, int n, enum act_bits bits, float step, const int8_t *q,
                        float scale) {
    struct order_group g = {3, 3 + n, 0};
    void *buf = gen_alloc(act_bytes(bits, 1, 1));
    struct act a;
    int32_t sum[2] = {0};
    act_init(&a, bits, step, &g, 1, x, 32, 1, buf);
    for (int c = 0; c < 32; c++) {
        int want = c >= 3 && c < 3 + n ? q[c - 3] : 0;
        CHECK(a.q[0][c] == want, "%s: column %d is %d, not %d", what, c, a.q[0][c], want);
        sum[c / 16] += want;
    }
    CHECK(a.sum[0][0] == sum[0] && a.sum[0][1] == sum[1], "%s: sums", what);
    CHECK(a.scale[0] == scale || (scale != scale && a.scale[0] != a.scale[0]), "%s: scale %g", what,
          (double)a.scale[0]);
    free(buf);
}

static void test_activations(void) {
    static const int8_t zeros[4] = {0};
    check_group("zeros", (float[]){0, -0.0f, 0}, 3, ACT_I8, 0, zeros, 0);
    check_group("subnormal", (float[]){0x1p-140f, -0x1p-149f}, 2, ACT_I8, 0, zeros, 0);
    check_group("tiny", (float[]){3e-37f, 0}, 2, ACT_I8, 0, zeros, 0);
    check_group("small", (float[]){4e-37f, -2e-37f}, 2, ACT_I8, 0, (int8_t[]){127, -64}, 4e-37f / 127);
    check_group("huge", (float[]){FLT_MAX, -FLT_MAX, FLT_MAX / 2}, 3, ACT_I8, 0, (int8_t[]){127, -127, 64},
                FLT_MAX / 127);
    check_group("ties", (float[]){127, 0.5f, 1.5f, -2.5f}, 4, ACT_I8, 0, (int8_t[]){127, 0, 2, -2}, 1);
    check_group("a4", (float[]){-7, 3.5f, 2.5f, 6.4f}, 4, ACT_I4, 0, (int8_t[]){-7, 4, 2, 6}, 1);
    check_group("NaN", (float[]){1, NAN, 2}, 3, ACT_I8, 0, zeros, NAN);
    check_group("infinity", (float[]){1, 2, -INFINITY}, 3, ACT_I4, 0, zeros, NAN);
    check_group("static a8", (float[]){1, 1e30f, -1e30f, 0.75f}, 4, ACT_I8, 0.5f, (int8_t[]){2, 127, -128, 2}, 0.5f);
    check_group("static a4", (float[]){1, INFINITY, -INFINITY, NAN}, 4, ACT_I4, 0.5f, (int8_t[]){2, 7, -8, 0}, 0.5f);
}

/* Rounding is to the nearest: no activation is off by more than half a step. */
static void test_activation_error(void) {
    struct order_axis axis = order_axis_heads(7, 80);
    int n = order_group_count(&axis, 0, 7);
    struct order_group *g = gen_alloc((size_t)n * sizeof *g);
    gen_seed(33);
    float *x = gen_floats(37 * 560, 5);
    order_groups(&axis, 0, 7, g);
    for (int mode = 1; mode < 3; mode++) {
        void *buf = gen_alloc(act_bytes(modes[mode], 37, n));
        struct act a;
        act_init(&a, modes[mode], 0, g, n, x, 560, 37, buf);
        for (int t = 0; t < 37; t++)
            for (int i = 0; i < n; i++) {
                int tile = t / ACT_TILE, nt = tile < 2 ? ACT_TILE : 37 - 2 * ACT_TILE;
                size_t at = (size_t)(tile * ACT_TILE * n + i * nt + t % ACT_TILE);
                for (int c = g[i].begin; c < g[i].end; c++)
                    CHECK(fabs((double)a.q[at][c % 32] * a.scale[at] - x[t * 560 + c]) <= 0.50001 * a.scale[at],
                          "token %d column %d", t, c);
            }
        free(buf);
    }
    free(g), free(x);
}

/* Not-a-numbers and infinities in weights and activations: no trap, and they show. */
static void test_nan(void) {
    gen_seed(34);
    for (const struct tensor_type *const *type = tensor_types; *type; type++)
        for (int mode = 0; mode < 3; mode++)
            for (const struct kernel_set *const *k = kernel_sets; *k; k++) {
                if (kernels_select((*k)->name)) continue;
                struct gen_matrix m = gen_matrix(*type, order_axis_runs(1024), 9, 5, 0);
                struct mat w = gen_shard(&m, 0, 16);
                m.x[2 * m.ldx + 700] = mode == 1 ? INFINITY : NAN;
                float *y = gen_product(&m, &w, modes[mode]);
                for (int r = 0; r < 9; r++) {
                    CHECK(!isfinite(y[2 * 9 + r]) && isfinite(y[9 + r]), "%s a%d row %d", (*type)->name, modes[mode],
                          r);
                }
                free(y);
                for (size_t i = 0; i < m.stride * 9; i++)
                    m.data[i] = (uint8_t)gen_int(256); /* any bits at all */
                free(gen_product(&m, &w, modes[mode]));
                memset(m.data, 0xff, m.stride * 9);
                free(gen_product(&m, &w, modes[mode]));
                gen_matrix_free(&m);
            }
    kernels_select(NULL);
}

/* Integers at the ends of their range, where 16-bit sums would saturate first. */
static void test_extremes(void) {
    static const uint8_t fills[] = {0x00, 0x7f, 0x80, 0xff, 0x88, 0x77, 0xf0, 0x0f};
    gen_seed(35);
    for (const struct tensor_type *const *type = tensor_types; *type; type++)
        for (size_t f = 0; f < sizeof fills; f++)
            for (int fixed = 0; fixed <= (*type)->per_channel; fixed++) {
                if ((*type)->is_float) continue;
                struct gen_matrix m = gen_matrix(*type, order_axis_whole(512), 8, 4, fixed);
                memset(m.data, fills[f], m.stride * 8);
                for (int r = 0; r < 8 && !(*type)->per_channel; r++)
                    for (int b = 0; b < 512 / (*type)->block; b++) {
                        uint8_t *at = m.data + (size_t)r * m.stride + (size_t)(b * (*type)->block_bytes);
                        gen_tame((*type)->block == 256 && !(*type)->has_min ? at + 208 : at);
                        if ((*type)->has_min) gen_tame(at + 2);
                    }
                for (size_t i = 0; i < m.ldx * 4; i++)
                    m.x[i] = i / m.ldx == 0 ? 9 : i / m.ldx == 1 ? -9 : i % 2 ? 9 : -9;
                check_sets(&m, ACT_I8), check_sets(&m, ACT_I4), check_accuracy(&m, ACT_I8);
                gen_matrix_free(&m);
            }
}

/* Products that underflow leave -0 in every lane: lanes behind the end of a leaf must not turn it into +0. */
static void test_zero_sign(void) {
    float w[40], x[40];
    for (int i = 0; i < 40; i++)
        w[i] = 1e-30f, x[i] = -1e-30f;
    for (int n = 16; n <= 40; n++) {
        struct gen_matrix m = {.type = tensor_type_find("F32"),
                               .axis = order_axis_whole(n),
                               .rows = 1,
                               .tokens = 1,
                               .data = (uint8_t *)w,
                               .stride = sizeof w,
                               .ldx = 40,
                               .x = x};
        struct mat s = gen_shard(&m, 0, 1);
        float *y = gen_product(&m, &s, ACT_F32);
        CHECK(*y == 0 && signbit(*y), "%d columns", n);
        free(y);
    }
}

static void test_prepare(void) {
    const struct tensor_type *q4 = tensor_type_find("Q4_K"), *i4 = tensor_type_find("I4");
    uint8_t data[1] = {0};
    float step = 1;
    struct mat good = {.type = q4, .rows = 4, .data = data, .stride = 288, .axis = order_axis_runs(512), .leaf1 = 16},
               w = good;
    CHECK(mat_prepare(&w) == 0 && w.n_nodes == 1, "whole");
    w.leaf0 = 3, w.leaf1 = 3;
    CHECK(mat_prepare(&w) == 0 && w.n_nodes == 0, "no leaf");
    w = good, w.first_col = 32;
    CHECK(mat_prepare(&w) == -1, "first column inside a block");
    w = good, w.first_col = 256;
    CHECK(mat_prepare(&w) == -1, "first column past the leaf");
    w = good, w.first_col = 256, w.leaf0 = 9, w.stride = 144;
    CHECK(mat_prepare(&w) == 0 && w.n_nodes == 3, "9..15: %d nodes", w.n_nodes);
    w = good, w.stride = 287;
    CHECK(mat_prepare(&w) == -1, "stride");
    w = good, w.leaf1 = 17;
    CHECK(mat_prepare(&w) == -1, "leaves");
    w = good, w.data = NULL;
    CHECK(mat_prepare(&w) == -1, "no data");
    w = good, w.act_step = 1;
    CHECK(mat_prepare(&w) == -1, "static step with block scales");
    w = good, w.axis = order_axis_runs(500);
    CHECK(mat_prepare(&w) == -1, "columns that are no blocks");
    w = good, w.type = i4;
    CHECK(mat_prepare(&w) == -1, "no row steps");
    w.row_step = &step;
    CHECK(mat_prepare(&w) == 0, "row steps");
    w.act_step = NAN;
    CHECK(mat_prepare(&w) == -1, "static step is NaN");
    w.act_step = 1, w.axis = order_axis_whole(131072), w.leaf1 = 1, w.stride = 131072;
    CHECK(mat_prepare(&w) == -1, "static leaf too long");
}

static void test_select(void) {
    CHECK(kernels_select("nothing") == -1 && kernels_select("portable") == 0, "select");
    CHECK(!strcmp(kernels_selected(), "portable"), "%s", kernels_selected());
    int first = 0;
    while (!kernel_sets[first]->available())
        first++;
    CHECK(kernels_select("auto") == 0 && !strcmp(kernels_selected(), kernel_sets[first]->name), "%s",
          kernels_selected());
}

int main(void) {
    test_prepare();
    test_select();
    test_by_hand();
    test_activations();
    test_activation_error();
    test_random();
    test_bits();
    test_nan();
    test_extremes();
    test_zero_sign();
    return check_report("mat");
}
