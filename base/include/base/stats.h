/* stats.h - the median and its exact interval (Hoefler & Belli, SC15, rule on nonparametric intervals). */
#ifndef BASE_STATS_H
#define BASE_STATS_H

struct stats_median {
    int n;
    double median, min, max;
    double low, high; /* interval of at least 95 % by binomial ranks; low > high: too few samples (n < 6) */
    double confidence; /* its exact coverage, 0 if none */
};

/* Sorts v[0..n) in place and summarizes it; n >= 1. Local. */
struct stats_median stats_median(double *v, int n);

#endif
