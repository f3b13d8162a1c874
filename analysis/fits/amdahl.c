/* T = c0 + c1/P, and with what synchronization adds: a tree, log2 P, or one after the other, P. G. M. Amdahl, AFIPS
 * 1967. The serial share is c0/(c0 + c1). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/fit.h"

static int has_tree(const struct fit_shape *s) {
    return s->candidate & 1;
}

static int has_chain(const struct fit_shape *s) {
    return s->candidate >> 1;
}

static int shape(struct fit_shape *s, const struct fit_data *data) {
    (void)data;
    s->n_terms = 2 + has_tree(s) + has_chain(s);
    snprintf(s->text, sizeof s->text, "c0 + c1/P%s%s", has_tree(s) ? " + c2 log2(P)" : "",
             has_chain(s) ? " + c3 P" : "");
    return 1;
}

static void terms(const struct fit_shape *s, const double *x, double *term) {
    int k = 2;
    term[0] = 1;
    term[1] = 1 / x[0];
    if (has_tree(s)) term[k++] = log2(x[0]);
    if (has_chain(s)) term[k] = x[0];
}

static int parameters(const struct fit_shape *s, const double *coef, struct fit_parameter *out) {
    int k = 2;
    out[0] = (struct fit_parameter){"c0", "Y", coef[0], 0};
    out[1] = (struct fit_parameter){"c1", "Y", coef[1], 0};
    if (has_tree(s)) out[k] = (struct fit_parameter){"c2", "Y", coef[k], 0}, k++;
    if (has_chain(s)) out[k] = (struct fit_parameter){"c3", "Y", coef[k], 0}, k++;
    out[k++] = (struct fit_parameter){"serial share", "", coef[0] / (coef[0] + coef[1]), 0};
    return k;
}

const struct fit_model fit_model_amdahl = {
    .name = "amdahl",
    .summary = "strong scaling: a serial part, a parallel one, and overheads",
    .form = "T = c0 + c1/P (+ c2 log2 P) (+ c3 P)",
    .source = "Amdahl 1967",
    .x_text = "ranks",
    .least_x = 1,
    .most_x = 1,
    .least = 1,
    .positive = 1,
    .n_candidates = 4,
    .shape = shape,
    .terms = terms,
    .parameters = parameters,
};
