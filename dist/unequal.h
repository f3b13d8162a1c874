/* unequal.h - which ranks read faster than the slowest one, from samples in which all read at once. Pure and local. */
#ifndef DIST_UNEQUAL_H
#define DIST_UNEQUAL_H

#include "base/stats.h"

enum { UNEQUAL_MOST = 16, UNEQUAL_CARDS = 64 };

/* Ranks that read about as fast as each other. */
struct unequal {
    char cards[UNEQUAL_CARDS]; /* "0-2,5", as cluster_except takes it */
    int n_ranks;
    struct stats_median speed; /* beside the slowest rank: of the group's rank in the middle */
};

/* A rank is unlike the slowest one if its quotient of both rates, sample by sample, has a median above 1.05 and an
 * interval above 1; those whose medians are within 5 % of each other make a group. rate[n_samples][n_ranks], in any
 * unit, above 0. speed[n_ranks] receives what each rank's group has, 1 for the others. Returns the number of groups,
 * the slowest first; 0 too where there would be more than UNEQUAL_MOST, or ranks too scattered for their text; -1
 * without memory. */
int unequal_find(const double *rate, int n_samples, int n_ranks, struct unequal out[UNEQUAL_MOST], double *speed);

#endif
