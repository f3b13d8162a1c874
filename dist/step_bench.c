/* step_bench.c - small decoders of one rank, run by the engine as any other, for the times of their steps. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/stats.h"
#include "collectives/agree.h"
#include "dist/engine.h"
#include "step_times.h"

enum { MOST_PROMPT = 32 };

/* The widths of the smaller one are those of the bundled decoder, the others' those of a model of 135 M parameters. */
static const struct size {
    int n_layers, d_model, n_heads, n_kv_heads, d_ffn, n_vocab; /* layers 0: as many as leave the cache */
    int prompt, n_new, tries; /* fewer where many layers are as many samples */
} sizes[STEP_JOBS] = {{4, 256, 4, 2, 1024, 1024, MOST_PROMPT, 9, 3},
                      {2, 576, 9, 3, 1536, 2048, MOST_PROMPT, 9, 3},
                      {0, 576, 9, 3, 1536, 2048, 1, 2, 1}};

/* Medians, in seconds. */
struct times {
    double step[2][STEP_COUNT]; /* prompt, then tokens */
    struct pass_point pass; /* tokens */
};
enum { N_TIMES = sizeof(struct times) / sizeof(double), MOST_SAMPLES = 1024 };

struct samples {
    int n;
    double v[MOST_SAMPLES];
};

struct job {
    const struct size *size;
    int outer;
    struct plan *plan;
    struct engine *engine;
    struct plan_work work[2];
    struct samples step[2][STEP_COUNT], between, around;
    double ended; /* the last step */
    struct times t;
    const struct step_meeting *meeting; /* NULL: times of steps are kept */
    double left_layer, left_pass; /* the last meeting; layer 0: none in this pass */
    struct samples layers, passes; /* from one to the next */
};

struct step_bench {
    struct link *self;
    struct sampler_params sampling;
    int prompt[MOST_PROMPT];
    struct job job[STEP_JOBS];
};

/* ---- watching ---- */

static void add(struct samples *s, double v) {
    if (s->n < MOST_SAMPLES) s->v[s->n++] = v;
}

static void meet_layer(struct job *j, enum step_kind kind) {
    if (j->meeting->sum) j->meeting->sum(j->meeting->user);
    if (kind != STEP_FFN_DOWN) return;
    double now = engine_now();
    if (j->left_layer > 0) add(&j->layers, now - j->left_layer);
    j->left_layer = now;
}

static void meet_pass(struct job *j, int prefill) {
    if (j->meeting->pass) j->meeting->pass(j->meeting->user);
    double now = engine_now();
    if (!prefill) add(&j->passes, now - j->left_pass);
    j->left_pass = now;
    j->left_layer = 0;
}

/* A pass of one rank begins with STEP_EMBED and ends with STEP_SAMPLE. */
static void meet(struct job *j, enum step_kind kind, int prefill) {
    if (!prefill && (kind == STEP_ATTN_OUT || kind == STEP_FFN_DOWN)) meet_layer(j, kind);
    if (kind == STEP_SAMPLE) meet_pass(j, prefill);
}

static void watch(void *user, enum step_kind kind, int prefill, double begin, double end) {
    struct job *j = user;
    if (j->meeting) {
        meet(j, kind, prefill);
        return;
    }
    add(&j->step[!prefill][kind], end - begin);
    if (!prefill && j->ended > 0) add(kind == STEP_EMBED ? &j->around : &j->between, begin - j->ended);
    j->ended = end;
}

/* ---- opening ---- */

static int shape_of(struct model_shape *s, const struct size *size, size_t bytes, struct diag *d) {
    int rc = preset_shape(s, "smollm-135m", "Q8_0", 0, d);
    if (rc) return rc;
    double dim = size->d_model / size->n_heads, attention = 2 * dim * (size->n_heads + size->n_kv_heads);
    double layer = size->d_model * (attention + 3.0 * size->d_ffn); /* some bytes less than Q8_0 takes */
    s->n_layers = size->n_layers ? size->n_layers : (int)fmin(ceil((double)bytes / layer), SHAPE_MAX_LAYERS);
    s->d_model = size->d_model;
    s->n_heads = size->n_heads;
    s->n_kv_heads = size->n_kv_heads;
    s->head_dim = s->rope_dim = size->d_model / size->n_heads;
    s->attn_scale = (float)(1 / sqrt(s->head_dim));
    s->d_ffn = size->d_ffn;
    s->n_vocab = size->n_vocab;
    shape_set_types(s, tensor_type_find("Q8_0"), NULL);
    return shape_check(s, d);
}

static int open_job(struct step_bench *b, struct job *j, size_t bytes, struct diag *d) {
    struct model_shape shape;
    struct strategy st;
    struct plan_opts o = {.decoder = {.linear_bits = ACT_I8,
                                      .head_bits = ACT_I8,
                                      .n_seqs = 1,
                                      .n_ctx = j->size->prompt + j->size->n_new,
                                      .max_tokens = j->size->prompt,
                                      .threads = 1,
                                      .seed = 1},
                          .n_micro = 1,
                          .top_candidates = sampler_candidates(&b->sampling, j->size->n_vocab)};
    int rc = shape_of(&shape, j->size, bytes, d);
    if (!rc) rc = strategy_parse(&st, "1", d);
    if (!rc) rc = plan_make(&j->plan, &shape, &st, 1, &o, d);
    if (!rc) rc = engine_init(&j->engine, j->plan, NULL, b->self, -1, d);
    if (!rc) engine_watch(j->engine, watch, j);
    return rc;
}

int step_bench_open(struct step_bench **out, size_t cache_bytes, size_t last_bytes, const struct sampler_params *s,
                    struct diag *d) {
    struct step_bench *b = *out = calloc(1, sizeof *b);
    int rc = b && (b->self = link_self_new()) ? 0 : diag_set(d, ERR_MEMORY, "no memory for the times of steps");
    if (!rc) b->sampling = *s;
    for (int i = 0; i < STEP_JOBS && !rc; i++) {
        struct job *j = &b->job[i];
        j->size = &sizes[i];
        rc = open_job(b, j, 2 * last_bytes, d);
        if (!rc) j->outer = !j->size->n_layers || (cache_bytes > 0 && j->plan->ranks[0].bytes.weights > cache_bytes);
    }
    for (int i = 0; i < MOST_PROMPT; i++)
        if (!rc) b->prompt[i] = 1 + 7 * i;
    if (!rc) return 0;
    step_bench_close(b);
    *out = NULL;
    return rc;
}

void step_bench_close(struct step_bench *b) {
    if (!b) return;
    for (int i = 0; i < STEP_JOBS; i++) {
        engine_free(b->job[i].engine);
        plan_free(b->job[i].plan);
    }
    link_free(b->self);
    free(b);
}

/* ---- running ---- */

static int run_once(const struct step_bench *b, struct job *j, int n_prompt, int n_new, struct diag *d) {
    const int *prompt = b->prompt;
    struct engine_result r;
    struct engine_job job = {.n_seqs = 1,
                             .prompt = &prompt,
                             .prompt_len = &n_prompt,
                             .n_new = n_new,
                             .chunk = n_prompt,
                             .sampling = b->sampling};
    j->ended = 0;
    int rc = engine_generate(j->engine, &job, &r, d);
    if (rc) return rc;
    j->work[0] = r.prefill.work;
    j->work[1] = r.decode.work;
    engine_result_fini(&r);
    return 0;
}

static double median_of(struct samples *s) {
    double median = s->n ? stats_median(s->v, s->n).median : 0;
    s->n = 0;
    return median;
}

/* Of all tries; then the greatest of all ranks. */
static void keep(struct job *j, struct link *world, double *all) {
    double *out = (double *)&j->t;
    for (int f = 0; f < 2; f++)
        for (int k = 0; k < STEP_COUNT; k++)
            j->t.step[f][k] = median_of(&j->step[f][k]);
    j->t.pass = (struct pass_point){median_of(&j->between), median_of(&j->around)};
    agree_allgather(world, out, sizeof j->t, all);
    for (int i = 0; i < N_TIMES; i++)
        for (int r = 0; r < world->size; r++)
            out[i] = fmax(out[i], all[r * N_TIMES + i]);
}

int step_bench_run(struct step_bench *b, struct link *world, int alone, struct diag *d) {
    double *all = malloc((size_t)world->size * sizeof(struct times));
    int rc = err_agree(world, all ? 0 : diag_set(d, ERR_MEMORY, "no memory for times of %d ranks", world->size), d);
    for (int i = alone ? STEP_JOBS - 1 : 0; i < STEP_JOBS && !rc; i++) {
        int failed = 0;
        for (int k = 0; k < b->job[i].size->tries; k++) {
            agree_barrier(world);
            if (!failed && !(alone && world->rank))
                failed = run_once(b, &b->job[i], sizes[i].prompt, sizes[i].n_new, d);
        }
        rc = err_agree(world, failed, d);
        if (!rc) keep(&b->job[i], world, all);
    }
    free(all);
    return rc;
}

int step_bench_passes(int job) {
    return sizes[job].prompt + sizes[job].n_new - 2;
}

static double mean_of(struct samples *s) {
    double sum = 0;
    for (int i = 0; i < s->n; i++)
        sum += s->v[i];
    double mean = s->n ? sum / s->n : 0;
    s->n = 0;
    return mean;
}

int step_bench_meet(struct step_bench *b, int job, int passes, const struct step_meeting *m, double *layer_s,
                    double *pass_s, struct diag *d) {
    struct job *j = &b->job[job];
    j->meeting = m;
    j->left_layer = 0;
    int rc = run_once(b, j, 1, passes + 1, d);
    j->meeting = NULL;
    *layer_s = mean_of(&j->layers);
    *pass_s = mean_of(&j->passes);
    return rc;
}

/* ---- points ---- */

static int add_points(const struct job *j, int phase, const double op_s[PREC_COUNT], struct step_point *p) {
    const struct plan_work *w = &j->work[phase];
    struct plan_totals t[STEP_COUNT];
    int n = 0;
    plan_step_totals(j->plan, 0, w, t);
    for (int k = 0; k < STEP_COUNT; k++) {
        if (t[k].steps == 0) continue;
        p[n] = (struct step_point){.kind = (enum step_kind)k,
                                   .outer = j->outer,
                                   .single = w->tokens == w->passes,
                                   .steps = t[k].steps,
                                   .tokens = (double)w->tokens,
                                   .bytes = t[k].weight_bytes + t[k].kv_bytes,
                                   .seconds = t[k].steps * j->t.step[phase][k]};
        for (int i = 0; i < PREC_COUNT; i++)
            p[n].compute_s += t[k].ops[i] * op_s[i];
        n++;
    }
    return n;
}

int step_bench_points(const struct step_bench *b, const double op_s[PREC_COUNT], struct step_point p[STEP_POINTS],
                      struct pass_point pass[STEP_JOBS]) {
    int n = 0;
    for (int i = 0; i < STEP_JOBS; i++) {
        const struct job *j = &b->job[i];
        for (int f = 0; f < 2; f++)
            n += add_points(j, f, op_s, p + n);
        pass[i] = j->t.pass;
    }
    return n;
}
