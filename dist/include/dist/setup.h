/* setup.h - from a command line to engines that are ready: the flow of run and bench in one place. */
#ifndef DIST_SETUP_H
#define DIST_SETUP_H

#include "dist/app.h"
#include "dist/engine.h"

/* An engine of one strategy over the first ranks of the world. */
struct runner {
    struct strategy strategy;
    char why[256];
    struct plan *plan;
    struct link *link; /* its ranks; NULL on ranks that take no part */
    struct engine *engine; /* NULL likewise */
    struct link *bus; /* where cards of --cluster share links: its ranks and, last, the arbiter; else NULL */
    int arbiter; /* this rank is that one */
    double wait_limit_s; /* longest wait for a rank that is well: --timeout, or by the plan; known on all ranks */
    int chunk; /* prompt tokens of a sequence in one pass: setup_plan */
    int oversubscribed; /* some node has more threads of these ranks than cores; known on its ranks */
};

/* Options of the plan: what the command line says, and what the prompts need (p NULL: one chunk a sequence, --batch
 * sequences). Local. */
int setup_plan_opts(struct plan_opts *o, const struct app *app, const struct model *m, const struct prompts *p,
                    const struct strategy *st, struct diag *d);

/* The plan for n_ranks ranks with these options; *chunk is --chunk. Where that is not given and a card of --cluster has
 * no room with its default, it is the greatest power of two below for which all have, or 1. Shares as --shares says
 * (plan_share). Local. */
int setup_plan(struct plan **out, int *chunk, const struct app *app, const struct model *m, const struct prompts *p,
               const struct strategy *st, int n_ranks, struct diag *d);

/* The part of it that says how all-reduces are done. Local. */
int setup_reduces(struct plan_opts *o, const struct app *app, struct diag *d);

/* Context, chunk and micro-batches that the prompts and the command line ask for; the plan; the engine. need_all: it is
 * an error if the strategy leaves ranks idle. Collective over app->world. */
int runner_open(struct runner *r, const struct app *app, const struct model *m, const struct prompts *p,
                const struct strategy *st, int need_all, int flip, struct diag *d);
void runner_close(struct runner *r);

/* 1 if a run on --cluster takes one rank more than cards and hosts: some link of it is shared. Local. */
int setup_arbiters(const struct app *app);

/* The job the command line describes. */
void runner_job(struct engine_job *job, const struct runner *r, const struct app *app, const struct prompts *p);

#endif
