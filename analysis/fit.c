/* fit.c - coefficients of one candidate, and candidates beside each other. */
#include "analysis/fit.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_multifit.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit_linear.h"

const struct fit_model *fit_model_find(const char *name) {
    for (int i = 0; fit_models[i]; i++)
        if (!strcmp(fit_models[i]->name, name)) return fit_models[i];
    return NULL;
}

double fit_value(const struct fit *f, const double *x) {
    const struct fit_model *m = f->model;
    double term[FIT_MOST_TERMS], sum = m->offset ? m->offset(x) : 0;
    if (m->value) return m->value(&f->shape, f->coef, x);
    m->terms(&f->shape, x, term);
    for (int j = 0; j < f->shape.n_terms; j++)
        sum += f->coef[j] * term[j];
    return m->logarithmic ? exp(sum) : sum;
}

/* Relative to the curve, where that is above zero; else to the value. */
double fit_residual(const struct fit *f, const double *x, double y) {
    double value = fit_value(f, x);
    if (f->model->logarithmic) return log(y) - log(value);
    return (y - value) / (value > 0 ? value : y);
}

int fit_extrapolates(const struct fit_data *data, const double *x) {
    for (int k = 0; k < data->n_x; k++) {
        double least = INFINITY, most = -INFINITY;
        for (int i = 0; i < data->n; i++) {
            least = fmin(least, data->x[i * data->n_x + k]);
            most = fmax(most, data->x[i * data->n_x + k]);
        }
        if (x[k] < least || x[k] > most) return 1;
    }
    return 0;
}

/* ---- least squares ---- */

struct linear {
    int n, k;
    gsl_matrix *A, *cov; /* [n][k] columns of unit length; [k][k] */
    gsl_vector *b, *c;
    gsl_multifit_robust_workspace *robust;
    gsl_multifit_linear_workspace *plain;
    double length[FIT_MOST_TERMS];
};

static void linear_fini(struct linear *l) {
    gsl_matrix_free(l->A);
    gsl_matrix_free(l->cov);
    gsl_vector_free(l->b);
    gsl_vector_free(l->c);
    if (l->robust) gsl_multifit_robust_free(l->robust);
    if (l->plain) gsl_multifit_linear_free(l->plain);
}

static int linear_init(struct linear *l, int n, int k) {
    size_t rows = (size_t)n, columns = (size_t)k;
    *l = (struct linear){.n = n,
                         .k = k,
                         .A = gsl_matrix_alloc(rows, columns),
                         .cov = gsl_matrix_alloc(columns, columns),
                         .b = gsl_vector_alloc(rows),
                         .c = gsl_vector_alloc(columns),
                         .robust = gsl_multifit_robust_alloc(gsl_multifit_robust_bisquare, rows, columns),
                         .plain = gsl_multifit_linear_alloc(rows, columns)};
    int ok = l->A && l->cov && l->b && l->c && l->robust && l->plain;
    if (ok) ok = gsl_multifit_robust_maxiter(200, l->robust) == 0;
    return ok ? 0 : 1;
}

/* Rows divided by the curve; a logarithmic model's rows are as they are. 1: a column is zero. */
static int fill(struct linear *l, const struct fit *f, const struct fit_data *data, const double *curve) {
    double term[FIT_MOST_TERMS];
    memset(l->length, 0, sizeof l->length);
    for (int i = 0; i < l->n; i++) {
        const double *x = &data->x[i * data->n_x];
        double w = f->model->logarithmic ? 1 : 1 / curve[i], y = f->model->logarithmic ? log(data->y[i]) : data->y[i];
        f->model->terms(&f->shape, x, term);
        gsl_vector_set(l->b, (size_t)i, w * (y - (f->model->offset ? f->model->offset(x) : 0)));
        for (int j = 0; j < l->k; j++) {
            gsl_matrix_set(l->A, (size_t)i, (size_t)j, w * term[j]);
            l->length[j] = hypot(l->length[j], w * term[j]);
        }
    }
    for (int j = 0; j < l->k; j++) {
        gsl_vector_view column = gsl_matrix_column(l->A, (size_t)j);
        if (!(l->length[j] > 0) || !isfinite(l->length[j])) return 1;
        gsl_vector_scale(&column.vector, 1 / l->length[j]);
    }
    return 0;
}

static void take(struct fit *f, const struct linear *l) {
    for (int i = 0; i < l->k; i++) {
        f->coef[i] = gsl_vector_get(l->c, (size_t)i) / l->length[i];
        for (int j = 0; j < l->k; j++)
            f->cov[i * l->k + j] = gsl_matrix_get(l->cov, (size_t)i, (size_t)j) / (l->length[i] * l->length[j]);
    }
}

/* Plain least squares, which also tells how nearly the columns depend on each other. */
static int solve_plain(struct linear *l, struct fit *f) {
    double chisq;
    if (gsl_multifit_linear_svd(l->A, l->plain)) return 1;
    f->condition = 1 / gsl_multifit_linear_rcond(l->plain);
    if (!(f->condition < 1e10) || gsl_multifit_linear(l->A, l->b, l->c, l->cov, &chisq, l->plain)) return 1;
    gsl_matrix_scale(l->cov, chisq / (l->n - l->k)); /* GSL's is for errors of 1 */
    f->sigma = sqrt(chisq / (l->n - l->k));
    take(f, l);
    return 0;
}

/* Where GSL ends at its last iteration, what it has is the fit. Its covariance is with the larger of the robust sigma
 * and a mixture with the ordinary one, which outliers swell: here with the robust one, whose coverage is tested. */
static int solve_robust(struct linear *l, struct fit *f) {
    int code = gsl_multifit_robust(l->A, l->b, l->c, l->cov, l->robust);
    gsl_multifit_robust_stats s = gsl_multifit_robust_statistics(l->robust);
    if (code && code != GSL_EMAXITER) return 1;
    f->sigma = s.sigma_rob;
    if (s.sigma > 0) gsl_matrix_scale(l->cov, s.sigma_rob * s.sigma_rob / (s.sigma * s.sigma));
    take(f, l);
    return 0;
}

static double follow(const struct fit *f, const struct fit_data *data, double *curve) {
    double most = 0;
    for (int i = 0; i < data->n; i++) {
        double value = fit_value(f, &data->x[i * data->n_x]), next = value > 0 ? value : data->y[i];
        most = fmax(most, fabs(next - curve[i]) / next);
        curve[i] = next;
    }
    return most;
}

/* The first rows are divided by y (or by an earlier curve) and solved plainly: a high outlier then counts little, and
 * dividing by y makes what is left constant, of which GSL's robust scale cannot be taken. */
int fit_linear(struct fit *f, const struct fit_data *data, const struct fit *start) {
    const int most_passes = start ? 1 : 30;
    struct linear l;
    double *curve = malloc((size_t)data->n * sizeof *curve), moved = 1;
    int rc = linear_init(&l, data->n, f->shape.n_terms) || !curve;
    if (!rc) memcpy(curve, data->y, (size_t)data->n * sizeof *curve);
    if (!rc && start)
        follow(start, data, curve);
    else if (!rc) {
        rc = fill(&l, f, data, curve) || solve_plain(&l, f);
        if (!rc) follow(f, data, curve);
    }
    for (int pass = 0; pass < most_passes && !rc && moved > 1e-10; pass++) {
        rc = fill(&l, f, data, curve) || solve_robust(&l, f);
        if (!rc) moved = f->model->logarithmic ? 0 : follow(f, data, curve);
    }
    linear_fini(&l);
    free(curve);
    return rc;
}

/* ---- one candidate ---- */

/* ln of d residual / d y: what makes densities of residuals densities of y. */
static double log_jacobian(const struct fit *f, const double *x, double y) {
    double value = fit_value(f, x);
    return -log(f->model->logarithmic || !(value > 0) ? y : value);
}

/* A residual and the line of its row. */
struct told {
    int line;
    double r;
};

static int by_line(const void *a, const void *b) {
    return ((const struct told *)a)->line - ((const struct told *)b)->line;
}

/* r is in order of x, and afterwards in that of the file. */
static int judge_order(struct fit *f, const struct fit_data *data, double *r) {
    struct told *told = malloc((size_t)data->n * sizeof *told);
    if (!told) return 1;
    int noise = f->scale > 1e-8; /* else there are only roundings */
    f->lag1_x = stat_lag1(r, data->n);
    f->depends_x = noise && f->lag1_x > 0 && stat_depends(r, data->n);
    for (int i = 0; i < data->n; i++)
        told[i] = (struct told){data->line[i], r[i]};
    qsort(told, (size_t)data->n, sizeof *told, by_line);
    for (int i = 0; i < data->n; i++)
        r[i] = told[i].r;
    f->lag1_rows = stat_lag1(r, data->n);
    f->depends_rows = noise && stat_depends(r, data->n);
    free(told);
    return 0;
}

static int judge(struct fit *f, const struct fit_data *data) {
    double *r = malloc((size_t)data->n * sizeof *r), jacobian = 0;
    if (!r) return 1;
    int finite = 1;
    for (int i = 0; i < data->n; i++) {
        const double *x = &data->x[i * data->n_x];
        r[i] = fit_residual(f, x, data->y[i]);
        jacobian += log_jacobian(f, x, data->y[i]);
        finite &= isfinite(r[i]);
    }
    f->log_likelihood = stat_t4_likelihood(&f->scale, r, data->n) + jacobian;
    f->aicc = stat_aicc(f->log_likelihood, f->shape.n_terms + f->shape.extra + 1, data->n);
    int rc = judge_order(f, data, r);
    free(r);
    return rc || !finite;
}

static int wrong_sign(const struct fit *f) {
    for (int j = 0; j < f->shape.n_terms; j++)
        if (!isfinite(f->coef[j]) || (f->model->positive && f->coef[j] < 0)) return 1;
    return 0;
}

int fit_solve(struct fit *out, const struct fit_model *m, int candidate, const struct fit_data *data,
              const struct fit *start) {
    gsl_error_handler_t *before = gsl_set_error_handler_off();
    *out = (struct fit){.model = m, .shape.candidate = candidate, .n = data->n, .condition = NAN, .left_out = NAN};
    int rc = !m->shape(&out->shape, data);
    out->dof = data->n - out->shape.n_terms - out->shape.extra;
    if (!rc) rc = out->dof < FIT_LEAST_DOF;
    if (!rc) rc = m->solve ? m->solve(out, data) : fit_linear(out, data, start);
    if (!rc) rc = wrong_sign(out);
    if (!rc && !start) rc = judge(out, data);
    gsl_set_error_handler(before);
    return rc ? 1 : 0;
}

/* ---- candidates ---- */

static int by_aicc(const void *a, const void *b) {
    double p = ((const struct fit *)a)->aicc, q = ((const struct fit *)b)->aicc;
    return (p > q) - (p < q);
}

/* Leaves out rows evenly over the data, at most 100. */
static void leave_out(struct fit *f, const struct fit_data *data, struct fit_data *others) {
    enum { MOST = 100 };
    double error[MOST];
    int n = 0, step = (data->n + MOST - 1) / MOST, n_x = data->n_x;
    for (int out = 0; out < data->n; out += step) {
        struct fit without;
        size_t before = (size_t)out, behind = (size_t)(data->n - out - 1);
        others->n = data->n - 1;
        memcpy(others->x, data->x, before * (size_t)n_x * sizeof *data->x);
        memcpy(others->x + out * n_x, data->x + (out + 1) * n_x, behind * (size_t)n_x * sizeof *data->x);
        memcpy(others->y, data->y, before * sizeof *data->y);
        memcpy(others->y + out, data->y + out + 1, behind * sizeof *data->y);
        if (!fit_solve(&without, f->model, f->shape.candidate, others, f))
            error[n++] = fabs(fit_residual(&without, &data->x[out * n_x], data->y[out]));
    }
    if (n) f->left_out = stats_median(error, n).median;
}

static int check(const struct fit_model *m, const struct fit_data *data, struct diag *d) {
    if (data->n_x < m->least_x || data->n_x > m->most_x)
        return diag_set(d, ERR_USAGE, "fit %s: --x takes %s, not %d column%s", m->name, m->x_text, data->n_x,
                        data->n_x == 1 ? "" : "s");
    if (data->n < m->least_rows)
        return diag_set(d, ERR_RANGE, "fit %s: %d rows are too few, it needs %d", m->name, data->n, m->least_rows);
    for (int i = 0; i < data->n * data->n_x; i++)
        if (data->x[i] < m->least)
            return diag_set(d, ERR_RANGE, "fit %s: line %d, column %s: %g is below %g, the least it is defined for",
                            m->name, data->line[i / data->n_x], data->x_column[i % data->n_x].name, data->x[i],
                            m->least);
    return 0;
}

static int add_model(struct fit_list *out, const struct fit_model *m, const struct fit_data *data, struct diag *d) {
    int before = out->n, rc = check(m, data, d);
    for (int c = 0; c < m->n_candidates && !rc; c++)
        out->n += !fit_solve(&out->fit[out->n], m, c, data, NULL);
    if (!rc && out->n == before)
        rc = diag_set(
            d, ERR_RANGE,
            "fit %s: no form of it fits these %d rows: it takes %d more than parameters, columns that differ%s",
            m->name, data->n, FIT_LEAST_DOF, m->positive ? ", and no term below zero" : "");
    return rc;
}

static int weigh(struct fit_list *list, struct diag *d) {
    double *v = malloc(2 * (size_t)list->n * sizeof *v);
    if (!v) return diag_set(d, ERR_MEMORY, "no memory for %d candidates", list->n);
    qsort(list->fit, (size_t)list->n, sizeof *list->fit, by_aicc);
    for (int i = 0; i < list->n; i++)
        v[i] = list->fit[i].aicc;
    stat_weights(v + list->n, v, list->n);
    for (int i = 0; i < list->n; i++)
        list->fit[i].weight = v[list->n + i];
    free(v);
    return 0;
}

int fit_list_make(struct fit_list *out, const struct fit_model *const *models, int n_models,
                  const struct fit_data *data, struct diag *d) {
    int most = 0, rc = 0;
    struct fit_data others = {0};
    for (int i = 0; i < n_models; i++)
        most += models[i]->n_candidates;
    *out = (struct fit_list){calloc((size_t)most, sizeof *out->fit), 0};
    if (!out->fit) rc = diag_set(d, ERR_MEMORY, "no memory for %d candidates", most);
    for (int i = 0; i < n_models && !rc; i++)
        rc = add_model(out, models[i], data, d);
    if (!rc) rc = weigh(out, d);
    if (!rc) rc = fit_data_init(&others, data->n, data->n_x, d);
    for (int i = 0; i < out->n && !rc; i++)
        if (out->fit[i].aicc - out->fit[0].aicc < 10 || out->fit[i].model != out->fit[0].model)
            leave_out(&out->fit[i], data, &others);
    fit_data_free(&others);
    if (rc) fit_list_free(out);
    return rc;
}

void fit_list_free(struct fit_list *list) {
    free(list->fit);
    *list = (struct fit_list){0};
}
