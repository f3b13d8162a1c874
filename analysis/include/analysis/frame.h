/* frame.h - data frames: results as rows: the same for a terminal, as CSV, as JSON, and as HTML.
 *
 *   struct frame *t = frame_new("gpus", "GPUs of the 2024 serving stack", "");
 *   frame_column(t, "latency", "ms/token", 3);
 *   frame_text(t, "L4"); frame_number(t, 46.3); frame_end_row(t);
 *
 * Cells are added from left to right. A failure (no memory) is remembered, and told by what prints or writes. All
 * functions are local. */
#ifndef ANALYSIS_FRAME_H
#define ANALYSIS_FRAME_H

#include <jansson.h>
#include <stdio.h>

#include "base/diag.h"

struct frame;

/* name: a word, for files and keys. note: what has to be known to read it, under the title; "" for nothing. NULL
 * without memory; every other function does nothing with a table that is NULL. */
struct frame *frame_new(const char *name, const char *title, const char *note);
void frame_free(struct frame *t);
/* digits: significant digits of its numbers on a terminal; CSV has 9, or with FRAME_EXACT all. Texts are left as they
 * are. unit may be "". */
enum { FRAME_EXACT = 17 };
void frame_column(struct frame *t, const char *name, const char *unit, int digits);
void frame_text(struct frame *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void frame_number(struct frame *t, double x); /* NaN: a cell without a value */
void frame_end_row(struct frame *t);
int frame_rows(const struct frame *t);
const char *frame_name(const struct frame *t);

/* All return 0, ERR_MEMORY where a cell was lost, or ERR_RANGE where two columns have the same name and unit. */
int frame_print(const struct frame *t, int most_rows, FILE *out, struct diag *d); /* says how many it leaves out */
int frame_csv(const struct frame *t, FILE *out, struct diag *d); /* RFC 4180; the header is "name [unit]" */
/* The same as a file that appears when complete; also ERR_IO. */
int frame_write(const struct frame *t, const char *path, struct diag *d);
/* Title, note, and the first rows in a box of their own that scrolls; csv: the file that has all, as an address. */
int frame_html(const struct frame *t, int most_rows, const char *csv, FILE *out, struct diag *d);
int frame_json(const struct frame *t, json_t **out,
               struct diag *d); /* {"title", "note", "rows": [{"name unit": ...}]} */

#endif
