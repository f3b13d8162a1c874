/* sweep_point.c - one point of a sweep, done, as a result. */
#include <gsl/gsl_version.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/job.h"
#include "analysis/provenance.h"
#include "analysis/sweep_run.h"
#include "dist/sim_job.h"
#include "dist/virtual_report.h"

/* ---- what all results have ---- */

/* mpirun -n: --cards, or what the strategy takes; 0: neither says. */
static int ranks_of(const struct sweep_point *p) {
    struct strategy st;
    for (int i = 0; i < p->n && !p->ranks; i++)
        if (!strcmp(p->at[i].name, "strategy") && !strategy_parse(&st, p->at[i].value, NULL))
            return strategy_ranks(&st);
    return p->ranks;
}

char *sweep_command(const struct sweep_point *p) {
    int ranks = p->engine == SWEEP_RUN ? (ranks_of(p) ? ranks_of(p) : 1) : 0;
    return job_command(ranks, p->n_words, p->word);
}

static void set_hash(json_t *row, const char *name, uint64_t hash) {
    char text[20];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    if (hash) json_object_set_new(row, name, json_string(text));
}

static void set_text(json_t *row, const char *name, const char *text) {
    json_object_set_new(row, name, json_string(text));
}

static json_t *new_row(const struct sweep_point *p) {
    char now[32];
    static const char *const kinds[] = {"estimated", "simulated", "measured"}; /* enum sweep_engine */
    json_t *row = json_pack("{s:s, s:s, s:{}, s:{}}", "status", "ok", "kind", kinds[p->engine], "parameters", "values");
    char *command = sweep_command(p);
    set_hash(row, "point", p->hash);
    set_text(row, "time", provenance_time(now, sizeof now));
    set_text(row, "command", command ? command : "");
    set_hash(row, "cluster_hash", p->cluster_hash);
    set_text(row, "program", "northwall " NW_VERSION);
    set_text(row, "compiler", provenance_compiler());
    set_text(row, "sqlite", results_library());
    set_text(row, "gsl", gsl_version);
    set_text(row, "machine", provenance_machine());
    if (p->engine == SWEEP_RUN) set_text(row, "mpi", provenance_mpi());
    for (int i = 0; i < p->n; i++)
        set_text(json_object_get(row, "parameters"), p->at[i].name, p->at[i].value);
    free(command);
    return row;
}

static void set_failed(json_t *row, const char *reason) {
    set_text(row, "status", "failed");
    set_text(row, "reason", reason);
    json_object_clear(json_object_get(row, "values"));
}

json_t *sweep_failure(const struct sweep_point *p, const char *reason) {
    json_t *row = new_row(p);
    set_failed(row, reason);
    return row;
}

/* ---- values ---- */

/* Of what the commands print with --json; of an object, all its numbers, named KEY.MEMBER. */
static const struct quantity {
    const char *key, *unit, *kind; /* kind NULL: the result's */
} quantities[] = {{"latency_ms_per_tok", "ms/token", NULL},
                  {"decode_ms_per_tok", "ms/token", NULL},
                  {"throughput_tok_per_s", "token/s", NULL},
                  {"energy_mJ_per_tok", "mJ/token", "modelled"},
                  {"prefill_ms", "ms", NULL},
                  {"power_W", "W", "modelled"},
                  {"energy_mJ_per_tok_with_host", "mJ/token", "modelled"},
                  {"memory_bytes_per_card", "B", NULL},
                  {"critical_path", "1", NULL},
                  {"energy_terms_mJ_per_tok", "mJ/token", "modelled"},
                  {"prefill_tok_per_s", "token/s", NULL},
                  {"decode_tok_per_s", "token/s", NULL},
                  {"read_GBps", "GB/s", NULL},
                  {"achieved_GBps", "GB/s", NULL},
                  {"energy_J_per_tok", "J/token", NULL},
                  {0}};

/* low and high stand beside a measured value. */
static void add_interval(json_t *o, const json_t *from, const char *key) {
    char name[80];
    json_t *low, *high;
    snprintf(name, sizeof name, "%s_low", key);
    low = json_object_get(from, name);
    snprintf(name, sizeof name, "%s_high", key);
    high = json_object_get(from, name);
    if (json_is_number(json_object_get(from, "n"))) json_object_set(o, "n", json_object_get(from, "n"));
    if (!json_is_number(low) || !json_is_number(high)) return;
    json_object_set(o, "low", low);
    json_object_set(o, "high", high);
    set_text(o, "interval", "of the median, at least 95 %, binomial ranks");
}

static void add_value(json_t *values, const json_t *from, const char *key, const char *name, const struct quantity *q) {
    json_t *v = json_object_get(from, key);
    if (!json_is_number(v)) return;
    json_t *o = json_pack("{s:O, s:s}", "value", v, "unit", q->unit);
    if (q->kind) set_text(o, "kind", q->kind);
    add_interval(o, from, key);
    json_object_set_new(values, name, o);
}

static void add_values(json_t *row, json_t *from) {
    json_t *values = json_object_get(row, "values"), *v;
    char name[64];
    const char *member;
    for (const struct quantity *q = quantities; q->key; q++) {
        json_t *inner = json_object_get(from, q->key);
        add_value(values, from, q->key, q->key, q);
        json_object_foreach(inner, member, v) {
            snprintf(name, sizeof name, "%s.%s", q->key, member);
            add_value(values, inner, member, name, q);
        }
    }
}

/* ---- estimated and simulated ---- */

struct sweep_cache {
    struct app app;
    const struct cmd *simulate;
    const char *cluster_path; /* of the sweep: its address tells it */
    struct cluster cluster;
    char model_name[SWEEP_TEXT], quant[SWEEP_TEXT];
    long ctx;
    int open;
    struct model model;
};

struct sweep_cache *sweep_cache_new(const struct app *app) {
    struct sweep_cache *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->app = *app;
    for (int i = 0; cmds[i]; i++)
        if (!strcmp(cmds[i]->name, "simulate")) c->simulate = cmds[i];
    return c;
}

static int set_cluster(struct sweep_cache *c, const struct sweep_point *p, struct diag *d) {
    int rc = 0;
    if (c->cluster_path != p->cluster) {
        c->cluster_path = NULL;
        rc = cluster_read(&c->cluster, p->cluster, d);
        if (!rc && !cluster_has_card(&c->cluster))
            rc = diag_set(d, ERR_FORMAT, "%.200s: describes links but no card", p->cluster);
        if (!rc) c->cluster_path = p->cluster;
    }
    c->app.cluster = c->cluster;
    return rc ? rc : app_change_cluster(&c->app, d);
}

static int set_model(struct sweep_cache *c, int *tokens, struct diag *d) {
    const struct run_spec *s = &c->app.spec;
    const char *quant = s->quant ? s->quant : "";
    *tokens = atoi(s->prompt ? s->prompt : "128"); /* sim_job_open has checked it */
    if (c->open && !strcmp(c->model_name, s->model) && !strcmp(c->quant, quant) && c->ctx == s->ctx) return 0;
    if (c->open) model_close(&c->model);
    c->open = 0;
    int rc = sim_job_open(&c->model, &c->app, tokens, d);
    if (rc) return rc;
    c->open = 1;
    snprintf(c->model_name, sizeof c->model_name, "%s", s->model);
    snprintf(c->quant, sizeof c->quant, "%s", quant);
    c->ctx = s->ctx;
    return 0;
}

static int summarize(struct sweep_cache *c, json_t *row, const struct plan *p, const struct trace *trace,
                     struct diag *d) {
    struct virtual_summary s;
    struct simulation sim;
    int rc = sim_summarize(&s, &sim, &c->app, p, trace, d);
    if (rc) return rc;
    json_t *o = virtual_json(&s, p, &c->app.cluster);
    add_values(row, o);
    set_hash(row, "plan_hash", p->hash);
    json_decref(o);
    simulation_fini(&sim);
    return 0;
}

static int do_virtual(struct sweep_cache *c, const struct sweep_point *p, json_t *row, struct diag *d) {
    struct plan *plan = NULL;
    struct trace *trace = NULL;
    char *words[SWEEP_WORDS];
    int tokens = 0;
    for (int i = 1; i < p->n_words; i++)
        words[i - 1] = (char *)(uintptr_t)p->word[i]; /* not written to */
    int rc = opts_parse(&c->app.spec, c->simulate, p->n_words - 1, words, d);
    if (!rc) rc = set_cluster(c, p, d);
    if (!rc) rc = set_model(c, &tokens, d);
    if (!rc) rc = sim_job_make(&plan, &c->app, &c->model, tokens, d);
    if (!rc) rc = sim_job_traces(&trace, &c->app, plan, tokens, d);
    if (!rc) rc = summarize(c, row, plan, trace, d);
    if (plan) sim_job_traces_free(trace, plan->strategy.dp);
    plan_free(plan);
    return rc;
}

/* ---- measured ---- */

static void add_measured(json_t *row, json_t *o) {
    double ranks = json_number_value(json_object_get(o, "ranks"));
    double threads = json_number_value(json_object_get(o, "threads_per_rank"));
    double cores = json_number_value(json_object_get(o, "cores"));
    add_values(row, o);
    if (cores > 0) json_object_set_new(row, "oversubscription", json_real(ranks * threads / cores));
    if (json_is_true(json_object_get(o, "tokens_verified")))
        set_text(row, "verified", "tokens and logits equal those of one rank");
}

static int do_run(const struct sweep_point *p, json_t *row, struct diag *d) {
    json_t *o = NULL;
    if (!ranks_of(p)) return diag_set(d, ERR_USAGE, "how many ranks? Give cards, or a strategy that says it (tp2)");
    int rc = job_json(&o, ranks_of(p), p->n_words, p->word, d);
    if (!rc) add_measured(row, o);
    json_decref(o);
    return rc;
}

json_t *sweep_do(struct sweep_cache *cache, const struct sweep_point *p) {
    json_t *row = new_row(p);
    struct diag d = {0};
    int rc = p->engine == SWEEP_RUN ? do_run(p, row, &d) : do_virtual(cache, p, row, &d);
    if (rc) set_failed(row, d.text[0] ? d.text : err_text(rc));
    return row;
}
