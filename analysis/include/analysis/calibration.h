/* calibration.h - the numbers of a described cluster with which it predicts measured times, and how well it then
 * predicts times that it was not fitted to.
 *
 *   sum over the points of  r_i^2,   r_i = ln(predicted_i / measured_i)
 *
 * is made small by Nelder and Mead's simplex (gsl_multimin, nmsimplex2), begun at the cluster's own numbers and at
 * draws of a Sobol sequence around them, as one simplex may end where a plan's placement or a collective changes.
 * Factors are looked for by their logarithm; times that are added by ln(1 + x / 1 ns), so that none is negative.
 * Intervals are of 95 %, by Student's t with points - parameters degrees of freedom, from the slopes at the minimum:
 * they say how far the form fits, and are too narrow where the points depend on each other.
 *
 * Held out: the points are dealt to folds by a seeded shuffle; each fold is predicted by a fit, begun anew, to the
 * others. All functions are local. */
#ifndef ANALYSIS_CALIBRATION_H
#define ANALYSIS_CALIBRATION_H

#include "analysis/parameter.h"
#include "analysis/stat.h"

enum { CALIBRATION_MOST_FREE = 8, CALIBRATION_FOLDS = 4, CALIBRATION_STARTS = 4 };

/* The time in s, above 0, of point i on a cluster. Nonzero ends the calibration. */
typedef int calibration_predict(void *user, int i, const struct cluster *c, double *seconds, struct diag *d);

struct calibration_point {
    double measured_s; /* in */
    double described_s, fitted_s,
        held_s; /* out: with the cluster's own numbers, with all fitted, with its fold held out */
    int fold;
};

struct calibration_value {
    const struct parameter *parameter; /* in: one with set */
    double x; /* out, as parameter.h has it */
    struct stat_interval x_at_95; /* NaN where the points say nothing of it */
    int at_bound; /* no time is added, or the end of its range: it would have gone on */
    double held_low, held_high; /* least and most of the folds' fits */
};

struct calibration {
    struct calibration_value value[CALIBRATION_MOST_FREE];
    int n_free;
    struct calibration_point *point;
    int n_points;
    uint64_t seed;
    int agree,
        starts; /* starts that ended within 1 % of the least sum of squares (or at next to nothing), of so many */
    double rcond; /* smallest over largest singular value of the slopes: below CALIBRATION_COLLINEAR the points do not
                   * tell the parameters apart */
    long predictions;
};
#define CALIBRATION_COLLINEAR 1e-3

/* ERR_RANGE: fewer than parameters + 3 points, or a time that is none; ERR_MEMORY; what eval returned. */
int calibration_run(struct calibration *cal, const struct cluster *c, calibration_predict *eval, void *user,
                    struct diag *d);
/* c with the fitted values. */
struct cluster calibration_cluster(const struct calibration *cal, const struct cluster *c);

/* |exp(error) - 1| of one of the three predictions of all points: median and greatest, and which point that is. */
enum calibration_which { CALIBRATION_DESCRIBED, CALIBRATION_FITTED, CALIBRATION_HELD };
struct calibration_error {
    double median, worst;
    int worst_point;
};
struct calibration_error calibration_error_of(const struct calibration *cal, enum calibration_which which);

#endif
