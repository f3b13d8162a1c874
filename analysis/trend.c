#include "analysis/trend.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_fit.h>
#include <gsl/gsl_rng.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "analysis/fit.h"

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

/* The slope of the fits' exponential model (docs/FITS.md); too few points for it: NaN. */
static struct trend_slope fit_robust(const struct trend_point *p, int n) {
    struct trend_slope s = {NAN, NAN, NAN};
    struct fit_data data;
    struct fit f;
    if (fit_data_init(&data, n, 1, NULL)) return s;
    for (int i = 0; i < n; i++) {
        data.x[i] = p[i].year;
        data.y[i] = p[i].value;
        data.line[i] = i;
    }
    if (!fit_solve(&f, fit_model_find("exponential"), 0, &data, NULL)) s = slope_of(f.coef[1], f.cov[3], n);
    fit_data_free(&data);
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
    out->robust = fit_robust(p, n);
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
