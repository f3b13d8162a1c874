/* northwall bench --kernels: each weight format and cache type by itself, with the selected kernel set.
 *
 *   decode     one token times a matrix larger than the last-level cache, in panels on huge pages, as the engine
 *              keeps it: bytes of weights a second, beside the read bandwidth
 *   prefill    many tokens times 256 rows, which fit in the cache: operations a second, beside the peak
 *   attention  one token over a cache larger than the last-level cache: bytes of it a second, beside the read
 *              bandwidth
 *
 * Rows are split over --threads. Under mpirun all ranks measure at the same time and rates are added. */
#include "bench.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/hash.h"
#include "collectives/agree.h"
#include "dist/peak.h"
#include "dist/probe.h"
#include "models/kernels.h"

enum { COLS = 8192, PREFILL_ROWS = 256, PREFILL_TOKENS = 128, RANDOM_ROWS = 64 };
enum { HEADS = 32, KV_HEADS = 8, HEAD_DIM = 128 };

enum bench_what { WHAT_DECODE, WHAT_PREFILL, WHAT_ATTENTION };

/* One kernel: a line of the result. */
struct kernel_row {
    enum bench_what what;
    const char *type, *activations;
    double bytes; /* of weights or cache on one rank */
    int is_float; /* multiplies floats */
    struct stats_median rate, beside; /* 10^9 a second: bytes or operations; bandwidth or peak */
    struct stats_median fraction; /* rate / beside */
};

struct kernel_bench {
    const struct app *app;
    struct probe probe;
    size_t bytes; /* what a kernel streams */
    int threads, repeat;
    struct kernel_row row[128];
    int n_rows;
    double rate[BENCH_MAX_REPEAT], beside[BENCH_MAX_REPEAT], fraction[BENCH_MAX_REPEAT];
};

/* ---- what is shown ---- */

static const char *const what_names[] = {"decode", "prefill", "attention"};

static void print_head(struct kernel_bench *b) {
    const struct app *app = b->app;
    char bytes[24];
    double sure = stats_median(b->rate, b->repeat).confidence; /* depends on the number of runs alone */
    printf("kernel set %s, %d rank%s x %d thread%s; medians of %d run%s after a warm-up (measured)", kernels_selected(),
           app->size, app->size == 1 ? "" : "s", b->threads, b->threads == 1 ? "" : "s", b->repeat,
           b->repeat == 1 ? "" : "s");
    printf(sure > 0 ? ", [%.1f %% interval]\n" : "; too few for an interval\n", 100 * sure);
    printf("decode, attention: streams %s a rank; beside it the read bandwidth (%s pages asked for)\n"
           "prefill: %d tokens, %d rows of %d; beside it the peak: int8 of %s; float of %s\n"
           "part: the rate as part of what is beside it\n\n",
           text_bytes(bytes, sizeof bytes, (double)b->bytes), b->probe.huge ? "huge" : "plain", PREFILL_TOKENS,
           PREFILL_ROWS, COLS, peak_selected()->what[PEAK_INT8], peak_selected()->what[PEAK_F32]);
    printf("%-6s %-11s %-9s %9s %-18s %-5s %9s %7s %s\n", "type", "activations", "kernel", "rate", "[interval]", "",
           "beside it", "part", "[interval]");
}

static void print_row(const struct kernel_row *r) {
    char rate[40] = "", part[40] = "";
    if (r->rate.low <= r->rate.high) snprintf(rate, sizeof rate, "[%.2f, %.2f]", r->rate.low, r->rate.high);
    if (r->rate.low <= r->rate.high) snprintf(part, sizeof part, "[%.2f, %.2f]", r->fraction.low, r->fraction.high);
    printf("%-6s %-11s %-9s %9.2f %-18s %-5s %9.2f %7.2f %s\n", r->type, r->activations, what_names[r->what],
           r->rate.median, rate, r->what == WHAT_PREFILL ? "GOP/s" : "GB/s", r->beside.median, r->fraction.median,
           part);
    fflush(stdout);
}

static json_t *row_json(const struct kernel_row *r) {
    json_t *o = json_object();
    int ops = r->what == WHAT_PREFILL;
    json_object_set_new(o, "kernel", json_string(what_names[r->what]));
    json_object_set_new(o, "type", json_string(r->type));
    json_object_set_new(o, "activations", json_string(r->activations));
    json_object_set_new(o, "rank_bytes", json_real(r->bytes));
    json_object_set_new(o, "n", json_integer(r->rate.n));
    bench_put_figure(o, ops ? "rate_GOps" : "rate_GBps", r->rate);
    bench_put_figure(o, ops ? "peak_GOps" : "read_GBps", r->beside);
    bench_put_figure(o, ops ? "fraction_of_peak" : "fraction_of_read_bw", r->fraction);
    return o;
}

static void print_json(const struct kernel_bench *b) {
    json_t *o = json_object(), *rows = json_array();
    double sure = b->n_rows ? b->row[0].rate.confidence : 0;
    for (int i = 0; i < b->n_rows; i++)
        json_array_append_new(rows, row_json(&b->row[i]));
    json_object_set_new(o, "northwall_version", json_string(NW_VERSION));
    json_object_set_new(o, "kind", json_string("measured"));
    json_object_set_new(o, "kernels", json_string(kernels_selected()));
    json_object_set_new(o, "ranks", json_integer(b->app->size));
    json_object_set_new(o, "threads_per_rank", json_integer(b->threads));
    json_object_set_new(o, "interval_confidence", sure > 0 ? json_real(sure) : json_null());
    json_object_set_new(o, "probe_huge_pages", json_boolean(b->probe.huge));
    json_object_set_new(o, "int8_peak_of", json_string(peak_selected()->what[PEAK_INT8]));
    json_object_set_new(o, "f32_peak_of", json_string(peak_selected()->what[PEAK_F32]));
    json_object_set_new(o, "rows", rows);
    json_dumpf(o, stdout, JSON_INDENT(1));
    fputc('\n', stdout);
    json_decref(o);
}

static int no_memory(const char *what, struct diag *d) {
    return diag_set(d, ERR_MEMORY, "--kernels: no memory for %s", what);
}

/* ---- memory ---- */

/* On huge pages, as the engine has them. */
static void *huge_alloc(size_t bytes) {
    void *mem;
    size_t page = (size_t)2 << 20;
    if (posix_memalign(&mem, page, (bytes + page - 1) / page * page)) return NULL;
    madvise(mem, (bytes + page - 1) / page * page, MADV_HUGEPAGE);
    return mem;
}

/* ---- products ---- */

struct product_job {
    struct mat w;
    struct act a;
    int tokens, threads;
    struct order_group *groups;
    uint8_t *rows, *panels;
    float *step, *x, *y;
    void *buf;
};

static void free_matrix(struct product_job *j) {
    free(j->rows), free(j->panels), free(j->step);
}

static void free_input(struct product_job *j) {
    free(j->groups), free(j->x), free(j->y), free(j->buf);
    j->groups = NULL, j->x = j->y = NULL, j->buf = NULL;
}

/* Rows that repeat a few random ones. */
static int fill_rows(struct product_job *j, const struct tensor_type *type, int rows) {
    size_t bytes = tensor_type_row_bytes(type, COLS);
    float x[COLS];
    if (!(j->rows = huge_alloc(bytes * (size_t)rows))) return -1;
    for (int r = 0; r < rows; r++) {
        if (r >= RANDOM_ROWS) {
            memcpy(j->rows + (size_t)r * bytes, j->rows + (size_t)(r % RANDOM_ROWS) * bytes, bytes);
            continue;
        }
        for (int c = 0; c < COLS; c++)
            x[c] = rng_unit((uint64_t)r, (uint64_t)c) - 0.5f;
        type->quantize(x, 0.01f, j->rows + (size_t)r * bytes, COLS);
    }
    return 0;
}

static int pack_rows(struct product_job *j) {
    struct mat *w = &j->w;
    if (!(j->panels = huge_alloc(mat_panels_bytes(w->type, w->rows, COLS)))) return -1;
    mat_pack(w->type, j->rows, w->stride, w->rows, COLS, j->panels);
    free(j->rows);
    j->rows = NULL;
    w->data = j->panels;
    w->stride *= MAT_PANEL;
    w->in_panels = 1;
    return 0;
}

static int make_matrix(struct product_job *j, const struct tensor_type *type, int rows) {
    if (fill_rows(j, type, rows) || !(j->step = malloc(sizeof *j->step * (size_t)rows))) return -1;
    for (int r = 0; r < rows; r++)
        j->step[r] = 0.01f;
    j->w = (struct mat){.type = type,
                        .rows = rows,
                        .data = j->rows,
                        .axis = order_axis_runs(COLS),
                        .stride = tensor_type_row_bytes(type, COLS),
                        .row_step = type->per_channel ? j->step : NULL};
    j->w.leaf1 = j->w.axis.n_leaves;
    return type->is_float ? 0 : pack_rows(j);
}

static int make_input(struct product_job *j, enum act_bits bits) {
    const struct mat *w = &j->w;
    int n = order_group_count(&w->axis, 0, w->axis.n_leaves);
    size_t values = (size_t)COLS * (size_t)j->tokens;
    j->groups = malloc(sizeof *j->groups * (size_t)n);
    j->x = malloc(sizeof *j->x * values);
    j->y = malloc(sizeof *j->y * (size_t)w->rows * (size_t)j->tokens * (size_t)w->n_nodes);
    if (posix_memalign(&j->buf, 64, act_bytes(bits, j->tokens, n) + 64)) j->buf = NULL;
    if (!j->groups || !j->x || !j->y || !j->buf) return -1;
    order_groups(&w->axis, 0, w->axis.n_leaves, j->groups);
    for (size_t i = 0; i < values; i++)
        j->x[i] = rng_unit(3, (uint64_t)i) - 0.5f;
    act_init(&j->a, bits, w->act_step, j->groups, n, j->x, COLS, j->tokens, j->buf);
    return 0;
}

/* Whole panels to each thread. */
static void run_product(void *arg) {
    struct product_job *j = arg;
    int panels = (j->w.rows + MAT_PANEL - 1) / MAT_PANEL, rows = j->w.rows;
#pragma omp parallel for num_threads(j->threads) schedule(static)
    for (int i = 0; i < j->threads; i++) {
        int row0 = (int)((int64_t)panels * i / j->threads) * MAT_PANEL;
        int row1 = (int)((int64_t)panels * (i + 1) / j->threads) * MAT_PANEL;
        mat_mul(&j->w, &j->a, row0, row1 < rows ? row1 : rows, j->y, (size_t)rows, (size_t)rows * (size_t)j->tokens);
    }
}

struct product_job *product_new(const struct tensor_type *type, enum act_bits bits, int threads) {
    struct product_job *j = calloc(1, sizeof *j);
    if (!j) return NULL;
    *j = (struct product_job){.tokens = PREFILL_TOKENS, .threads = threads};
    if (!make_matrix(j, type, PREFILL_ROWS) && !mat_prepare(&j->w) && !make_input(j, bits)) return j;
    product_free(j);
    return NULL;
}

double product_Ops(struct product_job *j) {
    double t = engine_now();
    run_product(j);
    return 2.0 * j->w.rows * COLS * j->tokens / (engine_now() - t);
}

void product_free(struct product_job *j) {
    if (!j) return;
    free_input(j);
    free_matrix(j);
    free(j);
}

/* ---- attention ---- */

struct attention_job {
    struct kv_cache cache;
    void *buf;
    int threads, n_ctx;
    enum act_bits bits;
    float q[HEADS * HEAD_DIM], out[HEADS * HEAD_DIM];
    int kv_of[HEADS];
};

static int make_cache(struct attention_job *j, enum kv_type type, size_t bytes) {
    j->n_ctx = (int)(bytes / kv_cache_bytes(type, KV_HEADS, HEAD_DIM, 64) + 1) * 64;
    j->cache = (struct kv_cache){.type = type, .n_kv_heads = KV_HEADS, .head_dim = HEAD_DIM, .n_ctx = j->n_ctx};
    if (!(j->buf = huge_alloc(kv_cache_bytes(type, KV_HEADS, HEAD_DIM, j->n_ctx)))) return -1;
    kv_cache_place(&j->cache, j->buf);
    for (int i = 0; i < HEADS * HEAD_DIM; i++)
        j->q[i] = rng_unit(5, (uint64_t)i) - 0.5f;
    for (int h = 0; h < HEADS; h++)
        j->kv_of[h] = h * KV_HEADS / HEADS;
    for (int p = 0; p < j->n_ctx; p++)
        kv_cache_put(&j->cache, p, j->q + p % 64, j->q + p % 32);
    return 0;
}

/* The query heads of whole KV heads to each thread, which together are one cache reading. */
static void run_attention(void *arg) {
    struct attention_job *j = arg;
#pragma omp parallel for num_threads(j->threads) schedule(static)
    for (int i = 0; i < j->threads; i++) {
        int group = HEADS / KV_HEADS, h0 = KV_HEADS * i / j->threads * group;
        int h1 = KV_HEADS * (i + 1) / j->threads * group;
        struct attn_args a = {.cache = &j->cache,
                              .q = j->q + h0 * HEAD_DIM,
                              .out = j->out + h0 * HEAD_DIM,
                              .ld = HEADS * HEAD_DIM,
                              .n_queries = 1,
                              .n_heads = h1 - h0,
                              .kv_of = j->kv_of + h0,
                              .n_visible = &j->n_ctx,
                              .scale = 0.1f,
                              .bits = j->bits};
        if (h0 < h1) attention(&a);
    }
}

/* ---- measuring ---- */

static double sum_of_ranks(const struct kernel_bench *b, double v) {
    double all = 0, *each = calloc((size_t)b->app->size, sizeof *each);
    if (!each) return v;
    agree_allgather(b->app->world, &v, sizeof v, each);
    for (int i = 0; i < b->app->size; i++)
        all += each[i];
    free(each);
    return all;
}

/* What the kernel could reach at most, now, on this rank. */
static double probe_now(const struct kernel_bench *b, enum bench_what what, enum peak_kind kind) {
    int streams;
    agree_barrier(b->app->world);
    return what == WHAT_PREFILL ? peak_Ops(kind, b->threads) : probe_read_Bps(&b->probe, b->threads, &streams);
}

/* Runs of `amount` bytes or operations on this rank, each between two probes. Collective. */
static void measure(struct kernel_bench *b, struct kernel_row row, double amount, void (*run)(void *), void *job) {
    enum peak_kind kind = row.is_float ? PEAK_F32 : PEAK_INT8;
    run(job);
    for (int i = 0; i < b->repeat; i++) {
        double before = probe_now(b, row.what, kind);
        agree_barrier(b->app->world);
        double t = engine_now();
        run(job);
        t = engine_now() - t;
        b->rate[i] = 1e-9 * sum_of_ranks(b, amount / t);
        b->beside[i] = 1e-9 * sum_of_ranks(b, 0.5 * (before + probe_now(b, row.what, kind)));
        b->fraction[i] = b->rate[i] / b->beside[i];
    }
    row.rate = stats_median(b->rate, b->repeat);
    row.beside = stats_median(b->beside, b->repeat);
    row.fraction = stats_median(b->fraction, b->repeat);
    b->row[b->n_rows++] = row;
    if (b->app->rank == 0 && !b->app->spec.json) print_row(&b->row[b->n_rows - 1]);
}

/* One token, then many, with the same weights. */
static int bench_products(struct kernel_bench *b, struct product_job *j, enum act_bits bits, float act_step,
                          const char *activations, struct diag *d) {
    int rows = j->w.rows, rc = 0;
    for (int what = WHAT_DECODE; what <= WHAT_PREFILL && !rc; what++) {
        int many = what == WHAT_PREFILL;
        j->w.rows = many && rows > PREFILL_ROWS ? PREFILL_ROWS : rows;
        j->w.act_step = act_step;
        j->tokens = many ? PREFILL_TOKENS : 1;
        int failed = mat_prepare(&j->w) || make_input(j, bits);
        rc = err_agree(b->app->world, failed ? no_memory(j->w.type->name, d) : 0, d);
        double weights = (double)j->w.rows * COLS, bytes = (double)tensor_type_row_bytes(j->w.type, COLS) * j->w.rows;
        struct kernel_row row = {
            (enum bench_what)what, j->w.type->name, activations, bytes, bits == ACT_F32, {0}, {0}, {0}};
        if (!rc) measure(b, row, many ? 2 * weights * j->tokens : bytes, run_product, j);
        free_input(j);
    }
    j->w.rows = rows;
    return rc;
}

static int bench_type(struct kernel_bench *b, const struct tensor_type *type, struct diag *d) {
    struct product_job j = {.threads = b->threads};
    size_t row = tensor_type_row_bytes(type, COLS);
    int rows = (int)(b->bytes / row / MAT_PANEL + 1) * MAT_PANEL;
    int rc = err_agree(b->app->world, make_matrix(&j, type, rows) ? no_memory(type->name, d) : 0, d);
    if (!rc && !type->is_float) rc = bench_products(b, &j, ACT_I8, 0, "int8", d);
    if (!rc && type->per_channel) rc = bench_products(b, &j, ACT_I8, 0.05f, "int8 static", d);
    if (!rc) rc = bench_products(b, &j, ACT_F32, 0, "float", d);
    free_matrix(&j);
    return rc;
}

static int bench_cache(struct kernel_bench *b, enum kv_type type, enum act_bits bits, struct diag *d) {
    static const char *const names[] = {"f16", "int8", "int4"};
    struct attention_job *j = calloc(1, sizeof *j);
    int rc = err_agree(b->app->world, !j || make_cache(j, type, b->bytes) ? no_memory("the cache", d) : 0, d);
    if (!rc) {
        j->threads = b->threads;
        j->bits = bits;
        double bytes = (double)kv_cache_bytes(type, KV_HEADS, HEAD_DIM, j->n_ctx);
        struct kernel_row row = {
            WHAT_ATTENTION, names[type], bits == ACT_I4 ? "mode a4" : "mode a8", bytes, 0, {0}, {0}, {0}};
        measure(b, row, bytes, run_attention, j);
    }
    if (j) free(j->buf);
    free(j);
    return rc;
}

/* ---- all of them ---- */

static int bench_all(struct kernel_bench *b, const struct tensor_type *only, struct diag *d) {
    int rc = 0;
    for (const struct tensor_type *const *t = tensor_types; *t && !rc; t++)
        if (!only || *t == only) rc = bench_type(b, *t, d);
    for (int kv = KV_F16; kv <= KV_I4 && !rc && !only; kv++)
        rc = bench_cache(b, (enum kv_type)kv, ACT_I8, d);
    if (!rc && !only) rc = bench_cache(b, KV_I4, ACT_I4, d);
    return rc;
}

static int open_bench(struct kernel_bench *b, const struct tensor_type **only, struct diag *d) {
    const struct run_spec *s = &b->app->spec;
    if (kernels_select(*s->kernels ? s->kernels : NULL) != 0)
        return diag_set(d, ERR_USAGE, "--kernels %.40s: unknown or not possible on this CPU (northwall list)",
                        s->kernels);
    if (s->quant && !(*only = tensor_type_find(s->quant)))
        return diag_set(d, ERR_USAGE, "--quant %.40s: unknown storage type (northwall list)", s->quant);
    if (probe_init(&b->probe, bench_probe_bytes(), b->threads)) return no_memory("the bandwidth probe", d);
    return 0;
}

int bench_kernels(struct app *app, struct diag *d) {
    static struct kernel_bench b; /* large, and one a process */
    const struct tensor_type *only = NULL;
    memset(&b, 0, sizeof b);
    b.app = app;
    b.repeat = (int)app->spec.repeat;
    b.threads = app_threads(&app->spec);
    b.bytes = bench_probe_bytes() / 2; /* still out of the cache, and made in half the time */
    int rc = app_bind(app, d);
    if (!rc) rc = err_agree(app->world, open_bench(&b, &only, d), d);
    if (!rc && app->rank == 0 && !app->spec.json) print_head(&b);
    if (!rc) rc = bench_all(&b, only, d);
    if (!rc && app->rank == 0 && app->spec.json) print_json(&b);
    probe_fini(&b.probe);
    return rc;
}
