/* The report's figures. */
#include "figure.h"
#include "scaling.h"

const struct report_figure scaling_figures[] = {{0}};
