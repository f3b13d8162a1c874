/* Fits: planted parameters come back, to rounding without noise, inside intervals with it; outliers move little;
 * another form's data are flagged. A model of the table without a row here fails. The argument is the number of draws.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/crossover.h"
#include "analysis/fit.h"
#include "base/hash.h"
#include "check.h"

/* A model with data that it describes. */
struct planted {
    const char *model;
    int candidate; /* that these data are of */
    int n_x;
    double x[FIT_MOST_X][16]; /* the values of each column; rows are all combinations, 0 ends */
    double (*y)(const double *x);
    int n_parameters;
    double parameter[FIT_MOST_PARAMETERS];
    int coverage; /* whether t intervals are tested */
};

static double hockney(const double *x) {
    return 2 + 0.001 * x[0];
}
static double segments(const double *x) {
    return x[0] < 4096 ? 1.5 + 0.0003 * x[0] : x[0] < 65536 ? 4 + 0.0002 * x[0] : 10 + 0.0001 * x[0];
}
static double collective(const double *x) {
    return 3 * log2(x[0]) + 0.002 * x[1] * (x[0] - 1) / x[0];
}
static double amdahl(const double *x) {
    return 2 + 30 / x[0] + 0.5 * log2(x[0]);
}
static double gustafson(const double *x) {
    return x[0] - 0.05 * (x[0] - 1);
}
static double usl(const double *x) {
    return 100 * x[0] / (1 + 0.04 * (x[0] - 1) + 0.0006 * x[0] * (x[0] - 1));
}
static double pmnf(const double *x) {
    return 5 + 0.3 * pow(x[0], 1.5) * log2(x[0]);
}
static double memory_link(const double *x) {
    return 0.5 + 40 / x[0] + 3 / x[1] + 0.01 * x[2];
}
static double energy(const double *x) {
    return 300 * x[0] + 2 + 0.05 * x[1];
}
static double exponential(const double *x) {
    return 7 * exp(0.5 * (x[0] - 2015));
}
static double power(const double *x) {
    return 3 * pow(x[0], 0.7);
}

#define SIZES                                                                                                          \
    { 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288 }
#define RANKS                                                                                                          \
    { 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64 }

static const struct planted rows[] = {
    {"hockney", 0, 1, {SIZES}, hockney, 4, {2, 0.001, 1000, 2000}, 1},
    {"loggp-segments", 2, 1, {SIZES}, segments, 8, {1.5, 0.0003, 4, 0.0002, 10, 0.0001, 4096, 65536}, 0},
    {"collective", 17, 2, {{2, 4, 8, 16, 32}, {64, 1024, 16384, 65536}}, collective, 2, {3, 0.002}, 1},
    {"amdahl", 1, 1, {RANKS}, amdahl, 4, {2, 30, 0.5, 2 / 32.0}, 1},
    {"gustafson", 0, 1, {RANKS}, gustafson, 1, {0.05}, 1},
    {"usl", 0, 1, {RANKS}, usl, 4, {100, 0.04, 0.0006, 40}, 1},
    {"pmnf", 9 * 3 + 1, 1, {RANKS}, pmnf, 2, {5, 0.3}, 1},
    {"memory-link", 0, 3, {{1, 3, 13}, {0.1, 1, 16}, {10, 80}}, memory_link, 4, {0.5, 40, 3, 0.01}, 1},
    {"energy", 0, 2, {{0.01, 0.02, 0.05, 0.1}, {1, 8, 32, 64}}, energy, 3, {300, 2, 0.05}, 1},
    {"exponential",
     0,
     1,
     {{2010, 2011, 2012, 2013, 2014, 2015, 2016, 2017, 2018, 2019, 2020, 2021}},
     exponential,
     5,
     {7, 0.5, 2 * M_LN2, M_E, 22026.465794806718},
     1},
    {"bspline", 0, 1, {SIZES}, power, 3, {0.7, 0.7, 0.7}, 1},
};
enum { N_PLANTED = sizeof rows / sizeof *rows };

static int values(const double *v) {
    int n = 0;
    while (n < 16 && v[n] > 0)
        n++;
    return n;
}

/* All combinations, each `times` times, with noise that multiplies: of a spread, one in twenty of four times that. */
static void plant(struct fit_data *data, const struct planted *p, int times, double spread, uint64_t key) {
    struct diag d = {0};
    int n = times;
    uint64_t state = 0;
    for (int k = 0; k < p->n_x; k++)
        n *= values(p->x[k]);
    CHECK(fit_data_init(data, n, p->n_x, &d) == 0, "%s", d.text);
    for (int i = 0; i < n; i++) {
        double *x = &data->x[i * p->n_x], noise = 0;
        for (int k = 0, at = i / times; k < p->n_x; at /= values(p->x[k]), k++)
            x[k] = p->x[k][at % values(p->x[k])];
        for (int k = 0; k < 12; k++)
            noise += rng_unit(key, state++) - 0.5;
        if (rng_unit(key, state++) < 0.05) noise *= 4;
        data->y[i] = p->y(x) * exp(spread * noise);
        data->line[i] = i;
    }
    CHECK(fit_data_sort(data, &d) == 0, "%s", d.text);
}

static const struct fit_model *model_of(const struct planted *p) {
    const struct fit_model *m = fit_model_find(p->model);
    CHECK(m != NULL, "%s is not in the table", p->model);
    return m;
}

static void check_exact(const struct planted *p) {
    struct fit_data data;
    struct fit_list list;
    struct fit_parameter out[FIT_MOST_PARAMETERS];
    struct diag d = {0};
    const struct fit_model *m = model_of(p);
    plant(&data, p, 1, 0, 0);
    CHECK(fit_list_make(&list, &m, 1, &data, &d) == 0, "%s: %s", p->model, d.text);
    const struct fit *f = list.fit;
    CHECK(f->shape.candidate == p->candidate, "%s: candidate %d (%s) in place of %d", p->model, f->shape.candidate,
          f->shape.text, p->candidate);
    int n = m->parameters(&f->shape, f->coef, out);
    CHECK(n == p->n_parameters, "%s: %d parameters", p->model, n);
    for (int i = 0; i < n; i++)
        CHECK(fabs(out[i].value / p->parameter[i] - 1) < 1e-8, "%s, %s: %.12g in place of %.12g", p->model, out[i].name,
              out[i].value, p->parameter[i]);
    CHECK(!f->depends && f->left_out < 1e-8, "%s: lag-1 %.3f, left out %.3g", p->model, f->lag1, f->left_out);
    fit_list_free(&list);
    fit_data_free(&data);
}

/* What 95 % of `draws` may differ by: three and a half standard deviations; of 2,000, the 2 % that are asked for. */
static double allowed(int draws) {
    return draws >= 2000 ? 0.02 : 3.5 * sqrt(0.95 * 0.05 / draws);
}

static void check_coverage(const struct planted *p, int draws) {
    int covered[FIT_MOST_PARAMETERS] = {0}, solved = 0;
    for (int b = 0; b < draws; b++) {
        struct fit_data data;
        struct fit f;
        struct fit_number number[FIT_MOST_PARAMETERS + FIT_MOST_AT];
        plant(&data, p, 4, 0.05, (uint64_t)b + 1000);
        if (fit_solve(&f, model_of(p), p->candidate, &data, NULL) == 0) {
            solved++;
            int n = fit_t_intervals(number, &f, NULL, 0);
            for (int i = 0; i < n; i++)
                covered[i] += number[i].t.low <= p->parameter[i] && p->parameter[i] <= number[i].t.high;
        }
        fit_data_free(&data);
    }
    CHECK(solved >= 0.98 * draws, "%s: %d of %d draws have a fit", p->model, solved, draws);
    for (int i = 0; i < p->n_parameters; i++)
        CHECK(fabs((double)covered[i] / solved - 0.95) <= allowed(solved), "%s, parameter %d: %.2f %% covered",
              p->model, i, 100.0 * covered[i] / solved);
}

int main(int argc, char **argv) {
    int draws = argc > 1 ? atoi(argv[1]) : 200;
    for (int i = 0; fit_models[i]; i++) {
        int known = fit_models[i]->pair;
        for (int k = 0; k < N_PLANTED; k++)
            known |= !strcmp(rows[k].model, fit_models[i]->name);
        CHECK(known, "%s has no row here", fit_models[i]->name);
    }
    for (int k = 0; k < N_PLANTED; k++) {
        check_exact(&rows[k]);
        if (rows[k].coverage) check_coverage(&rows[k], draws);
    }
    return check_report("test_fits");
}
