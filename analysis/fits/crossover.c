/* Where one curve comes to lie below another: T_A(x) = T_B(x), of two y columns. */
#include "analysis/crossover.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_roots.h>
#include <math.h>
#include <stdlib.h>

#include "base/hash.h"

enum { STEPS = 400, DRAWS = 1000 };

struct curves {
    const struct fit *a, *b;
    int logarithmic; /* x is scanned by its logarithm */
};

static double x_of(const struct curves *c, double at) {
    return c->logarithmic ? exp(at) : at;
}

static double difference(double at, void *user) {
    const struct curves *c = user;
    double x = x_of(c, at);
    return log(fit_value(c->a, &x) / fit_value(c->b, &x));
}

static double refine(gsl_root_fsolver *solver, struct curves *c, double low, double high) {
    enum { MOST = 100 };
    gsl_function f = {difference, c};
    double at = 0.5 * (low + high);
    if (gsl_root_fsolver_set(solver, &f, low, high)) return NAN;
    for (int i = 0; i < MOST && gsl_root_fsolver_iterate(solver) == 0; i++) {
        at = gsl_root_fsolver_root(solver);
        low = gsl_root_fsolver_x_lower(solver);
        high = gsl_root_fsolver_x_upper(solver);
        if (gsl_root_test_interval(low, high, 0, 1e-12) != GSL_CONTINUE) break;
    }
    return x_of(c, at);
}

/* All crossings in [low, high], in order, with whether the first curve lies below before them. Returns how many there
 * are; at most CROSSOVER_MOST are written. */
static int scan(gsl_root_fsolver *solver, struct curves *c, double low, double high, double *x, int *below) {
    double from = c->logarithmic ? log(low) : low, step = ((c->logarithmic ? log(high) : high) - from) / STEPS;
    double before = difference(from, c);
    int n = 0;
    for (int i = 1; i <= STEPS; i++) {
        double now = difference(from + step * i, c);
        if ((before < 0 && now >= 0) || (before > 0 && now <= 0)) {
            if (n < CROSSOVER_MOST) {
                x[n] = now == 0 ? x_of(c, from + step * i) : refine(solver, c, from + step * (i - 1), from + step * i);
                below[n] = before < 0;
            }
            n++;
        }
        if (now != 0) before = now;
    }
    return n;
}

/* Whether the first of two that do not cross is the lower one. */
static int lies_below(struct curves *c, const struct crossover *range) {
    double low = range->low, high = range->high;
    return difference(c->logarithmic ? 0.5 * log(low * high) : 0.5 * (low + high), c) < 0;
}

/* Whether drawn curves that cross n times are as the fitted ones: cross as often in the same directions, or lie the
 * same way without. */
static int is_same(const struct crossover *x, struct curves *fitted, struct curves *drawn, int n, int first_below) {
    if (n != x->n) return 0;
    return n ? first_below == x->at[0].first_below : lies_below(drawn, x) == lies_below(fitted, x);
}

/* Curves of drawn rows: how many are as the fitted ones, and where those cross. */
static int draw_all(double *draw, struct crossover *out, gsl_root_fsolver *solver, struct curves *c,
                    const struct fit_data *data_a, const struct fit_data *data_b, uint64_t seed, struct diag *d) {
    struct fit_data other_a = {0}, other_b = {0};
    uint64_t state = 0;
    int same = 0, rc = fit_data_init(&other_a, fit_draw_rows(data_a), 1, d);
    if (!rc) rc = fit_data_init(&other_b, fit_draw_rows(data_b), 1, d);
    for (int i = 0; i < DRAWS && !rc; i++) {
        struct fit a, b;
        double x[CROSSOVER_MOST];
        int below[CROSSOVER_MOST] = {0};
        fit_draw(&other_a, c->a, data_a, 0, hash_mix(seed), &state);
        fit_draw(&other_b, c->b, data_b, 0, hash_mix(seed), &state);
        int none = fit_solve(&a, c->a->model, c->a->shape.candidate, &other_a, c->a) ||
                   fit_solve(&b, c->b->model, c->b->shape.candidate, &other_b, c->b);
        struct curves drawn = {&a, &b, c->logarithmic};
        int n = none ? -1 : scan(solver, &drawn, out->low, out->high, x, below);
        int agrees = is_same(out, c, &drawn, n, below[0]);
        same += agrees;
        for (int k = 0; k < out->n; k++)
            draw[k * DRAWS + i] = agrees ? x[k] : NAN;
    }
    out->draws = DRAWS;
    out->agree = (double)same / DRAWS;
    fit_data_free(&other_a);
    fit_data_free(&other_b);
    return rc;
}

int crossover_find(struct crossover *out, const struct fit *a, const struct fit_data *data_a, const struct fit *b,
                   const struct fit_data *data_b, uint64_t seed, struct diag *d) {
    double x[CROSSOVER_MOST];
    int below[CROSSOVER_MOST], rc = 0;
    *out = (struct crossover){.low = fmax(data_a->x[0], data_b->x[0]),
                              .high = fmin(data_a->x[data_a->n - 1], data_b->x[data_b->n - 1])};
    struct curves c = {a, b, out->low > 0};
    if (!(out->low < out->high)) return diag_set(d, ERR_RANGE, "fit crossover: the curves have no range in common");
    gsl_error_handler_t *before = gsl_set_error_handler_off();
    gsl_root_fsolver *solver = gsl_root_fsolver_alloc(gsl_root_fsolver_brent);
    double *draw = malloc(CROSSOVER_MOST * DRAWS * sizeof *draw);
    if (!solver || !draw) rc = diag_set(d, ERR_MEMORY, "no memory to look for crossings");
    out->n = rc ? 0 : scan(solver, &c, out->low, out->high, x, below);
    if (out->n > CROSSOVER_MOST)
        rc = diag_set(d, ERR_RANGE, "fit crossover: the curves cross %d times: smoother ones are needed", out->n);
    for (int i = 0; i < out->n && !rc; i++) {
        out->at[i].x = x[i];
        out->at[i].first_below = below[i];
    }
    if (!rc) rc = draw_all(draw, out, solver, &c, data_a, data_b, seed, d);
    for (int i = 0; i < out->n && !rc; i++)
        out->at[i].in = stat_percentile(draw + i * DRAWS, DRAWS);
    free(draw);
    if (solver) gsl_root_fsolver_free(solver);
    gsl_set_error_handler(before);
    return rc;
}

const struct fit_model fit_model_crossover = {
    .name = "crossover",
    .summary = "where the curves of two y columns cross",
    .form = "T_A(x) = T_B(x)",
    .source = "Brent 1973",
    .x_text = "one column",
    .least_x = 1,
    .most_x = 1,
    .pair = 1,
};
