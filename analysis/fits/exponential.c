/* ln y = a + b (year - 2015): growth as G. E. Moore (1965) drew it, a straight line on logarithmic paper. */
#include <math.h>
#include <stdio.h>

#include "analysis/fit.h"

enum { ORIGIN = 2015 }; /* near the data, so that a and b depend little on each other */

static int shape(struct fit_shape *s, const struct fit_data *data) {
    (void)data;
    s->n_terms = 2;
    snprintf(s->text, sizeof s->text, "exp(a + b (x - %d))", ORIGIN);
    return 1;
}

static void terms(const struct fit_shape *s, const double *x, double *term) {
    (void)s;
    term[0] = 1;
    term[1] = x[0] - ORIGIN;
}

static int parameters(const struct fit_shape *s, const double *coef, struct fit_parameter *out) {
    (void)s;
    out[0] = (struct fit_parameter){"y(2015)", "Y", exp(coef[0]), 1};
    out[1] = (struct fit_parameter){"b", "1/X", coef[1], 0};
    out[2] = (struct fit_parameter){"doubling time", "X", M_LN2 / coef[1], 1};
    out[3] = (struct fit_parameter){"growth in 2", "", exp(2 * coef[1]), 1};
    out[4] = (struct fit_parameter){"growth in 20", "", exp(20 * coef[1]), 1};
    return 5;
}

const struct fit_model fit_model_exponential = {
    .name = "exponential",
    .summary = "a trend over years: growth and doubling time",
    .form = "ln y = a + b (year - 2015)",
    .source = "Moore 1965",
    .x_text = "years",
    .least_x = 1,
    .most_x = 1,
    .logarithmic = 1,
    .n_candidates = 1,
    .shape = shape,
    .terms = terms,
    .parameters = parameters,
};
