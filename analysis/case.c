#include "analysis/case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int set_shape(struct model_shape *s, const struct study_case *c, struct diag *d) {
    const struct preset *p = preset_find(c->model);
    int rc = preset_shape(s, c->model, c->quant, 0, d);
    if (rc || (!c->layers && !c->head)) return rc;
    const char *quant = c->quant ? c->quant : p->quant, *head = c->head ? c->head : c->quant ? NULL : p->head_quant;
    if (c->layers) {
        s->n_layers = c->layers;
        snprintf(s->name, sizeof s->name, "%.40s, %d layers", c->model, c->layers);
    }
    shape_set_types(s, tensor_type_find(quant), head ? tensor_type_find(head) : NULL);
    return shape_check(s, d);
}

/* What the command line would say. */
static void set_words(struct app *own, const struct study_case *c) {
    struct run_spec *s = &own->spec;
    long chunk = c->chunk ? c->chunk : s->chunk;
    s->model = c->model;
    s->quant = c->quant;
    s->mode = c->mode;
    s->kv = c->kv;
    s->hidden = c->hidden;
    s->strategy = c->strategy;
    if (c->allreduce) s->allreduce = c->allreduce;
    if (c->wire) s->wire = c->wire;
    s->drop_sync = c->drop_sync;
    s->ranks = c->cards;
    s->batch = c->users;
    s->n_micro = c->micro;
    s->n_predict = c->generate;
    s->ctx = 0;
    s->chunk = chunk;
    s->cluster = c->cluster->name;
    memset(s->given, 0, sizeof s->given); /* of another command */
    s->tp = s->kvp = s->pp = s->dp = 0;
}

static int make(struct case_plan *p, const struct study_case *c, struct diag *d) {
    struct model m = {0};
    p->app.cluster = *c->cluster;
    p->app.net = c->cluster->net;
    set_words(&p->app, c);
    int rc = set_shape(&m.shape, c, d);
    if (!rc) rc = sim_job_make(&p->plan, &p->app, &m, c->prompt, d);
    return rc ? rc : sim_job_traces(&p->trace, &p->app, p->plan, c->prompt, d);
}

int case_open(struct case_plan **out, const struct study_case *c, const struct app *app, struct diag *d) {
    struct case_plan *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p) return diag_set(d, ERR_MEMORY, "no memory for a plan");
    p->app = *app;
    int rc = make(p, c, d);
    if (rc) {
        case_close(p);
        return rc;
    }
    *out = p;
    return 0;
}

void case_close(struct case_plan *p) {
    if (p && p->plan) sim_job_traces_free(p->trace, p->plan->strategy.dp);
    if (p) plan_free(p->plan);
    free(p);
}

int case_use(const struct study_case *c, const struct app *app, sim_use *use, void *user, struct diag *d) {
    struct case_plan *p;
    int rc = case_open(&p, c, app, d);
    if (!rc) rc = use(user, &p->app, p->plan, p->trace, d);
    case_close(p);
    return rc;
}

int case_summarize(struct virtual_summary *out, const struct case_plan *p, const struct cluster *c, int estimate,
                   struct diag *d) {
    struct simulation sim;
    int users = (int)p->app.spec.batch;
    if (estimate) return virtual_estimate(out, p->plan, c, users, (int)p->app.spec.chunk, p->trace, d);
    int rc = simulate(&sim, p->plan, c, p->trace, d);
    if (rc) return rc;
    rc = virtual_summarize(out, "simulated", p->plan, c, users, p->trace, sim.taken, d);
    simulation_fini(&sim);
    return rc;
}

static int use_times(void *user, const struct app *app, const struct plan *p, const struct trace *trace,
                     struct diag *d) {
    struct simulation sim;
    int rc = simulate(&sim, p, &app->cluster, trace, d);
    if (rc) return rc;
    virtual_times(user, "simulated", p, (int)app->spec.batch, trace, sim.taken);
    simulation_fini(&sim);
    return 0;
}

int case_simulate(struct virtual_summary *out, const struct study_case *c, const struct app *app, struct diag *d) {
    return case_use(c, app, use_times, out, d);
}
