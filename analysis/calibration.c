#include "analysis/calibration.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>
#include <gsl/gsl_multimin.h>
#include <gsl/gsl_qrng.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>

#define NS 1e-9
#define NOWHERE 1e6 /* a sum of squares that no prediction has */
#define ALIKE 1e-8 /* squares of residuals that are nothing: a hundredth of a percent */

struct search {
    struct calibration *cal;
    const struct cluster *c;
    calibration_predict *eval;
    void *user;
    struct diag *d;
    int held; /* fold that is left out; -1: none */
    int rc;
};

/* ---- places of a search, and values ---- */

static double value_at(const struct parameter *p, double place) {
    double x = p->kind == PARAMETER_FACTOR ? exp(place) : NS * expm1(fmin(fmax(place, 0), 40));
    return fmin(fmax(x, p->least), p->most);
}

static double place_of(const struct parameter *p, double x) {
    return p->kind == PARAMETER_FACTOR ? log(x) : log1p(x / NS);
}

static double least_place(const struct parameter *p) {
    return place_of(p, p->least);
}

static double most_place(const struct parameter *p) {
    return place_of(p, p->most);
}

static struct cluster cluster_at(const struct search *s, const gsl_vector *place) {
    struct cluster changed = *s->c;
    for (int k = 0; k < s->cal->n_free; k++) {
        const struct parameter *p = s->cal->value[k].parameter;
        p->set(&changed, value_at(p, gsl_vector_get(place, (size_t)k)));
    }
    return changed;
}

static double predict(struct search *s, int i, const struct cluster *c) {
    double seconds = NAN;
    if (!s->rc) s->rc = s->eval(s->user, i, c, &seconds, s->d);
    s->cal->predictions++;
    if (!s->rc && !(seconds > 0)) s->rc = diag_set(s->d, ERR_RANGE, "point %d is predicted to take no time", i + 1);
    return seconds;
}

static double residual(struct search *s, int i, const struct cluster *c) {
    return log(predict(s, i, c) / s->cal->point[i].measured_s);
}

/* Squares of the fold's others; beyond the ranges of the parameters it rises, so that the simplex turns back. */
static double squares(const gsl_vector *place, void *user) {
    struct search *s = user;
    struct cluster changed = cluster_at(s, place);
    double sum = 0;
    for (int k = 0; k < s->cal->n_free; k++) {
        const struct parameter *p = s->cal->value[k].parameter;
        double at = gsl_vector_get(place, (size_t)k);
        sum += pow(fmax(0, least_place(p) - at), 2) + pow(fmax(0, at - most_place(p)), 2);
    }
    for (int i = 0; i < s->cal->n_points && !s->rc; i++)
        if (s->cal->point[i].fold != s->held) sum += pow(residual(s, i, &changed), 2);
    return s->rc ? NOWHERE : sum;
}

/* ---- one fit ---- */

static void descend(struct search *s, gsl_multimin_fminimizer *m, gsl_vector *place, gsl_vector *step, double *sum) {
    enum { MOST = 400 };
    gsl_multimin_function f = {squares, (size_t)s->cal->n_free, s};
    int code = gsl_multimin_fminimizer_set(m, &f, place, step);
    for (int i = 0; i < MOST && !code && !s->rc; i++) {
        code = gsl_multimin_fminimizer_iterate(m);
        if (gsl_multimin_fminimizer_size(m) < 1e-5) break;
    }
    gsl_vector_memcpy(place, gsl_multimin_fminimizer_x(m));
    *sum = gsl_multimin_fminimizer_minimum(m);
}

/* Draw 0 is the cluster as described; others are factors of e^-2 to e^2 and times up to 100 us. */
static void start(const struct search *s, const double *draw, int first, gsl_vector *place) {
    for (int k = 0; k < s->cal->n_free; k++) {
        const struct parameter *p = s->cal->value[k].parameter;
        int factor = p->kind == PARAMETER_FACTOR;
        double at = first ? (factor ? 0 : 1) : factor ? 4 * draw[k] - 2 : 11.5 * draw[k];
        gsl_vector_set(place, (size_t)k, at);
    }
}

struct fitted {
    gsl_vector *best;
    double sum, all[CALIBRATION_STARTS];
};

static void fit_from_all(struct search *s, struct fitted *out, gsl_multimin_fminimizer *m, gsl_vector *place,
                         gsl_vector *step, gsl_qrng *sobol) {
    double draw[CALIBRATION_MOST_FREE] = {0};
    out->sum = INFINITY;
    for (int i = 0; i < CALIBRATION_STARTS && !s->rc; i++) {
        if (i) gsl_qrng_get(sobol, draw);
        start(s, draw, i == 0, place);
        gsl_vector_set_all(step, 0.5);
        descend(s, m, place, step, &out->all[i]);
        gsl_vector_set_all(step, 0.1); /* once more: a simplex may have shrunk too early */
        if (!s->rc) descend(s, m, place, step, &out->all[i]);
        if (out->all[i] >= out->sum) continue;
        out->sum = out->all[i];
        gsl_vector_memcpy(out->best, place);
    }
}

static int fit(struct search *s, struct fitted *out) {
    size_t n = (size_t)s->cal->n_free;
    gsl_multimin_fminimizer *m = gsl_multimin_fminimizer_alloc(gsl_multimin_fminimizer_nmsimplex2, n);
    gsl_vector *place = gsl_vector_alloc(n), *step = gsl_vector_alloc(n);
    gsl_qrng *sobol = gsl_qrng_alloc(gsl_qrng_sobol, (unsigned)n);
    if (!m || !place || !step || !sobol)
        s->rc = diag_set(s->d, ERR_MEMORY, "no memory for a calibration");
    else
        fit_from_all(s, out, m, place, step, sobol);
    gsl_multimin_fminimizer_free(m);
    gsl_vector_free(place);
    gsl_vector_free(step);
    gsl_qrng_free(sobol);
    return s->rc;
}

/* ---- how well it is known ---- */

/* One-sided beside a bound; half as far on either side else. */
static void slopes(struct search *s, const gsl_vector *best, gsl_matrix *J, gsl_vector *place) {
    const double h = 1e-3;
    for (int k = 0; k < s->cal->n_free && !s->rc; k++) {
        const struct parameter *p = s->cal->value[k].parameter;
        double at = gsl_vector_get(best, (size_t)k);
        double low = fmax(at - h, least_place(p)), high = fmin(at + h, most_place(p));
        gsl_vector_memcpy(place, best);
        gsl_vector_set(place, (size_t)k, low);
        struct cluster below = cluster_at(s, place);
        gsl_vector_set(place, (size_t)k, high);
        struct cluster above = cluster_at(s, place);
        for (int i = 0; i < s->cal->n_points && !s->rc; i++)
            gsl_matrix_set(J, (size_t)i, (size_t)k, (residual(s, i, &above) - residual(s, i, &below)) / (high - low));
    }
}

/* What one singular value adds to the variance of a parameter that has the part v in its direction. Where no point
 * depends on that direction: nothing to the parameters that have no part in it. */
static double variance(double v, double singular, double largest) {
    if (singular > 1e-12 * largest) return pow(v / singular, 2);
    return fabs(v) < 1e-6 ? 0 : INFINITY;
}

/* Standard errors of the places: sqrt of the diagonal of sigma^2 (J'J)^-1 by J's singular values. */
static void errors_of(struct search *s, gsl_matrix *J, double sigma, double *se) {
    size_t n = J->size2;
    gsl_matrix *V = gsl_matrix_alloc(n, n);
    gsl_vector *S = gsl_vector_alloc(n), *work = gsl_vector_alloc(n);
    if (!V || !S || !work || gsl_linalg_SV_decomp(J, V, S, work))
        s->rc = diag_set(s->d, ERR_MEMORY, "no memory for a calibration");
    for (size_t k = 0; k < n && !s->rc; k++) {
        double sum = 0;
        for (size_t j = 0; j < n; j++)
            sum += variance(gsl_matrix_get(V, k, j), gsl_vector_get(S, j), gsl_vector_get(S, 0));
        se[k] = sigma * sqrt(sum);
    }
    if (!s->rc) s->cal->rcond = gsl_vector_get(S, n - 1) / gsl_vector_get(S, 0);
    gsl_matrix_free(V);
    gsl_vector_free(S);
    gsl_vector_free(work);
}

static void tell_value(struct calibration_value *v, double place, double se, int dof) {
    const struct parameter *p = v->parameter;
    struct stat_interval at = stat_t(place, se, dof);
    v->x = value_at(p, place);
    v->at_bound = place <= least_place(p) + 1e-3 || place >= most_place(p) - 1e-3;
    if (!isfinite(se) || (at.low <= least_place(p) && at.high >= most_place(p))) at = (struct stat_interval){NAN, NAN};
    v->x_at_95.low = isnan(at.low) ? NAN : value_at(p, at.low);
    v->x_at_95.high = isnan(at.high) ? NAN : value_at(p, at.high);
}

static int tell(struct search *s, const struct fitted *f) {
    struct calibration *cal = s->cal;
    int dof = cal->n_points - cal->n_free;
    double se[CALIBRATION_MOST_FREE];
    gsl_matrix *J = gsl_matrix_alloc((size_t)cal->n_points, (size_t)cal->n_free);
    gsl_vector *place = gsl_vector_alloc((size_t)cal->n_free);
    if (!J || !place)
        s->rc = diag_set(s->d, ERR_MEMORY, "no memory for a calibration");
    else
        slopes(s, f->best, J, place);
    if (!s->rc) errors_of(s, J, sqrt(f->sum / dof), se);
    for (int k = 0; k < cal->n_free && !s->rc; k++)
        tell_value(&cal->value[k], gsl_vector_get(f->best, (size_t)k), se[k], dof);
    for (int i = 0; i < CALIBRATION_STARTS && !s->rc; i++)
        cal->agree += f->all[i] <= f->sum * 1.01 + ALIKE * cal->n_points;
    cal->starts = CALIBRATION_STARTS;
    gsl_matrix_free(J);
    gsl_vector_free(place);
    return s->rc;
}

/* ---- held out ---- */

static int deal(struct calibration *cal, struct diag *d) {
    gsl_rng *g = gsl_rng_alloc(gsl_rng_mt19937);
    int *order = calloc((size_t)cal->n_points, sizeof *order);
    int rc = g && order ? 0 : diag_set(d, ERR_MEMORY, "no memory for a calibration");
    for (int i = 0; i < cal->n_points && !rc; i++)
        order[i] = i;
    if (!rc) gsl_rng_set(g, cal->seed);
    if (!rc) gsl_ran_shuffle(g, order, (size_t)cal->n_points, sizeof *order);
    for (int i = 0; i < cal->n_points && !rc; i++)
        cal->point[order[i]].fold = i % CALIBRATION_FOLDS;
    if (g) gsl_rng_free(g);
    free(order);
    return rc;
}

static void keep_range(struct calibration_value *v, double x, int first) {
    v->held_low = first ? x : fmin(v->held_low, x);
    v->held_high = first ? x : fmax(v->held_high, x);
}

static int hold_out(struct search *s, struct fitted *f) {
    struct calibration *cal = s->cal;
    for (s->held = 0; s->held < CALIBRATION_FOLDS && !s->rc; s->held++) {
        if (fit(s, f)) break;
        struct cluster own = cluster_at(s, f->best);
        for (int k = 0; k < cal->n_free; k++)
            keep_range(&cal->value[k], value_at(cal->value[k].parameter, gsl_vector_get(f->best, (size_t)k)), !s->held);
        for (int i = 0; i < cal->n_points && !s->rc; i++)
            if (cal->point[i].fold == s->held) cal->point[i].held_s = predict(s, i, &own);
    }
    return s->rc;
}

/* ---- all of it ---- */

static int check(const struct calibration *cal, struct diag *d) {
    if (cal->n_points < cal->n_free + 3)
        return diag_set(d, ERR_RANGE, "%d points for %d parameters: a calibration takes at least %d", cal->n_points,
                        cal->n_free, cal->n_free + 3);
    for (int i = 0; i < cal->n_points; i++)
        if (!(cal->point[i].measured_s > 0 && isfinite(cal->point[i].measured_s)))
            return diag_set(d, ERR_RANGE, "point %d: a measured time of %g s", i + 1, cal->point[i].measured_s);
    return 0;
}

static int run(struct search *s, struct fitted *f) {
    struct calibration *cal = s->cal;
    for (int i = 0; i < cal->n_points && !s->rc; i++)
        cal->point[i].described_s = predict(s, i, s->c);
    if (s->rc || fit(s, f) || tell(s, f)) return s->rc;
    struct cluster all = cluster_at(s, f->best);
    for (int i = 0; i < cal->n_points && !s->rc; i++)
        cal->point[i].fitted_s = predict(s, i, &all);
    return s->rc ? s->rc : hold_out(s, f);
}

int calibration_run(struct calibration *cal, const struct cluster *c, calibration_predict *eval, void *user,
                    struct diag *d) {
    struct search s = {cal, c, eval, user, d, -1, 0};
    struct fitted f = {0};
    int rc = check(cal, d);
    if (!rc) rc = deal(cal, d);
    if (rc) return rc;
    cal->predictions = 0;
    cal->agree = 0;
    gsl_error_handler_t *before = gsl_set_error_handler_off();
    f.best = gsl_vector_alloc((size_t)cal->n_free);
    rc = f.best ? run(&s, &f) : diag_set(d, ERR_MEMORY, "no memory for a calibration");
    gsl_vector_free(f.best);
    gsl_set_error_handler(before);
    return rc;
}

struct cluster calibration_cluster(const struct calibration *cal, const struct cluster *c) {
    struct cluster changed = *c;
    for (int k = 0; k < cal->n_free; k++)
        cal->value[k].parameter->set(&changed, cal->value[k].x);
    return changed;
}

struct calibration_error calibration_error_of(const struct calibration *cal, enum calibration_which which) {
    struct calibration_error e = {NAN, -1, 0};
    double *all = calloc((size_t)cal->n_points, sizeof *all);
    for (int i = 0; i < cal->n_points && all; i++) {
        const struct calibration_point *p = &cal->point[i];
        double is = which == CALIBRATION_DESCRIBED ? p->described_s
                    : which == CALIBRATION_FITTED  ? p->fitted_s
                                                   : p->held_s;
        all[i] = fabs(is / p->measured_s - 1);
        if (all[i] > e.worst) e.worst = all[i], e.worst_point = i;
    }
    if (all) e.median = stats_median(all, cal->n_points).median;
    free(all);
    return e;
}
