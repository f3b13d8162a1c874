#include "analysis/case.h"

#include <stdio.h>
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

int case_use(const struct study_case *c, const struct app *app, sim_use *use, void *user, struct diag *d) {
    struct app own = *app;
    struct model m = {0};
    struct plan *p = NULL;
    struct trace *trace = NULL;
    own.cluster = *c->cluster;
    own.net = c->cluster->net;
    set_words(&own, c);
    int rc = set_shape(&m.shape, c, d);
    if (!rc) rc = sim_job_make(&p, &own, &m, c->prompt, d);
    if (!rc) rc = sim_job_traces(&trace, &own, p, c->prompt, d);
    if (!rc) rc = use(user, &own, p, trace, d);
    if (p) sim_job_traces_free(trace, p->strategy.dp);
    plan_free(p);
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
