/* sweep_run.h - does the points of a sweep that a file of results lacks.
 *
 * Estimates and simulations run in `jobs` processes, each of which does one point after the other; measurements run one
 * at a time, after them. A point that fails, crashes or takes too long is a result with its reason, and the others go
 * on. Results are committed at least twice a second, measured ones at once: whenever the program ends, also by kill -9,
 * the same call goes on where it was. All functions are local to a process without MPI ranks. */
#ifndef ANALYSIS_SWEEP_RUN_H
#define ANALYSIS_SWEEP_RUN_H

#include "analysis/results.h"
#include "analysis/sweep.h"
#include "dist/app.h"

struct sweep_counts {
    long points; /* different ones of the sweep */
    long before; /* of these, in the file already */
    long done, failed; /* now; failed: of done */
};

/* app: an app without model and cluster. ERR_INTERRUPTED once app_stop is set, ERR_IO where results cannot be kept;
 * counts is true in any case. Progress goes to stderr unless quiet. */
int sweep_run(struct sweep_counts *counts, const struct sweep *s, struct results *r, const struct app *app, int jobs,
              struct diag *d);
/* Prints the command line of each point that `r` lacks (NULL: of all). */
int sweep_list(struct sweep_counts *counts, const struct sweep *s, struct results *r, FILE *out, struct diag *d);

/* In sweep_point.c: a point done in this process, or by mpirun, as a result (results.h). Never NULL, but without
 * memory. */
struct sweep_cache;
struct sweep_cache *sweep_cache_new(const struct app *app); /* of files that points have in common */
json_t *sweep_do(struct sweep_cache *cache, const struct sweep_point *p);
/* The same of a point that did not come to an end. */
json_t *sweep_failure(const struct sweep_point *p, const char *reason);
/* As typed into a shell. malloc'ed. */
char *sweep_command(const struct sweep_point *p);

#endif
