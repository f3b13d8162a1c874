/* pareto.h - the parts of the report on quality against time and energy: what was measured of the bundled decoder, put
 * on described machines. All functions are local. */
#ifndef ANALYSIS_REPORTS_PARETO_H
#define ANALYSIS_REPORTS_PARETO_H

#include "analysis/sweep_run.h"
#include "study.h"

/* ---- what was measured: analysis/data/quality.csv ---- */

enum pareto_axis { PARETO_NUMBERS, PARETO_KV, PARETO_WIRE, PARETO_SYNC, PARETO_AXES };

/* What one can save: so many bits of weights and activations, of the cache, of what travels, and meetings of ranks. */
struct pareto_saving {
    const char *model; /* file that was measured, without suffix: tells how its weights came about */
    const char *quant, *head, *mode; /* storage of layers and of the output layer; activations */
    const char *kv, *wire; /* cache; form of what travels */
    const char
        *allreduce; /* of values in fewer bits, whose error hangs on it; of others "auto": the fastest exact one */
    int dropped, layers; /* of the measured decoder's layers, so many do not meet after their attention */
};

/* Divergences are beside full precision, in nats a token, with intervals of 95 % over windows of text. */
struct pareto_loss {
    struct pareto_saving saved;
    int ranks; /* of one stage */
    int n; /* predictions */
    double kl[3], dnll[3]; /* mean, low, high */
};

struct pareto_losses {
    struct pareto_loss *at;
    int n;
    struct pareto_model *model; /* that savings point to */
    int n_models;
};

/* ERR_IO, ERR_FORMAT ("... row N: ..."), ERR_MEMORY. */
int pareto_losses_read(struct pareto_losses *out, const struct app *app, struct diag *d);
void pareto_losses_free(struct pareto_losses *l);
/* Measures so many points of analysis/sweeps/quality-grid.yaml, spread over it, again. ERR_MISMATCH: the file has other
 * numbers of one of them, or none. */
int pareto_losses_check(struct pareto_losses *l, const struct app *app, int points, struct diag *d);

/* "I4 a4 (learned steps)", "Q8_0 a8", "int8 twoshot", "25 % dropped": buf of 64 bytes; returns buf. */
const char *pareto_saving_text(const struct pareto_saving *s, enum pareto_axis axis, char buf[64]);
/* Whether both save the same along an axis: 1 or 0. */
int pareto_same(const struct pareto_saving *a, const struct pareto_saving *b, enum pareto_axis axis);

/* ---- what it takes on a machine ---- */

struct pareto_machine {
    const char *cluster; /* a cluster file that comes with the program, or a path */
    const char *model; /* a preset */
    int cards, users, prompt, generate;
};

/* One saving on one strategy, in closed form. */
struct pareto_choice {
    const struct pareto_loss *loss;
    int stages; /* of loss->ranks cards */
    int host; /* which embeds tokens */
    char strategy[32]; /* the same in words */
    double cost[2]; /* PARETO_TIME, ENERGY: ms and mJ a token of a user, prompt included */
    double weights_MB, cache_MB, links_kB; /* a card, in the middle of the answer: read, and sent, for a token of all
                                            * users */
    char binds[64];
};
enum { PARETO_TIME, PARETO_ENERGY };

struct pareto_choices {
    struct pareto_choice *at;
    int n, unfit; /* unfit: plans without room, or that do not exist */
};

/* Every saving that was measured at N ranks, on every strategy tpN x ppS that fits, S a power of two or as many as
 * there are; where the machine has a host, also on all cards behind it, which then hold no embedding. The part of the
 * layers that do not meet is the measured decoder's. */
int pareto_price(struct pareto_choices *out, const struct pareto_machine *m, const struct pareto_losses *l,
                 const struct study *st);
void pareto_choices_free(struct pareto_choices *c);
/* The same simulated, for what is claimed. */
int pareto_simulate(double cost[2], const struct pareto_machine *m, const struct pareto_choice *c,
                    const struct study *st);

extern const struct report_figure pareto_figures[];

#endif
