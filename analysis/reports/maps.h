/* maps.h - which way to share a model over cards is best where: the parts of the report "maps".
 *
 * A set holds plans of one job: each strategy is a family, its plans differ in all-reduce and micro-batches. To look at
 * a set on a cluster is to find the best plan of each family there: all are estimated, and those whose estimate is
 * within MAPS_NEAR of their family's best are simulated, so that verdicts are the simulator's as long as no estimate is
 * off by more (maps_look.error has the most that was seen). */
#ifndef ANALYSIS_MAPS_H
#define ANALYSIS_MAPS_H

#include "analysis/case.h"
#include "analysis/parameter.h"
#include "analysis/report.h"
#include "analysis/stat.h"
#include "study.h"

enum { MAPS_MOST_FAMILIES = 8, MAPS_MOST_PLANS = 160 };
#define MAPS_NEAR 0.02

/* What is to be small: time and energy a token, prompt included. Energy is of the plan's own cards. */
enum maps_want { MAPS_TIME, MAPS_ENERGY, MAPS_WANTS };

struct maps_value {
    double want[MAPS_WANTS]; /* ms, mJ */
    double share[NET_SHARES]; /* of the critical path, sum 1 */
};

void maps_value_of(struct maps_value *out, const struct virtual_summary *v);

struct maps_plan {
    int family, micro;
    const char *algo; /* of its all-reduces; "": it has none */
    char mark; /* of it, in maps: a letter, or the number of micro-batches of a pipeline of single cards */
    enum coll_label label;
    struct case_plan *at;
    int left_out; /* it was nowhere the best of its family: not looked at any more */
};

struct maps_set {
    int n, n_families;
    const char *strategy[MAPS_MOST_FAMILIES];
    struct maps_plan plan[MAPS_MOST_PLANS];
};

/* Every strategy with every all-reduce of one level whose sums keep their bits (exact 0: also those of another order),
 * and 1, 2, 4, ... micro-batches up to the job's users where it has more than one stage. What does not fit its cards
 * is left out. base: model, cluster, cards (0: as many as the strategy takes), job. Freed by maps_close. Local. */
int maps_open(struct maps_set *s, const struct study_case *base, const char *const *strategy, int n_families, int exact,
              const struct app *app, struct diag *d);
void maps_close(struct maps_set *s);

struct maps_pick {
    int plan; /* -1: there is none */
    struct maps_value is;
};

struct maps_look {
    struct maps_pick pick[MAPS_WANTS][MAPS_MOST_FAMILIES]; /* of plans whose sums keep their bits */
    struct maps_pick other[MAPS_WANTS][MAPS_MOST_FAMILIES]; /* estimated: of those whose sums are of another order */
    double error; /* the most |estimated / simulated - 1| of what was simulated; 0: nothing was */
    int simulated;
};
/* TIMES: estimates of time alone, without shares and energy. */
enum maps_how { MAPS_TIMES, MAPS_ESTIMATES, MAPS_SIMULATES };
int maps_look(struct maps_look *out, struct maps_set *s, const struct cluster *c, enum maps_how how, struct diag *d);
/* Of families from..to - 1, the best by those picks; -1: none. And of a look's picks. */
int maps_best(const struct maps_pick pick[MAPS_MOST_FAMILIES], enum maps_want want, int from, int to);
int maps_winner(const struct maps_look *l, enum maps_want want, int from, int to);

/* The value of a look's families from `at` on over that of those before it, as a parameter_eval would have it. */
struct maps_split {
    struct maps_set *set;
    enum maps_want want;
    int at, end; /* families below end count */
    enum maps_how how;
};
/* *ratio: best of [at, end) over best of [0, at). ERR_RANGE where one side has no plan. Local. */
int maps_ratio(void *split, const struct cluster *c, double *ratio, struct diag *d);

/* What memory bandwidth, link bandwidth, link latency and compute do to a job (maps_elasticities.c). */
enum { MAPS_NUMBERS = 4 };
struct maps_elasticity {
    double exact[MAPS_WANTS]; /* d ln(value) / d ln(number) */
    double secant[MAPS_WANTS], simulated[MAPS_WANTS]; /* of 1.5 times as much: with the path as it is; simulated */
};
/* *v: the job itself. Local. */
int maps_elasticity(struct maps_elasticity out[MAPS_NUMBERS], struct virtual_summary *v, const struct case_plan *p,
                    const struct cluster *c, struct diag *d);

/* ---- the report ---- */

/* Strategies of eight cards, by the size of their tensor-parallel groups; and those that leave cards without work. */
enum { MAPS_TP1, MAPS_TP2, MAPS_TP4, MAPS_TP8, MAPS_SAME, MAPS_ONE = MAPS_SAME, MAPS_HALF, MAPS_FAMILIES = 7 };

enum { MAPS_MOST_ROWS = 16, MAPS_MOST_COLUMNS = 20, MAPS_JOBS = 2 };

struct maps_grid {
    int users, rows, columns;
    double memory[MAPS_MOST_ROWS], link[MAPS_MOST_COLUMNS]; /* factors, ascending */
    struct maps_set set;
    struct maps_look look[MAPS_MOST_ROWS][MAPS_MOST_COLUMNS];
    double auto_over[MAPS_MOST_ROWS][MAPS_MOST_COLUMNS]; /* time of the all-reduce that the plan chooses over the best;
                                                            NaN: the winner has none */
};

struct maps {
    const struct app *app;
    struct report_page *page;
    struct diag *d;
    struct cluster described; /* cluster-configs/h100-sxm-8.yaml */
    struct maps_grid *grid; /* [MAPS_JOBS] */
    double memory_GBps, link_GBps; /* as described */
    struct frame *alone; /* what each input does to boundaries by itself */
};

extern const char *const maps_want_name[MAPS_WANTS], *const maps_want_unit[MAPS_WANTS];
extern const char maps_share_letter[NET_SHARES];

/* A cluster with memory and links at so many times what it describes. */
struct cluster maps_cluster(const struct maps *m, double memory, double link);
enum net_share maps_binds(const struct maps_value *v); /* the greatest share */

int maps_grids(struct maps *m); /* who wins where, and what binds */
int maps_boundaries(struct maps *m); /* where one strategy follows another, and how sure that is */
int maps_elasticities(struct maps *m);
int maps_reach(struct maps *m); /* how far links may fall; how low GPUs get */
extern const struct report_figure maps_figures[];

#endif
