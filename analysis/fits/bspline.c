/* A smooth curve: ln y as a cubic B-spline of ln x with 2 to 6 evenly spaced knots, by AICc; its slope is the
 * elasticity d ln y/d ln x. C. de Boor, "A practical guide to splines", 1978. All of GSL's splines are here: 2.8 has
 * another interface than 2.7. */
#include <gsl/gsl_bspline.h>
#include <gsl/gsl_errno.h>
#include <math.h>
#include <stdio.h>

#include "analysis/fit.h"

enum { ORDER = 4, LEAST_KNOTS = 2, MOST_KNOTS = 6 };

static int knots(const struct fit_shape *s) {
    return LEAST_KNOTS + s->candidate;
}

static int shape(struct fit_shape *s, const struct fit_data *data) {
    s->n_terms = knots(s) + ORDER - 2;
    s->at[0] = log(data->x[0]);
    s->at[1] = log(data->x[data->n - 1]);
    snprintf(s->text, sizeof s->text, "cubic spline, %d knots", knots(s));
    return s->at[1] > s->at[0];
}

/* The basis functions or their first derivatives at ln x, which beyond the data are the end piece's. */
static int basis(const struct fit_shape *s, double at, int derivative, double *out) {
    gsl_error_handler_t *before = gsl_set_error_handler_off();
    gsl_bspline_workspace *w = gsl_bspline_alloc(ORDER, (size_t)knots(s));
    gsl_matrix *m = gsl_matrix_alloc((size_t)s->n_terms, 2);
    double inside = fmin(fmax(at, s->at[0]), s->at[1]);
    int rc = !w || !m || gsl_bspline_knots_uniform(s->at[0], s->at[1], w) || gsl_bspline_deriv_eval(inside, 1, m, w);
    for (int i = 0; i < s->n_terms; i++)
        out[i] = rc           ? NAN
                 : derivative ? gsl_matrix_get(m, (size_t)i, 1)
                              : gsl_matrix_get(m, (size_t)i, 0) + (at - inside) * gsl_matrix_get(m, (size_t)i, 1);
    gsl_matrix_free(m);
    if (w) gsl_bspline_free(w);
    gsl_set_error_handler(before);
    return rc;
}

static void terms(const struct fit_shape *s, const double *x, double *term) {
    basis(s, log(x[0]), 0, term);
}

static double elasticity(const struct fit_shape *s, const double *coef, double share) {
    double slope[FIT_MOST_TERMS], sum = 0;
    basis(s, s->at[0] + share * (s->at[1] - s->at[0]), 1, slope);
    for (int i = 0; i < s->n_terms; i++)
        sum += coef[i] * slope[i];
    return sum;
}

static int parameters(const struct fit_shape *s, const double *coef, struct fit_parameter *out) {
    out[0] = (struct fit_parameter){"elasticity, least x", "", elasticity(s, coef, 0), 0};
    out[1] = (struct fit_parameter){"elasticity, middle", "", elasticity(s, coef, 0.5), 0};
    out[2] = (struct fit_parameter){"elasticity, most x", "", elasticity(s, coef, 1), 0};
    return 3;
}

const struct fit_model fit_model_bspline = {
    .name = "bspline",
    .summary = "a smooth curve and its elasticity",
    .form = "ln y = cubic B-spline of ln x",
    .source = "de Boor 1978",
    .x_text = "one column",
    .least_x = 1,
    .most_x = 1,
    .least = 1e-300,
    .logarithmic = 1,
    .n_candidates = MOST_KNOTS - LEAST_KNOTS + 1,
    .shape = shape,
    .terms = terms,
    .parameters = parameters,
};
