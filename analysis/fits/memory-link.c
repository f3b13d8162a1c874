/* latency = a + b/BW_memory + c/BW_link + d messages: what a token reads, sends and starts. b and c are bytes, d a
 * message's time: the roofline's times (S. Williams et al., CACM 2009) and Hockney's start-ups, one after the other. */
#include <stdio.h>

#include "analysis/fit.h"

static int shape(struct fit_shape *s, const struct fit_data *data) {
    s->n_terms = 1 + data->n_x;
    snprintf(s->text, sizeof s->text, "a + b/M + c/L%s", data->n_x > 2 ? " + d m" : "");
    return 1;
}

static void terms(const struct fit_shape *s, const double *x, double *term) {
    term[0] = 1;
    term[1] = 1 / x[0];
    term[2] = 1 / x[1];
    if (s->n_terms > 3) term[3] = x[2];
}

static int parameters(const struct fit_shape *s, const double *coef, struct fit_parameter *out) {
    static const char *const name[] = {"a", "b", "c", "d"}, *const unit[] = {"Y", "Y*X", "Y*Z", "Y/W"};
    for (int i = 0; i < s->n_terms; i++)
        out[i] = (struct fit_parameter){name[i], unit[i], coef[i], 0};
    return s->n_terms;
}

const struct fit_model fit_model_memory_link = {
    .name = "memory-link",
    .summary = "latency over memory bandwidth, link bandwidth and messages",
    .form = "t = a + b/BW_memory + c/BW_link (+ d messages)",
    .source = "Williams et al. 2009; Hockney 1994",
    .x_text = "memory bandwidth,link bandwidth, or these and messages",
    .least_x = 2,
    .most_x = 3,
    .least = 1e-300,
    .n_candidates = 1,
    .shape = shape,
    .terms = terms,
    .parameters = parameters,
};
