/* Arithmetic intensity of three models at 128 to 4096 tokens: published, by the plan's costs, and measured here.
 *
 * The survey (arXiv 2302.14017) counts, for each product, both operands and the result, a byte each: nothing is fused,
 * nothing stays in a cache. The plan counts what is streamed from memory: weights as stored, and the key/value cache.
 * Encoders: one pass over all tokens. GPT-2: all tokens one by one, from none; without the output layer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/stats.h"
#include "dist/bench.h"
#include "dist/engine.h"
#include "memory_wall.h"

enum { LENGTHS = WALL_LENGTHS, MODELS = WALL_MODELS };
const int wall_lengths[LENGTHS] = {128, 256, 512, 1024, 2048, 4096};
const char *const wall_models[MODELS] = {"bert-base", "bert-large", "gpt2"};

/* ---- counts ---- */

/* A product of [rows][inner] and [inner][columns]. */
static void add_product(struct wall_counts *c, double rows, double inner, double columns) {
    c->operations += 2 * rows * inner * columns;
    c->bytes += rows * inner + inner * columns + rows * columns;
}

/* One layer of a pass of so many tokens, each of which sees ctx positions. */
static void add_layer(struct wall_counts *c, const struct model_shape *s, double tokens, double ctx) {
    for (int i = 0; i < 4; i++) /* q, k, v, output */
        add_product(c, tokens, s->d_model, s->d_model);
    for (int h = 0; h < s->n_heads; h++) {
        add_product(c, tokens, s->head_dim, ctx);
        add_product(c, tokens, ctx, s->head_dim);
    }
    add_product(c, tokens, s->d_model, s->d_ffn);
    add_product(c, tokens, s->d_ffn, s->d_model);
}

/* As the survey counts. */
static struct wall_counts by_rule(const struct model_shape *s, int tokens) {
    struct wall_counts c = {0};
    if (s->causal)
        for (int t = 1; t <= tokens; t++)
            add_layer(&c, s, 1, t);
    else
        add_layer(&c, s, tokens, tokens);
    c.operations *= s->n_layers;
    c.bytes *= s->n_layers;
    return c;
}

struct wall_counts wall_counts(const struct plan *p, int tokens) {
    struct plan_totals step[STEP_COUNT];
    int64_t n = tokens, seen = n * (n + 1) / 2;
    struct plan_work one_pass = {.passes = 1, .tokens = n, .ctx_sum = n * n, .ctx_read = n};
    struct plan_work one_by_one = {.passes = n, .tokens = n, .ctx_sum = seen, .ctx_read = seen};
    struct wall_counts c = {0};
    plan_step_totals(p, 0, p->shape.causal ? &one_by_one : &one_pass, step);
    for (int k = 0; k < STEP_COUNT; k++) {
        c.bytes += step[k].weight_bytes + step[k].kv_bytes;
        for (int i = 0; i < PREC_COUNT; i++)
            c.operations += step[k].ops[i];
    }
    return c;
}

static double published(const struct memory_wall *w, int model, int length, const char *column) {
    for (int i = 0; i < w->profile.n_rows; i++)
        if (!strcmp(data_text(&w->profile, i, "model"), wall_models[model]) &&
            data_number(&w->profile, i, "tokens") == wall_lengths[length])
            return data_number(&w->profile, i, column);
    return NAN;
}

static void add_counts(struct frame *t, const struct memory_wall *w, int m, int i, struct wall_counts rule,
                       struct wall_counts plan) {
    frame_text(t, "%s", wall_models[m]);
    frame_number(t, wall_lengths[i]);
    frame_number(t, published(w, m, i, "GFLOP"));
    frame_number(t, 1e-9 * rule.operations);
    frame_number(t, 1e-9 * plan.operations);
    frame_number(t, published(w, m, i, "GB"));
    frame_number(t, 1e-9 * rule.bytes);
    frame_number(t, 1e-9 * plan.bytes);
    frame_number(t, published(w, m, i, "FLOP/byte"));
    frame_number(t, rule.operations / rule.bytes);
    frame_number(t, plan.operations / plan.bytes);
    frame_end_row(t);
}

static int show_counts(struct memory_wall *w) {
    struct frame *t = report_table(
        w->page, "intensity", "Operations, bytes and arithmetic intensity (8-bit operands)",
        "Published: the survey that both use (arXiv 2302.14017), which adds traffic of softmax and norms for encoders. "
        "Rule:\nits rule for products alone, both operands and the result. Plan: what this program computes and "
        "streams, "
        "weights as\nstored and the cache. bert-large: published 7 % below its own shape (24 layers, 1024, 4096); an "
        "inner size of 3584\nwould give it. gpt2: all tokens generated from none, without the output layer.");
    static const char *const columns[][2] = {{"published", "GFLOP"},  {"rule", "GFLOP"},  {"plan", "GFLOP"},
                                             {"published", "GB"},     {"rule", "GB"},     {"plan", "GB"},
                                             {"published", "FLOP/B"}, {"rule", "FLOP/B"}, {"plan", "FLOP/B"}};
    int rc = 0;
    frame_column(t, "model", "", 0);
    frame_column(t, "tokens", "", 4);
    for (int i = 0; i < 9; i++)
        frame_column(t, columns[i][0], columns[i][1], i < 6 ? 4 : 3);
    for (int m = 0; m < MODELS; m++)
        for (int i = 0; i < LENGTHS && !rc; i++) {
            struct plan *p = NULL;
            rc = wall_plan(&p, wall_models[m], NULL, wall_lengths[i], 1, w->d);
            if (!rc) add_counts(t, w, m, i, by_rule(&p->shape, wall_lengths[i]), wall_counts(p, wall_lengths[i]));
            plan_free(p);
        }
    return rc;
}

/* ---- measured ---- */

struct clock_of {
    double start_s, *at_s; /* [LENGTHS]: since the start, when so many tokens were there */
};

static void note_token(void *user, int seq, int index, int id) {
    struct clock_of *c = user;
    (void)seq;
    (void)id;
    for (int i = 0; i < LENGTHS; i++)
        if (index + 1 == wall_lengths[i]) c->at_s[i] = engine_now() - c->start_s;
}

/* One run of a model: an encoder of that many tokens; gpt2 until that many, which gives the shorter times too. Adds to
 * *hash what it computed. */
static int run_once(struct engine *e, const struct plan *p, int length, double *at_s, uint64_t *hash, struct diag *d) {
    int tokens = wall_lengths[length], n_prompt = p->shape.causal ? 1 : tokens;
    int *prompt = malloc((size_t)n_prompt * sizeof *prompt);
    struct clock_of clock = {engine_now(), at_s};
    struct engine_result r;
    if (!prompt) return diag_set(d, ERR_MEMORY, "no memory for %d tokens", n_prompt);
    for (int i = 0; i < n_prompt; i++)
        prompt[i] = (1000 + 7919 * i) % p->shape.n_vocab;
    const int *prompts[] = {prompt};
    struct engine_job job = {.n_seqs = 1,
                             .prompt = prompts,
                             .prompt_len = &n_prompt,
                             .n_new = p->shape.causal ? tokens : 1,
                             .chunk = n_prompt,
                             .sampling = {.top_k = 1},
                             .on_token = note_token,
                             .user = &clock,
                             .stop = &app_stop};
    int rc = engine_generate(e, &job, &r, d);
    free(prompt);
    if (rc) return rc;
    if (!p->shape.causal) at_s[length] = engine_now() - clock.start_s;
    if (r.interrupted) rc = diag_set(d, ERR_INTERRUPTED, "interrupted by a signal: no report");
    *hash = r.logit_hash[p->shape.causal ? tokens - 1 : 0];
    engine_result_fini(&r);
    return rc;
}

/* The three models, each ready for its longest text; what one run of each length took, and computed. */
struct runs {
    struct plan *plan[MODELS];
    struct engine *engine[MODELS];
    int last, n; /* longest length, runs */
    double s[MODELS][LENGTHS][BENCH_MAX_REPEAT];
    uint64_t hash[MODELS][LENGTHS];
};

/* The longest text: --ctx, else all. */
static int last_length(const struct app *app) {
    int last = LENGTHS - 1;
    while (last > 0 && app->spec.ctx && wall_lengths[last] > app->spec.ctx)
        last--;
    return last;
}

/* run -1 does not count. */
static int run_model(struct runs *r, int m, int run, struct diag *d) {
    int generates = r->plan[m]->shape.causal, rc = 0;
    for (int i = generates ? r->last : 0; i <= r->last && !rc; i++) {
        double at_s[LENGTHS] = {0};
        uint64_t hash;
        rc = run_once(r->engine[m], r->plan[m], i, at_s, &hash, d);
        if (!rc && run >= 0 && hash != r->hash[m][i])
            rc = diag_set(d, ERR_MISMATCH, "%s: run %d computed other values than the first", wall_models[m], run + 1);
        r->hash[m][i] = hash;
        for (int k = generates ? 0 : i; k <= i && run >= 0; k++)
            r->s[m][k][run] = at_s[k];
    }
    return rc;
}

/* Runs outside, models inside: neighbours in time are compared. */
static int measure(struct memory_wall *w, struct runs *r) {
    int rc = 0;
    for (int m = 0; m < MODELS && !rc; m++) {
        rc = wall_plan(&r->plan[m], wall_models[m], NULL, wall_lengths[r->last], app_threads(&w->app->spec), w->d);
        if (!rc) rc = engine_init(&r->engine[m], r->plan[m], NULL, w->app->world, -1, w->d);
    }
    for (int run = -1; run < r->n && !rc; run++)
        for (int m = 0; m < MODELS && !rc; m++)
            rc = run_model(r, m, run, w->d);
    for (int m = 0; m < MODELS; m++) {
        engine_free(r->engine[m]);
        plan_free(r->plan[m]);
    }
    return rc;
}

/* Median and interval of n samples times `unit`; dashes without samples. */
static void add_median(struct frame *t, const double *samples, int n, double unit) {
    double v[BENCH_MAX_REPEAT];
    struct stats_median s = {.median = NAN, .low = NAN, .high = NAN};
    if (n) {
        memcpy(v, samples, (size_t)n * sizeof *v);
        s = stats_median(v, n);
    }
    frame_number(t, unit * s.median);
    frame_number(t, s.low <= s.high ? unit * s.low : NAN);
    frame_number(t, s.low <= s.high ? unit * s.high : NAN);
}

/* The ratio is that of two times in one run: a machine that is slow for minutes is in both. */
static void add_latency(struct frame *t, const struct memory_wall *w, int m, int i, const struct runs *r) {
    double ratio[BENCH_MAX_REPEAT];
    int n = r && i <= r->last ? r->n : 0;
    for (int run = 0; run < n; run++)
        ratio[run] = r->s[m][i][run] / r->s[0][0][run];
    frame_text(t, "%s", wall_models[m]);
    frame_number(t, wall_lengths[i]);
    frame_number(t, published(w, m, i, "latency"));
    add_median(t, ratio, n, 1);
    add_median(t, r ? r->s[m][i] : NULL, n, 1e3);
    frame_number(t, n ? n : NAN);
    frame_text(t, n ? "measured" : "not measured");
    frame_end_row(t);
}

static void latency_columns(struct frame *t) {
    frame_column(t, "model", "", 0);
    frame_column(t, "tokens", "", 4);
    frame_column(t, "published", "x", 4);
    frame_column(t, "here", "x", 4);
    frame_column(t, "low", "x", 4);
    frame_column(t, "high", "x", 4);
    frame_column(t, "median", "ms", 4);
    frame_column(t, "low", "ms", 4);
    frame_column(t, "high", "ms", 4);
    frame_column(t, "n", "", 3);
    frame_column(t, "kind", "", 0);
}

/* runs NULL: not measured. */
static void show_latency(struct memory_wall *w, const struct runs *r) {
    char note[512];
    int threads = app_threads(&w->app->spec);
    if (r)
        snprintf(
            note, sizeof note,
            "Over that of bert-base at 128 tokens. Published: Xeon Gold 6242. Measured: this machine, %d thread%s, "
            "synthetic\nweights in Q8_0, medians of %d runs in turns with intervals of 95 %% by binomial ranks, ratios "
            "within a run;\ngpt2 with its output layer.",
            threads, threads > 1 ? "s" : "", r->n);
    else
        snprintf(note, sizeof note,
                 "Over that of bert-base at 128 tokens. Published: Xeon Gold 6242. --measure runs the models here: "
                 "it takes minutes.");
    struct frame *t = report_table(w->page, "latency", "Latency of one text", note);
    latency_columns(t);
    for (int m = 0; m < MODELS; m++)
        for (int i = 0; i < LENGTHS; i++)
            add_latency(t, w, m, i, r);
}

int wall_profile(struct memory_wall *w) {
    int rc = show_counts(w);
    if (rc || !w->app->spec.measure) {
        if (!rc) show_latency(w, NULL);
        return rc;
    }
    struct runs *r = calloc(1, sizeof *r);
    if (!r) return diag_set(w->d, ERR_MEMORY, "no memory for %ld runs", w->app->spec.repeat);
    r->last = last_length(w->app);
    r->n = (int)w->app->spec.repeat;
    rc = measure(w, r);
    if (!rc) show_latency(w, r);
    free(r);
    return rc;
}
