/* gnuplot.h - the program that draws figures. */
#ifndef ANALYSIS_GNUPLOT_H
#define ANALYSIS_GNUPLOT_H

#include <stdio.h>

/* Runs gnuplot on the commands in `in` (NULL: asks for its version), its picture into `out`. 0, or -1: it is not there
 * or failed. Local. */
int gnuplot_run(FILE *in, FILE *out);

#endif
