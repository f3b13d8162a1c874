/* record_report.h - recorded events to look at: --trace and --timeline. */
#ifndef DIST_RECORD_REPORT_H
#define DIST_RECORD_REPORT_H

#include <stdio.h>

#include "dist/record.h"

/* What the two options ask for. */
struct record_ask {
    const char *trace, *svg; /* files, or NULL */
    int timeline;
    uint64_t from_ps, to_ps; /* of the timeline; to_ps 0: the last token's pass */
};

/* trace: FILE or NULL; timeline: [A:B][,][FILE.svg] with times in ms, or NULL. The texts outlive *out. ERR_USAGE.
 * Local. */
int record_ask_parse(struct record_ask *out, const char *trace, const char *timeline, struct diag *d);

/* Writes and draws what is asked for; to `out` what is text. kind: "simulated". ERR_IO. Local. */
int record_show(const struct record_ask *ask, const char *kind, const struct recording *r, const struct plan *p,
                const struct cluster *c, FILE *out, struct diag *d);

/* "card 3, stage 1", "host, stage 0", "replica 1, card 5, stage 0"; buf of at least 64 bytes; returns buf. */
char *record_rank_name(char *buf, size_t cap, const struct plan *p, int rank);

#endif
