/* tree - the canonical all-reduce: recursive doubling along the pairwise tree of the leaves.
 *
 * A rank starts with the sums of the maximal subtrees of its leaves. In each round a group of neighbouring ranks that
 * all hold the same list meets the group beside it; both exchange their lists and join what are siblings in the tree,
 * so both then hold the list of the joined leaves. At the end that is the root. Left + right and right + left are the
 * same bits.
 *
 *   P = 4, 8 leaves, 2 each (aligned: one vector a message):
 *
 *     rank     0        1        2        3
 *     has     0+1      2+3      4+5      6+7          one subtree each
 *              '--------'        '--------'           round 0: exchange, add
 *            0..3     0..3     4..7     4..7
 *              '--------|--------'        |           round 1: exchange, add
 *                       '-----------------'
 *            0..7     0..7     0..7     0..7          the root, on all
 *
 *   P = 5, 5 leaves, the tree (0+1) + (2+(3+4)): 4 is the greatest power of two, so 1 pair folds first and unfolds
 * last.
 *
 *     rank     0        1        2        3        4
 *     has      0        1        2        3        4
 *              <--------'                                   round 0, fold: 1 sends to 0
 *            0..1                2        3        4
 *              '-----------------'        '--------'        round 1
 *         {0..1, 2}         {0..1, 2}   3..4     3..4       0..1 and 2 are no siblings: a list of 2 subtrees
 *              '-----------------|--------'        |        round 2: messages of 2 vectors one way, 1 the other
 *                                '-----------------'
 *            root               root     root     root
 *              '------->                                    round 3, unfold: the root
 *
 * Cost: with Q = 2^floor(lg P) and F = P - Q pairs folded, a rank that stays sends lg Q messages (one more if it
 * folded); a folded one sends 1. The words of a message are n times the number of maximal subtrees of the sender's
 * leaves so far: 1 where groups own whole subtrees, at most 2 lg(leaves) where ranks cut the tree. Time for P = Q,
 * aligned: lg P (alpha + n beta + n gamma), as for any recursive doubling (Thakur, Rabenseifner, Gropp 2005), which
 * is also bit for bit what this is then. A rank without leaves sends nothing until it has met one with leaves.
 *
 * Memory: what has been sent stays as it is, so each round takes fresh slots for what it receives, and sums go there:
 * 1 + lg P slots where no tree is cut. */
#include "sched_build.h"

/* Q groups in the doubling, F of them pairs: group g is one rank, or the pair (2g, 2g+1) whose lower rank speaks. */
struct groups {
    int n, pairs;
};

static struct groups groups_of(int size) {
    struct groups q = {1, 0};
    while (2 * q.n <= size)
        q.n *= 2;
    q.pairs = size - q.n;
    return q;
}

static int first_rank(const struct groups *q, int g) {
    return g < q->pairs ? 2 * g : g + q->pairs;
}

/* Sends the list, neighbouring slots as one piece; what is sent is fixed from then on. */
static void give(struct sched_builder *b, struct sums *h, int peer) {
    for (int i = 0, run; i < h->n; i += run) {
        for (run = 1; i + run < h->n && h->slot[i + run] == h->slot[i] + run;)
            run++;
        sched_send_parts(b, peer, h->slot[i], run, 0, b->cut, i + run < h->n);
    }
    for (int i = 0; i < h->n; i++)
        h->fixed[i] = 1;
}

/* Receives the list of ranks [rank0, rank1), which lie beside those of the list, and joins it. */
static void take(struct sched_builder *b, struct sums *h, int peer, int rank0, int rank1) {
    struct sums got;
    sums_of(b, rank0, rank1, b->s->n_slots, &got);
    if (got.n > 0) sched_recv(b, peer, sched_slots(b, got.n), got.n);
    if (rank0 > b->rank) {
        sums_join(b, h, &got, 0, b->cut);
    } else {
        sums_join(b, &got, h, 0, b->cut);
        *h = got;
    }
}

/* The rounds of a rank that speaks for group g. */
static void double_up(struct sched_builder *b, struct sums *h, const struct groups *q, int g) {
    for (int width = 1; width < q->n; width *= 2, b->round++) {
        int other = g ^ width, first = other / width * width; /* groups [first, first + width) hold one list */
        give(b, h, first_rank(q, other));
        take(b, h, first_rank(q, other), first_rank(q, first), first_rank(q, first + width));
    }
}

/* A rank that its left neighbour speaks for. */
static void fold_away(struct sched_builder *b, struct sums *h, const struct groups *q) {
    give(b, h, b->rank - 1);
    b->round++;
    for (int width = 1; width < q->n; width *= 2)
        b->round++;
    h->slot[0] = sched_slots(b, 1);
    sched_recv(b, b->rank - 1, h->slot[0], 1);
}

static int tree_allreduce(struct sched_builder *b, struct diag *d) {
    struct groups q = groups_of(b->shape->size);
    int rank = b->rank, paired = rank < 2 * q.pairs;
    struct sums h;
    (void)d;
    sums_own(b, &h);
    if (paired && rank % 2 == 1) {
        fold_away(b, &h, &q);
    } else {
        if (paired) take(b, &h, rank + 1, rank + 1, rank + 2);
        b->round += q.pairs > 0;
        double_up(b, &h, &q, paired ? rank / 2 : rank - q.pairs);
        if (paired) give(b, &h, rank + 1);
    }
    b->round += q.pairs > 0;
    b->result = h.slot[0];
    return 0;
}

/* Joining lists of m and k subtrees into one of j reduces m + k - j times. */
static void tree_cost(const struct coll_case *c, struct coll_cost *out) {
    struct groups q = groups_of(c->shape->size);
    int rank = c->rank, paired = rank < 2 * q.pairs, away = paired && rank % 2 == 1;
    int group = paired ? rank / 2 : rank - q.pairs, have = coll_cover_count(c->shape, rank, rank + 1);
    uint64_t n = coll_case_elems(c, 1, 0, 1);
    out->rounds += 2 * (q.pairs > 0);
    if (away) coll_cost_send(out, (uint64_t)have * n);
    if (paired && !away) {
        int both = coll_cover_count(c->shape, rank, rank + 2);
        out->reduced += (uint64_t)(have + coll_cover_count(c->shape, rank + 1, rank + 2) - both) * n;
        have = both;
    }
    for (int width = 1; width < q.n; width *= 2) {
        int other = (group ^ width) / width * width, low = group / (2 * width) * 2 * width;
        int got = coll_cover_count(c->shape, first_rank(&q, other), first_rank(&q, other + width));
        int both = coll_cover_count(c->shape, first_rank(&q, low), first_rank(&q, low + 2 * width));
        out->rounds++;
        if (away) continue;
        coll_cost_send(out, (uint64_t)have * n);
        out->reduced += (uint64_t)(have + got - both) * n;
        have = both;
    }
    if (paired && !away) coll_cost_send(out, n);
}

const struct coll_algo coll_algo_tree = {
    .name = "tree",
    .description = "recursive doubling along the canonical tree: lg P rounds",
    .label = COLL_BIT_EXACT,
    .levels = 1,
    .messages = "lg P",
    .words = "c n lg P",
    .additions = "n lg P",
    .memory = "n (1 + lg P)",
    .build[COLL_ALLREDUCE] = tree_allreduce,
    .cost[COLL_ALLREDUCE] = tree_cost,
};
