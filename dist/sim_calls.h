/* sim_calls.h - which messages and collectives belong to a rank's steps: what sim_walk.c and sim_code.c share. What a
 * rank does, and in which order, is steps.c and engine.c. */
#ifndef DIST_SIM_CALLS_H
#define DIST_SIM_CALLS_H

#include "dist/virtual.h"

/* What a message belongs to: hidden states, tokens, or a collective. */
enum queue_kind { Q_HIDDEN, Q_TOKEN, Q_ATTN, Q_FFN, Q_MERGE, Q_GATHER, QUEUE_KINDS };
enum { NO_QUEUE = -1 };

/* A rank in a collective: what comes next. */
struct sim_call {
    const struct coll_event *event;
    int count, at;
};
int sim_call_begin(struct sim_call *out, const struct plan *p, int rank, enum queue_kind kind, size_t n,
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
