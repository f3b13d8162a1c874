/* quality.h - the parts of the report on quality. */
#ifndef ANALYSIS_REPORTS_QUALITY_H
#define ANALYSIS_REPORTS_QUALITY_H

#include "analysis/report.h"
#include "analysis/sweep_run.h"

/* Errors of wire forms, stored weights and caches: predicted (analysis/error_model.h) and measured side by side. */
int quality_errors(struct report_page *page, const struct app *app, struct diag *d);

/* The decoder in 4 bits before and after its steps are learned. of: the same text by each; whole: it is that of the
 * training's logs, which are compared. ERR_IO, ERR_FORMAT: of a log. */
enum quality_training { QUALITY_BASE, QUALITY_BEFORE, QUALITY_AFTER, QUALITY_TRAINING };
int quality_training(struct report_page *page, const struct sweep_outcome *const of[QUALITY_TRAINING], int whole,
                     struct diag *d);

#endif
