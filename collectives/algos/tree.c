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
 *   P = 5, 5 leaves, the tree (0+1) + (2+(3+4)): 4 is the greatest power of two, so 1 pair folds first and unfolds last.
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
 * Memory: 2 slots where no tree is cut. A list that joining has left with gaps is packed by COPYs before it is sent. */
#include "base/pairtree.h"
#include "sched_build.h"

/* Sums of the maximal subtrees of leaves [begin, end): node[i] lies in slot[i]. */
struct held {
    int begin, end, n;
    struct pairtree_node node[PAIRTREE_MAX_NODES];
    int slot[PAIRTREE_MAX_NODES];
};

struct build {
    struct sched_builder b;
    const struct coll_shape *shape;
    struct held h;
    int round;
    int n_groups, n_pairs; /* Q, F */
};

/* Group g is one rank, or the pair (2g, 2g+1) whose lower rank speaks for it. */
static int group_first_rank(const struct build *t, int g) {
    return g < t->n_pairs ? 2 * g : g + t->n_pairs;
}

static int group_leaf(const struct build *t, int g) {
    return t->shape->begin[group_first_rank(t, g)];
}

/* The first of the lowest `count` neighbouring slots that hold nothing of h. */
static int free_run(const struct held *h, int count) {
    int first = 0;
    for (int i = 0; i < h->n; i++) {
        if (h->slot[i] < first || h->slot[i] >= first + count) continue;
        first = h->slot[i] + 1;
        i = -1;
    }
    return first;
}

/* Makes the list one run of slots, as a message needs it. */
static void pack(struct build *t) {
    struct held *h = &t->h;
    int gaps = 0;
    for (int i = 1; i < h->n; i++)
        gaps += h->slot[i] != h->slot[i - 1] + 1;
    if (gaps == 0) return;
    int first = free_run(h, h->n);
    for (int i = 0; i < h->n; i++) {
        sched_copy(&t->b, t->round, first + i, h->slot[i]);
        h->slot[i] = first + i;
    }
}

/* Joins what has been received into slots with what is held. A sum goes to a received slot: the held ones are still
 * being sent. Two held nodes are never siblings, as lists are maximal. */
static void join(struct build *t, const struct held *got) {
    struct held *h = &t->h;
    int got_left = got->end <= h->begin, n_joins;
    const struct held *left = got_left ? got : h, *right = got_left ? h : got;
    struct held out = {.begin = left->begin, .end = right->end};
    struct pairtree_join joins[PAIRTREE_MAX_NODES];
    int out_slot[PAIRTREE_MAX_NODES], slot[2 * PAIRTREE_MAX_NODES], ours[2 * PAIRTREE_MAX_NODES];
    for (int i = 0; i < left->n + right->n; i++) {
        slot[i] = i < left->n ? left->slot[i] : right->slot[i - left->n];
        ours[i] = (i < left->n) != got_left;
    }
    out.n = pairtree_merge(left->node, left->n, right->node, right->n, out.node, out_slot, joins, &n_joins);
    for (int i = 0; i < n_joins; i++) {
        int a = joins[i].a, b = joins[i].b, into_a = ours[b];
        sched_add(&t->b, t->round, into_a ? slot[a] : slot[b], into_a ? slot[b] : slot[a]);
        slot[a] = into_a ? slot[a] : slot[b];
        ours[a] = 0;
    }
    for (int i = 0; i < out.n; i++)
        out.slot[i] = slot[out_slot[i]];
    *h = out;
}

static void give(struct build *t, int peer) {
    pack(t);
    if (t->h.n > 0) sched_send(&t->b, t->round, peer, t->h.slot[0], t->h.n);
}

/* Receives the list of leaves [begin, end) and joins it. */
static void take(struct build *t, int peer, int begin, int end) {
    struct held got = {.begin = begin, .end = end};
    got.n = pairtree_cover(t->shape->n_leaves, begin, end, got.node);
    int first = free_run(&t->h, got.n);
    for (int i = 0; i < got.n; i++)
        got.slot[i] = first + i;
    if (got.n > 0) sched_recv(&t->b, t->round, peer, first, got.n);
    join(t, &got);
}

/* The rounds of a rank that speaks for group g. */
static void double_up(struct build *t, int g) {
    for (int width = 1; width < t->n_groups; width *= 2, t->round++) {
        int other = g ^ width, first = other / width * width; /* groups [first, first + width) hold one list */
        give(t, group_first_rank(t, other));
        take(t, group_first_rank(t, other), group_leaf(t, first), group_leaf(t, first + width));
    }
}

static void fold_and_double(struct build *t, int rank) {
    int paired = rank < 2 * t->n_pairs;
    int folded = t->n_pairs > 0;
    const int *begin = t->shape->begin;
    if (paired) take(t, rank + 1, begin[rank + 1], begin[rank + 2]);
    t->round += folded;
    double_up(t, paired ? rank / 2 : rank - t->n_pairs);
    if (paired) give(t, rank + 1);
    t->round += folded;
}

/* A rank that its left neighbour speaks for. */
static void fold_away(struct build *t, int rank) {
    give(t, rank - 1);
    t->round = 1;
    for (int width = 1; width < t->n_groups; width *= 2)
        t->round++;
    sched_recv(&t->b, t->round, rank - 1, 0, 1);
    t->h.slot[0] = 0;
    t->round++;
}

static int tree_allreduce(struct sched *s, const struct coll_shape *shape, int rank, struct diag *d) {
    struct build t = {.shape = shape, .n_groups = 1};
    int code = sched_begin(&t.b, s, shape, rank, d);
    if (code != 0) return code;
    while (2 * t.n_groups <= shape->size)
        t.n_groups *= 2;
    t.n_pairs = shape->size - t.n_groups;
    t.h.begin = shape->begin[rank];
    t.h.end = shape->begin[rank + 1];
    t.h.n = pairtree_cover(shape->n_leaves, t.h.begin, t.h.end, t.h.node);
    for (int i = 0; i < t.h.n; i++)
        t.h.slot[i] = i;
    if (rank < 2 * t.n_pairs && rank % 2 == 1)
        fold_away(&t, rank);
    else
        fold_and_double(&t, rank);
    return sched_end(&t.b, t.h.slot[0], t.round, d);
}

const struct coll_algo coll_algo_tree = {
    .name = "tree",
    .description = "recursive doubling along the canonical tree: lg P rounds",
    .label = "bit-exact",
    .allreduce = tree_allreduce,
};
