/* E = p0 t + e_step + e_seq B: power while a step lasts, energy of a step, energy of each of its sequences. Time
 * overlaps, energy does not (J. W. Choi et al., "A roofline model of energy", IPDPS 2013). Steps of more sequences take
 * longer, so that p0 and e_step are often known only together: see `condition`. */
#include <stdio.h>

#include "analysis/fit.h"

static int shape(struct fit_shape *s, const struct fit_data *data) {
    (void)data;
    s->n_terms = 3;
    snprintf(s->text, sizeof s->text, "p0 t + e_step + e_seq B");
    return 1;
}

static void terms(const struct fit_shape *s, const double *x, double *term) {
    (void)s;
    term[0] = x[0];
    term[1] = 1;
    term[2] = x[1];
}

static int parameters(const struct fit_shape *s, const double *coef, struct fit_parameter *out) {
    (void)s;
    out[0] = (struct fit_parameter){"p0", "Y/X", coef[0], 0};
    out[1] = (struct fit_parameter){"e_step", "Y", coef[1], 0};
    out[2] = (struct fit_parameter){"e_seq", "Y/Z", coef[2], 0};
    return 3;
}

const struct fit_model fit_model_energy = {
    .name = "energy",
    .summary = "energy of a step by power, step and sequences",
    .form = "E = p0 t + e_step + e_seq B",
    .source = "Choi et al. 2013",
    .x_text = "time of a step,sequences",
    .least_x = 2,
    .most_x = 2,
    .n_candidates = 1,
    .shape = shape,
    .terms = terms,
    .parameters = parameters,
};
