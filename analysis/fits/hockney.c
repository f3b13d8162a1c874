/* t = a + b s: a start-up time and a time a byte. R. W. Hockney, "The communication challenge for MPP", Parallel
 * Computing 20 (1994); n_1/2 = a/b is his length of half the bandwidth. */
#include <stdio.h>

#include "analysis/fit.h"

static int shape(struct fit_shape *s, const struct fit_data *data) {
    (void)data;
    s->n_terms = 2;
    snprintf(s->text, sizeof s->text, "a + b s");
    return 1;
}

static void terms(const struct fit_shape *s, const double *x, double *term) {
    (void)s;
    term[0] = 1;
    term[1] = x[0];
}

static int parameters(const struct fit_shape *s, const double *coef, struct fit_parameter *out) {
    (void)s;
    out[0] = (struct fit_parameter){"a", "Y", coef[0], 0};
    out[1] = (struct fit_parameter){"b", "Y/X", coef[1], 0};
    out[2] = (struct fit_parameter){"1/b", "X/Y", 1 / coef[1], 1};
    out[3] = (struct fit_parameter){"n_1/2", "X", coef[0] / coef[1], 1};
    return 4;
}

const struct fit_model fit_model_hockney = {
    .name = "hockney",
    .summary = "start-up time and bandwidth of a message",
    .form = "t = a + b s",
    .source = "Hockney 1994",
    .x_text = "the size",
    .least_x = 1,
    .most_x = 1,
    .n_candidates = 1,
    .shape = shape,
    .terms = terms,
    .parameters = parameters,
};
