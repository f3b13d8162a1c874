/* table.h - results as rows: the same for a terminal, as CSV, and as JSON.
 *
 *   struct table *t = table_new("gpus", "GPUs of the 2024 serving stack", "");
 *   table_column(t, "latency", "ms/token", 3);
 *   table_text(t, "L4"); table_number(t, 46.3); table_end_row(t);
 *
 * Cells are added from left to right. A failure (no memory) is remembered, and told by table_print, table_csv and
 * table_json. All functions are local. */
#ifndef ANALYSIS_TABLE_H
#define ANALYSIS_TABLE_H

#include <jansson.h>
#include <stdio.h>

#include "base/diag.h"

struct table;

/* name: a word, for files and keys. note: what has to be known to read it, under the title; "" for nothing. NULL
 * without memory; every other function does nothing with a table that is NULL. */
struct table *table_new(const char *name, const char *title, const char *note);
void table_free(struct table *t);
/* digits: significant digits of its numbers; texts are left as they are. unit may be "". */
void table_column(struct table *t, const char *name, const char *unit, int digits);
void table_text(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_number(struct table *t, double x); /* NaN: a cell without a value */
void table_end_row(struct table *t);
int table_rows(const struct table *t);
const char *table_name(const struct table *t);

/* All return 0, or ERR_MEMORY where a cell was lost. */
int table_print(const struct table *t, FILE *out, struct diag *d);
int table_csv(const struct table *t, FILE *out, struct diag *d); /* RFC 4180; the header is "name [unit]" */
int table_json(const struct table *t, json_t **out, struct diag *d); /* {"title", "note", "rows": [{"name unit": ...}]} */

#endif
