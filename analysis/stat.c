#include "analysis/stat.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct stat_interval none = {NAN, NAN};

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double stat_lag1(const double *v, int n) {
    double r = n < 3 ? 0 : gsl_stats_lag1_autocorrelation(v, 1, (size_t)n);
    return isfinite(r) ? r : 0; /* all equal */
}

int stat_depends(const double *v, int n) {
    return fabs(stat_lag1(v, n)) > 2 / sqrt(n);
}

/* Of values below the q-quantile there are X ~ Binomial(n, q): v[i] of the sorted ones is above it with P(X <= i), and
 * below it with P(X > i). The nearest ranks for which that is at most `miss`; -1 and n: there is none. */
static int rank_below(int n, double q, double miss) {
    int i = -1;
    while (i + 1 < n && gsl_cdf_binomial_P((unsigned)(i + 1), q, (unsigned)n) <= miss)
        i++;
    return i;
}

static int rank_above(int n, double q, double miss) {
    int i = n;
    while (i > 0 && gsl_cdf_binomial_Q((unsigned)(i - 1), q, (unsigned)n) <= miss)
        i--;
    return i;
}

int stat_quantile(double *out, double *upper, double *v, int n, double q, struct diag *d) {
    int least = (int)ceil(log(0.05) / log(q)), rank = n < least ? n : rank_above(n, q, 0.05);
    if (rank >= n)
        return diag_set(d, ERR_RANGE, "the %g-quantile of %d samples: 95 %% needs %d, take more", q, n, least);
    qsort(v, (size_t)n, sizeof *v, compare);
    *out = gsl_stats_quantile_from_sorted_data(v, 1, (size_t)n, q);
    *upper = v[rank];
    return 0;
}

/* Sorts a copy: the order of v is that of time. */
static struct stats_median median_of(const double *v, int n, double *copy) {
    memcpy(copy, v, (size_t)n * sizeof *v);
    return stats_median(copy, n);
}

int stat_looks(int n) {
    return n >= STAT_LEAST && (n - STAT_LEAST) % STAT_BATCH == 0;
}

int stat_is_narrow(const struct stats_median *s, double narrow) {
    double most = narrow * fabs(s->median);
    return s->low <= s->high && s->high - s->median <= most && s->median - s->low <= most;
}

int stat_repeat(struct stat_repeated *out, stat_sample *sample, void *user, double narrow, int most, struct diag *d) {
    double *v = most >= STAT_LEAST ? malloc(2 * (size_t)most * sizeof *v) : NULL;
    int n = 0, rc = 0;
    *out = (struct stat_repeated){.at_99 = none};
    if (most < STAT_LEAST) return diag_set(d, ERR_RANGE, "%d repetitions: at least %d are needed", most, STAT_LEAST);
    if (!v) return diag_set(d, ERR_MEMORY, "no memory for %d repetitions", most);
    while (n < most && !out->reached && !rc) {
        rc = sample(user, &v[n], d);
        if (rc || (!stat_looks(++n) && n < most)) continue;
        out->median = median_of(v, n, v + most);
        out->reached = stat_is_narrow(&out->median, narrow);
    }
    int low = rank_below(n, 0.5, 0.005), high = rank_above(n, 0.5, 0.005);
    if (!rc && low >= 0 && high < n) out->at_99 = (struct stat_interval){v[most + low], v[most + high]};
    out->lag1 = rc ? NAN : stat_lag1(v, n);
    free(v);
    return rc;
}

struct stat_interval stat_t(double value, double se, int dof) {
    if (dof < 3) return none;
    double half = gsl_cdf_tdist_Pinv(0.975, dof) * se;
    return (struct stat_interval){value - half, value + half};
}

struct stat_interval stat_percentile(double *v, int n) {
    int known = 0;
    for (int i = 0; i < n; i++)
        if (!isnan(v[i])) v[known++] = v[i];
    if (known == 0 || 2 * known < n) return none;
    qsort(v, (size_t)known, sizeof *v, compare);
    return (struct stat_interval){gsl_stats_quantile_from_sorted_data(v, 1, (size_t)known, 0.025),
                                  gsl_stats_quantile_from_sorted_data(v, 1, (size_t)known, 0.975)};
}

double stat_aicc(double log_likelihood, int k, int n) {
    return -2 * log_likelihood + 2 * k + 2.0 * k * (k + 1) / (n - k - 1);
}

void stat_weights(double *w, const double *aicc, int n) {
    double least = INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        least = fmin(least, aicc[i]);
    for (int i = 0; i < n; i++)
        sum += w[i] = exp(-0.5 * (aicc[i] - least));
    for (int i = 0; i < n; i++)
        w[i] /= sum;
}

/* The scale by fixed-point steps of expectation and maximization. */
double stat_t4_likelihood(double *scale, const double *r, int n) {
    const double dof = 4, least = 1e-9;
    double square = 0, sum = 0;
    for (int i = 0; i < n; i++)
        square += r[i] * r[i] / n;
    for (int step = 0; step < 100 && square > least * least; step++) {
        double next = 0, before = square;
        for (int i = 0; i < n; i++)
            next += (dof + 1) * r[i] * r[i] / (dof + r[i] * r[i] / square) / n;
        square = next;
        if (fabs(square - before) <= 1e-12 * before) break;
    }
    square = fmax(square, least * least);
    for (int i = 0; i < n; i++)
        sum -= 0.5 * (dof + 1) * log1p(r[i] * r[i] / (dof * square));
    *scale = sqrt(square);
    return sum + n * (lgamma((dof + 1) / 2) - lgamma(dof / 2) - 0.5 * log(dof * M_PI) - log(*scale));
}
