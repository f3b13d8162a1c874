/* timeline.h - one row a rank, time from left to right: as text, and as a picture. */
#ifndef DIST_TIMELINE_H
#define DIST_TIMELINE_H

#include <stdio.h>

#include "dist/record.h"

struct timeline {
    uint64_t from_ps, to_ps; /* from < to */
    const char *kind; /* "simulated" */
    const struct recording *r; /* of that time at least */
    const struct plan *p;
    const struct cluster *c;
};

void timeline_print(const struct timeline *t, FILE *out);
void timeline_svg(void *timeline, FILE *out); /* for text_write_file */

#endif
