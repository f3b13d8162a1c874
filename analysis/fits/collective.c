/* T(P, n) of a collective: which of 1, log2 P, P, n, n (P - 1)/P it takes: start-ups along a tree or a ring, a vector
 * sent whole or in parts. Terms as in R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of collective communication
 * operations in MPICH", 2005; all subsets, compared by AICc. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/fit.h"

enum { N_ALL = 5 };
static const char *const names[N_ALL] = {"1", "log2(P)", "P", "n", "n(P-1)/P"};
static const char *const units[N_ALL] = {"Y", "Y", "Y", "Y/Z", "Y/Z"};

/* Candidate c is the set of bits of c + 1; terms of n need its column. */
static int shape(struct fit_shape *s, const struct fit_data *data) {
    int set = s->candidate + 1;
    s->text[0] = 0;
    for (int i = 0; i < N_ALL; i++) {
        if (!(set >> i & 1)) continue;
        size_t at = strlen(s->text);
        snprintf(s->text + at, sizeof s->text - at, "%s%s", s->n_terms++ ? ", " : "", names[i]);
    }
    return set >> 3 == 0 || data->n_x == 2;
}

static void terms(const struct fit_shape *s, const double *x, double *term) {
    int set = s->candidate + 1, k = 0;
    for (int i = 0; i < N_ALL; i++) {
        if (!(set >> i & 1)) continue;
        double p = x[0];
        term[k++] = i == 0 ? 1 : i == 1 ? log2(p) : i == 2 ? p : i == 3 ? x[1] : x[1] * (p - 1) / p;
    }
}

static int parameters(const struct fit_shape *s, const double *coef, struct fit_parameter *out) {
    int set = s->candidate + 1, k = 0;
    for (int i = 0; i < N_ALL; i++)
        if (set >> i & 1) {
            out[k] = (struct fit_parameter){names[i], units[i], coef[k], 0};
            k++;
        }
    return k;
}

const struct fit_model fit_model_collective = {
    .name = "collective",
    .summary = "a collective's time over ranks and bytes",
    .form = "T = sum over a subset of {1, log2 P, P, n, n(P-1)/P}",
    .source = "Thakur, Rabenseifner & Gropp 2005",
    .x_text = "ranks, or ranks,bytes",
    .least_x = 1,
    .most_x = 2,
    .least = 0,
    .positive = 1,
    .n_candidates = (1 << N_ALL) - 1,
    .shape = shape,
    .terms = terms,
    .parameters = parameters,
};
