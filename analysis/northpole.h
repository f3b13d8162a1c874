/* northpole.h - the parts of the report on the HPEC 2024 paper on NorthPole. */
#ifndef ANALYSIS_NORTHPOLE_H
#define ANALYSIS_NORTHPOLE_H

#include "analysis/case.h"
#include "analysis/parameter.h"
#include "analysis/report.h"

enum { NORTHPOLE_MOST_FITS = 12, NORTHPOLE_USERS = 28, NORTHPOLE_MICRO = 14 };

/* Inputs of the paper's energy and space metrics. */
#define NORTHPOLE_CARD_W 42.0
#define NORTHPOLE_TRANSISTORS 22e9
#define NORTHPOLE_TOK_S 28356.0

/* One number of the described cluster, changed so that the published throughput comes out. */
struct northpole_fit {
    const struct parameter *parameter;
    double x;
    struct cluster cluster;
    struct virtual_summary at; /* of the paper's run */
};

struct northpole {
    const struct app *app;
    struct report_page *page;
    struct diag *d;
    struct cluster described; /* cluster-configs/northpole-16.yaml */
    struct virtual_summary at;
    struct northpole_fit fit[NORTHPOLE_MOST_FITS];
    int n_fits;
    int step; /* through the points of a sweep: 1, with --quick 2 */
};

/* The paper's run on a cluster. */
struct study_case northpole_case(const struct cluster *c);
/* A row of a table: a quantity of one case on the described cluster and on all fitted ones. */
enum northpole_quantity { NORTHPOLE_LATENCY, NORTHPOLE_DECODE, NORTHPOLE_THROUGHPUT };
struct northpole_ask {
    struct study_case on; /* its cluster is set by northpole_row */
    void (*change)(struct cluster *c, double x); /* made to each of the clusters; NULL: none */
    double x;
    enum northpole_quantity what;
    int relative; /* to the paper's run on the same cluster */
};
/* A case that does not fit its cards has cells without a value; *fits (may be NULL) says whether it does as described.
 */
int northpole_row(struct northpole *n, struct frame *t, const struct northpole_ask *ask, int *fits);
/* The columns that northpole_row fills. */
void northpole_columns(const struct northpole *n, struct frame *t, const char *unit);

int northpole_fit(struct northpole *n); /* the paper's figures, the fits and where they part */
int northpole_sweep(struct northpole *n);
int northpole_gpus(struct northpole *n);
extern const struct report_figure northpole_figures[];

#endif
