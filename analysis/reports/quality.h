/* quality.h - the parts of the report on quality. */
#ifndef ANALYSIS_REPORTS_QUALITY_H
#define ANALYSIS_REPORTS_QUALITY_H

#include "analysis/report.h"

/* Errors of wire forms, stored weights and caches: predicted (analysis/error_model.h) and measured side by side. */
int quality_errors(struct report_page *page, const struct app *app, struct diag *d);

#endif
