/* ring - parts go round a ring: once round gathering the reduction, once more spreading it.
 *
 *   P = 4, all send to the right; kr is the reduction of part k so far, ending on rank r:
 *
 *     rank        0        1        2        3
 *     round 0     3 >      0 >      1 >      2 >        reduce-scatter: rank r sends part r-1 first, ...
 *           1     2 >      3 >      0 >      1 >        ... then, with its own added, what came in before
 *           2     1 >      2 >      3 >      0 >
 *                 S0       S1       S2       S3         part r ends on rank r
 *     round 3     0 >      1 >      2 >      3 >        allgather
 *           4     3 >      0 >      1 >      2 >
 *           5     2 >      3 >      0 >      1 >
 *
 * Cost: reduce-scatter and allgather P-1 messages a rank and (P-1)/P n words each; all-reduce
 * 2 (P-1) alpha + 2 (P-1)/P n beta + (P-1)/P n gamma (Patarasu, Yuan 2009: the fewest words; Thakur, Rabenseifner,
 * Gropp 2005). All traffic is between neighbours. The order of the sum in part k starts at rank k+1 and goes round: it
 * depends on P and on the part, but each part is reduced once, so all ranks hold the same bits.
 *
 * Memory: the input, the parts on their way (sent on, so they stay as they are), and the result. */
#include "sched_build.h"

static int ring_reduce_scatter(struct sched_builder *b, struct diag *d) {
    int size = b->shape->size, rank = b->rank, right = (rank + 1) % size, left = (rank + size - 1) % size;
    (void)d;
    sched_one(b);
    b->result = b->in;
    int from = b->in, way = size > 2 ? sched_slots(b, 1) : b->in;
    if (size > 1) b->result = sched_slots(b, 1);
    for (int i = 1; i < size; i++, b->round++) {
        int in = (rank + 2 * size - 1 - i) % size, to = i == size - 1 ? b->result : way;
        sched_send_parts(b, right, from, 1, (rank + size - i) % size, 1, 0);
        sched_recv_parts(b, left, to, 1, in, 1, 0);
        sched_reduce(b, to, b->in, in, 1);
        from = to;
    }
    return 0;
}

static int ring_allgather(struct sched_builder *b, struct diag *d) {
    int size = b->shape->size, rank = b->rank, right = (rank + 1) % size, left = (rank + size - 1) % size;
    (void)d;
    for (int i = 0; i < size - 1; i++, b->round++) {
        sched_send_parts(b, right, b->in, 1, (rank + size - i) % size, 1, 0);
        sched_recv_parts(b, left, b->in, 1, (rank + size - 1 - i) % size, 1, 0);
    }
    b->result = b->in;
    return 0;
}

static int ring_allreduce(struct sched_builder *b, struct diag *d) {
    int code = ring_reduce_scatter(b, d);
    b->in = b->result;
    return code ? code : ring_allgather(b, d);
}

/* All parts but one are sent: reduce-scatter all but `rank`, allgather all but rank + 1. */
static void send_all_but(const struct coll_case *c, int except, struct coll_cost *out) {
    int size = c->shape->size;
    for (int i = 1; i < size; i++)
        coll_cost_send(out, coll_case_elems(c, size, except + i, 1));
    out->rounds += size - 1;
}

static void reduce_scatter_cost(const struct coll_case *c, struct coll_cost *out) {
    int size = c->shape->size;
    coll_cost_one(c, out);
    send_all_but(c, c->rank, out);
    out->reduced += coll_case_elems(c, size, c->rank, size - 1); /* all but rank - 1 */
}

static void allgather_cost(const struct coll_case *c, struct coll_cost *out) {
    send_all_but(c, c->rank + 1, out);
}

static void allreduce_cost(const struct coll_case *c, struct coll_cost *out) {
    reduce_scatter_cost(c, out);
    allgather_cost(c, out);
}

const struct coll_algo coll_algo_ring = {
    .name = "ring",
    .description = "parts go round a ring twice: the fewest words, between neighbours, in 2 (P-1) rounds",
    .label = COLL_ROUNDING,
    .levels = 1,
    .cuts = COLL_CUT_SIZE,
    .messages = "2 (P-1)",
    .words = "2 (P-1)/P n",
    .additions = "n (P-1)/P",
    .memory = "3 n",
    .build = {ring_allreduce, ring_reduce_scatter, ring_allgather},
    .cost = {allreduce_cost, reduce_scatter_cost, allgather_cost},
};
