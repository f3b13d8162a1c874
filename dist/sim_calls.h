/* sim_calls.h - which messages and collectives belong to a rank's steps: what sim_walk.c and sim_code.c share. What a
 * rank does, and in which order, is steps.c and engine.c. */
#ifndef DIST_SIM_CALLS_H
#define DIST_SIM_CALLS_H

#include "dist/virtual.h"

/* What a message belongs to: hidden states, tokens, or a collective. */
enum queue_kind { Q_HIDDEN, Q_TOKEN, Q_ATTN, Q_FFN, Q_MERGE, Q_GATHER, QUEUE_KINDS };
enum { NO_QUEUE = -1 };

/* The events of one rank of a stage in a collective of so many elements (bytes, for the all-gather). */
struct sim_events {
    enum queue_kind kind;
    size_t n;
    struct coll_event *event;
    int count;
    struct sim_events *next;
};

struct sim_calls {
    const struct plan *p;
    const struct net *net;
    struct sim_events **events; /* [n_ranks] of the first stage of each size; others look there */
    int *stage_like; /* [n_stages]: first rank, in replica 0, of the first stage of the same size */
};

int sim_calls_init(struct sim_calls *c, const struct plan *p, const struct net *net, struct diag *d);
void sim_calls_fini(struct sim_calls *c);
int sim_calls_find(struct sim_calls *c, int rank, enum queue_kind kind, size_t n, const struct sim_events **out,
                   struct diag *d);

/* Stamps in the order of sending: all zero at first. */
struct stamp_queue {
    struct net_stamp *at;
    int head, n, cap; /* a ring */
};
/* ERR_MEMORY, for rank `to`. */
int stamp_queue_add(struct stamp_queue *q, const struct net_stamp *stamp, int to, struct diag *d);
/* The first, which is there until the next one is added. There is one. */
const struct net_stamp *stamp_queue_take(struct stamp_queue *q);
void stamp_queue_fini(struct stamp_queue *q);

/* The collective of *n elements that a rank's step starts, up to its first receive; and the one that it ends.
 * NO_QUEUE: none. */
int sim_call_starts(const struct plan *p, int rank, enum step_kind kind, int layer, const struct trace_pass *pass,
                    size_t *n);
int sim_call_ends(enum step_kind kind, const struct trace_pass *pass);

int64_t sim_token_bytes(const struct trace_pass *pass);

#endif
