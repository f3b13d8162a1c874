/* sim_job.c - a plan and the passes of a job of fixed lengths. */
#include "sim_job.h"

#include <stdlib.h>

#include "dist/setup.h"
#include "dist/simulate.h"

/* --prompt counts tokens here. */
static int prompt_tokens(const struct app *app, int *out, struct diag *d) {
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

static int with_traces(const struct app *app, const struct plan *p, const struct users *u, sim_use *use, void *user,
                       struct diag *d) {
    struct engine_job job = {.n_seqs = u->n,
                             .prompt = (const int *const *)u->prompt,
                             .prompt_len = u->len,
                             .n_new = (int)app->spec.n_predict,
                             .chunk = (int)app->spec.chunk};
    struct trace *trace = calloc((size_t)p->strategy.dp, sizeof *trace);
    int rc = trace ? 0 : diag_set(d, ERR_MEMORY, "no memory for %d replicas", p->strategy.dp);
    for (int i = 0; i < p->strategy.dp && !rc; i++)
        rc = trace_fixed(&trace[i], p, &job, i, d);
    if (!rc) rc = use(user, app, p, trace, d);
    for (int i = 0; i < p->strategy.dp && trace; i++)
        trace_fini(&trace[i]);
    free(trace);
    return rc;
}

int sim_job_plan(struct app *app, const struct model *m, int tokens, sim_use *use, void *user, struct diag *d) {
    struct strategy st;
    struct plan *p = NULL;
    struct plan_opts o;
    struct users u = {0};
    char why[256];
    const struct strategy_kind *kind = app->spec.strategy ? strategy_kind_find(app->spec.strategy) : NULL;
    int n = app->spec.ranks ? (int)app->spec.ranks : app->cluster.n_cards ? app->cluster.n_cards : 1;
    if (kind) n += kind->hosts;
    int rc = app_strategy(&st, app, &m->shape, n, why, sizeof why, d);
    if (!rc && !app->spec.search) rc = app_check_stragglers(app, &st, d); /* a plan to compare may do without one */
    if (!app->spec.ctx) app->spec.ctx = tokens + app->spec.n_predict;
    if (!rc) rc = setup_plan_opts(&o, app, m, NULL, &st, d);
    if (!rc) rc = plan_make(&p, &m->shape, &st, strategy_ranks(&st), &o, d);
    if (!rc) rc = users_init(&u, (int)app->spec.batch, tokens, d);
    if (!rc) rc = with_traces(app, p, &u, use, user, d);
    users_fini(&u);
    plan_free(p);
    return rc;
}

int sim_job_open(struct model *m, const struct app *app, int *tokens, struct diag *d) {
    int rc = prompt_tokens(app, tokens, d);
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
    if (app->rank == 0) rc = sim_job_plan(app, &m, tokens, use, user, d);
    model_close(&m);
    return rc;
}
