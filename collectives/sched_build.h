/* sched_build.h - how the files of algos/ write a schedule, step by step.
 *
 * An algorithm's build function finds what it works on in the builder: `rank` in `shape`, its inputs in slots
 * [in, in + n_in), a vector cut into `cut` parts. It takes fresh slots (sched_slots), writes steps of the present
 * round, ends rounds (b->round++), and leaves in `result` the slot of its result.
 *
 * All this may be a view of something larger: two-level algorithms run others among a few of the ranks, on one part of
 * the vector, in slots and rounds behind those already used. So
 *   - peers and parts are the view's, slots are the schedule's;
 *   - an only input (n_in = 1) may have been sent already: it is never written;
 *   - allgather: in = the slot of which part `rank` is set; its other parts are free, and the result is the same slot;
 *   - reduce_scatter: nothing of the result's slot has been sent, parts other than `rank` are free;
 *   - n_in = 0 where the rank owns no leaf, but the group's leaves are always one whole subtree;
 *   - shape->begin may be NULL: one leaf each. coll_cover knows. */
#ifndef SCHED_BUILD_H
#define SCHED_BUILD_H

#include "base/pairtree.h"
#include "collectives/sched.h"

struct sched_builder {
    struct sched *s;
    int cap; /* room in s->steps */
    int failed; /* out of memory: further steps are dropped, sched_build reports it */
    int round; /* the present one */
    int in, n_in, result;
    const struct coll_choice *choice;
    const struct coll_shape *shape;
    int rank;
    const int *peers; /* rank of the schedule that is rank i of shape; NULL: i */
    int part0, parts; /* the view's vector is parts [part0, part0 + parts) of the schedule's */
    int cut; /* parts of the view; divides `parts` */
};

/* 0, or ERR_RANGE for a shape that is not one or a rank that is not in it. */
int coll_shape_check(enum coll_kind kind, const struct coll_shape *shape, int rank, struct diag *d);

/* Parts into which an algorithm of one level cuts its vector. */
int coll_algo_parts(const struct coll_algo *algo, enum coll_kind kind, int size);

/* The maximal subtrees of the leaves of ranks [rank0, rank1), and their number alone. */
int coll_cover(const struct coll_shape *shape, int rank0, int rank1, struct pairtree_node nodes[PAIRTREE_MAX_NODES]);
int coll_cover_count(const struct coll_shape *shape, int rank0, int rank1);

/* The first of `count` fresh slots. */
int sched_slots(struct sched_builder *b, int count);

/* Slots [slot, slot + count), whole vectors. */
void sched_send(struct sched_builder *b, int peer, int slot, int count);
void sched_recv(struct sched_builder *b, int peer, int slot, int count);
/* Parts [part, part + parts) of them; `more`: the next one belongs to the same message. */
void sched_send_parts(struct sched_builder *b, int peer, int slot, int count, int part, int parts, int more);
void sched_recv_parts(struct sched_builder *b, int peer, int slot, int count, int part, int parts, int more);
/* Parts first, first + 1, ... (n <= cut of them) modulo cut, of one slot. */
void sched_send_round(struct sched_builder *b, int peer, int slot, int first, int n, int more);
void sched_recv_round(struct sched_builder *b, int peer, int slot, int first, int n);
void sched_reduce_round(struct sched_builder *b, int slot, int src, int first, int n);

void sched_reduce(struct sched_builder *b, int slot, int src, int part, int parts);
void sched_copy(struct sched_builder *b, int slot, int src, int part, int parts);
void sched_fill(struct sched_builder *b, int slot, int part, int parts);

/* One vector of each rank: the inputs reduced into one, or an identity; then in is its slot and n_in is 1. */
void sched_one(struct sched_builder *b);

/* Subtree sums in leaf order, each in a slot. */
struct sums {
    int n;
    struct pairtree_node node[PAIRTREE_MAX_NODES];
    int slot[PAIRTREE_MAX_NODES];
    int fixed[PAIRTREE_MAX_NODES]; /* nonzero: it may have been sent, so it is not written */
};

/* This rank's inputs (fixed), or those of ranks [rank0, rank1) that are received into slots from `first` on. */
void sums_own(const struct sched_builder *b, struct sums *out);
void sums_of(const struct sched_builder *b, int rank0, int rank1, int first, struct sums *out);
/* left = left followed by right, siblings reduced in parts [part, part + parts); of two siblings one is not fixed. */
void sums_join(struct sched_builder *b, struct sums *left, const struct sums *right, int part, int parts);

/* Folding, for algorithms that want a power of two: of the first 2 * pairs ranks the odd ones speak for the even ones
 * before them, and n = 2^lg ranks are left (as MPICH does it). */
struct fold {
    int n, lg, pairs;
    int at; /* this rank's number among the n, or -1: its right neighbour speaks for it */
};
struct fold fold_of(int size, int rank);
int fold_rank(const struct fold *f, int i); /* the rank that is number i */
int fold_speaks(const struct fold *f); /* this rank speaks for another */
/* The round in which folded ranks send their vector: the slot with the sum of both, the input where there is none. */
int fold_in(struct sched_builder *b, const struct fold *f);
/* The round in which they get the result, which the others have in `slot`. */
int fold_out(struct sched_builder *b, const struct fold *f, int slot);

/* Recursive halving and doubling, for algorithms that differ in their partners only. Of n = 2^lg ranks, `at` meets
 * partner(at, n, s) in round s, partners each other's; halving round s sends the blocks that the partner will keep or
 * send on, so that one block is left to each rank; doubling is the same backwards. What is above a power of two folds.
 * reduce_scatter and allgather: block i is part i (of a pair that speaks: both parts), so messages may have many
 * pieces. allreduce: n parts, in an order that keeps what travels together in one piece. */
typedef int halves_partner(int at, int n, int s);
int halves_reduce_scatter(struct sched_builder *b, halves_partner *partner, struct diag *d);
int halves_allgather(struct sched_builder *b, halves_partner *partner, struct diag *d);
int halves_allreduce(struct sched_builder *b, halves_partner *partner, struct diag *d);

/* What a formula is asked: the cost of one rank for a vector that is part `part` of `of` of n elements. */
struct coll_case {
    const struct coll_choice *choice;
    const struct coll_shape *shape;
    int rank;
    size_t n, granule;
    int part, of;
};
/* Elements of its parts [part, part + parts) of n_parts; parts are taken modulo n_parts. */
uint64_t coll_case_elems(const struct coll_case *c, int n_parts, int part, int parts);
/* Adds a message of k elements, unless it is empty. */
void coll_cost_send(struct coll_cost *out, uint64_t k);
/* What sched_one, fold_in and fold_out cost. */
void coll_cost_one(const struct coll_case *c, struct coll_cost *out);
void fold_cost(const struct coll_case *c, const struct fold *f, struct coll_cost *out);
void unfold_cost(const struct coll_case *c, const struct fold *f, struct coll_cost *out);
/* A formula that lacks the memory it needs: more than any other. */
void coll_cost_unknown(struct coll_cost *out);
void halves_reduce_scatter_cost(const struct coll_case *c, halves_partner *partner, struct coll_cost *out);
void halves_allgather_cost(const struct coll_case *c, halves_partner *partner, struct coll_cost *out);
void halves_allreduce_cost(const struct coll_case *c, halves_partner *partner, struct coll_cost *out);
/* An algorithm's functions of one kind: NAME and NAME_cost, as its row wants them. */
#define HALVES_KIND(name, partner)                                                                                     \
    static int name(struct sched_builder *b, struct diag *d) {                                                         \
        return halves_##name(b, partner, d);                                                                           \
    }                                                                                                                  \
    static void name##_cost(const struct coll_case *c, struct coll_cost *out) {                                        \
        halves_##name##_cost(c, partner, out);                                                                         \
    }

#endif
