/* sweep_lab.h - points of a sweep between hosts of the lab (docs/LAB.md). All functions are local. */
#ifndef ANALYSIS_SWEEP_LAB_H
#define ANALYSIS_SWEEP_LAB_H

#include <jansson.h>

#include "analysis/sweep.h"

enum { LAB_LINKS = 64, LAB_WORDS = SWEEP_WORDS + 2 * SWEEP_LAB_KEYS + 4 };

/* What ping-pong said of the links that points were joined by: it is asked once for each rate, latency and number of
 * hosts. All zero: nothing yet. */
struct lab_links {
    struct lab_link {
        char name[160];
        char verified[160]; /* "": not yet, or it is refused */
        char refused[256]; /* why */
    } link[LAB_LINKS];
    int n;
};

/* A command line of northwall-lab. */
struct lab_line {
    const char *word[LAB_WORDS];
    int n;
    char ranks[16], report[32];
};

/* As typed into a shell. The words are the point's: good as long as it is. */
void lab_line(struct lab_line *out, const struct sweep_point *p, int ranks);

/* Runs a point; *o is what bench printed, freed by json_decref. *verified: how its links were, "": it has none; good as
 * long as links is unchanged. ERR_MISMATCH: its links are refused, without another ping-pong where that is known. */
int lab_run(json_t **o, const char **verified, struct lab_links *links, const struct sweep_point *p, int ranks,
            struct diag *d);

#endif
