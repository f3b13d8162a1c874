/* Scaled speed-up S = P - s (P - 1) with the serial share s. J. L. Gustafson, "Reevaluating Amdahl's law", CACM 1988.
 */
#include <stdio.h>

#include "analysis/fit.h"

/* At P = 1 the speed-up is 1 whatever s is. */
static int shape(struct fit_shape *s, const struct fit_data *data) {
    int parallel = 0;
    for (int i = 0; i < data->n; i++)
        parallel += data->x[i] > 1;
    s->n_terms = 1;
    snprintf(s->text, sizeof s->text, "P - s (P - 1)");
    return parallel >= 1 + FIT_LEAST_DOF;
}

static double offset(const double *x) {
    return x[0];
}

static void terms(const struct fit_shape *s, const double *x, double *term) {
    (void)s;
    term[0] = 1 - x[0];
}

static int parameters(const struct fit_shape *s, const double *coef, struct fit_parameter *out) {
    (void)s;
    out[0] = (struct fit_parameter){"serial share", "", coef[0], 0};
    return 1;
}

const struct fit_model fit_model_gustafson = {
    .name = "gustafson",
    .summary = "weak scaling: the serial share of a speed-up",
    .form = "S = P - s (P - 1)",
    .source = "Gustafson 1988",
    .x_text = "ranks",
    .least_x = 1,
    .most_x = 1,
    .least = 1,
    .n_candidates = 1,
    .shape = shape,
    .offset = offset,
    .terms = terms,
    .parameters = parameters,
};
