/* integers.h - where something changes over whole numbers: how many users fit, at how many two costs are equal, the
 * bytes at which a model fits a chip. All functions are local. */
#ifndef ANALYSIS_INTEGERS_H
#define ANALYSIS_INTEGERS_H

#include <stdint.h>

#include "base/diag.h"

/* Nonzero ends the search. */
typedef int integer_test(void *user, int64_t n, int *holds, struct diag *d);

/* The last n of [low, high] for which it holds, where it holds up to some n and not beyond; low - 1: for none, as where
 * high is below low. */
int integer_last(int64_t *out, int64_t low, int64_t high, integer_test *test, void *user, struct diag *d);

/* Changes of sign of a value over [low, high], seen at every n up to INTEGER_EACH and by steps of a quarter beyond. */
enum { INTEGER_MOST = 8, INTEGER_EACH = 16 };
struct integer_roots {
    int n; /* at most INTEGER_MOST are kept: the first */
    int first, last; /* signs at low and high: -1, 0, 1 */
    struct integer_root {
        int64_t before; /* the sign changes between it and the next whole number */
        double x; /* between the two by a straight line over ln n */
        int rises; /* to above zero */
    } at[INTEGER_MOST];
};
typedef int integer_value(void *user, int64_t n, double *value, struct diag *d);
/* 0 counts as below. 0 < low. */
int integer_roots(struct integer_roots *out, int64_t low, int64_t high, integer_value *value, void *user,
                  struct diag *d);

#endif
