/* sweep_run.h - does the points of a sweep that a file of results lacks.
 *
 * Estimates, simulations and qualities run in `jobs` processes, each of which does one point after the other; what runs
 * under mpirun or in the lab is done one at a time, after them. A point that fails, crashes or takes too long is a
 * result with its reason, and the others go on. Results are committed at least twice a second, measured ones at once:
 * whenever the program ends, also by kill -9, the same call goes on where it was. All functions are local to a process
 * without MPI ranks. */
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

/* app: an app without model and cluster. retry: failed points count as missing, and what they give now takes their
 * place. ERR_INTERRUPTED once app_stop is set, ERR_IO where results cannot be kept; counts is true in any case.
 * Progress goes to stderr unless quiet. */
int sweep_run(struct sweep_counts *counts, const struct sweep *s, struct results *r, const struct app *app, int jobs,
              int retry, struct diag *d);
/* Prints the command line of each point that `r` lacks (NULL: of all). */
int sweep_list(struct sweep_counts *counts, const struct sweep *s, struct results *r, int retry, FILE *out,
               struct diag *d);

/* In sweep_point.c: a point done in this process, by mpirun or by northwall-lab. */
enum { SWEEP_VALUES = 48 };
#define SWEEP_PACE_HELD 0.05 /* most of a paced point's time that may be not described, for it to count as verified */
struct sweep_outcome {
    char reason[512]; /* why it failed; "": it did not */
    uint64_t plan_hash; /* 0: not known */
    double oversubscription; /* NaN: none */
    char verified[256]; /* how: against one rank; the described times were held (SWEEP_PACE_HELD); links of the lab;
                         * what a quality's label promises. "": it was not */
    int n; /* values */
    struct sweep_value {
        int quantity, n; /* of a table; samples, 0: deterministic */
        double value, low, high; /* low, high: NaN: none */
    } value[SWEEP_VALUES];
};
/* Plans, traces, files that points have in common: results are the same, bit for bit, as with a new one for each. */
struct sweep_cache;
struct sweep_cache *sweep_cache_new(const struct app *app); /* NULL: no memory */
void sweep_cache_free(struct sweep_cache *c); /* NULL accepted */
/* Points whose cluster is this file are on *as from here on. */
void sweep_cache_cluster(struct sweep_cache *c, const char *path, const struct cluster *as);
void sweep_do(struct sweep_outcome *out, struct sweep_cache *cache, const struct sweep_point *p);
/* A value by its name in the file of results: NULL, or NaN: it has none. */
const struct sweep_value *sweep_find(const struct sweep_outcome *o, const char *name);
double sweep_value(const struct sweep_outcome *o, const char *name);
/* Of a point that did not come to an end. */
void sweep_failed(struct sweep_outcome *out, const char *reason);
/* As results_keep. */
int sweep_keep(struct results *r, const struct sweep_point *p, const struct sweep_outcome *o, int *added,
               struct diag *d);
int sweep_is_job(const struct sweep_point *p); /* under mpirun, or in the lab */
/* As typed into a shell. malloc'ed. */
char *sweep_command(const struct sweep_point *p);

#endif
