/* measured.h - what reports that measure have in common. All functions are local. */
#ifndef ANALYSIS_MEASURED_H
#define ANALYSIS_MEASURED_H

#include "analysis/job.h"
#include "analysis/report.h"

/* A job of this program under mpirun (job.h), and the note of the tables it fills: its command line, and how busy the
 * machine was before it. `what` stands in front; the caller frees both. */
int measured_job(json_t **out, char **note, int ranks, int n_words, const char *const *words, const char *what,
                 struct diag *d);
/* Cells KEY, KEY_low and KEY_high, times `scale`. */
void measured_cells(struct frame *t, const json_t *o, const char *key, double scale);
/* "0.231 ms [0.214, 0.254]", scaled; without an interval the number alone. buf of at least 96 bytes; returns buf. */
char *measured_text(char *buf, size_t cap, const json_t *o, const char *key, double scale, const char *unit);
/* Whether the intervals of the two lie apart: 1: a's below b's, -1: above, 0: not told apart. */
int measured_below(const json_t *a, const json_t *b, const char *key);

#endif
