/* sim_job.c - a plan and the passes of a job of fixed lengths. */
#include "sim_job.h"

#include <stdlib.h>
#include <string.h>

#include "dist/setup.h"
#include "dist/simulate.h"

int sim_job_tokens(const struct app *app, int *out, struct diag *d) {
    const char *text = app->spec.prompt;
    char *end;
    long n = text ? strtol(text, &end, 10) : 128;
    if (n < 1 || n > 1 << 20 || (text && (*end || end == text)))
        return diag_set(d, ERR_USAGE, "--prompt '%.40s': simulate wants the number of its tokens, 1 to %d", text,
                        1 << 20);
    *out = (int)n;
    return 0;
}

/* Users whose prompts are all of one length. */
struct users {
    int n, *len, *id, **prompt;
};

static void users_fini(struct users *u) {
    free(u->len);
    free(u->id);
    free(u->prompt);
}

static int users_init(struct users *u, int n, int tokens, struct diag *d) {
    *u = (struct users){.n = n, .len = calloc((size_t)n, sizeof(int)), .id = calloc((size_t)tokens, sizeof(int))};
    u->prompt = calloc((size_t)n, sizeof *u->prompt);
    if (!u->len || !u->id || !u->prompt) return diag_set(d, ERR_MEMORY, "no memory for %d users", n);
    for (int i = 0; i < n; i++) {
        u->len[i] = tokens;
        u->prompt[i] = u->id;
    }
    return 0;
}

void sim_job_traces_free(struct trace *t, int dp) {
    for (int i = 0; i < dp && t; i++)
        trace_fini(&t[i]);
    free(t);
}

/* Users are alike, so replicas with as many of them have the same passes: those before the remainder one more. */
static int add_trace(struct trace *trace, const struct plan *p, const struct engine_job *job, int i, struct diag *d) {
    int more = job->n_seqs % p->strategy.dp, like = i < more ? 0 : more;
    if (i == like) return trace_fixed(&trace[i], p, job, i, d);
    size_t bytes = (size_t)trace[like].n * sizeof *trace->pass;
    struct trace_pass *pass = malloc(bytes + 1);
    if (!pass) return diag_set(d, ERR_MEMORY, "no memory for the passes of %d replicas", p->strategy.dp);
    memcpy(pass, trace[like].pass, bytes);
    trace[i] = (struct trace){pass, trace[like].n, trace[like].n};
    return 0;
}

int sim_job_traces(struct trace **out, const struct app *app, const struct plan *p, int tokens, struct diag *d) {
    struct users u = {0};
    int dp = p->strategy.dp, rc = users_init(&u, (int)app->spec.batch, tokens, d);
    struct engine_job job = {.n_seqs = u.n,
                             .prompt = (const int *const *)u.prompt,
                             .prompt_len = u.len,
                             .n_new = (int)app->spec.n_predict,
                             .chunk = (int)app->spec.chunk};
    *out = calloc((size_t)dp, sizeof **out);
    if (!rc && !*out) rc = diag_set(d, ERR_MEMORY, "no memory for %d replicas", dp);
    for (int i = 0; i < dp && !rc; i++)
        rc = add_trace(*out, p, &job, i, d);
    users_fini(&u);
    if (!rc) return 0;
    sim_job_traces_free(*out, dp);
    *out = NULL;
    return rc;
}

/* --ranks counts cards; a search tries all numbers up to it. */
static int check_cards(const struct app *app, const struct strategy *st, struct diag *d) {
    int cards = strategy_ranks(st) - (st->host ? st->dp * st->stage_size[0] : 0);
    if (!app->spec.ranks || app->spec.search || cards == app->spec.ranks) return 0;
    return diag_set(d, ERR_PLAN, "strategy %s takes %d card%s, but --ranks says %ld", st->text, cards,
                    cards == 1 ? "" : "s", app->spec.ranks);
}

int sim_job_make(struct plan **out, struct app *app, const struct model *m, int tokens, struct diag *d) {
    struct strategy st;
    char why[256];
    const struct strategy_kind *kind = app->spec.strategy ? strategy_kind_find(app->spec.strategy) : NULL;
    int n = app->spec.ranks ? (int)app->spec.ranks : app->cluster.n_cards ? app->cluster.n_cards : 1;
    if (kind) n += kind->hosts;
    int chunk = 0, rc = app_strategy(&st, app, &m->shape, n, why, sizeof why, d);
    if (!rc) rc = check_cards(app, &st, d);
    if (!app->spec.ctx) app->spec.ctx = tokens + app->spec.n_predict;
    if (!rc && tokens > app->spec.ctx)
        return diag_set(d, ERR_RANGE,
                        "prompts have %d tokens, but the context holds %ld: raise --ctx or shorten --prompt", tokens,
                        app->spec.ctx);
    if (!rc) rc = setup_plan(out, &chunk, app, m, NULL, &st, strategy_ranks(&st), d);
    app->spec.chunk = chunk;
    return rc;
}

static int with_plan(struct app *app, const struct model *m, int tokens, sim_use *use, void *user, struct diag *d) {
    struct plan *p = NULL;
    struct trace *trace = NULL;
    int rc = sim_job_make(&p, app, m, tokens, d);
    if (!rc) rc = sim_job_traces(&trace, app, p, tokens, d);
    if (!rc) rc = use(user, app, p, trace, d);
    if (p) sim_job_traces_free(trace, p->strategy.dp);
    plan_free(p);
    return rc;
}

int sim_summarize(struct virtual_summary *out, struct simulation *sim, const struct app *app, const struct plan *p,
                  const struct trace *trace, struct diag *d) {
    const struct cluster *c = &app->cluster;
    int users = (int)app->spec.batch;
    *sim = (struct simulation){0};
    if (app->spec.estimate) return virtual_estimate(out, p, c, users, (int)app->spec.chunk, trace, d);
    int rc = simulate(sim, p, c, trace, d);
    if (!rc) rc = virtual_summarize(out, "simulated", p, c, users, trace, sim->taken, d);
    if (rc) simulation_fini(sim);
    return rc;
}

int sim_job_open(struct model *m, const struct app *app, int *tokens, struct diag *d) {
    int rc = sim_job_tokens(app, tokens, d);
    if (!rc && !app->spec.cluster)
        rc = diag_set(d, ERR_USAGE, "no cluster: give --cluster FILE, such as one of cluster-configs/");
    if (!rc) rc = model_open_parts(m, app, MODEL_SHAPE, d);
    if (rc) return rc;
    if (!m->shape.causal) {
        rc = diag_set(d, ERR_UNSUPPORTED, "%s is an encoder: virtual time is that of generating text", m->shape.name);
        model_close(m);
    }
    return rc;
}

int sim_job(struct app *app, sim_use *use, void *user, struct diag *d) {
    struct model m;
    int tokens = 0, rc = sim_job_open(&m, app, &tokens, d);
    if (rc) return rc;
    if (app->rank == 0) rc = with_plan(app, &m, tokens, use, user, d);
    model_close(&m);
    return rc;
}
