/* Speed of one core: bench_kernels [rows cols [kernel set [type]]]. Decode: GB/s of weights read for one token, from a
 * matrix larger than the caches if rows * cols says so. Prefill: GOP/s (two operations a weight and token) for 128
 * tokens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/hash.h"
#include "models/kernels.h"

/* Processor time of this thread: others on the machine disturb it less than the wall clock. */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A matrix whose rows repeat 64 random ones. */
static uint8_t *rows_new(const struct tensor_type *type, int rows, int cols) {
    size_t bytes = tensor_type_row_bytes(type, cols);
    uint8_t *data = malloc(bytes * (size_t)rows);
    float *x = malloc(sizeof *x * (size_t)cols);
    for (int r = 0; r < rows; r++) {
        if (r >= 64) {
            memcpy(data + (size_t)r * bytes, data + (size_t)(r % 64) * bytes, bytes);
            continue;
        }
        for (int c = 0; c < cols; c++)
            x[c] = rng_unit((uint64_t)r, (uint64_t)c) - 0.5f;
        type->quantize(x, 0.01f, data + (size_t)r * bytes, cols);
    }
    free(x);
    return data;
}

/* Best of a few runs, in seconds, of the product alone; *round: of rounding the activations. */
static double product_time(const struct mat *w, enum act_bits bits, int tokens, double *round) {
    int n = order_group_count(&w->axis, 0, w->axis.n_leaves), cols = w->axis.cols;
    struct order_group *groups = malloc(sizeof *groups * (size_t)n);
    float *x = malloc(sizeof *x * (size_t)cols * (size_t)tokens);
    float *y = malloc(sizeof *y * (size_t)w->rows * (size_t)tokens);
    void *buf = aligned_alloc(64, act_bytes(bits, tokens, n) + 64);
    double best = 1e9;
    *round = 1e9;
    order_groups(&w->axis, 0, w->axis.n_leaves, groups);
    for (int i = 0; i < cols * tokens; i++)
        x[i] = rng_unit(3, (uint64_t)i) - 0.5f;
    for (int i = 0; i < 10; i++) {
        struct act a;
        double t = now();
        act_init(&a, bits, w->act_step, groups, n, x, (size_t)cols, tokens, buf);
        double quantized = now() - t;
        *round = quantized < *round ? quantized : *round;
        t = now();
        mat_mul(w, &a, 0, w->rows, y, (size_t)w->rows, (size_t)w->rows * (size_t)tokens);
        t = now() - t;
        best = t < best ? t : best;
    }
    free(groups), free(x), free(y), free(buf);
    return best;
}

/* On huge pages, as the engine has them. */
static void pack(struct mat *w, int cols) {
    size_t page = (size_t)2 << 20, bytes = mat_panels_bytes(w->type, w->rows, cols);
    uint8_t *mem = aligned_alloc(page, (bytes + page - 1) / page * page);
    madvise(mem, bytes, MADV_HUGEPAGE);
    mat_pack(w->type, w->data, w->stride, w->rows, cols, mem);
    free((void *)w->data);
    w->data = mem;
    w->stride *= MAT_PANEL;
    w->in_panels = 1;
}

static void bench_type(const struct tensor_type *type, int rows, int cols, enum act_bits bits, float act_step) {
    float *step = malloc(sizeof *step * (size_t)rows);
    for (int r = 0; r < rows; r++)
        step[r] = 0.01f;
    struct mat w = {.type = type,
                    .rows = rows,
                    .data = rows_new(type, rows, cols),
                    .axis = order_axis_runs(cols),
                    .stride = tensor_type_row_bytes(type, cols),
                    .row_step = step,
                    .act_step = act_step};
    w.leaf1 = w.axis.n_leaves;
    if (!type->per_channel) w.row_step = NULL, w.act_step = 0;
    if (!type->is_float) pack(&w, cols);
    if (mat_prepare(&w)) exit(1);
    double bytes = (double)tensor_type_row_bytes(type, cols) * rows, ops = 2.0 * rows * (double)cols;
    double round, one = product_time(&w, bits, 1, &round);
    w.rows = rows < 256 ? rows : 256;
    double many = product_time(&w, bits, 128, &round), part = (double)w.rows / rows;
    printf("%-5s a%-2d%-7s decode %6.2f GB/s %7.1f GOP/s   prefill %7.1f GOP/s, rounding %5.2f ns a value\n",
           type->name, bits ? bits : 16, act_step != 0 ? " static" : "", bytes / one / 1e9, ops / one / 1e9,
           128 * part * ops / many / 1e9, round / (128.0 * cols) * 1e9);
    free((void *)w.data);
    free(step);
}

/* Attention of some queries of one sequence, the last of which sees n positions. */
static void bench_attention(enum kv_type kv, enum act_bits bits, int queries, int heads, int kv_heads, int dim, int n) {
    static const char *const names[] = {"f16", "i8", "i4"};
    struct kv_cache c = {.type = kv, .n_kv_heads = kv_heads, .head_dim = dim, .n_ctx = n};
    size_t width = (size_t)(heads * dim), total = width * (size_t)queries;
    void *buf = aligned_alloc(64, kv_cache_bytes(kv, kv_heads, dim, n));
    float *q = malloc(sizeof *q * total), *out = malloc(sizeof *out * total);
    int *kv_of = malloc(sizeof *kv_of * (size_t)heads), *visible = malloc(sizeof *visible * (size_t)queries);
    double best = 1e9, pairs = 0;
    kv_cache_place(&c, buf);
    for (size_t i = 0; i < total; i++)
        q[i] = rng_unit(5, (uint64_t)i) - 0.5f;
    for (int h = 0; h < heads; h++)
        kv_of[h] = h * kv_heads / heads;
    for (int t = 0; t < queries; t++)
        pairs += visible[t] = n - queries + 1 + t;
    for (int p = 0; p < n; p++)
        kv_cache_put(&c, p, q, q);
    struct attn_args a = {&c, q, out, width, queries, heads, kv_of, visible, 0.1f, bits};
    for (int i = 0; i < 10; i++) {
        double t = now();
        attention(&a);
        t = now() - t;
        best = t < best ? t : best;
    }
    printf("attention %-3s a%-2d %d queries, %d heads on %d, dim %d, %d positions: %.3f ms, %.2f GB/s of cache, "
           "%.1f GOP/s\n",
           names[kv], bits ? bits : 16, queries, heads, kv_heads, dim, n, best * 1e3,
           (double)kv_cache_bytes(kv, kv_heads, dim, n) / best / 1e9, 4.0 * heads * dim * pairs / best / 1e9);
    free(buf), free(q), free(out), free(kv_of), free(visible);
}

int main(int argc, char **argv) {
    int rows = argc > 2 ? atoi(argv[1]) : 16384, cols = argc > 2 ? atoi(argv[2]) : 8192;
    if (kernels_select(argc > 3 ? argv[3] : NULL)) return 1;
    printf("%s: %d x %d\n", kernels_selected(), rows, cols);
    for (const struct tensor_type *const *t = tensor_types; *t; t++) {
        if (argc > 4 && strcmp(argv[4], (*t)->name)) continue;
        if (!(*t)->is_float) bench_type(*t, rows, cols, ACT_I8, 0);
        if ((*t)->per_channel) bench_type(*t, rows, cols, ACT_I8, 0.05f);
        bench_type(*t, rows, cols, ACT_F32, 0);
    }
    for (int queries = 1; queries <= 64 && argc <= 4; queries += 63)
        for (int heads = 32; heads >= 8; heads -= 24)
            for (int kv = KV_F16; kv <= KV_I4; kv++) {
                bench_attention((enum kv_type)kv, ACT_I8, queries, heads, 8, 128, 2048);
                if (kv != KV_F16) bench_attention((enum kv_type)kv, ACT_I4, queries, heads, 8, 128, 2048);
            }
    return 0;
}
