/* draft_report.h - what drafts were good for, as text and JSON. */
#ifndef DIST_DRAFT_REPORT_H
#define DIST_DRAFT_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "dist/engine.h"

/* Two lines, each after `indent`: drafted, accepted, turns, tokens a turn. */
void draft_print(FILE *out, const char *indent, const struct draft_params *p, const struct draft_stats *s);
json_t *draft_json(const struct draft_params *p, const struct draft_stats *s);

/* What decoding cost all ranks, for each token after a sequence's first; counted. */
struct draft_traffic {
    double messages, sent_bytes, weight_bytes, passes;
};
/* Adds a rank's statistics over `tokens` tokens; passes are those of the first replica's stage 0. */
void draft_traffic_add(struct draft_traffic *t, const struct plan *p, int rank, const struct engine_stats *s,
                       double tokens);
/* Of all ranks of a link, from each one's own statistics. Collective. */
int draft_traffic_gather(struct draft_traffic *t, const struct plan *p, struct link *l, const struct engine_result *r,
                         struct diag *d);
void draft_traffic_print(FILE *out, const char *indent, const struct draft_traffic *t);
void draft_traffic_json(json_t *o, const struct draft_traffic *t);

#endif
