/* sim_job.h - what simulate and explain have in common: a plan and the passes of a job that the command line describes
 * by numbers alone. */
#ifndef DIST_SIM_JOB_H
#define DIST_SIM_JOB_H

#include "dist/app.h"
#include "dist/virtual.h"
#include "virtual_report.h"

/* Called on rank 0 with a plan and the traces of its replicas; app->spec.chunk is the plan's (setup_plan). */
typedef int sim_use(void *user, const struct app *app, const struct plan *p, const struct trace *trace, struct diag *d);

/* Opens the model, makes the plan for the cards of --cluster and the traces of all replicas, and calls use on rank 0.
 * The job: --users prompts of --prompt tokens, --generate tokens each. */
int sim_job(struct app *app, sim_use *use, void *user, struct diag *d);

/* The parts: the model and the prompt's tokens, known on all ranks; then, on this rank, one plan, and its traces, one a
 * replica, which depend on users, prompt, generated tokens, chunk, replicas and micro-batches alone. sim_job_make sets
 * app->spec.chunk to the plan's (setup_plan). */
int sim_job_tokens(const struct app *app, int *out, struct diag *d); /* what --prompt says: it counts tokens here */
int sim_job_open(struct model *m, const struct app *app, int *tokens, struct diag *d);
int sim_job_make(struct plan **out, struct app *app, const struct model *m, int tokens, struct diag *d);
int sim_job_traces(struct trace **out, const struct app *app, const struct plan *p, int tokens, struct diag *d);
void sim_job_traces_free(struct trace *t, int dp); /* NULL accepted */

/* Times and energy of a plan's job: simulated, or with --estimate in closed form. *sim is for simulation_fini, all zero
 * of an estimate or an error. */
int sim_summarize(struct virtual_summary *out, struct simulation *sim, const struct app *app, const struct plan *p,
                  const struct trace *trace, struct diag *d);

#endif
