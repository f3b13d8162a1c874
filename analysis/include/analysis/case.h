/* case.h - one job on one described cluster, said in numbers: what reports are made of. All functions are local. */
#ifndef ANALYSIS_CASE_H
#define ANALYSIS_CASE_H

#include "dist/sim_job.h"
#include "dist/virtual_report.h"

struct study_case {
    const struct cluster *cluster;
    const char *model; /* a preset */
    const char *quant, *head; /* storage of its weights, and of the output layer; NULL: the preset's */
    /* NULL: the default, as on the command line */
    const char *mode, *kv, *hidden, *strategy, *allreduce, *wire, *drop_sync;
    int layers; /* in place of the preset's; 0: the preset's */
    int cards, users, micro, prompt, generate; /* micro 0: as many as stages */
    int chunk; /* prompt tokens in a pass, fewer where a card has no room; 0: the default of the command line */
};

/* The plan and the traces of a case, for as many clusters as one likes: app.cluster is the case's. */
struct case_plan {
    struct app app;
    struct plan *plan;
    struct trace *trace;
};
/* ERR_PLAN: there is no such plan, with the reason; whether it has room is for what places it to say (case_summarize,
 * estimator_new). Freed by case_close. */
int case_open(struct case_plan **out, const struct study_case *c, const struct app *app, struct diag *d);
void case_close(struct case_plan *p); /* NULL accepted */
/* On another cluster with as many cards: times and modelled energy, simulated, or in closed form. */
int case_summarize(struct virtual_summary *out, const struct case_plan *p, const struct cluster *c, int estimate,
                   struct diag *d);

/* Opens a case and calls use, as sim_job does on rank 0. Errors as case_open and use. */
int case_use(const struct study_case *c, const struct app *app, sim_use *use, void *user, struct diag *d);
/* Times alone. */
int case_simulate(struct virtual_summary *out, const struct study_case *c, const struct app *app, struct diag *d);

/* Reads NAME.yaml of the cluster files that come with the program (data_path). */
int case_cluster(struct cluster *out, const char *name, struct diag *d);

#endif
