/* results_text.h - results as tables, CSV, JSON Lines and Extra-P text, and from the first two.
 *
 * All functions are local. */
#ifndef ANALYSIS_RESULTS_TEXT_H
#define ANALYSIS_RESULTS_TEXT_H

#include <stdio.h>

#include "analysis/frame.h"
#include "analysis/results.h"

/* Which results (results_each), and of them which columns: names of members, parameters and values, separated by
 * commas; NULL: all. */
struct results_select {
    struct results *from;
    const char *const *where;
    int n_where;
    const char *columns;
};

/* A row a result. A parameter's column has its name, a value's also its unit; NAME:low, :high, :n, :interval and :kind
 * stand beside it where a result has them. brief, without columns: status, parameters that differ, the first values.
 * ERR_USAGE: no such column; the text names those that there are. The caller frees *out. */
int results_frame(struct frame **out, const struct results_select *s, int brief, struct diag *d);
/* An object a line (results.h). */
int results_jsonl(const struct results_select *s, FILE *out, struct diag *d);
/* The text format of Extra-P (PARAMETER, POINTS, REGION, METRIC, DATA): parameters are the numbers that differ, metrics
 * the values among the columns. Only results that are ok. ERR_USAGE: a text differs (which needs --where), or a
 * parameter has fewer than 5 numbers, which its fits need; ERR_FORMAT: a point lacks a value. */
int results_extrap(const struct results_select *s, FILE *out, struct diag *d);

/* Adds the results of FILE.csv or FILE.jsonl, all or none of them; *added: those that were not there yet. ERR_FORMAT
 * names file and line. */
int results_import(struct results *r, const char *path, int *added, int *n, struct diag *d);

#endif
