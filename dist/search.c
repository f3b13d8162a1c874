/* search.c - the plans of a job on a described cluster, all of them, and which of them nothing beats. */
#include "search.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dist/engine.h"
#include "partition/estimate.h"
#include "search_priv.h"
#include "sim_job.h"
#include "virtual_report.h"

enum { MOST_WHOLE = 64, MOST_SIMULATED = 100 }; /* above so many cards: powers of two alone; where links are shared */

static const char *const kv_types[] = {"f16", "int8", "int4"};
enum { N_KV = sizeof kv_types / sizeof *kv_types };

/* ---- one plan ---- */

static void set_options(struct search *s, const struct found *f) {
    struct run_spec *o = &s->app.spec;
    o->strategy = f->strategy;
    o->batch = f->users;
    o->n_micro = f->micro;
    o->kv = f->kv;
    o->allreduce = f->algo;
    o->chunk = s->chunk;
}

static int make(struct search *s, const struct found *f, struct diag *d) {
    plan_free(s->plan);
    s->plan = NULL;
    set_options(s, f);
    return sim_job_make(&s->plan, &s->app, s->m, s->tokens, d);
}

static void free_traces(struct search *s) {
    sim_job_traces_free(s->trace, s->trace_dp);
    s->trace = NULL;
}

static int find_traces(struct search *s, const struct found *f, struct diag *d) {
    if (s->trace && s->trace_users == f->users && s->trace_dp == f->dp && s->trace_micro == f->micro &&
        s->trace_chunk == s->app.spec.chunk)
        return 0;
    free_traces(s);
    s->trace_users = f->users;
    s->trace_dp = f->dp;
    s->trace_micro = f->micro;
    s->trace_chunk = s->app.spec.chunk;
    return sim_job_traces(&s->trace, &s->app, s->plan, s->tokens, d);
}

static int set_figures(struct search *s, struct found *f, uint64_t total_ps, const struct cluster *c, struct diag *d) {
    struct virtual_energy energy;
    double ms = 1e-9 * (double)total_ps, n_new = (double)s->app.spec.n_predict, tokens = f->users * n_new;
    int rc = find_traces(s, f, d);
    if (!rc) rc = virtual_energy(&energy, NULL, s->plan, c, s->trace, total_ps, d);
    if (rc) return rc;
    f->latency_ms = ms / n_new;
    f->throughput = 1e3 * tokens / ms;
    f->energy_mJ = 1e3 * virtual_energy_sum(&energy) / tokens;
    return 0;
}

static void set_binds(struct found *f, const struct net_stamp *total) {
    f->binds = net_greatest(total);
    f->binds_part = total->ps ? (double)total->share[f->binds] / (double)total->ps : 0;
}

static int estimate(struct search *s, struct found *f, struct diag *d) {
    struct run_spec *o = &s->app.spec;
    struct estimate_job job = {f->users, s->tokens, (int)o->n_predict, (int)o->chunk};
    struct estimate e;
    double t = engine_now();
    int rc = plan_estimate(&e, s->plan, &s->apart, &job, d);
    s->seconds += engine_now() - t;
    s->estimates++;
    if (!rc) rc = set_figures(s, f, e.total.ps, &s->apart, d);
    if (!rc) set_binds(f, &e.total);
    return rc;
}

static int simulate_plan(struct search *s, struct found *f, struct diag *d) {
    struct virtual_summary v;
    struct simulation sim;
    int rc = make(s, f, d);
    if (!rc) rc = find_traces(s, f, d);
    if (!rc) rc = simulate(&sim, s->plan, &s->app.cluster, s->trace, d);
    if (rc) return rc;
    virtual_times(&v, "simulated", s->plan, f->users, s->trace, sim.taken);
    simulation_fini(&sim);
    if (s->shared) set_binds(f, &v.critical);
    if (s->shared) rc = set_figures(s, f, v.total_ps, &s->app.cluster, d);
    f->simulated_ms = v.latency_ms;
    s->n_simulated++;
    return rc;
}

/* Layers dealt by time, in the middle of the generation, where that differs and is possible. */
static int balance(struct search *s, struct found *f, struct diag *d) {
    int per_micro = (f->users + f->dp * f->micro - 1) / (f->dp * f->micro);
    int64_t ctx = per_micro * ((int64_t)s->tokens + s->app.spec.n_predict / 2);
    struct card_pass pass = {per_micro, per_micro, ctx, ctx};
    struct strategy st;
    int rc = plan_balance(&st, s->plan, &s->apart, &pass, d);
    if (rc || !strcmp(st.text, f->strategy)) return rc == ERR_MEMORY ? rc : 0;
    snprintf(f->strategy, sizeof f->strategy, "%s", st.text);
    return make(s, f, d);
}

/* ---- all plans ---- */

static int add(struct search *s, const struct found *f, struct diag *d) {
    if (s->n == s->cap) {
        int cap = s->cap ? 2 * s->cap : 256;
        struct found *found = realloc(s->found, (size_t)cap * sizeof *found);
        if (!found) return diag_set(d, ERR_MEMORY, "no memory for %d plans", cap);
        s->found = found;
        s->cap = cap;
    }
    s->found[s->n++] = *f;
    return 0;
}

static void name(struct found *f) {
    char out[16] = "";
    if (f->out) snprintf(out, sizeof out, ",%d/0", f->out);
    snprintf(f->strategy, sizeof f->strategy, "stages:%s%d*%d%sxdp%d", f->host ? "host," : "", f->tp, f->pp, out,
             f->dp);
}

/* The algorithm of all all-reduces takes the place of "auto". */
static void set_algo(struct found *f, const struct plan *p) {
    struct coll_spec attn, ffn;
    if (f->tp == 1) return;
    plan_coll(p, p->stages[f->host].first, STEP_ATTN_REDUCE, &attn);
    plan_coll(p, p->stages[f->host].first, STEP_FFN_REDUCE, &ffn);
    if (!strcmp(attn.algo, ffn.algo)) snprintf(f->algo, sizeof f->algo, "%s", attn.algo);
}

/* A plan that does not fit is a loser with a reason. */
static int try_plan(struct search *s, struct found *f, struct diag *d) {
    struct diag own = {0};
    int rc = make(s, f, &own);
    if (!rc) {
        snprintf(f->strategy, sizeof f->strategy, "%s", s->plan->strategy.text);
        set_algo(f, s->plan);
        f->label = plan_label(s->plan);
        if (f->label > f->most) return 0;
        rc = balance(s, f, &own);
    }
    if (!rc) rc = estimate(s, f, &own);
    if (rc == ERR_MEMORY) return diag_set(d, rc, "%s", own.text);
    f->refused = rc != 0;
    if (rc) snprintf(f->why, sizeof f->why, "%.300s", own.text);
    return 0;
}

static int try_algo(struct search *s, struct found *f, struct diag *d) {
    struct found one = *f;
    name(&one);
    int rc = try_plan(s, &one, d);
    f->refused = one.refused;
    return rc || one.label > one.most ? rc : add(s, &one, d);
}

/* What the plan chooses, and each other algorithm; those whose sums round otherwise only if that is asked for. Stages
 * of single cards have no all-reduce. */
static int try_algos(struct search *s, struct found *f, const char *asked, struct diag *d) {
    int all = !strcmp(asked, "auto") && f->tp > 1, rc;
    f->most = COLL_APPROXIMATE;
    snprintf(f->algo, sizeof f->algo, "%s", asked);
    rc = try_algo(s, f, d);
    if (rc || f->refused || !all) return rc;
    const struct found first = s->found[s->n - 1];
    if (!s->app.spec.approximate) f->most = first.label;
    for (int i = 0; coll_algos[i] && !rc; i++) {
        if (coll_algos[i]->levels != 1 || coll_algos[i]->library || !strcmp(coll_algos[i]->name, first.algo)) continue;
        snprintf(f->algo, sizeof f->algo, "%s", coll_algos[i]->name);
        rc = try_algo(s, f, d);
    }
    f->refused = 0;
    return rc;
}

static int listed(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *at = list; at; at = strchr(at, ','), at += at != NULL)
        if (!strncasecmp(at, word, n) && (!at[n] || at[n] == ',')) return 1;
    return 0;
}

/* What does not fit is tried once more with the embedding on the host. */
static int try_caches(struct search *s, struct found *f, const struct run_spec *asked, struct diag *d) {
    int rc = 0;
    for (int i = 0; i < N_KV && !rc; i++) {
        if (asked->kv && !listed(asked->kv, kv_types[i])) continue;
        snprintf(f->kv, sizeof f->kv, "%s", kv_types[i]);
        f->host = 0;
        rc = app_stop ? ERR_INTERRUPTED : try_algos(s, f, asked->allreduce, d);
        f->host = 1;
        if (!rc && f->refused && s->app.cluster.has_host) rc = try_algos(s, f, asked->allreduce, d);
    }
    return rc;
}

/* Without a pipeline micro-batches only cost; with one they go by powers of two, as many as stages, and all. */
static int is_tried(const struct found *f, int all) {
    int m = f->micro, stages = f->pp + (f->out > 0);
    return m == 1 || (stages > 1 && (!(m & (m - 1)) || m == stages || m == all));
}

/* Without a stage for the output layer, with one of as many cards as the others, and of twice as many. */
static int try_ends(struct search *s, struct found *f, const struct run_spec *asked, int all, struct diag *d) {
    int rc = 0;
    for (int times = 0; times <= 2 && !rc; times++) {
        f->out = times * f->tp;
        f->cards = f->dp * (f->tp * f->pp + f->out);
        if (f->cards <= s->most && is_tried(f, all)) rc = try_caches(s, f, asked, d);
    }
    return rc;
}

static int next_count(int n, int most) {
    return most <= MOST_WHOLE ? n + 1 : 2 * n;
}

static int try_stages(struct search *s, struct found *f, const struct run_spec *asked, int all, struct diag *d) {
    int most = s->most, rc = 0;
    for (f->pp = 1; f->dp * f->pp <= most && f->pp <= s->m->shape.n_layers && !rc; f->pp = next_count(f->pp, most))
        for (f->tp = 1; f->dp * f->pp * f->tp <= most && f->tp <= s->m->shape.n_heads && !rc;
             f->tp = next_count(f->tp, most))
            rc = try_ends(s, f, asked, all, d);
    return rc;
}

/* For all users, and for one. */
static int try_all(struct search *s, struct diag *d) {
    const struct run_spec asked = s->app.spec;
    int rc = 0;
    for (int users = s->users; users && !rc; users = users > 1 ? 1 : 0)
        for (int dp = 1; dp <= s->most && dp <= users && !rc; dp = next_count(dp, s->most))
            for (int micro = 1, all = (users + dp - 1) / dp; micro <= all && !rc; micro++) {
                struct found f = {.dp = dp, .users = users, .micro = micro};
                rc = try_stages(s, &f, &asked, all, d);
            }
    return rc == ERR_INTERRUPTED ? 0 : rc;
}

/* ---- who wins ---- */

static int no_worse(const struct found *a, const struct found *b) {
    return a->latency_ms <= b->latency_ms && a->throughput >= b->throughput && a->energy_mJ <= b->energy_mJ &&
           a->cards <= b->cards;
}

/* A plan that another one beats comes behind it. */
static int by_figures(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    if (x->refused != y->refused) return x->refused - y->refused;
    if (x->latency_ms != y->latency_ms) return x->latency_ms < y->latency_ms ? -1 : 1;
    if (x->throughput != y->throughput) return x->throughput > y->throughput ? -1 : 1;
    if (x->energy_mJ != y->energy_mJ) return x->energy_mJ < y->energy_mJ ? -1 : 1;
    return x->cards != y->cards ? x->cards - y->cards : strcmp(x->algo, y->algo);
}

static int by_loss(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    int lost = (x->why[0] != 0) - (y->why[0] != 0);
    return lost ? lost : by_figures(a, b);
}

static void say_why(struct found *loser, const struct found *winner) {
    int n = snprintf(loser->why, sizeof loser->why, "%s for %d, %d micro-batch%s, %s, %s cache ", winner->strategy,
                     winner->users, winner->micro, winner->micro == 1 ? "" : "es",
                     winner->tp > 1 ? winner->algo : "no all-reduce", winner->kv);
    if (no_worse(loser, winner))
        snprintf(loser->why + n, sizeof loser->why - (size_t)n, "is as good");
    else
        snprintf(
            loser->why + n, sizeof loser->why - (size_t)n,
            "beats it: latency x %.3f, throughput x %.3f, energy x %.3f of it on %d cards; %.0f %% of its own time "
            "is %s",
            winner->latency_ms / loser->latency_ms, winner->throughput / loser->throughput,
            winner->energy_mJ / loser->energy_mJ, winner->cards, 100 * loser->binds_part,
            record_share_name[loser->binds]);
}

/* The best come first, then who loses, the fastest first; of those that beat a plan, the fastest is named. */
static void judge(struct search *s) {
    int *best = malloc(((size_t)s->n + 1) * sizeof *best);
    if (s->n) qsort(s->found, (size_t)s->n, sizeof *s->found, by_figures);
    s->n_best = s->n_refused = s->n_open = 0;
    for (int i = 0; i < s->n && best; i++) {
        struct found *f = &s->found[i];
        int k = 0;
        s->n_refused += f->refused;
        if (f->refused) continue;
        f->why[0] = 0;
        while (k < s->n_best && !no_worse(&s->found[best[k]], f))
            k++;
        if (k < s->n_best) {
            say_why(f, &s->found[best[k]]);
            continue;
        }
        best[s->n_best++] = i;
        s->n_open += f->simulated_ms == 0;
    }
    free(best);
    if (s->n) qsort(s->found, (size_t)s->n, sizeof *s->found, by_loss);
}

/* The best are simulated too. Where links are shared, that makes them slower than their bounds and others best, until
 * all of the best have been simulated: nothing can beat these then. */
static int simulate_best(struct search *s, struct diag *d) {
    int rc = 0;
    do {
        for (int i = 0; i < s->n_best && !rc && (!s->shared || s->n_simulated < MOST_SIMULATED) && !app_stop; i++)
            if (s->found[i].simulated_ms == 0) rc = simulate_plan(s, &s->found[i], d);
        if (s->shared) judge(s);
    } while (!rc && s->shared && s->n_open && s->n_simulated < MOST_SIMULATED && !app_stop);
    return rc;
}

/* ---- the command ---- */

/* --kv and --mode are checked before anything is tried. */
static int check_search(struct search *s, struct diag *d) {
    const char *kv = s->app.spec.kv;
    struct decoder_opts o;
    int rc = 0;
    s->most = s->app.spec.ranks ? (int)s->app.spec.ranks : s->app.cluster.n_cards;
    if (!s->most)
        return diag_set(d, ERR_USAGE, "%s does not say how many cards there are: give --ranks N", s->app.cluster.name);
    for (const char *at = kv; at && !rc; at = strchr(at, ','), at += at != NULL) {
        char one[24];
        snprintf(one, sizeof one, "%.*s", (int)strcspn(at, ","), at);
        s->app.spec.kv = one;
        rc = app_decoder_opts(&o, &s->app, &s->m->shape, d);
    }
    s->app.spec.kv = kv;
    return rc || kv ? rc : app_decoder_opts(&o, &s->app, &s->m->shape, d);
}

static void make_apart(struct search *s) {
    s->apart = s->app.cluster;
    for (int i = 0; i < s->apart.net.n_tiers; i++)
        s->shared |= s->apart.net.tier[i].link.medium != NET_PRIVATE;
    cluster_set_apart(&s->apart);
}

int search_plans(struct app *app, struct diag *d) {
    struct search *s = calloc(1, sizeof *s);
    struct model m;
    if (!s) return diag_set(d, ERR_MEMORY, "no memory for a search");
    s->app = *app;
    int rc = sim_job_open(&m, app, &s->tokens, d);
    if (rc) {
        free(s);
        return rc;
    }
    s->m = &m;
    s->app.kept = estimate_kept_new();
    s->users = (int)app->spec.batch;
    s->chunk = app->spec.chunk;
    make_apart(s);
    rc = check_search(s, d);
    if (!rc && app->rank == 0) {
        rc = try_all(s, d);
        judge(s);
        if (!rc) rc = simulate_best(s, d);
        if (!rc && app->spec.json)
            search_json(s);
        else if (!rc)
            search_print(s);
    }
    plan_free(s->plan);
    free_traces(s);
    free(s->found);
    estimate_kept_free(s->app.kept);
    free(s);
    model_close(&m);
    return rc;
}
