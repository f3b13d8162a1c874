/* fit.h - curves through measured points: a table of models (analysis/fits/), one file, one word, one test each.
 *
 *   struct fit_data data;
 *   struct fit_list list;
 *   if (!fit_data_read(&data, "coll.csv", "bytes", "time_us", &d) && !fit_list_make(&list, models, 2, &data, &d))
 *       ... list.fit[0] is the best of all candidates by AICc; fit_value(&list.fit[0], x), fit_draw ...
 *   fit_list_free(&list); fit_data_free(&data);
 *
 * All data are above zero and their noise multiplies: residuals are (y - f)/f, or ln y - ln f where a model is
 * logarithmic; both are densities of y, so AICc compares all models of the same data. A model has candidates (how many
 * segments, which terms), each of which is
 *   f(x) = offset(x) + sum c_j term_j(x)
 * with coefficients by iteratively reweighted least squares, Tukey's bisquare (gsl_multifit_robust) on rows divided by
 * f; or its own `solve`. All functions are local. */
#ifndef ANALYSIS_FIT_H
#define ANALYSIS_FIT_H

#include <stdint.h>

#include "analysis/stat.h"

enum {
    FIT_MOST_X = 3, /* columns */
    FIT_MOST_TERMS = 12,
    FIT_MOST_PARAMETERS = 12,
    FIT_LEAST_DOF = 3 /* rows more than parameters */
};

struct fit_column {
    char name[48], unit[24]; /* unit: between brackets in the header, or "" */
};

/* Rows in rising order of the first x. */
struct fit_data {
    int n, n_x;
    double *x, *y; /* [n][n_x], [n] */
    int *line; /* of the file */
    int *run, n_runs,
        most_run; /* [n] rows of one run have one number, from 0 on; rows of the longest; NULL: none is told */
    struct fit_column x_column[FIT_MOST_X], y_column;
};
/* Reads columns by their names in the header (with or without their unit) of a CSV file; `x` is a list. A file of
 * results (results.h) is read as its CSV would be, of results that are ok and that all conditions hold for. ERR_FORMAT:
 * no such column; a value that is no number, is not finite or below zero, or a y of zero: with line and column. The
 * caller frees. */
struct fit_source {
    const char *path, *x, *y;
    const char *runs; /* column whose equal texts are of one run; NULL: rows are independent */
    const char *const *where; /* "NAME=VALUE" */
    int n_where;
};
int fit_data_read(struct fit_data *out, const struct fit_source *from, struct diag *d);
/* Space for so many rows, columns without names. */
int fit_data_init(struct fit_data *out, int n, int n_x, struct diag *d);
int fit_data_sort(struct fit_data *data, struct diag *d); /* by the first x, then by line */
void fit_data_free(struct fit_data *data);

/* One candidate of a model, made for data. */
struct fit_shape {
    int candidate;
    int n_terms, extra; /* coefficients; numbers that are searched for, not solved for */
    double at[6]; /* breakpoints, exponents, range of knots: the model's own */
    char text[96]; /* "c0 + c1 P^0.5 log2(P)" */
};

/* unit: 'Y', 'X', 'Z', 'W' stand for those of y and of the x columns. */
struct fit_parameter {
    const char *name, *unit;
    double value;
    int positive; /* its t interval is taken of its logarithm */
};

struct fit;
struct fit_model {
    const char *name, *summary;
    const char *form, *source; /* the formula, and who published it */
    const char *x_text; /* what the x columns are */
    int least_x, most_x; /* columns */
    double least; /* x below is refused */
    int least_rows; /* 0: as many as the degrees of freedom ask for */
    int logarithmic; /* residuals are ln y - ln f, and without `solve` and `offset` the terms are those of ln f */
    int positive; /* candidates with a coefficient below zero are ruled out */
    int n_candidates;
    /* Fills in n_terms, extra, at and text of out->candidate; 0: there is no such candidate for these data. */
    int (*shape)(struct fit_shape *out, const struct fit_data *data);
    void (*terms)(const struct fit_shape *s, const double *x, double *term);
    double (*offset)(const double *x); /* NULL: 0 */
    /* Coefficients and their covariance [n_terms][n_terms] otherwise than by terms; nonzero: there are none. */
    int (*solve)(struct fit *f, const struct fit_data *data);
    double (*value)(const struct fit_shape *s, const double *coef, const double *x); /* NULL: by terms */
    /* What is reported; NULL: never (models of pairs). Returns how many. */
    int (*parameters)(const struct fit_shape *s, const double *coef, struct fit_parameter *out);
    int pair; /* of two fitted curves, not of data: analysis/crossover.h */
};
extern const struct fit_model *const fit_models[]; /* ended by NULL */
const struct fit_model *fit_model_find(const char *name); /* NULL: there is none */

struct fit {
    const struct fit_model *model;
    struct fit_shape shape;
    double coef[FIT_MOST_TERMS], cov[FIT_MOST_TERMS * FIT_MOST_TERMS];
    int n, dof;
    double sigma; /* robust standard error of the residuals */
    double scale, log_likelihood, aicc, weight; /* scale: of Student's t (stat.h) */
    double condition; /* of the columns at unit length; above FIT_COLLINEAR parameters are known only together; NaN: no
                         columns */
    double left_out; /* median of |residual| where the row was left out of the fit, over at most 100 rows */
    double lag1_x, lag1_rows; /* of the residuals in order of x, and of the file */
    int depends_x, depends_rows; /* they follow one another: the form is not the data's; the rows are not independent */
};
#define FIT_COLLINEAR 30.0 /* Belsley, Kuh & Welsch 1980 */

/* One candidate on data. 0, or 1 where it does not apply: no such candidate, too few rows, a singular matrix, a
 * coefficient of the wrong sign. `start`: an earlier fit of it to similar data, whose curve weighs the rows: faster,
 * and what judges the fit (likelihood, lag-1, condition) is left out; or NULL. */
int fit_solve(struct fit *out, const struct fit_model *m, int candidate, const struct fit_data *data,
              const struct fit *start);
double fit_value(const struct fit *f, const double *x);
double fit_residual(const struct fit *f, const double *x, double y);
/* x outside what was measured, in any column. */
int fit_extrapolates(const struct fit_data *data, const double *x);

/* All candidates of models that can be fitted, best first, with weights and what leaving rows out gives. ERR_RANGE:
 * a model's least rows, degrees of freedom or x; ERR_USAGE: its number of columns. */
struct fit_list {
    struct fit *fit;
    int n;
};
int fit_list_make(struct fit_list *out, const struct fit_model *const *models, int n_models,
                  const struct fit_data *data, struct diag *d);
void fit_list_free(struct fit_list *list);

/* Intervals of 95 % of numbers that a fit gives: its parameters, then its values at x[0..n_at). */
enum { FIT_MOST_AT = 16 };
struct fit_intervals {
    int n_parameters, n_at, draws;
    struct fit_number {
        struct fit_parameter parameter; /* of values: name NULL */
        struct stat_interval t, pairs, residuals;
    } number[FIT_MOST_PARAMETERS + FIT_MOST_AT];
};
/* By Student's t and the covariance alone (delta method; NaN for what was searched for); returns how many. */
int fit_t_intervals(struct fit_number *out, const struct fit *f, const double (*at)[FIT_MOST_X], int n_at);
/* Also by the bootstrap of pairs and of residuals with a seed: breakpoints are searched for again in each draw, the
 * candidate stays. Where rows are of runs (A. C. Davison, D. V. Hinkley, Bootstrap methods, 1997, section 3.8) pairs
 * are whole runs, and there are no other intervals: t's and residuals' take rows for independent. ERR_MEMORY. */
int fit_intervals(struct fit_intervals *out, const struct fit *f, const struct fit_data *data,
                  const double (*at)[FIT_MOST_X], int n_at, uint64_t seed, struct diag *d);
/* Data like those that were fitted: rows, or whole runs, drawn with replacement, or residuals drawn onto the curve.
 * `out` has space for fit_draw_rows(data) rows; `state` moves on. */
int fit_draw_rows(const struct fit_data *data);
void fit_draw(struct fit_data *out, const struct fit *f, const struct fit_data *data, int residuals, uint64_t key,
              uint64_t *state);

#endif
