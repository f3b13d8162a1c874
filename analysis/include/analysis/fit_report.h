/* fit_report.h - fits as tables and as a picture. All functions are local. */
#ifndef ANALYSIS_FIT_REPORT_H
#define ANALYSIS_FIT_REPORT_H

#include "analysis/fit.h"
#include "analysis/report.h"

enum { FIT_MOST_MODELS = 16, FIT_MOST_CURVES = 2 };

/* What is asked for. */
struct fit_request {
    const struct fit_model *model[FIT_MOST_MODELS]; /* of curves */
    int n_models, crossover;
    struct fit_source from; /* of which y is not used */
    const char *y[FIT_MOST_CURVES];
    int n_curves; /* y columns: two for a crossover, else one */
    double at[FIT_MOST_AT][FIT_MOST_X]; /* where values are wanted */
    int n_at;
    uint64_t seed; /* of the bootstrap */
};

/* The data of a y column and what fits them, best first. */
struct fit_curve {
    struct fit_data data;
    struct fit_list list;
};
int fit_curves_make(struct fit_curve *curve, const struct fit_request *r, struct diag *d);
void fit_curves_free(struct fit_curve *curve, int n);

/* Adds tables: candidates, parameters with intervals, values at points, residuals; of each curve. */
int fit_report(struct report_page *page, const struct fit_request *r, const struct fit_curve *curve, struct diag *d);

/* Draws data, the best curve of each model, and its residuals: FILE.svg or FILE.png by gnuplot, FILE.gp the commands.
 */
int fit_plot(const char *path, const struct fit_request *r, const struct fit_curve *curve, struct diag *d);

#endif
