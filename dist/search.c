/* search.c - the plans of a job on a described cluster, all of them. Layers are dealt to the stages of each by their
 * bytes, exactly (plan_make); the all-reduce of each is the fastest that gives the same bits (coll_resolve). */
#include "search.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "partition/estimate.h"
#include "sim_job.h"
#include "virtual_report.h"

enum { MOST_WHOLE = 64, SHOWN_LOSERS = 12 }; /* above so many cards: powers of two alone */

struct found {
    int tp, pp, dp, micro, cards;
    char strategy[256], kv[8], why[640]; /* why it is not among the best; empty for these */
    int refused;
    double latency_ms, throughput, energy_mJ; /* estimated */
    double simulated_ms; /* of the best */
};

struct search {
    struct app app; /* the command line, changed from plan to plan */
    const struct model *m;
    int tokens, most; /* of the prompt; cards */
    struct found *found;
    int n, cap;
};

/* ---- one plan ---- */

static int use_estimate(void *user, const struct app *app, const struct plan *p, const struct trace *trace,
                        struct diag *d) {
    struct found *f = user;
    const struct cluster *c = &app->cluster;
    struct estimate_job job = {(int)app->spec.batch, p->opts.decoder.n_ctx - (int)app->spec.n_predict,
                               (int)app->spec.n_predict, (int)app->spec.chunk};
    struct estimate e;
    struct virtual_energy energy;
    int rc = plan_estimate(&e, p, c, &job, d);
    if (!rc) rc = virtual_energy(&energy, p, c, trace, e.total.ps, d);
    if (rc) return rc;
    double ms = 1e-9 * (double)e.total.ps, tokens = (double)job.n_seqs * job.n_new;
    snprintf(f->strategy, sizeof f->strategy, "%s", p->strategy.text);
    f->micro = p->opts.n_micro;
    f->latency_ms = ms / job.n_new;
    f->throughput = 1e3 * tokens / ms;
    f->energy_mJ = 1e3 * virtual_energy_sum(&energy) / tokens;
    return 0;
}

static int use_simulation(void *user, const struct app *app, const struct plan *p, const struct trace *trace,
                          struct diag *d) {
    struct found *f = user;
    struct virtual_summary s;
    struct simulation sim;
    int rc = simulate(&sim, p, &app->cluster, trace, d);
    if (rc) return rc;
    virtual_times(&s, "simulated", p, (int)app->spec.batch, trace, sim.taken);
    f->simulated_ms = s.latency_ms;
    simulation_fini(&sim);
    return 0;
}

static void set_options(struct search *s, const struct found *f) {
    struct run_spec *o = &s->app.spec;
    o->tp = f->tp;
    o->pp = f->pp;
    o->dp = f->dp;
    o->n_micro = f->micro;
    o->kv = f->kv;
}

/* A plan that does not fit is a loser with a reason. */
static int try_plan(struct search *s, const struct found *like, struct diag *d) {
    if (s->n == s->cap) {
        int cap = s->cap ? 2 * s->cap : 256;
        struct found *found = realloc(s->found, (size_t)cap * sizeof *found);
        if (!found) return diag_set(d, ERR_MEMORY, "no memory for %d plans", cap);
        s->found = found;
        s->cap = cap;
    }
    struct found *f = &s->found[s->n++];
    struct diag own = {0};
    *f = *like;
    set_options(s, f);
    int rc = sim_job_plan(&s->app, s->m, s->tokens, use_estimate, f, &own);
    if (rc == ERR_MEMORY) return diag_set(d, rc, "%s", own.text);
    if (rc) {
        f->refused = 1;
        snprintf(f->strategy, sizeof f->strategy, "tp%dxpp%dxdp%d", f->tp, f->pp, f->dp);
        snprintf(f->why, sizeof f->why, "%.300s", own.text);
    }
    return 0;
}

/* ---- all plans ---- */

static int next_count(int n, int most) {
    return most <= MOST_WHOLE ? n + 1 : 2 * n;
}

static int try_caches(struct search *s, struct found *f, const char *kv, struct diag *d) {
    static const char *const types[] = {"f16", "int8", "int4"};
    int rc = 0;
    for (int i = 0; i < 3 && !rc; i++) {
        if (kv && strcmp(kv, types[i])) continue;
        snprintf(f->kv, sizeof f->kv, "%s", types[i]);
        rc = try_plan(s, f, d);
    }
    return rc;
}

/* Without a pipeline micro-batches only cost; with one they go by powers of two, as many as stages, and all. */
static int try_micros(struct search *s, struct found *f, const char *kv, struct diag *d) {
    int users = ((int)s->app.spec.batch + f->dp - 1) / f->dp, rc = 0;
    for (int m = 1; m <= users && !rc; m++) {
        if (f->pp == 1 && m > 1) break;
        if ((m & (m - 1)) && m != f->pp && m != users) continue;
        f->micro = m;
        rc = try_caches(s, f, kv, d);
    }
    return rc;
}

static int try_all(struct search *s, struct diag *d) {
    const char *kv = s->app.spec.kv;
    int most = s->most, users = (int)s->app.spec.batch, rc = 0;
    for (int dp = 1; dp <= most && dp <= users && !rc; dp = next_count(dp, most))
        for (int pp = 1; dp * pp <= most && pp <= s->m->shape.n_layers && !rc; pp = next_count(pp, most))
            for (int tp = 1; dp * pp * tp <= most && tp <= s->m->shape.n_heads && !rc; tp = next_count(tp, most)) {
                struct found f = {.tp = tp, .pp = pp, .dp = dp, .cards = tp * pp * dp};
                rc = app_stop ? ERR_INTERRUPTED : try_micros(s, &f, kv, d);
            }
    return rc == ERR_INTERRUPTED ? 0 : rc;
}

/* ---- who wins ---- */

static int beats(const struct found *a, const struct found *b) {
    if (a->latency_ms > b->latency_ms || a->throughput < b->throughput || a->energy_mJ > b->energy_mJ ||
        a->cards > b->cards)
        return 0;
    return a->latency_ms < b->latency_ms || a->throughput > b->throughput || a->energy_mJ < b->energy_mJ ||
           a->cards < b->cards;
}

static void say_why(struct found *loser, const struct found *winner) {
    snprintf(
        loser->why, sizeof loser->why,
        "%s, %d micro-batch%s, %s cache beats it: latency x %.3f, throughput x %.3f, energy x %.3f of it on %d cards",
        winner->strategy, winner->micro, winner->micro == 1 ? "" : "es", winner->kv,
        winner->latency_ms / loser->latency_ms, winner->throughput / loser->throughput,
        winner->energy_mJ / loser->energy_mJ, winner->cards);
}

/* Of those that beat a plan, the fastest is named. */
static void judge(struct search *s) {
    for (int i = 0; i < s->n; i++) {
        const struct found *best = NULL;
        for (int k = 0; k < s->n && !s->found[i].refused; k++)
            if (!s->found[k].refused && beats(&s->found[k], &s->found[i]) &&
                (!best || s->found[k].latency_ms < best->latency_ms))
                best = &s->found[k];
        if (best) say_why(&s->found[i], best);
    }
}

static int by_latency(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    int lost = (x->why[0] != 0) - (y->why[0] != 0);
    if (lost) return lost;
    if (x->refused != y->refused) return x->refused - y->refused;
    return x->latency_ms < y->latency_ms ? -1 : x->latency_ms > y->latency_ms;
}

static int simulate_best(struct search *s, struct diag *d) {
    int rc = 0;
    for (int i = 0; i < s->n && !s->found[i].why[0] && !rc; i++) {
        set_options(s, &s->found[i]);
        rc = sim_job_plan(&s->app, s->m, s->tokens, use_simulation, &s->found[i], d);
    }
    return rc;
}

/* ---- printing ---- */

static void print_row(const struct found *f) {
    printf("%-16s %5d %5d %-5s", f->strategy, f->cards, f->micro, f->kv);
    if (f->refused)
        printf("%12s %12s %12s %12s", "-", "-", "-", "-");
    else
        printf("%12.6f", f->latency_ms);
    if (!f->refused && !f->why[0]) printf(" %12.6f", f->simulated_ms);
    if (!f->refused && f->why[0]) printf(" %12s", "");
    if (!f->refused) printf(" %12.1f %12.3f", f->throughput, f->energy_mJ);
    printf("%s%s\n", f->why[0] ? "  " : "", f->why);
}

static void print_all(const struct search *s) {
    int best = 0, refused = 0, shown = 0;
    for (int i = 0; i < s->n; i++) {
        best += !s->found[i].why[0];
        refused += s->found[i].refused;
    }
    printf(
        "%s on %s: %d plans, %d of them refused; %d that nothing beats in latency, throughput, energy and cards%s\n\n",
        s->m->shape.name, s->app.cluster.name, s->n, refused, best, app_stop ? " (interrupted)" : "");
    printf("%-16s %5s %5s %-5s%12s %12s %12s %12s\n", "strategy", "cards", "micro", "cache", "latency", "simulated",
           "throughput", "energy");
    printf("%-16s %5s %5s %-5s%12s %12s %12s %12s\n", "", "", "", "", "ms/token", "ms/token", "tok/s", "mJ/token");
    for (int i = 0; i < best; i++)
        print_row(&s->found[i]);
    printf("\nwhat loses, the fastest first, and why\n");
    for (int i = best; i < s->n && (s->app.spec.all || shown < SHOWN_LOSERS); i++, shown++)
        print_row(&s->found[i]);
    if (best + shown < s->n) printf("... and %d more (--all)\n", s->n - best - shown);
    if (s->most > MOST_WHOLE) printf("\nOf more than %d cards only powers of two were tried.\n", MOST_WHOLE);
    printf("\nLatency, throughput and energy are estimated (closed form), energy modelled; of the cards, without a "
           "host.\nA narrower cache changes the text; --kv keeps one type.\n");
}

static void print_json(const struct search *s) {
    json_t *plans = json_array();
    for (int i = 0; i < s->n; i++) {
        const struct found *f = &s->found[i];
        json_t *o = json_pack("{s:s, s:i, s:i, s:s, s:b}", "strategy", f->strategy, "cards", f->cards, "micro_batches",
                              f->micro, "kv", f->kv, "fits", !f->refused);
        if (!f->refused)
            json_object_update_new(o,
                                   json_pack("{s:f, s:f, s:f}", "latency_ms_per_tok", f->latency_ms,
                                             "throughput_tok_per_s", f->throughput, "energy_mJ_per_tok", f->energy_mJ));
        if (f->simulated_ms > 0) json_object_set_new(o, "simulated_latency_ms_per_tok", json_real(f->simulated_ms));
        json_object_set_new(o, "why_not", f->why[0] ? json_string(f->why) : json_null());
        json_array_append_new(plans, o);
    }
    json_t *o = json_pack("{s:s, s:s, s:s, s:o}", "model", s->m->shape.name, "cluster", s->app.cluster.name, "kind",
                          "estimated", "plans", plans);
    json_dumpf(o, stdout, JSON_INDENT(1));
    fputc('\n', stdout);
    json_decref(o);
}

static int check_search(struct search *s, struct diag *d) {
    struct decoder_opts o;
    s->most = s->app.spec.ranks ? (int)s->app.spec.ranks : s->app.cluster.n_cards;
    if (!s->most)
        return diag_set(d, ERR_USAGE, "%s does not say how many cards there are: give --ranks N", s->app.cluster.name);
    return app_decoder_opts(&o, &s->app, &s->m->shape, d); /* --kv and --mode, said once */
}

int search_plans(struct app *app, struct diag *d) {
    struct search s = {.app = *app};
    struct model m;
    int rc = sim_job_open(&m, app, &s.tokens, d);
    if (rc) return rc;
    s.m = &m;
    s.app.spec.strategy = NULL;
    rc = check_search(&s, d);
    if (!rc && app->rank == 0) {
        rc = try_all(&s, d);
        judge(&s);
        if (s.n) qsort(s.found, (size_t)s.n, sizeof *s.found, by_latency);
        if (!rc) rc = simulate_best(&s, d);
        if (!rc && app->spec.json)
            print_json(&s);
        else if (!rc)
            print_all(&s);
    }
    free(s.found);
    model_close(&m);
    return rc;
}
