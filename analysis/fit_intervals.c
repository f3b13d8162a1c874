/* fit_intervals.c - how well what a fit says is known: Student's t, and the bootstrap (Efron & Tibshirani 1993). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/fit.h"
#include "base/hash.h"

enum { MOST_NUMBERS = FIT_MOST_PARAMETERS + FIT_MOST_AT };

/* Parameters, then values at points. */
static int numbers_of(const struct fit *f, const double (*at)[FIT_MOST_X], int n_at, double *out) {
    struct fit_parameter p[FIT_MOST_PARAMETERS];
    int n = f->model->parameters(&f->shape, f->coef, p);
    for (int i = 0; i < n; i++)
        out[i] = p[i].value;
    for (int i = 0; i < n_at; i++)
        out[n + i] = fit_value(f, at[i]);
    return n + n_at;
}

/* ---- Student's t ---- */

/* Standard errors by the delta method: g' cov g, g by central differences of a thousandth of a standard error. */
static void standard_errors(const struct fit *f, const double (*at)[FIT_MOST_X], int n_at, double *se) {
    double g[MOST_NUMBERS][FIT_MOST_TERMS], low[MOST_NUMBERS], high[MOST_NUMBERS];
    int k = f->shape.n_terms, n = 0;
    for (int j = 0; j < k; j++) {
        struct fit moved = *f;
        double error = sqrt(f->cov[j * k + j]), h = fmax(1e-3 * error, 1e-7 * fabs(f->coef[j]));
        if (!(h > 0)) h = 1e-9;
        moved.coef[j] = f->coef[j] - h;
        numbers_of(&moved, at, n_at, low);
        moved.coef[j] = f->coef[j] + h;
        n = numbers_of(&moved, at, n_at, high);
        for (int i = 0; i < n; i++)
            g[i][j] = (high[i] - low[i]) / (2 * h);
    }
    for (int i = 0; i < n; i++) {
        double sum = 0;
        int moves = 0;
        for (int a = 0; a < k; a++)
            for (int b = 0; b < k; b++) {
                sum += g[i][a] * f->cov[a * k + b] * g[i][b];
                moves |= g[i][a] != 0;
            }
        se[i] = moves ? sqrt(fmax(sum, 0)) : NAN;
    }
}

/* Of what is positive, on a logarithmic scale. */
static struct stat_interval t_interval(const struct fit_parameter *p, double se, int dof) {
    if (!p->positive) return stat_t(p->value, se, dof);
    struct stat_interval in = stat_t(log(p->value), se / p->value, dof);
    return (struct stat_interval){exp(in.low), exp(in.high)};
}

int fit_t_intervals(struct fit_number *out, const struct fit *f, const double (*at)[FIT_MOST_X], int n_at) {
    struct fit_parameter p[FIT_MOST_PARAMETERS];
    double se[MOST_NUMBERS], value[MOST_NUMBERS];
    int n = numbers_of(f, at, n_at, value), n_parameters = f->model->parameters(&f->shape, f->coef, p);
    standard_errors(f, at, n_at, se);
    for (int i = 0; i < n; i++) {
        out[i].parameter = i < n_parameters ? p[i] : (struct fit_parameter){.value = value[i], .positive = 1};
        out[i].t = t_interval(&out[i].parameter, se[i], f->dof);
    }
    return n;
}

/* ---- bootstrap ---- */

static int pick(int n, uint64_t key, uint64_t *state) {
    return (int)(rng_u64(key, (*state)++) % (uint64_t)n);
}

/* Rows, or runs with all their rows, drawn with replacement, in order: how often each was drawn, then that often. */
static void draw_pairs(struct fit_data *out, const struct fit_data *data, uint64_t key, uint64_t *state) {
    int n = data->run ? data->n_runs : data->n;
    out->n = 0;
    memset(out->line, 0, (size_t)n * sizeof *out->line);
    for (int i = 0; i < n; i++)
        out->line[pick(n, key, state)]++;
    for (int i = 0; i < data->n; i++)
        out->n += out->line[data->run ? data->run[i] : i];
    for (int i = data->n - 1, to = out->n; i >= 0; i--)
        for (int times = out->line[data->run ? data->run[i] : i]; times > 0; times--) {
            out->y[--to] = data->y[i];
            memcpy(&out->x[to * data->n_x], &data->x[i * data->n_x], (size_t)data->n_x * sizeof *data->x);
        }
}

int fit_draw_rows(const struct fit_data *data) {
    return data->run ? data->n_runs * data->most_run : data->n;
}

/* Residuals of a fit are smaller than errors by the degrees of freedom that it took. */
static void draw_residuals(struct fit_data *out, const struct fit *f, const struct fit_data *data, uint64_t key,
                           uint64_t *state) {
    double wider = sqrt((double)data->n / f->dof);
    for (int i = 0; i < data->n; i++) {
        int from = pick(data->n, key, state);
        const double *x = &data->x[i * data->n_x];
        double r = wider * fit_residual(f, &data->x[from * data->n_x], data->y[from]), value = fit_value(f, x);
        memcpy(&out->x[i * data->n_x], x, (size_t)data->n_x * sizeof *x);
        if (!(value > 0)) value = data->y[i];
        out->y[i] = f->model->logarithmic ? value * exp(r) : value * fmax(1 + r, 1e-6);
    }
    out->n = data->n;
}

void fit_draw(struct fit_data *out, const struct fit *f, const struct fit_data *data, int residuals, uint64_t key,
              uint64_t *state) {
    if (residuals)
        draw_residuals(out, f, data, key, state);
    else
        draw_pairs(out, data, key, state);
}

/* Draws of number i lie at draw[i * draws ...]; NaN where a draw has no fit. */
static void bootstrap(double *draw, int draws, int n, const struct fit *f, const struct fit_data *data,
                      struct fit_data *other, const double (*at)[FIT_MOST_X], int n_at, int residuals, uint64_t key) {
    uint64_t state = 0;
    for (int b = 0; b < draws; b++) {
        struct fit again;
        double v[MOST_NUMBERS];
        fit_draw(other, f, data, residuals, key, &state);
        int none = fit_solve(&again, f->model, f->shape.candidate, other, f);
        if (!none) numbers_of(&again, at, n_at, v);
        for (int i = 0; i < n; i++)
            draw[i * draws + b] = none ? NAN : v[i];
    }
}

int fit_intervals(struct fit_intervals *out, const struct fit *f, const struct fit_data *data,
                  const double (*at)[FIT_MOST_X], int n_at, uint64_t seed, struct diag *d) {
    struct fit_data other;
    *out = (struct fit_intervals){.n_at = n_at};
    int n = fit_t_intervals(out->number, f, at, n_at);
    int draws = data->n <= 250 ? 1000 : data->n < 1250 ? 250000 / data->n : 200;
    out->n_parameters = n - n_at;
    out->draws = draws;
    double *draw = malloc((size_t)n * (size_t)draws * sizeof *draw);
    if (!draw) return diag_set(d, ERR_MEMORY, "no memory for %d draws", draws);
    int rc = fit_data_init(&other, fit_draw_rows(data), data->n_x, d);
    if (rc) {
        free(draw);
        return rc;
    }
    for (int i = 0; i < n; i++)
        if (data->run) out->number[i].t = out->number[i].residuals = (struct stat_interval){NAN, NAN};
    for (int residuals = 0; residuals < (data->run ? 1 : 2); residuals++) {
        bootstrap(draw, draws, n, f, data, &other, at, n_at, residuals, hash_mix(seed + (uint64_t)residuals));
        for (int i = 0; i < n; i++)
            *(residuals ? &out->number[i].residuals : &out->number[i].pairs) = stat_percentile(draw + i * draws, draws);
    }
    fit_data_free(&other);
    free(draw);
    return 0;
}
