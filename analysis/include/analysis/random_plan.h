/* random_plan.h - random plans on clusters that are described, or random too, and what the closed form and the
 * simulator say of them: everything follows from a number. All functions are local. */
#ifndef ANALYSIS_RANDOM_PLAN_H
#define ANALYSIS_RANDOM_PLAN_H

#include "analysis/random_cluster.h"
#include "partition/estimate.h"

enum random_kind {
    RANDOM_ONE,
    RANDOM_TP,
    RANDOM_PP,
    RANDOM_HYBRID,
    RANDOM_DP,
    RANDOM_KVP,
    RANDOM_STAGES,
    RANDOM_KINDS
};
extern const char *const random_kind_name[RANDOM_KINDS];

enum { RANDOM_MOST_SEQS = 48, RANDOM_MOST_TOKENS = 2048 }; /* of each sequence */
struct random_plan {
    enum random_kind kind; /* number % RANDOM_KINDS */
    struct model_shape shape;
    struct cluster cluster;
    int random; /* of the clusters */
    struct strategy st;
    struct plan_opts opts;
    struct estimate_job job;
    struct plan *plan;
};

/* Freed by random_plan_fini, also after an error. ERR_PLAN: this one has no room, or no split; others: no such file. */
int random_plan_init(struct random_plan *o, int number, struct diag *d);
void random_plan_fini(struct random_plan *o);
/* By the simulator: when the last sequence has its first token, and all theirs, with what that time is made of. */
int random_plan_walk(const struct random_plan *o, uint64_t *prefill_ps, struct net_stamp *total, struct diag *d);

#endif
