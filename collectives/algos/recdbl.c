/* recdbl - recursive doubling: in each round a rank exchanges its whole vector with one twice as far away.
 *
 *   P = 5: Q = 4 is the greatest power of two; 1 pair folds first and unfolds last.
 *
 *     rank     0        1        2        3        4
 *              '------->                                  fold: 1 speaks for 0
 *                       '--------'        '--------'      exchange and add: 01 + 2, 3 + 4
 *                       '--------|--------'        |      012 + 34
 *                                '-----------------'
 *              <-------'                                  unfold
 *
 * Cost: lg Q messages of n words a rank, one more where it speaks for another; a folded rank sends 1. With Q = P:
 * lg P (alpha + n beta + n gamma); else 2 alpha + 2 n beta + n gamma more (Thakur, Rabenseifner, Gropp 2005; MPICH
 * folds like this). Both partners add the same two vectors, and a + b = b + a, so all ranks hold the same bits; where
 * P = Q and ranks own whole subtrees of equal size, that is the canonical tree.
 *
 * Memory: what has been sent stays as it is, so each round takes a fresh slot. */
#include "sched_build.h"

static int recdbl_allreduce(struct sched_builder *b, struct diag *d) {
    struct fold f = fold_of(b->shape->size, b->rank);
    (void)d;
    sched_one(b);
    int have = fold_in(b, &f);
    for (int mask = 1; mask < f.n; mask *= 2, b->round++) {
        if (f.at < 0) continue;
        int peer = fold_rank(&f, f.at ^ mask), got = sched_slots(b, 1);
        sched_send(b, peer, have, 1);
        sched_recv(b, peer, got, 1);
        sched_reduce(b, got, have, 0, b->cut);
        have = got;
    }
    b->result = fold_out(b, &f, have);
    return 0;
}

static void recdbl_cost(const struct coll_case *c, struct coll_cost *out) {
    struct fold f = fold_of(c->shape->size, c->rank);
    uint64_t n = coll_case_elems(c, 1, 0, 1);
    coll_cost_one(c, out);
    fold_cost(c, &f, out);
    for (int i = 0; i < f.lg && f.at >= 0; i++)
        coll_cost_send(out, n);
    if (f.at >= 0) out->reduced += (uint64_t)f.lg * n;
    out->rounds += f.lg;
    unfold_cost(c, &f, out);
}

const struct coll_algo coll_algo_recdbl = {
    .name = "recdbl",
    .description = "recursive doubling of one vector a rank: lg P rounds",
    .label = COLL_ROUNDING,
    .levels = 1,
    .messages = "lg P",
    .words = "n lg P",
    .additions = "n lg P",
    .memory = "n (1 + lg P)",
    .build[COLL_ALLREDUCE] = recdbl_allreduce,
    .cost[COLL_ALLREDUCE] = recdbl_cost,
};
