/* oneshot - every rank sends its subtree sums to every other, and each adds all of them along the canonical tree.
 *
 *   P = 4:   rank   0      1      2      3
 *                   |\____/|\____/|\____/|      one round, each to each
 *            has  0 1 2 3 on every rank
 *            adds (0+1) + (2+3), everywhere the same
 *
 * Cost: P-1 messages a rank, (P-1) c n words with c its number of maximal subtrees (1 where ranks own whole subtrees),
 * and all the reductions on each rank: alpha + (P-1) n beta + (P-1) n gamma with one port for each peer. The fewest
 * rounds an all-reduce can have, for more words than tree: for short vectors and few ranks (vLLM's and TensorRT-LLM's
 * one-shot kernels; NCCL's AGxLL).
 *
 * Memory: one slot for each maximal subtree of every rank: own inputs, then those of the next rank and so on round. */
#include "sched_build.h"

/* Sends to the rank before first and receives from the one behind first, so that no rank is everyone's first peer. */
static void exchange(struct sched_builder *b, int *first) {
    int size = b->shape->size, rank = b->rank;
    for (int i = 1; i < size && b->n_in > 0; i++)
        sched_send(b, (rank - i + size) % size, b->in, b->n_in);
    for (int i = 1; i < size; i++) {
        int r = (rank + i) % size, n = coll_cover_count(b->shape, r, r + 1), slot = sched_slots(b, n);
        if (n > 0) sched_recv(b, r, slot, n);
        if (r == 0) *first = slot;
    }
}

/* Slots of rank + 1, ..., size - 1 follow `behind`; those of 0, 1, ..., rank - 1 follow `first`. */
static void join_all(struct sched_builder *b, int first, int behind) {
    struct sums all = {0}, next;
    for (int r = 0; r < b->shape->size; r++) {
        if (r == b->rank) {
            sums_own(b, &next);
        } else {
            int *slot = r < b->rank ? &first : &behind;
            sums_of(b, r, r + 1, *slot, &next);
            *slot += next.n;
        }
        sums_join(b, &all, &next, 0, b->cut);
    }
    b->result = all.slot[0];
}

static int oneshot_allreduce(struct sched_builder *b, struct diag *d) {
    int first = b->in, behind = b->s->n_slots;
    (void)d;
    exchange(b, &first);
    join_all(b, first, behind);
    b->round += b->shape->size > 1;
    return 0;
}

static void oneshot_cost(const struct coll_case *c, struct coll_cost *out) {
    int size = c->shape->size, all = 0, mine = coll_cover_count(c->shape, c->rank, c->rank + 1);
    uint64_t n = coll_case_elems(c, 1, 0, 1);
    for (int r = 0; r < size; r++)
        all += coll_cover_count(c->shape, r, r + 1);
    for (int r = 1; r < size; r++)
        coll_cost_send(out, (uint64_t)mine * n);
    out->reduced += (uint64_t)(all - 1) * n;
    out->rounds += size > 1;
}

const struct coll_algo coll_algo_oneshot = {
    .name = "oneshot",
    .description = "each rank sends its sums to all, each adds along the canonical tree: 1 round",
    .label = COLL_BIT_EXACT,
    .levels = 1,
    .two_step = 1,
    .messages = "P-1",
    .words = "(P-1) c n",
    .additions = "n (P-1)",
    .memory = "n P",
    .build[COLL_ALLREDUCE] = oneshot_allreduce,
    .cost[COLL_ALLREDUCE] = oneshot_cost,
};
