/* What each saving takes on a described machine, under every strategy that it was measured for. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pareto.h"
#include "partition/estimate.h"

enum { STRATEGY = 32 };

/* The case, and the words it points to. */
struct priced {
    struct study_case on;
    char strategy[STRATEGY], dropped[16];
};

static int layers_of(const char *model) {
    const struct preset *p = preset_find(model);
    return p ? p->n_layers : 0;
}

/* The same part of this model's layers, the first ones: which they are changes no cost. */
static const char *dropped_layers(char out[16], const struct pareto_saving *s, int layers) {
    int n = (int)lround((double)s->dropped * layers / s->layers);
    if (n <= 0) return "none";
    if (n >= layers) return "all";
    snprintf(out, 16, "0-%d", n - 1);
    return out;
}

/* With a host, which embeds tokens, cards hold layers alone: one each and two the output layer, as in the HPEC 2024
 * paper, or stages of several cards. */
static void set_strategy(char out[STRATEGY], const struct pareto_machine *m, int stages, int ranks, int host) {
    int layers = layers_of(m->model);
    if (host && ranks == 1)
        snprintf(out, STRATEGY, "stages:host,1*%d/1,2/0", layers);
    else if (host)
        snprintf(out, STRATEGY, "stages:host,%d*%d", ranks, stages);
    else if (stages > 1 && ranks > 1)
        snprintf(out, STRATEGY, "tp%dxpp%d", ranks, stages);
    else if (stages > 1 || ranks > 1)
        snprintf(out, STRATEGY, "%s%d", ranks > 1 ? "tp" : "pp", stages * ranks);
    else
        snprintf(out, STRATEGY, "1");
}

static void set_case(struct priced *p, const struct pareto_machine *m, const struct cluster *c,
                     const struct pareto_saving *s, int stages, int ranks, int host) {
    set_strategy(p->strategy, m, stages, ranks, host);
    p->on = (struct study_case){.cluster = c,
                                .model = m->model,
                                .quant = s->quant,
                                .head = s->head,
                                .mode = s->mode,
                                .kv = s->kv,
                                .strategy = p->strategy,
                                .allreduce = s->allreduce,
                                .wire = s->wire,
                                .drop_sync = dropped_layers(p->dropped, s, layers_of(m->model)),
                                .cards = host ? 0 : stages * ranks,
                                .users = m->users,
                                .prompt = m->prompt,
                                .generate = m->generate};
}

/* Of one pass in the middle of the answer, for all users; the mean of the cards. */
static void set_bytes(struct pareto_choice *c, const struct plan *p, const struct pareto_machine *m) {
    struct plan_totals t;
    struct plan_pass pass = {m->users, m->users, (int64_t)m->users * (m->prompt + m->generate / 2), 0};
    plan_totals(p, -1, &pass, &t);
    c->weights_MB = 1e-6 * t.weight_bytes / p->n_ranks;
    c->cache_MB = 1e-6 * t.kv_bytes / p->n_ranks;
    c->links_kB = 1e-3 * t.sent_bytes / p->n_ranks;
}

static void set_cost(double cost[2], const struct virtual_summary *s) {
    cost[PARETO_TIME] = s->latency_ms;
    cost[PARETO_ENERGY] = 1e3 * virtual_energy_sum(&s->energy) / (double)s->tokens;
}

/* *fits 0: there is no such plan, or no room. */
static int price(struct pareto_choice *c, int *fits, const struct priced *p, const struct pareto_machine *m,
                 const struct study *st) {
    struct diag own = {0};
    struct case_plan *plan;
    struct virtual_summary s;
    int rc = case_open(&plan, &p->on, st->app, &own);
    if (!rc) rc = case_summarize(&s, plan, p->on.cluster, 1, &own);
    *fits = !rc;
    if (!rc) {
        set_cost(c->cost, &s);
        set_bytes(c, plan->plan, m);
        study_binds_text(&s, c->binds);
    }
    case_close(plan);
    return rc && rc != ERR_PLAN ? diag_set(st->d, rc, "%s", own.text) : 0;
}

/* Whether a machine sees no difference. */
static int costs_same(const struct pareto_saving *a, const struct pareto_saving *b) {
    return !strcmp(a->quant, b->quant) && !strcmp(a->head, b->head) && !strcmp(a->mode, b->mode) &&
           pareto_same(a, b, PARETO_KV) && pareto_same(a, b, PARETO_WIRE) && pareto_same(a, b, PARETO_SYNC);
}

static int add(struct pareto_choices *out, int first, const struct pareto_machine *m, const struct cluster *cluster,
               const struct pareto_loss *l, int stages, int host, const struct study *st) {
    struct pareto_choice *c = &out->at[out->n];
    struct priced p;
    int fits = 0, rc = 0;
    for (const struct pareto_choice *k = &out->at[first]; k < c && !fits; k++)
        if (costs_same(&k->loss->saved, &l->saved)) *c = *k, fits = 1;
    if (!fits) {
        set_case(&p, m, cluster, &l->saved, stages, l->ranks, host);
        snprintf(c->strategy, sizeof c->strategy, "%s", p.strategy);
        rc = price(c, &fits, &p, m, st);
    }
    c->loss = l;
    c->stages = stages;
    c->host = host;
    out->n += fits;
    out->unfit += !fits;
    return rc;
}

/* All measured losses at so many ranks, on one strategy. */
static int add_losses(struct pareto_choices *out, const struct pareto_machine *m, const struct cluster *c,
                      const struct pareto_losses *l, int stages, int ranks, int host, const struct study *st) {
    int first = out->n, rc = 0;
    struct pareto_choice *bigger = realloc(out->at, (size_t)(out->n + l->n) * sizeof *bigger);
    if (!bigger) return diag_set(st->d, ERR_MEMORY, "no memory for %d savings", out->n + l->n);
    out->at = bigger;
    for (int i = 0; i < l->n && !rc; i++)
        if (l->at[i].ranks == ranks) rc = add(out, first, m, c, &l->at[i], stages, host, st);
    return rc;
}

/* Stages: powers of two, and all cards. Behind a host: one layer a card and two for the output, or all cards. */
static int add_strategies(struct pareto_choices *out, const struct pareto_machine *m, const struct cluster *c,
                          const struct pareto_losses *l, int ranks, const struct study *st) {
    int cards = m->cards / ranks, layers = layers_of(m->model), most = cards < layers ? cards : layers, rc = 0;
    for (int stages = 1; stages <= most && !rc; stages = stages < most && 2 * stages > most ? most : 2 * stages)
        rc = add_losses(out, m, c, l, stages, ranks, 0, st);
    if (!rc && c->has_host && (ranks > 1 || layers + 2 <= cards)) rc = add_losses(out, m, c, l, most, ranks, 1, st);
    return rc;
}

/* Of the machine's file, or one that comes with the program. */
static int read_cluster(struct cluster *c, const struct pareto_machine *m, const struct study *st) {
    return strchr(m->cluster, '/') || strchr(m->cluster, '.') ? cluster_read(c, m->cluster, st->d)
                                                              : case_cluster(c, m->cluster, st->d);
}

int pareto_price(struct pareto_choices *out, const struct pareto_machine *m, const struct pareto_losses *l,
                 const struct study *st) {
    struct cluster *c = malloc(sizeof *c);
    struct app *app = malloc(sizeof *app);
    *out = (struct pareto_choices){0};
    int rc = c && app ? read_cluster(c, m, st) : diag_set(st->d, ERR_MEMORY, "no memory for a cluster");
    if (!rc) {
        struct study own = *st;
        *app = *st->app;
        app->kept = estimate_kept_new();
        own.app = app;
        for (int ranks = 1; ranks <= m->cards && !rc; ranks++)
            rc = add_strategies(out, m, c, l, ranks, &own);
        estimate_kept_free(app->kept);
    }
    free(c);
    free(app);
    if (rc) pareto_choices_free(out);
    return rc;
}

void pareto_choices_free(struct pareto_choices *c) {
    free(c->at);
    *c = (struct pareto_choices){0};
}

int pareto_simulate(double cost[2], const struct pareto_machine *m, const struct pareto_choice *c,
                    const struct study *st) {
    struct cluster *cluster = malloc(sizeof *cluster);
    struct priced p;
    struct study_figures f = {0};
    int rc = cluster ? read_cluster(cluster, m, st) : diag_set(st->d, ERR_MEMORY, "no memory for a cluster");
    if (!rc) {
        set_case(&p, m, cluster, &c->loss->saved, c->stages, c->loss->ranks, c->host);
        rc = study_figures(&f, &p.on, st, 0);
    }
    if (!rc) set_cost(cost, &f.s);
    free(cluster);
    return rc;
}
