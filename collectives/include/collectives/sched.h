/* sched.h - a collective algorithm is a schedule: data that executors run, a timer prices and a checker proves.
 *
 *   struct coll_shape shape = {.size = P, .n_leaves = n, .begin = begin};
 *   struct coll_choice choice;
 *   coll_choice_parse(&choice, "hierarchical:twoshot:ring", d);
 *   struct sched s;
 *   sched_build(&s, &choice, COLL_ALLREDUCE, &shape, rank, d);
 *   ...                                                       coll.h runs it, price.h prices it
 *   sched_fini(&s);
 *
 * Memory of a rank is an array of slots, each a vector of n elements (n is given at run time; schedules are independent
 * of it), and every vector is cut into the same `n_parts` parts (coll_part_begin). A step works on parts
 * [part, part + parts) of
 *
 *   SEND   slots [slot, slot + count)      the parts of the first slot, then those of the next, ...
 *   RECV   slots [slot, slot + count)
 *   REDUCE slot = slot (op) src            elementwise
 *   COPY   slot = src
 *   FILL   slot = the op's identity        a rank that owns no leaf, in algorithms that want one vector of each
 *   ROUND  slot = decoded(encoded(slot))   only in lossy schedules; see sched_make_lossy
 *
 * A message is one SEND, or several behind each other with `more` set on all but the last (same peer and round; RECV
 * likewise): scattered parts travel as one. Messages between two ranks arrive in order; the pieces of both sides cover
 * the same sequence of parts. A message of no elements (parts can be empty) is not sent, by both sides' reckoning.
 *
 * Slots [0, n_in) are the rank's inputs, result_slot holds the result afterwards. Steps are in program order, in
 * rounds; SENDs are in flight together until their round ends, RECVs block.
 *
 * Write rule: a part that has been sent is frozen to the end of the call. RECV, REDUCE, COPY, FILL and ROUND are
 * writes. So a receiver may read the sender's memory in place, as late as it likes within the call (shared memory: no
 * copy). A received part may be written until it is sent on. Algorithms that expect one vector of each rank first
 * reduce their n_in inputs into one, or FILL; their formula counts it. */
#ifndef COLLECTIVES_SCHED_H
#define COLLECTIVES_SCHED_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

/* What a collective gives.   allreduce: every rank the reduction of all inputs, in all parts.
 * reduce_scatter: rank r that reduction in part r of n_parts = P; its other parts are not defined.
 * allgather: every rank part r as rank r brought it in (inputs: one slot, of which only part r counts). */
#define COLL_KIND_LIST(X) X(ALLREDUCE, "allreduce") X(REDUCE_SCATTER, "reduce_scatter") X(ALLGATHER, "allgather")
enum coll_kind {
#define X(name, text) COLL_##name,
    COLL_KIND_LIST(X)
#undef X
        COLL_KINDS
};
const char *coll_kind_name(enum coll_kind kind);

/* How far a result is from the canonical one, best first. bit-exact: the sum along the canonical tree of leaves
 * (base/pairtree.h), the same bits for every algorithm, rank count and ownership that has this label. exact to
 * rounding: another order of the same sum, the same bits on all ranks. approximate: values were rounded on the way or
 * left out. An op that rounds nothing (op.h) makes every lossless algorithm bit-exact. NaN payloads are outside every
 * claim. */
#define COLL_LABEL_LIST(X) X(BIT_EXACT, "bit-exact") X(ROUNDING, "exact to rounding") X(APPROXIMATE, "approximate")
enum coll_label {
#define X(name, text) COLL_##name,
    COLL_LABEL_LIST(X)
#undef X
};
const char *coll_label_name(enum coll_label label);

enum sched_op { SCHED_SEND, SCHED_RECV, SCHED_REDUCE, SCHED_COPY, SCHED_FILL, SCHED_ROUND };

struct sched_step {
    enum sched_op op;
    int round; /* never falls from step to step */
    int peer; /* SEND, RECV */
    int slot, count; /* first slot and number of slots (1 for all but SEND and RECV) */
    int src; /* REDUCE, COPY */
    int part, parts; /* parts [part, part + parts), parts >= 1 */
    int more; /* SEND, RECV: the next step belongs to the same message */
};

/* One rank's part. */
struct sched {
    int rank, size;
    int n_parts; /* >= 1, the same on all ranks; `size` for reduce_scatter and allgather */
    int n_in, n_slots, result_slot, n_rounds; /* n_slots >= 1; n_rounds is the same on all ranks */
    int lossy; /* messages carry rounded values (a wire form with loss); the same on all ranks */
    int n_steps;
    struct sched_step *steps;
};

/* First element of part k of n elements in n_parts parts: parts begin at multiples of `granule` elements (a cache line,
 * or a group of a wire form) and differ by at most one granule: min(n, floor(k * ceil(n/granule) / n_parts) * granule).
 * Parts of parts nest: part k of N is parts [kM, (k+1)M) of N*M. */
size_t coll_part_begin(size_t n, size_t granule, int n_parts, int k);

/* What a collective reduces: n_leaves leaf values along the canonical tree; rank r owns leaves [begin[r], begin[r+1])
 * (begin has size + 1 entries, begin[0] = 0, begin[size] = n_leaves; empty ranges allowed), and brings the sums of
 * their maximal subtrees, in the order of pairtree_cover, as its n_in input slots. domain[r] names the shared-memory
 * domain of rank r, 0 <= domain[r] < size (NULL: all in one); only two-level algorithms look at it. allgather looks at
 * size and domain alone (begin may be NULL). */
struct coll_shape {
    int size, n_leaves;
    const int *begin;
    const int *domain;
};

/* Most leaves that a shape may have: their covers fit PAIRTREE_MAX_NODES. Most ranks of a schedule. */
enum { COLL_MAX_LEAVES = 1 << 20, COLL_MAX_RANKS = 1 << 14 };

/* What one rank does, in elements: what an algorithm's formula says, and what its schedule counts. */
struct coll_cost {
    uint64_t messages, sent; /* messages and elements that this rank sends; empty messages are not sent */
    uint64_t reduced; /* elements that it reduces */
    int rounds;
};

/* Into how many parts an all-reduce cuts its vectors (the other kinds: as many as ranks). */
enum coll_cut { COLL_CUT_NOT, COLL_CUT_SIZE, COLL_CUT_POWER /* the greatest power of two that is not above P */ };

struct sched_builder;
struct coll_case;

/* An algorithm: one file in algos/, one word in its list. */
struct coll_algo {
    const char *name, *description;
    enum coll_label label; /* for any shape; sched_check may prove a better one for a special shape */
    int levels; /* 2: takes ":INNER:OUTER", names of algorithms of one level; else 1 */
    int two_step; /* each value passes at most two messages from input to result: may be lossy */
    enum coll_cut cuts;
    int library; /* the MPI library's own: no schedule, no formula; label ROUNDING, sums alone */
    const char *messages, *words; /* the formula a rank, as text, in P, n and the number of subtrees c */
    const char *additions, *memory; /* likewise with c = 1: elements reduced, and vectors held (messages copied) */
    /* Writes the steps of b's rank; NULL for a kind that the algorithm does not have. Pure. */
    int (*build[COLL_KINDS])(struct sched_builder *b, struct diag *d);
    /* The same formula as numbers, from the shape alone (not from the schedule): adds to *out. See sched_formula. */
    void (*cost[COLL_KINDS])(const struct coll_case *c, struct coll_cost *out);
};
extern const struct coll_algo *const coll_algos[]; /* ended by NULL */
const struct coll_algo *coll_algo_find(const char *name); /* NULL if there is none */

/* An algorithm with its parameters, as the command line spells it: NAME or NAME:INNER:OUTER.
 *
 * hierarchical:INNER:OUTER. Ranks are numbered within their domain in rank order. Where all domains have M ranks and
 * INNER has reduce_scatter and allgather: INNER's reduce_scatter in each domain, OUTER's all-reduce of part i among the
 * i-th ranks of the domains, INNER's allgather (n_parts = M * OUTER's). Else INNER's all-reduce in each domain, and
 * with several domains OUTER's among the first ranks of the domains, which then send the result to the others of theirs
 * (n_parts: what all of them divide; ERR_UNSUPPORTED beyond 2^20). Inputs are subtree sums where domains are runs of
 * neighbouring ranks whose leaves make one whole subtree each (then it may prove bit-exact), else one sum a rank.
 * Rounds are those of the slowest domain. */
struct coll_choice {
    const struct coll_algo *algo, *inner, *outer;
};
/* 0, or ERR_USAGE naming the valid words. */
int coll_choice_parse(struct coll_choice *choice, const char *text, struct diag *d);
/* "hierarchical:twoshot:ring" into text. */
void coll_choice_name(const struct coll_choice *choice, char *text, size_t cap);

/* Builds rank's schedule; 0, ERR_RANGE for a shape that is not one, ERR_UNSUPPORTED for a kind that the algorithm does
 * not have, ERR_MEMORY (s is then empty). Pure: every rank can build every rank's. Freed by sched_fini. Local. */
int sched_build(struct sched *s, const struct coll_choice *choice, enum coll_kind kind, const struct coll_shape *shape,
                int rank, struct diag *d);

/* Makes a schedule lossy: a ROUND before every first SEND of a part. ROUND encodes the part once, keeps the code, and
 * sets the part to what the code means; SENDs of it then carry that code, and what was received is sent on as it came.
 * So all ranks hold the same values, and encoding a decoded value never happens. In a two-shot all-reduce the sender's
 * own contribution is rounded too. ERR_UNSUPPORTED unless the algorithm is two_step. Local. */
int sched_make_lossy(struct sched *s, const struct coll_choice *choice, struct diag *d);

/* Accepts an all-zero or failed schedule. */
void sched_fini(struct sched *s);

/* What a schedule really holds, for n elements. Local. */
void sched_count(const struct sched *s, size_t n, size_t granule, struct coll_cost *out);

/* What the algorithm's formula says of the same, from the shape alone; all zero for the library's own. Local. */
void sched_formula(const struct coll_choice *choice, enum coll_kind kind, const struct coll_shape *shape, int rank,
                   size_t n, size_t granule, struct coll_cost *out);

/* Checker: given the schedules of all ranks, proves without running them that no rank waits forever (even if no send is
 * buffered), that messages match in order, slots and parts and none is left over, that the write rule holds and nothing
 * unset is read, that every input counts exactly once in every output that wants it, that all ranks hold the same
 * expression, and that in a lossy schedule every SEND carries a code and no value is coded more than twice between any
 * input and any result. *label is what has been proved: BIT_EXACT where every result is the canonical tree's sum. 0, or
 * ERR_INTERNAL naming rank and step, or ERR_MEMORY. Local. */
int sched_check(const struct sched *ranks, enum coll_kind kind, const struct coll_shape *shape, enum coll_label *label,
                struct diag *d);

#endif
