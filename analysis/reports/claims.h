/* claims.h - what two papers claim, beside what this program says: a row and a criterion for each. */
#ifndef ANALYSIS_CLAIMS_H
#define ANALYSIS_CLAIMS_H

#include "memory_wall.h"
#include "northpole.h"

/* Decodes that several claims are judged by (claims_decode.c). */
enum { CLAIM_DECODES = 8, CLAIM_SHARDED = 40 };
struct claim_decode { /* as the batch grows */
    char text[96];
    struct wall_decode alone; /* one user */
    int memory_until; /* the largest batch looked at at which memory has the largest share; 0: not even one user's */
    int most; /* the largest that was looked at */
    const char *then; /* what has the largest share after that; NULL: nothing else */
};
struct claim_sharded { /* one user on several cards */
    char text[96];
    int cards;
    double speedup; /* over one card */
    double messages; /* part of the time that goes where links take none */
};

struct claims {
    const struct app *app;
    struct report_page *page;
    struct diag *d;
    struct memory_wall wall;
    struct northpole np;
    struct northpole_ratio ratio[NORTHPOLE_RATIOS];
    double pass_s, sequence_s; /* the host's time under the serving software of 2024, fitted */
    struct claim_decode decode[CLAIM_DECODES];
    struct claim_sharded sharded[CLAIM_SHARDED];
    int n_decodes, n_sharded;
};

struct claim_answer {
    char subject[112]; /* in place of the row's where it stands for several */
    double is, low, high; /* NaN: none */
    const char *unit, *kind; /* "simulated" */
    const char *range; /* what low and high are: "95 %", "over the fits" */
    enum verdict verdict;
    char why[256];
};

/* Low and high have x too. */
void claim_range(struct claim_answer *a, double x);

struct claim {
    const char *place; /* where it stands */
    const char *text; /* NULL: each of its answers has its own */
    const char *criterion; /* by which it is judged */
    int n; /* rows that it stands for; 0: one */
    int (*ask)(struct claims *c, int which, struct claim_answer *a);
};

/* Ended by a row without place. */
extern const struct claim claims_wall[]; /* AI and Memory Wall, 2021 and 2024 */
extern const struct claim claims_northpole[]; /* NorthPole, HPEC 2024 */

/* Fills in decode and sharded, and their tables. */
int claims_decode(struct claims *c);
extern const struct report_figure claims_figures[];

#endif
