/* fit_linear.h - for models with a `solve` of their own. */
#ifndef ANALYSIS_FIT_LINEAR_H
#define ANALYSIS_FIT_LINEAR_H

#include "analysis/fit.h"

/* Coefficients, covariance, sigma and condition by the terms of f->model and f->shape. `start` as in fit_solve, which
 * leaves `condition` unknown. Nonzero: a singular matrix. */
int fit_linear(struct fit *f, const struct fit_data *data, const struct fit *start);

#endif
