/* The report's figures. */
#include "design.h"
#include "figure.h"

const struct report_figure design_figures[] = {{0}};
