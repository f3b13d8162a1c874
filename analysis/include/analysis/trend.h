/* trend.h - exponential growth from dated points: ln value = a + slope x year.
 *
 * Least squares of the logarithms (gsl_fit_linear) with Student's interval of n - 2 degrees of freedom, the same by
 * Tukey's biweight (`exponential` of fit.h), and the percentiles of slopes refitted to points drawn with replacement
 * (Efron's bootstrap of pairs). Student's needs residuals that are nearly normal; percentiles of few points are too
 * narrow: what both hold is safe to say. All functions are local. */
#ifndef ANALYSIS_TREND_H
#define ANALYSIS_TREND_H

#include "analysis/stat.h"

enum { TREND_DRAWS = 2000, TREND_MOST_POINTS = 256, TREND_SEED = 1 };

struct trend_point {
    double year, value; /* value > 0 */
};

/* A slope, in logarithms a year, with its interval of 95 %; NaN below 3 degrees of freedom. */
struct trend_slope {
    double is, low, high;
};

struct trend {
    int n;
    double first, last; /* years of the points */
    struct trend_slope least, robust; /* by Student's t */
    struct stat_interval boot; /* 95 % of draw[] */
    double draw[TREND_DRAWS]; /* slopes, in the order drawn; all NaN below 3 degrees of freedom */
};

/* ERR_RANGE: fewer than 2 points, all of one date, or a value that is not above 0. The seed is TREND_SEED: the same
 * points give the same numbers. */
int trend_fit(struct trend *out, const struct trend_point *p, int n, const char *what, struct diag *d);

/* "2022-09-20" as years and a part of one (365.25 days); NaN: no such date. */
double trend_year(const char *date);
/* Growth in so many years. */
double trend_growth(double slope, double years);

/* exp(years x (a - b)): how a ratio of the two grows; 95 % by draws of both. */
struct trend_slope trend_gap(const struct trend *a, const struct trend *b, double years);

#endif
