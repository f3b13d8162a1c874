#include "analysis/trend.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_fit.h>
#include <gsl/gsl_multifit.h>
#include <gsl/gsl_rng.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <string.h>
#include <time.h>

double trend_year(const char *date) {
    struct tm t = {0}, epoch = {.tm_year = 100, .tm_mday = 1};
    const char *end = strptime(date, "%Y-%m-%d", &t);
    if (!end || *end) return NAN;
    return 2000 + difftime(timegm(&t), timegm(&epoch)) / (86400 * 365.25);
}

double trend_growth(double slope, double years) {
    return exp(slope * years);
}

static struct trend_slope slope_of(double is, double variance, int n) {
    struct stat_interval t = stat_t(is, sqrt(variance), n - 2);
    return (struct trend_slope){is, t.low, t.high};
}

static double least_squares(const double *x, const double *y, int n, double *variance) {
    double a, b, aa, ab, squares;
    gsl_fit_linear(x, 1, y, 1, (size_t)n, &a, &b, &aa, &ab, variance, &squares);
    return b;
}

static struct trend_slope fit_least(const double *x, const double *y, int n) {
    double variance, slope = least_squares(x, y, n, &variance);
    return slope_of(slope, variance, n);
}

/* Too few points for a robust scale: NaN. */
static struct trend_slope fit_robust(const double *x, const double *y, int n) {
    struct trend_slope s = {NAN, NAN, NAN};
    if (isnan(stat_t(0, 1, n - 2).low)) return s;
    gsl_matrix *X = gsl_matrix_alloc((size_t)n, 2), *cov = gsl_matrix_alloc(2, 2);
    gsl_vector *c = gsl_vector_alloc(2);
    gsl_multifit_robust_workspace *w = gsl_multifit_robust_alloc(gsl_multifit_robust_bisquare, (size_t)n, 2);
    gsl_vector_const_view v = gsl_vector_const_view_array(y, (size_t)n);
    for (int i = 0; X && i < n; i++) {
        gsl_matrix_set(X, (size_t)i, 0, 1);
        gsl_matrix_set(X, (size_t)i, 1, x[i]);
    }
    if (X && cov && c && w && gsl_multifit_robust_maxiter(200, w) == 0 &&
        gsl_multifit_robust(X, &v.vector, c, cov, w) == 0)
        s = slope_of(gsl_vector_get(c, 1), gsl_matrix_get(cov, 1, 1), n);
    if (w) gsl_multifit_robust_free(w);
    if (c) gsl_vector_free(c);
    if (cov) gsl_matrix_free(cov);
    if (X) gsl_matrix_free(X);
    return s;
}

/* Points of one date have no slope: such a draw is made again. */
static double draw_slope(gsl_rng *rng, const double *x, const double *y, int n) {
    double dx[TREND_MOST_POINTS], dy[TREND_MOST_POINTS], variance;
    for (;;) {
        for (int i = 0; i < n; i++) {
            unsigned long k = gsl_rng_uniform_int(rng, (unsigned long)n);
            dx[i] = x[k];
            dy[i] = y[k];
        }
        if (gsl_stats_min(dx, 1, (size_t)n) < gsl_stats_max(dx, 1, (size_t)n))
            return least_squares(dx, dy, n, &variance);
    }
}

static int draw_all(struct trend *t, const double *x, const double *y, struct diag *d) {
    double sorted[TREND_DRAWS];
    int few = isnan(t->least.low);
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    if (!rng) return diag_set(d, ERR_MEMORY, "no memory to draw points");
    gsl_rng_set(rng, TREND_SEED);
    for (int i = 0; i < TREND_DRAWS; i++)
        t->draw[i] = few ? NAN : draw_slope(rng, x, y, t->n);
    gsl_rng_free(rng);
    memcpy(sorted, t->draw, sizeof sorted);
    t->boot = stat_percentile(sorted, TREND_DRAWS);
    return 0;
}

int trend_fit(struct trend *out, const struct trend_point *p, int n, const char *what, struct diag *d) {
    double x[TREND_MOST_POINTS], y[TREND_MOST_POINTS];
    *out = (struct trend){.n = n, .first = INFINITY, .last = -INFINITY};
    if (n > TREND_MOST_POINTS) return diag_set(d, ERR_RANGE, "%s: at most %d points", what, TREND_MOST_POINTS);
    for (int i = 0; i < n; i++) {
        if (!(p[i].value > 0) || !isfinite(p[i].value) || !isfinite(p[i].year))
            return diag_set(d, ERR_RANGE, "%s: point %d is no date with a value above 0", what, i + 1);
        x[i] = p[i].year - 2015; /* near 0: fewer digits are lost */
        y[i] = log(p[i].value);
        out->first = fmin(out->first, p[i].year);
        out->last = fmax(out->last, p[i].year);
    }
    if (!(out->first < out->last)) return diag_set(d, ERR_RANGE, "%s: growth needs points of two dates", what);
    gsl_error_handler_t *before = gsl_set_error_handler_off();
    out->least = fit_least(x, y, n);
    out->robust = fit_robust(x, y, n);
    int rc = draw_all(out, x, y, d);
    gsl_set_error_handler(before);
    return rc;
}

struct trend_slope trend_gap(const struct trend *a, const struct trend *b, double years) {
    double gap[TREND_DRAWS];
    for (int i = 0; i < TREND_DRAWS; i++) /* one's first draws with the other's last: both begin with the same seed */
        gap[i] = trend_growth(a->draw[i] - b->draw[TREND_DRAWS - 1 - i], years);
    struct stat_interval middle = stat_percentile(gap, TREND_DRAWS);
    return (struct trend_slope){trend_growth(a->least.is - b->least.is, years), middle.low, middle.high};
}
