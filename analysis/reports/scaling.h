/* scaling.h - the parts of the report on scaling: more cards, more work, fewer users. */
#ifndef ANALYSIS_SCALING_H
#define ANALYSIS_SCALING_H

#include "analysis/fit.h"
#include "study.h"

/* Machines of the report. The room has a table of its own. */
struct scaling_machine {
    const char *file, *text, *mode; /* cluster-configs/FILE.yaml; what kernels compute in; NULL: 8 bits */
    int server; /* cards that the nearest tier joins */
    struct cluster c;
};
enum { SCALING_H100, SCALING_L4, SCALING_BOARDS, SCALING_MACHINES, SCALING_ROOM = SCALING_MACHINES };

struct scaling {
    struct study st;
    struct scaling_machine machine[SCALING_ROOM + 1];
    struct frame *fits, *parameters; /* of all series that are fitted */
};

/* A case of the report: a model in 4 bits, 128 tokens in and 128 out. */
struct study_case scaling_case(const struct scaling_machine *m, const char *model, const char *strategy, int cards,
                               int users);

/* Of all tp x pp x dp of so many cards, powers of two and tp at most 16, with one micro-batch a stage or two, the one
 * that is first done with the job, in closed form; "" where none fits. */
int scaling_best(const struct scaling *s, const struct study_case *base, char best[64], int *best_micro);

int scaling_strong(struct scaling *s);
int scaling_room(struct scaling *s);
int scaling_parts(struct scaling *s);
int scaling_weak(struct scaling *s);
int scaling_load(struct scaling *s);
int scaling_even(struct scaling *s);
extern const struct report_figure scaling_figures[];

/* ---- fits ---- */

/* What the described machine says of a parameter that a form may have. */
struct scaling_described {
    const char *parameter;
    double value;
};
/* Fits a list of models ("amdahl,pmnf") to a series; rows into the tables, the best into *best. `described` ends with a
 * row without a parameter; NULL: nothing is. *found is 0 where one of the models has too few rows or no form. */
struct scaling_series {
    const char *name, *models;
    struct fit_data data;
    const struct scaling_described *described;
};
void scaling_fit_tables(struct scaling *s);
int scaling_fit(struct scaling *s, struct scaling_series *series, struct fit *best, int *found);
double scaling_largest_residual(const struct fit *f, const struct fit_data *data); /* relative */

#endif
