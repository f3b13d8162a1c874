/* c0 + c1 P^i log2(P)^j, the performance model normal form of one term. A. Calotoiu et al., "Using automated
 * performance modeling to find scalability bugs in complex codes", SC13; exponents are its halves and thirds up to 3.
 */
#include <math.h>
#include <stdio.h>

#include "analysis/fit.h"

static const struct exponent {
    double value;
    const char *text;
} exponents[] = {{0, "0"},         {0.25, "1/4"},    {1 / 3.0, "1/3"}, {0.5, "1/2"},     {2 / 3.0, "2/3"},
                 {0.75, "3/4"},    {1, "1"},         {1.25, "5/4"},    {4 / 3.0, "4/3"}, {1.5, "3/2"},
                 {5 / 3.0, "5/3"}, {1.75, "7/4"},    {2, "2"},         {2.25, "9/4"},    {7 / 3.0, "7/3"},
                 {2.5, "5/2"},     {8 / 3.0, "8/3"}, {2.75, "11/4"},   {3, "3"}};
enum { N_EXPONENTS = sizeof exponents / sizeof *exponents, MOST_LOG = 2 };

/* Candidate 0 is the constant: i = j = 0. */
static int shape(struct fit_shape *s, const struct fit_data *data) {
    const struct exponent *i = &exponents[s->candidate / (MOST_LOG + 1)];
    int j = s->candidate % (MOST_LOG + 1);
    char power[24] = "", log_text[24] = "";
    (void)data;
    s->n_terms = s->candidate ? 2 : 1;
    s->at[0] = i->value;
    s->at[1] = j;
    if (i->value > 0) snprintf(power, sizeof power, " P^(%s)", i->text);
    if (j) snprintf(log_text, sizeof log_text, j > 1 ? " log2(P)^%d" : " log2(P)", j);
    snprintf(s->text, sizeof s->text, "c0%s%s%s", s->candidate ? " + c1" : "", power, log_text);
    return 1;
}

static void terms(const struct fit_shape *s, const double *x, double *term) {
    term[0] = 1;
    if (s->candidate) term[1] = pow(x[0], s->at[0]) * pow(log2(x[0]), s->at[1]);
}

static int parameters(const struct fit_shape *s, const double *coef, struct fit_parameter *out) {
    out[0] = (struct fit_parameter){"c0", "Y", coef[0], 0};
    if (!s->candidate) return 1;
    out[1] = (struct fit_parameter){"c1", "Y", coef[1], 0};
    return 2;
}

const struct fit_model fit_model_pmnf = {
    .name = "pmnf",
    .summary = "a power and a logarithm of the ranks, as Extra-P's",
    .form = "T = c0 + c1 P^i log2(P)^j, i in 0..3 by quarters and thirds, j in 0..2",
    .source = "Calotoiu et al. 2013",
    .x_text = "ranks",
    .least_x = 1,
    .most_x = 1,
    .least = 1,
    .least_rows = 6,
    .n_candidates = N_EXPONENTS * (MOST_LOG + 1),
    .shape = shape,
    .terms = terms,
    .parameters = parameters,
};
