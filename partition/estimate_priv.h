/* estimate_priv.h - what the files of the closed form share: estimate_coll.c prices collectives by who is late,
 * estimate_stage.c a stage's pass, estimate.c rounds and jobs. */
#ifndef PARTITION_ESTIMATE_PRIV_H
#define PARTITION_ESTIMATE_PRIV_H

#include "partition/estimate.h"
#include "partition/place.h"

enum { MAX_PARTS = 4, MAX_PAIRS = 64, MAX_DEPTH = 40 };
#define NEVER UINT64_MAX

/* The prologue, equal layers, or the epilogue of a stage. Collectives cut a block into parts. */
struct chain {
    int count, layer; /* first layer; -1 at both ends */
    int attention; /* its step, whose time depends on the context, or -1 */
    int n_parts, coll[MAX_PARTS]; /* the collective behind a part, or -1 */
    const struct plan_block **block; /* [size] */
};

enum coll_place { AT_MERGE, AT_ATTN, AT_FFN, AT_GATHER, COLL_PLACES };

/* How a stage's pass ends, whose ranks begin it together at 0. */
struct ending {
    struct net_stamp end, passed; /* of the last rank; the next stage, or stage 0, has what it sends */
    uint64_t port, shared_port; /* ps at which the next pass may begin, as what was sent keeps its port; where that port
                                   is needed inside the stage too */
    struct net_stamp credit; /* a message, until its room is there again, shared by as many as have room at once */
    int port_bound; /* collectives wait for ports: more time between them is not more time in all */
};

/* What does not depend on the context, for passes of so many tokens. */
struct costs {
    int64_t tokens, wanted;
    struct net_stamp *part; /* [n_chains][MAX_PARTS][size] */
    struct net_stamp *attention; /* [n_chains][size] of the pass at hand */
    struct ending base; /* of a pass whose attention takes no time */
    /* [late][size]: when a rank has its result where that late one begins at 0 and the others long before; ps NEVER: it
     * does not wait for it. Stages of more than MAX_PAIRS ranks, [1][size]: where all begin together. NULL: none */
    struct net_stamp *coll[COLL_PLACES];
    uint64_t *port[COLL_PLACES]; /* [size] ps of a rank's busiest port in it */
    struct costs *next;
};

/* A stage busy with a pass, and until the next stage, or stage 0, has what it sends. */
struct turn {
    struct net_stamp busy, passed;
};

/* A rank in a block: the time, with what it is made of since the block began, the rank it has waited for there, and
 * when its port is free again. */
struct rank_time {
    struct net_stamp t;
    int from;
    uint64_t port;
};

/* Stages that are alike. */
struct stage_class {
    int first, size; /* world ranks of one of them */
    const struct card *card;
    struct card_place *place; /* [size] */
    uint8_t *tier; /* [size][size] */
    int n_chains;
    struct chain *chain;
    uint64_t recv_ps; /* of hidden states; of tokens, in stage 0 */
    int n_to; /* ranks that get what it sends: rank j from j mod size */
    uint8_t *to_tier; /* [n_to] */
    struct costs *costs;
    int in_use; /* stages of the replica at hand */
};

struct wave {
    struct turn *big, *small; /* [n_classes] of micro-batches with one sequence more, and of the others */
    struct net_stamp *round; /* [n_classes] what a round takes where such a stage is followed */
    struct net_stamp loop; /* all stages, one after the other */
};

/* Passes of a micro-batch whose context grows evenly. */
struct passes {
    int64_t n; /* rounds */
    struct card_pass first, step; /* step: a round later */
    int decodes; /* needs the tokens of the round before */
};

/* A sequence's prompt: tokens fed, and what the next pass takes of it. */
struct fed {
    int fed, share;
};

/* What the micro-batches of so many sequences do, one kind of passes after the other. */
struct stream {
    int64_t n_seqs;
    struct fed *seq;
    struct passes now;
    int decoded;
};

struct estimator {
    const struct plan *p;
    const struct cluster *c;
    uint64_t frame; /* virtual_frame */
    int n_classes;
    struct stage_class **kind;
    int *class_of; /* [dp][n_stages] */
    struct net_stamp *at; /* [ranks of a replica] of a stage at hand */
    struct rank_time *rank, *met; /* likewise */
    uint64_t *port, *first_send; /* likewise: ps into a pass */
    struct wave wave[MAX_DEPTH];
    struct turn *turns; /* of the waves, whose rounds lie behind sum */
    struct net_stamp *sum; /* [n_classes] of all rounds but the last */
    struct net_stamp *free_at; /* [n_stages] */
    struct fed *seq; /* [2][n_seqs] of the two streams */
};

/* A collective of n elements (bytes, for the all-gather) in a stage: out as costs.coll, port as costs.port. */
int estimate_coll(const struct estimator *e, const struct stage_class *c, enum step_kind kind, size_t n,
                  struct net_stamp *out, uint64_t *port, struct diag *d);

/* Entries of costs.coll. */
static inline size_t estimate_ways(const struct stage_class *c) {
    return (size_t)c->size * (size_t)(c->size <= MAX_PAIRS ? c->size : 1);
}

/* The same from what opts.kept has, true if it is there; and kept there, in place of another. */
int estimate_kept_find(const struct estimator *e, const struct stage_class *c, enum step_kind kind, size_t n,
                       struct net_stamp *out, uint64_t *port);
void estimate_kept_add(const struct estimator *e, const struct stage_class *c, enum step_kind kind, size_t n,
                       const struct net_stamp *out, const uint64_t *port);

/* Whether two all-reduces of n elements are the same messages and work in each rank: 1 or 0, d set where memory is
 * short. */
int estimate_coll_same(const struct estimator *e, const struct stage_class *c, enum step_kind a, enum step_kind b,
                       size_t n, struct diag *d);

/* A pass of a stage. */
int estimate_turn(const struct estimator *e, struct stage_class *c, const struct card_pass *pass, struct turn *out,
                  struct diag *d);

/* Of one stage of a replica; *out is for estimate_class_free also where it fails. */
int estimate_class_make(struct stage_class **out, const struct estimator *e, int replica, int s, struct diag *d);
int estimate_class_same(const struct stage_class *a, const struct stage_class *b);
void estimate_class_free(struct stage_class *c); /* NULL accepted */

/* ---- stamps ---- */

static inline struct net_stamp stamp_plus(const struct net_stamp *a, const struct net_stamp *b) {
    struct net_stamp sum = {a->ps + b->ps, {0}};
    for (int i = 0; i < NET_SHARES; i++)
        sum.share[i] = a->share[i] + b->share[i];
    return sum;
}

/* (a times n + b times m) / part, share by share: the sum of what is rounded. */
static inline struct net_stamp stamp_mix(const struct net_stamp *a, uint64_t n, const struct net_stamp *b, uint64_t m,
                                         uint64_t part) {
    struct net_stamp mix = {0};
    for (int i = 0; i < NET_SHARES; i++)
        mix.ps += mix.share[i] = (a->share[i] * n + b->share[i] * m) / part;
    return mix;
}

static inline void stamp_raise(struct net_stamp *a, const struct net_stamp *b) {
    if (b->ps > a->ps) *a = *b;
}

#endif
