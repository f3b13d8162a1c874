/* sim_job.h - what simulate and explain have in common: a plan and the passes of a job that the command line describes
 * by numbers alone. */
#ifndef DIST_SIM_JOB_H
#define DIST_SIM_JOB_H

#include "dist/app.h"
#include "dist/virtual.h"

/* Opens the model, makes the plan for the cards of --cluster and the traces of all replicas, and calls use on rank 0.
 * The job: --users prompts of --prompt tokens, --generate tokens each. */
int sim_job(struct app *app,
            int (*use)(const struct app *app, const struct plan *p, const struct trace *trace, struct diag *d),
            struct diag *d);

#endif
