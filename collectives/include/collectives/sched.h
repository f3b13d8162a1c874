/* sched.h - a collective algorithm is a schedule: data that an executor runs, a timer prices and a checker proves.
 *
 *   struct coll_shape shape = {P, n_leaves, begin};
 *   struct sched s;
 *   coll_algo_find("tree")->allreduce(&s, &shape, rank, d);
 *   float *buf = malloc(s.n_slots * n * sizeof *buf);          inputs into slots [0, s.n_in)
 *   float *sum = sched_run(&s, link, tag, buf, n);
 *   sched_fini(&s);
 *
 * Memory of a rank is an array of slots, each n elements long (n is given at run time; schedules are independent of
 * it). Slots [0, n_in) are the rank's inputs, lost by running it; result_slot holds the result afterwards. A schedule
 * is a list of steps in program order: SEND peer, slots [slot, slot+count)      one message of count*n elements RECV
 * peer, slots [slot, slot+count) ADD  slot = slot + src                   elementwise binary32 COPY slot = src SENDs of
 * one round are in flight together until it ends: what a SEND names may be read, but is not written in the rest of its
 * round. RECVs block. Additions commute to the bit; a NaN stays a NaN, its payload is not defined. */
#ifndef COLLECTIVES_SCHED_H
#define COLLECTIVES_SCHED_H

#include "base/diag.h"
#include "collectives/link.h"

enum sched_op { SCHED_SEND, SCHED_RECV, SCHED_ADD, SCHED_COPY };

struct sched_step {
    enum sched_op op;
    int round; /* never falls from step to step */
    int peer; /* SEND, RECV */
    int slot, count; /* first slot and number of slots (1 for ADD, COPY) */
    int src; /* ADD, COPY */
};

/* One rank's part. */
struct sched {
    int rank, size;
    int n_in, n_slots, result_slot, n_rounds; /* n_slots >= 1; n_rounds is the same on all ranks */
    int n_steps;
    struct sched_step *steps;
    struct link_request *requests; /* the executor's, for the most sends that one round has: one run at a time */
};

/* What an all-reduce sums: n_leaves leaf values along the canonical tree; rank r owns leaves [begin[r], begin[r+1])
 * (begin has size + 1 entries, begin[0] = 0, begin[size] = n_leaves; empty ranges allowed), and brings the sums of
 * their maximal subtrees, in the order of pairtree_cover, as its n_in input slots. */
struct coll_shape {
    int size, n_leaves;
    const int *begin;
};

/* Most leaves that a shape may have: their covers fit PAIRTREE_MAX_NODES. */
enum { COLL_MAX_LEAVES = 1 << 20 };

/* An algorithm: one file in algos/, one word in its list. */
struct coll_algo {
    const char *name, *description;
    const char *label; /* "bit-exact", "exact to rounding", "approximate" */
    /* Builds rank's schedule; 0 or an error (s is then empty). Pure: the same on every rank. Freed by sched_fini. */
    int (*allreduce)(struct sched *s, const struct coll_shape *shape, int rank, struct diag *d);
};
extern const struct coll_algo *const coll_algos[]; /* ended by NULL */
const struct coll_algo *coll_algo_find(const char *name); /* NULL if there is none */

/* Accepts an all-zero or failed schedule. */
void sched_fini(struct sched *s);

/* Messages and words (in units of n elements) that this rank sends. Local. */
void sched_count(const struct sched *s, uint64_t *messages, uint64_t *slots_sent);

/* Executor: buf has n_slots * n floats, inputs in place; returns the result's address in buf. n may be 0: no message is
 * sent then. Nothing is allocated. Collective over link. */
float *sched_run(const struct sched *s, struct link *link, int tag, float *buf, size_t n);

/* Checker: given the schedules of all ranks, proves without running MPI that no rank waits forever (even if no send is
 * buffered), that messages match in order and size and none is left over, that nothing in flight is overwritten and
 * nothing unset is read, and that result_slot of every rank is the canonical tree's sum with each leaf exactly once
 * (symbolically). 0, or ERR_INTERNAL naming rank and step, or ERR_MEMORY. Local. */
int sched_check(const struct sched *ranks, const struct coll_shape *shape, struct diag *d);

#endif
