/* X = l N/(1 + s (N - 1) + k N (N - 1)), the universal scalability law: a rate l, contention s, coherency k; or one of
 * the two alone. N. J. Gunther, "Guerrilla capacity planning", 2007; the peak is at sqrt((1 - s)/k).
 *
 * Parameters are above zero, so their logarithms are fitted to ln X, by Levenberg and Marquardt's method with Tukey's
 * weights between its runs; from where N/X = (1 + s (N - 1) + k N (N - 1))/l, which is linear, starts it. */
#include <gsl/gsl_multifit.h>
#include <gsl/gsl_multifit_nlinear.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fit_linear.h"

enum { CONTENTION = 1, COHERENCY = 2 };

/* Candidate 0 has both, 1 contention alone, 2 coherency alone. */
static int parts(const struct fit_shape *s) {
    return s->candidate == 0 ? CONTENTION | COHERENCY : s->candidate;
}

static int shape(struct fit_shape *s, const struct fit_data *data) {
    static const char *const text[] = {"l N/(1 + s (N-1) + k N (N-1))", "l N/(1 + s (N-1))", "l N/(1 + k N (N-1))"};
    (void)data;
    s->n_terms = s->candidate == 0 ? 3 : 2;
    snprintf(s->text, sizeof s->text, "%s", text[s->candidate]);
    return 1;
}

/* Coefficients are ln l, then ln s, ln k as far as they are there. */
static void unpack(const struct fit_shape *s, const double *coef, double *contention, double *coherency) {
    int k = 1;
    *contention = parts(s) & CONTENTION ? exp(coef[k++]) : 0;
    *coherency = parts(s) & COHERENCY ? exp(coef[k]) : 0;
}

static double value(const struct fit_shape *s, const double *coef, const double *x) {
    double contention, coherency, n = x[0];
    unpack(s, coef, &contention, &coherency);
    return exp(coef[0]) * n / (1 + contention * (n - 1) + coherency * n * (n - 1));
}

/* Of the linear form that gives the start. */
static void terms(const struct fit_shape *s, const double *x, double *term) {
    int k = 1;
    term[0] = 1;
    if (parts(s) & CONTENTION) term[k++] = x[0] - 1;
    if (parts(s) & COHERENCY) term[k] = x[0] * (x[0] - 1);
}

static const struct fit_model linear_form = {.name = "usl", .shape = shape, .terms = terms};

/* N/X in place of X. Parts that come out below zero start small. */
static int start(struct fit *f, const struct fit_data *data) {
    struct fit line = {.model = &linear_form, .shape = f->shape};
    struct fit_data inverse = *data;
    inverse.y = malloc((size_t)data->n * sizeof *inverse.y);
    if (!inverse.y) return 1;
    for (int i = 0; i < data->n; i++)
        inverse.y[i] = data->x[i] / data->y[i];
    int rc = fit_linear(&line, &inverse, NULL) || !(line.coef[0] > 0);
    free(inverse.y);
    f->condition = line.condition;
    f->coef[0] = -log(line.coef[0]);
    for (int j = 1; j < f->shape.n_terms; j++)
        f->coef[j] = log(fmax(line.coef[j] / line.coef[0], 1e-4));
    return rc;
}

/* ---- residuals f - y on logarithms, and their derivatives ---- */

struct problem {
    const struct fit_shape *s;
    const struct fit_data *data;
};

static int residuals(const gsl_vector *p, void *user, gsl_vector *out) {
    const struct problem *q = user;
    for (int i = 0; i < q->data->n; i++)
        gsl_vector_set(out, (size_t)i, log(value(q->s, p->data, &q->data->x[i]) / q->data->y[i]));
    return GSL_SUCCESS;
}

static int derivatives(const gsl_vector *p, void *user, gsl_matrix *out) {
    const struct problem *q = user;
    double contention, coherency;
    unpack(q->s, p->data, &contention, &coherency);
    for (size_t i = 0; i < (size_t)q->data->n; i++) {
        double n = q->data->x[i], below = 1 + contention * (n - 1) + coherency * n * (n - 1);
        size_t k = 1;
        gsl_matrix_set(out, i, 0, 1);
        if (parts(q->s) & CONTENTION) gsl_matrix_set(out, i, k++, -contention * (n - 1) / below);
        if (parts(q->s) & COHERENCY) gsl_matrix_set(out, i, k, -coherency * n * (n - 1) / below);
    }
    return GSL_SUCCESS;
}

struct solver {
    gsl_multifit_nlinear_workspace *w;
    gsl_multifit_robust_workspace *robust; /* for its weights alone */
    gsl_vector *weights, *r;
    gsl_matrix *cov;
};

/* Weights of the residuals at the solution; all 1 where there are none to speak of. */
static int reweigh(struct solver *s, const struct problem *q, const gsl_vector *p) {
    double most = 0;
    residuals(p, (void *)(uintptr_t)q, s->r);
    for (size_t i = 0; i < s->r->size; i++)
        most = fmax(most, fabs(gsl_vector_get(s->r, i)));
    gsl_vector_set_all(s->weights, 1);
    return most > 1e-9 ? gsl_multifit_robust_weights(s->r, s->weights, s->robust) : 0;
}

/* Runs until the parameters stay. */
static int iterate(struct solver *s, struct fit *f, const struct problem *q) {
    enum { MOST_RUNS = 50, MOST_STEPS = 50 };
    gsl_multifit_nlinear_fdf fdf = {.f = residuals,
                                    .df = derivatives,
                                    .n = (size_t)q->data->n,
                                    .p = (size_t)f->shape.n_terms,
                                    .params = (void *)(uintptr_t)q};
    double moved = 1;
    gsl_vector_set_all(s->weights, 1);
    for (int run = 0; run < MOST_RUNS && moved > 1e-9; run++) {
        gsl_vector_view p = gsl_vector_view_array(f->coef, (size_t)f->shape.n_terms);
        int info;
        if (gsl_multifit_nlinear_winit(&p.vector, s->weights, &fdf, s->w)) return 1;
        int code = gsl_multifit_nlinear_driver(MOST_STEPS, 1e-10, 1e-10, 0, NULL, NULL, &info, s->w);
        if (code && code != GSL_ENOPROG && code != GSL_EMAXITER) return 1; /* these are near an optimum, to rounding */
        moved = 0;
        for (int j = 0; j < f->shape.n_terms; j++) {
            double now = gsl_vector_get(gsl_multifit_nlinear_position(s->w), (size_t)j);
            moved = fmax(moved, fabs(now - f->coef[j]));
            f->coef[j] = now;
        }
        if (reweigh(s, q, &p.vector)) return 1;
    }
    return 0;
}

/* sigma^2 (J' J)^-1 with sigma^2 = (sum psi^2/(n - p))/(mean of psi')^2 (Huber 1981); of Tukey's bisquare with the
 * weight w = (1 - u^2)^2 these are psi = w r and psi' = sqrt(w) (5 sqrt(w) - 4). */
static int covariance(struct solver *s, struct fit *f) {
    double square = 0, slope = 0;
    if (gsl_multifit_nlinear_covar(gsl_multifit_nlinear_jac(s->w), 0, s->cov)) return 1;
    for (size_t i = 0; i < s->r->size; i++) {
        double w = gsl_vector_get(s->weights, i), root = sqrt(w);
        square += pow(w * gsl_vector_get(s->r, i), 2) / f->dof;
        slope += root * (5 * root - 4) / (double)s->r->size;
    }
    f->sigma = sqrt(square) / slope;
    for (int i = 0; i < f->shape.n_terms * f->shape.n_terms; i++)
        f->cov[i] = f->sigma * f->sigma * s->cov->data[i];
    return !(slope > 0);
}

static int solve(struct fit *f, const struct fit_data *data) {
    const double vanished = log(1e-9); /* a part that is not there: the candidate without it is the same curve */
    size_t n = (size_t)data->n, p = (size_t)f->shape.n_terms;
    gsl_multifit_nlinear_parameters how = gsl_multifit_nlinear_default_parameters();
    struct problem q = {&f->shape, data};
    if (start(f, data)) return 1;
    struct solver s = {.w = gsl_multifit_nlinear_alloc(gsl_multifit_nlinear_trust, &how, n, p),
                       .robust = gsl_multifit_robust_alloc(gsl_multifit_robust_bisquare, n, p),
                       .weights = gsl_vector_alloc(n),
                       .r = gsl_vector_alloc(n),
                       .cov = gsl_matrix_alloc(p, p)};
    int rc = !s.w || !s.robust || !s.weights || !s.r || !s.cov || iterate(&s, f, &q) || covariance(&s, f);
    for (int j = 1; j < f->shape.n_terms && !rc; j++)
        rc = f->coef[j] < vanished;
    if (s.w) gsl_multifit_nlinear_free(s.w);
    if (s.robust) gsl_multifit_robust_free(s.robust);
    gsl_vector_free(s.weights);
    gsl_vector_free(s.r);
    gsl_matrix_free(s.cov);
    return rc;
}

static int parameters(const struct fit_shape *s, const double *coef, struct fit_parameter *out) {
    double contention, coherency;
    int n = 1;
    unpack(s, coef, &contention, &coherency);
    out[0] = (struct fit_parameter){"l", "Y", exp(coef[0]), 1};
    if (parts(s) & CONTENTION) out[n++] = (struct fit_parameter){"s", "", contention, 1};
    if (parts(s) & COHERENCY) out[n++] = (struct fit_parameter){"k", "", coherency, 1};
    if (parts(s) & COHERENCY) out[n++] = (struct fit_parameter){"peak", "X", sqrt((1 - contention) / coherency), 1};
    return n;
}

const struct fit_model fit_model_usl = {
    .name = "usl",
    .summary = "throughput with contention and coherency, and its peak",
    .form = "X = l N/(1 + s (N-1) + k N (N-1))",
    .source = "Gunther 2007",
    .x_text = "ranks or users",
    .least_x = 1,
    .most_x = 1,
    .least = 1,
    .logarithmic = 1,
    .n_candidates = 3,
    .shape = shape,
    .solve = solve,
    .value = value,
    .parameters = parameters,
};
