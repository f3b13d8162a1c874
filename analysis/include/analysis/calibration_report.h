/* calibration_report.h - numbers of a described cluster fitted to what a sweep has measured. All functions are local.
 */
#ifndef ANALYSIS_CALIBRATION_REPORT_H
#define ANALYSIS_CALIBRATION_REPORT_H

#include "analysis/report.h"

struct calibration_ask {
    const char *spec, *db; /* a sweep with a cluster in its base, and the file of its results */
    const char *free; /* parameters, separated by commas */
    uint64_t seed; /* of the folds */
};
/* Tables: the parameters, the errors before, after and held out, each point. Points are the measured ones (engine run)
 * of the sweep, each beside its simulation on the cluster: decoding of a token, for a user. ERR_FORMAT: points without
 * results, cluster or length; ERR_RANGE as calibration_run. */
int calibration_report(struct report_page *page, const struct calibration_ask *ask, const struct app *app,
                       struct diag *d);

#endif
