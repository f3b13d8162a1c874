/* twoshot - rank r reduces part r of everyone's vectors along the canonical tree, then gives it to everyone.
 *
 *   P = 4, part k of rank r's vector is rk; each rank sends part k straight to rank k:
 *
 *     rank        0               1               2               3
 *     has    00 01 02 03     10 11 12 13     20 21 22 23     30 31 32 33
 *            00 10 20 30     01 11 21 31     02 12 22 32     03 13 23 33     round 0: each to each
 *                 S0              S1              S2              S3         (0+1) + (2+3), in each part
 *            S0 S1 S2 S3     S0 S1 S2 S3     S0 S1 S2 S3     S0 S1 S2 S3     round 1: each to each
 *
 * Cost: 2 (P-1) messages a rank, (P-1)/P n words for each of its c subtree sums and (P-1)/P n for the result:
 * 2 alpha + 2 (P-1)/P n beta + (P-1)/P n gamma with one port for each peer and c = 1. The fewest words an all-reduce
 * can have in the fewest rounds that allow it (two-stage kernels of vLLM and TensorRT-LLM; NCCL's RSxLD_AGxST; two
 * messages from any input to any result, so values may be rounded on the way: Flash Communication, arXiv 2412.04964).
 *
 * Memory: own inputs, and part r of one slot for each maximal subtree of the other ranks; the sum ends in one of those,
 * and its other parts, still free, receive the result. */
#include <stdlib.h>

#include "sched_build.h"

static void scatter(struct sched_builder *b, int *first) {
    int size = b->shape->size, rank = b->rank;
    for (int i = 1; i < size && b->n_in > 0; i++) {
        int peer = (rank - i + size) % size;
        sched_send_parts(b, peer, b->in, b->n_in, peer, 1, 0);
    }
    for (int i = 1; i < size; i++) {
        int r = (rank + i) % size, n = coll_cover_count(b->shape, r, r + 1);
        first[r] = sched_slots(b, n);
        if (n > 0) sched_recv_parts(b, r, first[r], n, rank, 1, 0);
    }
}

/* The sum of part `rank`. Where all leaves are this rank's, it lies in an input, whose other parts have been sent. */
static void join_part(struct sched_builder *b, const int *first) {
    struct sums all = {0}, next;
    for (int r = 0; r < b->shape->size; r++) {
        if (r == b->rank)
            sums_own(b, &next);
        else
            sums_of(b, r, r + 1, first[r], &next);
        sums_join(b, &all, &next, b->rank, 1);
    }
    b->result = all.slot[0];
    if (!all.fixed[0] || b->shape->size == 1) return;
    b->result = sched_slots(b, 1);
    sched_copy(b, b->result, all.slot[0], b->rank, 1);
}

static int twoshot_reduce_scatter(struct sched_builder *b, struct diag *d) {
    int *first = malloc((size_t)b->shape->size * sizeof *first);
    if (!first) return diag_set(d, ERR_MEMORY, "no memory for a schedule of %d ranks", b->shape->size);
    scatter(b, first);
    join_part(b, first);
    b->round += b->shape->size > 1;
    free(first);
    return 0;
}

static int twoshot_allgather(struct sched_builder *b, struct diag *d) {
    int size = b->shape->size;
    (void)d;
    for (int i = 1; i < size; i++)
        sched_send_parts(b, (b->rank - i + size) % size, b->in, 1, b->rank, 1, 0);
    for (int i = 1; i < size; i++) {
        int r = (b->rank + i) % size;
        sched_recv_parts(b, r, b->in, 1, r, 1, 0);
    }
    b->result = b->in;
    b->round += size > 1;
    return 0;
}

static int twoshot_allreduce(struct sched_builder *b, struct diag *d) {
    int code = twoshot_reduce_scatter(b, d);
    b->in = b->result;
    return code ? code : twoshot_allgather(b, d);
}

static void reduce_scatter_cost(const struct coll_case *c, struct coll_cost *out) {
    int size = c->shape->size, all = 0, mine = coll_cover_count(c->shape, c->rank, c->rank + 1);
    for (int r = 0; r < size; r++) {
        all += coll_cover_count(c->shape, r, r + 1);
        if (r != c->rank) coll_cost_send(out, (uint64_t)mine * coll_case_elems(c, size, r, 1));
    }
    out->reduced += (uint64_t)(all - 1) * coll_case_elems(c, size, c->rank, 1);
    out->rounds += size > 1;
}

static void allgather_cost(const struct coll_case *c, struct coll_cost *out) {
    int size = c->shape->size;
    for (int r = 1; r < size; r++)
        coll_cost_send(out, coll_case_elems(c, size, c->rank, 1));
    out->rounds += size > 1;
}

static void allreduce_cost(const struct coll_case *c, struct coll_cost *out) {
    reduce_scatter_cost(c, out);
    allgather_cost(c, out);
}

const struct coll_algo coll_algo_twoshot = {
    .name = "twoshot",
    .description = "each rank adds its part along the canonical tree and gives it to all: 2 rounds",
    .label = COLL_BIT_EXACT,
    .levels = 1,
    .two_step = 1,
    .cuts = COLL_CUT_SIZE,
    .messages = "2 (P-1)",
    .words = "(c+1) (P-1)/P n",
    .additions = "n (P-1)/P",
    .memory = "n P",
    .build = {twoshot_allreduce, twoshot_reduce_scatter, twoshot_allgather},
    .cost = {allreduce_cost, reduce_scatter_cost, allgather_cost},
};
