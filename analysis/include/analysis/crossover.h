/* crossover.h - where two fitted curves cross, and how well that is known. */
#ifndef ANALYSIS_CROSSOVER_H
#define ANALYSIS_CROSSOVER_H

#include "analysis/fit.h"

enum { CROSSOVER_MOST = 8 };
struct crossover {
    int n, draws;
    double low, high; /* range of x that both were measured in */
    double agree; /* share of the draws that cross as often as the curves do, in the same directions; without a
                   * crossing: that lie as they do */
    struct {
        double x;
        struct stat_interval in; /* over those draws; NaN where they are fewer than half */
        int first_below; /* before it the first curve is the lower one */
    } at[CROSSOVER_MOST];
};

/* A scan of the range for all changes of sign of ln(a/b), then Brent's method; intervals by bootstrap of the pairs of
 * both. ERR_RANGE: no range in common, more crossings than CROSSOVER_MOST. ERR_MEMORY. Local. */
int crossover_find(struct crossover *out, const struct fit *a, const struct fit_data *data_a, const struct fit *b,
                   const struct fit_data *data_b, uint64_t seed, struct diag *d);

#endif
