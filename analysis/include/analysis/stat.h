/* stat.h - what may be said of measurements: intervals, refusals, when to stop (Hoefler & Belli, SC15; medians and
 * their exact intervals are base/stats.h). All functions are local; what they call of GSL is checked, not aborted. */
#ifndef ANALYSIS_STAT_H
#define ANALYSIS_STAT_H

#include <stdint.h>

#include "base/diag.h"
#include "base/stats.h"

struct stat_interval {
    double low, high; /* NaN: none */
};

/* Autocorrelation of neighbours in v[0..n), and whether it is more than independent values show: |r1| > 2/sqrt(n). */
double stat_lag1(const double *v, int n);
int stat_depends(const double *v, int n);

/* The q-quantile, 0 < q < 1, and a bound that it exceeds with at most 5 % (binomial ranks); sorts v. ERR_RANGE where
 * not even the largest value is one: n < ln 0.05 / ln q, which is 299 for q = 0.99. */
int stat_quantile(double *out, double *upper, double *v, int n, double q, struct diag *d);

/* Repetitions until the median is known: at least STAT_LEAST, then batches, until its 95 % interval is within
 * `narrow` (0.05) of it on either side (stat_is_narrow), or `most` were taken. As looking again and again widens what
 * 95 % means, the interval that counts is of 99 %. */
enum { STAT_LEAST = 10, STAT_BATCH = 5 };
int stat_looks(int n); /* after n of them */
int stat_is_narrow(const struct stats_median *s, double narrow);
struct stat_repeated {
    struct stats_median median;
    struct stat_interval at_99; /* NaN where n < 8 */
    double lag1;
    int reached; /* 0: the target was not reached within `most` */
};
typedef int stat_sample(void *user, double *value, struct diag *d); /* nonzero ends the repetitions */
int stat_repeat(struct stat_repeated *out, stat_sample *sample, void *user, double narrow, int most, struct diag *d);

/* value +- t * se of 95 % with so many degrees of freedom; none below 3. */
struct stat_interval stat_t(double value, double se, int dof);
/* The middle 95 % of v[0..n), which it sorts: of bootstrap draws. NaN are left out; none where fewer than half count.
 */
struct stat_interval stat_percentile(double *v, int n);

/* Akaike's criterion for small samples: -2 ln L + 2 k + 2 k (k + 1)/(n - k - 1) (Hurvich & Tsai 1989); n > k + 1. */
double stat_aicc(double log_likelihood, int k, int n);
/* w_i = exp(-delta_i / 2) / sum (Burnham & Anderson 2002); less than this much apart, two are not distinguishable. */
#define STAT_DISTINCT 2.0
void stat_weights(double *w, const double *aicc, int n);

/* ln L of residuals r[0..n) under Student's t of 4 degrees of freedom with the scale that makes it largest (Lange,
 * Little & Taylor 1989): like the normal law's near the middle, and an outlier costs its logarithm, not its square.
 * The scale is at least 1e-9: residuals are relative, and data have no more digits. */
double stat_t4_likelihood(double *scale, const double *r, int n);

#endif
