/* sweep_point.c - one point of a sweep, done, as a result. */
#include <gsl/gsl_version.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/job.h"
#include "analysis/parameter.h"
#include "analysis/provenance.h"
#include "analysis/sweep_run.h"
#include "base/stats.h"
#include "dist/quality.h"
#include "dist/setup.h"
#include "dist/sim_job.h"
#include "dist/virtual_report.h"
#include "sweep_lab.h"

enum { PACED_RUNS = 7 }; /* where repeat is not given */

/* ---- what all results have ---- */

/* mpirun -n: --cards, or what the strategy takes; 0: neither says. */
static int ranks_of(const struct sweep_point *p) {
    struct strategy st;
    for (int i = 0; i < p->n && !p->ranks; i++)
        if (!strcmp(p->at[i].name, "strategy") && !strategy_parse(&st, p->at[i].value, NULL))
            return strategy_ranks(&st);
    return p->ranks;
}

int sweep_is_job(const struct sweep_point *p) {
    return p->engine != SWEEP_ESTIMATE && p->engine != SWEEP_SIMULATE && p->engine != SWEEP_QUALITY;
}

char *sweep_command(const struct sweep_point *p) {
    int ranks = ranks_of(p) ? ranks_of(p) : 1;
    struct lab_line lab;
    if (p->engine != SWEEP_LAB) return job_command(sweep_is_job(p) ? ranks : 0, p->n_words, p->word);
    lab_line(&lab, p, ranks);
    return job_command(JOB_LAB, lab.n, lab.word);
}

/* ---- values ---- */

/* Of what the commands print with --json: a number, or that of an object's member. */
static const struct quantity {
    const char *name, *unit, *kind; /* kind NULL: the result's */
    const char *key, *member; /* member NULL: the name is the key */
} quantities[] = {{"latency_ms_per_tok", "ms/token", NULL, NULL, NULL},
                  {"decode_ms_per_tok", "ms/token", NULL, NULL, NULL},
                  {"throughput_tok_per_s", "token/s", NULL, NULL, NULL},
                  {"energy_mJ_per_tok", "mJ/token", "modelled", NULL, NULL},
                  {"prefill_ms", "ms", NULL, NULL, NULL},
                  {"power_W", "W", "modelled", NULL, NULL},
                  {"energy_mJ_per_tok_with_host", "mJ/token", "modelled", NULL, NULL},
                  {"memory_bytes_per_card", "B", NULL, NULL, NULL},
#define MEMBER(key, member, unit, kind)                                                                                \
    { key "." member, unit, kind, key, member }
                  MEMBER("critical_path", "memory", "1", NULL),
                  MEMBER("critical_path", "compute", "1", NULL),
                  MEMBER("critical_path", "link_bandwidth", "1", NULL),
                  MEMBER("critical_path", "link_latency", "1", NULL),
                  MEMBER("critical_path", "overhead", "1", NULL),
                  MEMBER("energy_terms_mJ_per_tok", "idle", "mJ/token", "modelled"),
                  MEMBER("energy_terms_mJ_per_tok", "active", "mJ/token", "modelled"),
                  MEMBER("energy_terms_mJ_per_tok", "weights", "mJ/token", "modelled"),
                  MEMBER("energy_terms_mJ_per_tok", "cache", "mJ/token", "modelled"),
                  MEMBER("energy_terms_mJ_per_tok", "operations", "mJ/token", "modelled"),
                  MEMBER("energy_terms_mJ_per_tok", "links", "mJ/token", "modelled"),
#undef MEMBER
                  {"prefill_tok_per_s", "token/s", NULL, NULL, NULL},
                  {"decode_tok_per_s", "token/s", NULL, NULL, NULL},
                  {"read_GBps", "GB/s", NULL, NULL, NULL},
                  {"achieved_GBps", "GB/s", NULL, NULL, NULL},
                  {"energy_J_per_tok", "J/token", NULL, NULL, NULL},
                  {"half_interval_percent", "%", NULL, NULL, NULL},
                  {"lag1_ms_per_tok", "1", NULL, NULL, NULL},
                  {"simulated_ms_per_tok", "ms/token", "simulated", "simulated", "latency_ms_per_tok"},
                  {"not_described", "1", NULL, NULL, NULL},
                  {"cores_used", "1", NULL, NULL, NULL},
                  {"perplexity", "1", NULL, NULL, NULL},
                  {"nll_nats", "nats/token", NULL, NULL, NULL},
#define BESIDE(of)                                                                                                     \
    {"kl_nats" of, "nats/token", NULL, NULL, NULL}, {"dnll_nats" of, "nats/token", NULL, NULL, NULL},                  \
        {"same_best" of, "1", NULL, NULL, NULL}, {"most_kl_nats" of, "nats", NULL, NULL, NULL},                        \
        {"most_logit_difference" of, "nats", NULL, NULL, NULL}, {                                                      \
        "changed_predictions" of, "1", NULL, NULL, NULL                                                                \
    }
                  BESIDE(""),
                  BESIDE("_one_rank"),
#undef BESIDE
                  {"label", "1", NULL, NULL, NULL}};
enum { N_QUANTITIES = sizeof quantities / sizeof *quantities };
_Static_assert((int)N_QUANTITIES <= (int)SWEEP_VALUES, "an outcome has room for each quantity");
static const char of_median[] = "of the median, at least 95 %, binomial ranks",
                  over_windows[] = "of the mean, 95 %, over windows, normal";

/* low and high stand beside a measured value. */
static double beside(const json_t *from, const char *key, const char *what) {
    char name[80];
    snprintf(name, sizeof name, "%s_%s", key, what);
    const json_t *v = json_object_get(from, name);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static void add_values(struct sweep_outcome *out, const json_t *from, int measured) {
    for (int i = 0; i < N_QUANTITIES; i++) {
        const struct quantity *q = &quantities[i];
        const json_t *v = json_object_get(q->key ? json_object_get(from, q->key) : from, q->key ? q->member : q->name);
        if (!json_is_number(v)) continue;
        struct sweep_value *to = &out->value[out->n++];
        *to = (struct sweep_value){i, 0, json_number_value(v), NAN, NAN};
        if (!measured) continue;
        to->n = (int)json_number_value(json_object_get(from, "n"));
        to->low = beside(from, q->name, "low");
        to->high = beside(from, q->name, "high");
        if (isnan(to->low) || isnan(to->high)) to->low = to->high = NAN;
    }
}

/* ---- estimated and simulated ---- */

/* What points have in common that differ only in rates and times of the cluster, which no plan reads but to choose
 * all-reduces (plan_suits_net), and shares of unequal cards. */
struct prepared {
    size_t len; /* of the words, each ended by a 0 */
    char *words;
    struct run_spec spec; /* of them */
    struct plan *plan;
    struct trace *trace;
    struct prepared *next;
};

enum { MOST_PREPARED = 64 };

struct sweep_cache {
    struct app app;
    const struct cmd *simulate, *measure; /* the commands of a simulation and of a quality */
    const char *cluster_path; /* of the sweep: its address tells it */
    struct cluster cluster;
    char model_name[SWEEP_TEXT], quant[SWEEP_TEXT];
    long ctx;
    int open;
    struct model model;
    struct prepared *prepared; /* the last one used first */
    int n_prepared;
    struct lab_links links;
    struct quality_store *quality; /* NULL before the first such point */
};

struct sweep_cache *sweep_cache_new(const struct app *app) {
    struct sweep_cache *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->app = *app;
    for (int i = 0; cmds[i]; i++) {
        if (!strcmp(cmds[i]->name, "simulate")) c->simulate = cmds[i];
        if (!strcmp(cmds[i]->name, "quality")) c->measure = cmds[i];
    }
    return c;
}

static void prepared_free(struct prepared *f) {
    if (f->plan) sim_job_traces_free(f->trace, f->plan->strategy.dp);
    plan_free(f->plan);
    free(f->words);
    free(f);
}

void sweep_cache_free(struct sweep_cache *c) {
    for (struct prepared *f = c ? c->prepared : NULL, *next; f; f = next) {
        next = f->next;
        prepared_free(f);
    }
    if (c && c->open) model_close(&c->model);
    if (c) quality_store_free(c->quality);
    free(c);
}

static int read_cluster(struct sweep_cache *c, const struct sweep_point *p, struct diag *d) {
    if (c->cluster_path == p->cluster) return 0;
    c->cluster_path = NULL;
    int rc = cluster_read(&c->cluster, p->cluster, d);
    if (!rc && !cluster_has_card(&c->cluster))
        rc = diag_set(d, ERR_FORMAT, "%.200s: describes links but no card", p->cluster);
    if (!rc) c->cluster_path = p->cluster;
    return rc;
}

void sweep_cache_cluster(struct sweep_cache *c, const char *path, const struct cluster *as) {
    c->cluster = *as;
    c->cluster_path = path;
}

/* Words that change a rate or a time: no plan depends on them. A capacity says what fits. */
static int is_change(const struct sweep_point *p, int i) {
    const struct parameter *of = NULL;
    char name[64];
    if (strcmp(p->word[i], "--set")) return 0;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(p->word[i + 1], "="), p->word[i + 1]);
    of = parameter_find(name);
    return of != NULL;
}

/* The other words, one after the other; all --set into the list. *n: words. */
static int split_words(const struct sweep_point *p, char *out, size_t *len, int *n, struct opt_list *changes,
                       struct diag *d) {
    *len = 0;
    *n = changes->n = 0;
    for (int i = 1; i < p->n_words; i++) {
        int set = !strcmp(p->word[i], "--set"), pair = set || (i + 1 < p->n_words && p->word[i + 1][0] != '-');
        if (set && changes->n == OPT_LIST_MOST)
            return diag_set(d, ERR_USAGE, "more than %d numbers of a cluster are changed", OPT_LIST_MOST);
        if (set) changes->value[changes->n++] = p->word[i + 1];
        for (int k = 0; k <= pair && !is_change(p, i); k++, ++*n) {
            strcpy(out + *len, p->word[i + k]);
            *len += strlen(p->word[i + k]) + 1;
        }
        i += pair;
    }
    return 0;
}

static int set_model(struct sweep_cache *c, int *tokens, struct diag *d) {
    const struct run_spec *s = &c->app.spec;
    const char *quant = s->quant ? s->quant : "";
    int rc = sim_job_tokens(&c->app, tokens, d);
    if (rc) return rc;
    if (c->open && !strcmp(c->model_name, s->model) && !strcmp(c->quant, quant) && c->ctx == s->ctx) return 0;
    if (c->open) model_close(&c->model);
    c->open = 0;
    rc = sim_job_open(&c->model, &c->app, tokens, d);
    if (rc) return rc;
    c->open = 1;
    snprintf(c->model_name, sizeof c->model_name, "%s", s->model);
    snprintf(c->quant, sizeof c->quant, "%s", quant);
    c->ctx = s->ctx;
    return 0;
}

/* The cluster with its numbers changed. */
static int change(struct sweep_cache *c, const struct opt_list *changes, struct diag *d) {
    c->app.cluster = c->cluster;
    c->app.spec.changes = *changes;
    return app_change_cluster(&c->app, d);
}

/* With room for one more. */
static void forget_last(struct sweep_cache *c) {
    struct prepared **at = &c->prepared;
    if (c->n_prepared < MOST_PREPARED) return;
    while ((*at)->next)
        at = &(*at)->next;
    prepared_free(*at);
    *at = NULL;
    c->n_prepared--;
}

static int prepare(struct sweep_cache *c, const char *words, size_t len, int n_words, const struct opt_list *changes,
                   struct diag *d) {
    char *word[SWEEP_WORDS];
    int tokens = 0;
    struct prepared *f = calloc(1, sizeof *f);
    if (f) f->words = malloc(len + 1);
    if (!f || !f->words) {
        free(f);
        return diag_set(d, ERR_MEMORY, "no memory for a point");
    }
    f->len = len;
    memcpy(f->words, words, len);
    for (int i = 0; i < n_words; i++)
        word[i] = i ? word[i - 1] + strlen(word[i - 1]) + 1 : f->words;
    int rc = opts_parse(&c->app.spec, c->simulate, n_words, word, d);
    if (!rc) rc = change(c, changes, d);
    if (!rc) rc = set_model(c, &tokens, d);
    if (!rc) rc = sim_job_make(&f->plan, &c->app, &c->model, tokens, d);
    if (!rc) rc = sim_job_traces(&f->trace, &c->app, f->plan, tokens, d);
    if (rc) {
        prepared_free(f);
        return rc;
    }
    f->spec = c->app.spec;
    forget_last(c);
    f->next = c->prepared;
    c->prepared = f;
    c->n_prepared++;
    return 0;
}

/* Moves what suits a point to the front, and sets the app up for it; 0: there is none. */
static int find_prepared(struct sweep_cache *c, const char *words, size_t len, const struct opt_list *changes,
                         struct diag *d) {
    for (struct prepared **at = &c->prepared, *f; (f = *at); at = &f->next) {
        if (f->len != len || memcmp(f->words, words, len) != 0) continue;
        c->app.spec = f->spec;
        if (change(c, changes, d)) return 0; /* prepare says it again */
        if (!plan_suits_net(f->plan) || c->app.cluster.n_exceptions) continue; /* rates decide shares too */
        *at = f->next;
        f->next = c->prepared;
        c->prepared = f;
        return 1;
    }
    return 0;
}

static int do_virtual(struct sweep_cache *c, const struct sweep_point *p, struct sweep_outcome *out, struct diag *d) {
    char words[sizeof p->text + SWEEP_WORDS * 32 + 2 * PATH_MAX];
    struct opt_list changes;
    struct virtual_summary s;
    struct simulation sim;
    size_t len;
    int n, rc = read_cluster(c, p, d);
    if (!rc) rc = split_words(p, words, &len, &n, &changes, d);
    if (!rc && !find_prepared(c, words, len, &changes, d)) rc = prepare(c, words, len, n, &changes, d);
    if (!rc) rc = sim_summarize(&s, &sim, &c->app, c->prepared->plan, c->prepared->trace, d);
    if (rc) return rc;
    json_t *o = virtual_json(&s, c->prepared->plan, &c->app.cluster);
    add_values(out, o, 0);
    out->plan_hash = c->prepared->plan->hash;
    json_decref(o);
    simulation_fini(&sim);
    return 0;
}

/* ---- measured in this process ---- */

static int do_quality(struct sweep_cache *c, const struct sweep_point *p, struct sweep_outcome *out, struct diag *d) {
    char *word[SWEEP_WORDS];
    struct quality q;
    if (!c->quality) c->quality = quality_store_new();
    if (!c->quality) return diag_set(d, ERR_MEMORY, "no memory for a measurement");
    for (int i = 1; i < p->n_words; i++)
        word[i - 1] = (char *)p->word[i];
    int rc = opts_parse(&c->app.spec, c->measure, p->n_words - 1, word, d);
    c->app.net = net_default;
    if (!rc) rc = quality_measure(&q, c->quality, &c->app, d);
    if (rc) return rc;
    json_t *o = quality_json(&q);
    json_object_set_new(o, "label", json_integer(q.label));
    add_values(out, o, 1);
    out->plan_hash = q.plan_hash;
    snprintf(out->verified, sizeof out->verified, "%s", quality_checked(&q) ? quality_checked(&q) : "");
    json_decref(o);
    return 0;
}

/* ---- under mpirun, in the lab ---- */

/* Where cards share links, one rank more. */
static int set_job(struct sweep_cache *c, const struct sweep_point *p, int *ranks, struct diag *d) {
    *ranks = ranks_of(p);
    if (!*ranks) return diag_set(d, ERR_USAGE, "how many ranks? Give cards, or a strategy that says it (tp2)");
    if (p->engine == SWEEP_RUN || p->engine == SWEEP_LAB) return 0;
    int rc = read_cluster(c, p, d);
    c->app.cluster = c->cluster;
    *ranks += rc ? 0 : setup_arbiters(&c->app);
    return rc;
}

/* links: how they were verified; "": there are none. */
static void set_measured(struct sweep_outcome *out, const json_t *o, const char *links) {
    static const char equal[] = "tokens and logits equal those of one rank";
    double ranks = json_number_value(json_object_get(o, "ranks"));
    double threads = json_number_value(json_object_get(o, "threads_per_rank"));
    double cores = json_number_value(json_object_get(o, "cores"));
    add_values(out, o, 1);
    if (cores > 0) out->oversubscription = ranks * threads / cores;
    int same = json_is_true(json_object_get(o, "tokens_verified"));
    snprintf(out->verified, sizeof out->verified, "%s%s%s", same ? equal : "", same && *links ? "; " : "", links);
}

/* Of northwall run: on the clock of that name. */
static void set_clocked(struct sweep_outcome *out, const json_t *o, const char *clock) {
    const char *hash = json_string_value(json_object_get(o, "plan_hash"));
    out->n = 0;
    add_values(out, json_object_get(o, clock), 0);
    out->plan_hash = hash ? strtoull(hash, NULL, 16) : 0;
}

static int runs_of(const struct sweep_point *p) {
    int runs = PACED_RUNS;
    for (int i = 0; i < p->n; i++)
        if (!strcmp(p->at[i].name, "repeat")) runs = atoi(p->at[i].value);
    return runs;
}

static void set_median(struct sweep_value *v, double *sample, int n) {
    struct stats_median m = stats_median(sample, n);
    int differs = m.min < m.max && m.low <= m.high;
    *v = (struct sweep_value){v->quantity, n, m.median, differs ? m.low : NAN, differs ? m.high : NAN};
}

/* A run of the program gives one sample. */
static int do_paced(const struct sweep_point *p, int ranks, struct sweep_outcome *out, struct diag *d) {
    int n = runs_of(p), rc = 0;
    double *sample = calloc((size_t)n * SWEEP_VALUES, sizeof *sample);
    if (!sample) return diag_set(d, ERR_MEMORY, "no memory for %d runs", n);
    for (int k = 0; k < n && !rc; k++) {
        json_t *o = NULL;
        rc = job_json(&o, ranks, p->n_words, p->word, d);
        if (!rc) set_clocked(out, o, "paced");
        for (int i = 0; i < out->n && !rc; i++)
            sample[i * n + k] = out->value[i].value;
        json_decref(o);
    }
    for (int i = 0; i < out->n && !rc; i++)
        set_median(&out->value[i], sample + i * n, n);
    if (sweep_value(out, "not_described") <= SWEEP_PACE_HELD)
        snprintf(out->verified, sizeof out->verified, "at most 5 %% of the time is not described");
    free(sample);
    return rc;
}

static int do_job(struct sweep_cache *c, const struct sweep_point *p, struct sweep_outcome *out, struct diag *d) {
    json_t *o = NULL;
    const char *links = "";
    int ranks = 0, rc = set_job(c, p, &ranks, d);
    if (!rc && p->engine == SWEEP_PACED) return do_paced(p, ranks, out, d);
    if (!rc && p->engine == SWEEP_LAB)
        rc = lab_run(&o, &links, &c->links, p, ranks, d);
    else if (!rc)
        rc = job_json(&o, ranks, p->n_words, p->word, d);
    if (!rc && (p->engine == SWEEP_RUN || p->engine == SWEEP_LAB)) set_measured(out, o, links);
    if (!rc && p->engine == SWEEP_EMULATE) set_clocked(out, o, "emulated");
    json_decref(o);
    return rc;
}

/* ---- outcomes ---- */

void sweep_failed(struct sweep_outcome *out, const char *reason) {
    *out = (struct sweep_outcome){.oversubscription = NAN};
    snprintf(out->reason, sizeof out->reason, "%s", reason);
}

const struct sweep_value *sweep_find(const struct sweep_outcome *o, const char *name) {
    for (int i = 0; i < o->n; i++)
        if (!strcmp(quantities[o->value[i].quantity].name, name)) return &o->value[i];
    return NULL;
}

double sweep_value(const struct sweep_outcome *o, const char *name) {
    const struct sweep_value *v = sweep_find(o, name);
    return v ? v->value : NAN;
}

void sweep_do(struct sweep_outcome *out, struct sweep_cache *cache, const struct sweep_point *p) {
    struct diag d = {0};
    *out = (struct sweep_outcome){.oversubscription = NAN};
    int rc = p->engine == SWEEP_QUALITY ? do_quality(cache, p, out, &d)
             : sweep_is_job(p)          ? do_job(cache, p, out, &d)
                                        : do_virtual(cache, p, out, &d);
    if (rc) sweep_failed(out, d.text[0] ? d.text : err_text(rc));
}

/* ---- as results ---- */

static const char *hash_text(char *out, uint64_t hash) {
    snprintf(out, 20, "%016llx", (unsigned long long)hash);
    return hash ? out : NULL;
}

/* Its values' names and units are static. */
static int add_outcome(struct results *r, struct result *row, const struct sweep_point *p,
                       const struct sweep_outcome *o, int *added, struct diag *d) {
    struct result_parameter parameter[SWEEP_AXES];
    struct result_value value[SWEEP_VALUES];
    const char *interval = p->engine == SWEEP_QUALITY ? over_windows : of_median;
    for (int i = 0; i < p->n; i++)
        parameter[i] = (struct result_parameter){p->at[i].name, p->at[i].value};
    for (int i = 0; i < o->n; i++) {
        const struct sweep_value *v = &o->value[i];
        const struct quantity *q = &quantities[v->quantity];
        value[i] = (struct result_value){q->name,  q->unit, q->kind, isnan(v->low) ? NULL : interval,
                                         v->value, v->low,  v->high, v->n};
    }
    row->parameter = parameter;
    row->value = value;
    row->n_parameters = p->n;
    row->n_values = o->n;
    return results_keep(r, row, added, d);
}

int sweep_keep(struct results *r, const struct sweep_point *p, const struct sweep_outcome *o, int *added,
               struct diag *d) {
    static const char *const kinds[] = {"estimated",       "simulated", "measured", "emulated",
                                        "measured, paced", "measured",  "measured"}; /* enum sweep_engine */
    char now[32], hash[3][20], *command = sweep_command(p);
    struct result row = {.text = {[RESULT_POINT] = hash_text(hash[0], p->hash),
                                  [RESULT_TIME] = provenance_time(now, sizeof now),
                                  [RESULT_STATUS] = o->reason[0] ? "failed" : "ok",
                                  [RESULT_REASON] = o->reason[0] ? o->reason : NULL,
                                  [RESULT_KIND] = kinds[p->engine],
                                  [RESULT_COMMAND] = command,
                                  [RESULT_CLUSTER_HASH] = hash_text(hash[1], p->cluster_hash),
                                  [RESULT_PLAN_HASH] = hash_text(hash[2], o->plan_hash),
                                  [RESULT_VERIFIED] = o->verified[0] ? o->verified : NULL,
                                  [RESULT_PROGRAM] = "northwall " NW_VERSION,
                                  [RESULT_COMPILER] = provenance_compiler(),
                                  [RESULT_MPI] = sweep_is_job(p) ? provenance_mpi() : NULL,
                                  [RESULT_SQLITE] = results_library(),
                                  [RESULT_GSL] = gsl_version,
                                  [RESULT_MACHINE] = provenance_machine()},
                         .oversubscription = o->oversubscription};
    int rc = command ? add_outcome(r, &row, p, o, added, d) : diag_set(d, ERR_MEMORY, "no memory for a result");
    free(command);
    return rc;
}
