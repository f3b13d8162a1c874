#include "base/stats.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* P(X <= k) for X ~ Binomial(n, 1/2). */
static double binomial_cdf(int n, int k) {
    double p = 0;
    for (int i = 0; i <= k; i++)
        p += exp(lgamma(n + 1.0) - lgamma(i + 1.0) - lgamma(n - i + 1.0) - n * 0.69314718055994530942);
    return p;
}

struct stats_median stats_median(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, compare);
    struct stats_median s = {.n = n, .min = v[0], .max = v[n - 1], .low = 1, .high = 0};
    s.median = n % 2 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]);
    /* [v_k, v_(n-1-k)] covers the median with probability 1 - 2 P(X <= k); the largest k that keeps 95 % */
    for (int k = 0; k < n - 1 - k && 1 - 2 * binomial_cdf(n, k) >= 0.95; k++) {
        s.low = v[k];
        s.high = v[n - 1 - k];
        s.confidence = 1 - 2 * binomial_cdf(n, k);
    }
    return s;
}
