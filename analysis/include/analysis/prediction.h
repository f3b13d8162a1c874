/* prediction.h - points of sweeps, paced or of the lab, predicted before they are measured. All functions are local to
 * a process without MPI ranks. */
#ifndef ANALYSIS_PREDICTION_H
#define ANALYSIS_PREDICTION_H

#include "analysis/report.h"

struct prediction_ask {
    const char *file; /* CSV: point, job, plan, simulated time of a token */
    const char *const *spec; /* sweeps of engine: paced, or of engine: lab, with rounds as their first axis */
    int n_specs;
    const char *db; /* of what is measured */
};

/* Simulates each point once and writes ask->file, which must not be there: what was predicted stays. ERR_IO; ERR_FORMAT
 * for a point that is neither, beside points of the other engine, or that differs from another in what is not
 * simulated; ERR_PLAN for one that cannot be simulated. *n: points. */
int prediction_write(int *n, const struct prediction_ask *ask, const struct app *app, struct diag *d);
/* Measures what ask->db lacks, and fills in the page: errors (of the lab: by rate too), each point, and where one
 * strategy or wire overtakes another. ERR_MISMATCH, before anything is measured, where a point was not predicted, or
 * with another plan. */
int prediction_measure(struct report_page *page, const struct prediction_ask *ask, const struct app *app,
                       struct diag *d);

#endif
