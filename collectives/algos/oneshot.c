/* oneshot - every rank sends its subtree sums to every other, and each adds all of them along the canonical tree.
 *
 *   P = 4:   rank   0      1      2      3
 *                   |\____/|\____/|\____/|      one round, each to each
 *            has  0 1 2 3 on every rank
 *            adds (0+1) + (2+3), everywhere the same
 *
 * Cost: P-1 messages a rank, (P-1) words times its number of maximal subtrees (1 where ranks own whole subtrees), and
 * all the additions on each rank: alpha + (P-1) n beta + (P-1) n gamma with one port for each peer. The fewest rounds
 * an all-reduce can have, for more words than tree: for short vectors and few ranks (vLLM's and TensorRT-LLM's one-shot
 * kernels; NCCL's AGxLL).
 *
 * Memory: one slot for each maximal subtree of every rank: own inputs first, then those of the next rank and so on
 * round. */
#include "base/pairtree.h"
#include "sched_build.h"

static int nodes_of(const struct coll_shape *shape, int rank, struct pairtree_node nodes[PAIRTREE_MAX_NODES]) {
    return pairtree_cover(shape->n_leaves, shape->begin[rank], shape->begin[rank + 1], nodes);
}

/* Number of maximal subtrees of ranks [r0, r1): the slots that their sums take. */
static int slots_of(const struct coll_shape *shape, int r0, int r1) {
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    int n = 0;
    for (int r = r0; r < r1; r++)
        n += nodes_of(shape, r, nodes);
    return n;
}

/* Sends to the rank before first and receives from the one behind first, so that no rank is everyone's first peer. */
static void exchange(struct sched_builder *b, const struct coll_shape *shape, int rank) {
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    int size = shape->size, slot = b->s->n_in;
    for (int i = 1; i < size && b->s->n_in > 0; i++)
        sched_send(b, 0, (rank - i + size) % size, 0, b->s->n_in);
    for (int i = 1; i < size; i++) {
        int r = (rank + i) % size, n = nodes_of(shape, r, nodes);
        if (n > 0) sched_recv(b, 0, r, slot, n);
        slot += n;
    }
}

/* Adds rank after rank; returns the root's slot. Own slots [0, n_in) are being sent: sums go to the other operand. */
static int add_all(struct sched_builder *b, const struct coll_shape *shape, int rank) {
    struct pairtree_node list[PAIRTREE_MAX_NODES], next[PAIRTREE_MAX_NODES], out[PAIRTREE_MAX_NODES];
    struct pairtree_join joins[PAIRTREE_MAX_NODES];
    int slot[2 * PAIRTREE_MAX_NODES], out_slot[PAIRTREE_MAX_NODES], n = 0, n_joins;
    int received = b->s->n_in + slots_of(shape, rank + 1, shape->size); /* where rank 0 was received */
    for (int r = 0; r < shape->size; r++) {
        if (r == rank + 1) received = b->s->n_in;
        int n_next = nodes_of(shape, r, next);
        for (int i = 0; i < n_next; i++)
            slot[n + i] = r == rank ? i : received + i;
        if (r != rank) received += n_next;
        n = pairtree_merge(list, n, next, n_next, out, out_slot, joins, &n_joins);
        for (int i = 0; i < n_joins; i++) {
            int a = slot[joins[i].a], c = slot[joins[i].b], into_a = a >= b->s->n_in;
            sched_add(b, 0, into_a ? a : c, into_a ? c : a);
            slot[joins[i].a] = into_a ? a : c;
        }
        for (int i = 0; i < n; i++)
            list[i] = out[i];
        for (int i = 0; i < n; i++)
            slot[i] = slot[out_slot[i]]; /* out_slot[i] >= i: in order */
    }
    return slot[0];
}

static int oneshot_allreduce(struct sched *s, const struct coll_shape *shape, int rank, struct diag *d) {
    struct sched_builder b;
    int code = sched_begin(&b, s, shape, rank, d);
    if (code != 0) return code;
    exchange(&b, shape, rank);
    return sched_end(&b, add_all(&b, shape, rank), shape->size > 1, d);
}

const struct coll_algo coll_algo_oneshot = {
    .name = "oneshot",
    .description = "each rank sends its sums to all, each adds along the canonical tree: 1 round",
    .label = "bit-exact",
    .allreduce = oneshot_allreduce,
};
