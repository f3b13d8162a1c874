/* bruck - reduce-scatter and allgather over a circulant graph: ceil(lg P) rounds each, for any P.
 *
 * Let R[i] be part (r + i) mod P on rank r. The skips halve P, rounded up: P = 5 gives 3, 2, 1. With s' the skip before
 * (P at first), the reduce-scatter sends R[s .. s'-1] to rank r + s, for which they are R[0 .. s'-s-1], and adds what
 * comes from rank r - s:
 *
 *   P = 5, seen from rank 0:        R[0]     R[1]     R[2]     R[3]     R[4]
 *     s = 3: 3 4 go to rank 3       0+       1+       2          '--------'>
 *     s = 2: 2 goes to rank 2       0++      1+         '>
 *     s = 1: 1 goes to rank 1       0+++       '>                              all 5 are in R[0]
 *
 * The allgather is the same backwards: R[0 .. s'-s-1] go to rank r - s, for which they are R[s .. s'-1].
 *
 * Cost: ceil(lg P) messages a rank and (P-1)/P n words in each half; all-reduce 2 ceil(lg P) alpha + 2 (P-1)/P n beta +
 * (P-1)/P n gamma, the fewest rounds and words at once, whatever P is (Bruck, Ho, Kipnis, Upfal, Weathersby 1997 for
 * the allgather; Traeff, "Optimal, non-pipelined reduce-scatter and allreduce algorithms", arXiv 2410.14234). Sums of a
 * part grow along the skips: each part is reduced on one rank, so all hold the same bits.
 *
 * Memory: the input; `sums`, where R[0 .. n-1] lie from the first round on (R[n], if P is odd, is still the input's);
 * `got`, which receives, and in whose part the last reduction ends, as nothing of it is ever sent. */
#include "sched_build.h"

static int half_up(int n) {
    return (n + 1) / 2;
}

/* Blocks below n_sums lie in `sums`, the others are inputs: pieces in the order of blocks. */
static void send_blocks(struct sched_builder *b, int sums, int n_sums, int s, int end) {
    int peer = (b->rank + s) % b->shape->size, split = n_sums < s ? s : n_sums < end ? n_sums : end;
    sched_send_round(b, peer, sums, b->rank + s, split - s, split < end);
    sched_send_round(b, peer, b->in, b->rank + split, end - split, 0);
}

static int bruck_reduce_scatter(struct sched_builder *b, struct diag *d) {
    int size = b->shape->size, rank = b->rank, n_sums = 0;
    (void)d;
    sched_one(b);
    b->result = b->in;
    if (size == 1) return 0;
    int sums = size > 2 ? sched_slots(b, 1) : b->in, got = sched_slots(b, 1);
    for (int end = size, s = half_up(end); end > 1; end = s, s = half_up(s), b->round++) {
        int peer = (rank + size - s) % size, n = end - s, from = n_sums ? sums : b->in, last = end == 2;
        int to = n_sums || last ? got : sums;
        send_blocks(b, sums, n_sums, s, end);
        sched_recv_round(b, peer, to, rank, n);
        if (!n_sums || last)
            sched_reduce_round(b, to, from, rank, n);
        else
            sched_reduce_round(b, sums, got, rank, n);
        if (!n_sums) n_sums = n;
    }
    b->result = got;
    return 0;
}

/* The skips from the last to the first: s is the one whose half, rounded up, is `below`. */
static int bruck_allgather(struct sched_builder *b, struct diag *d) {
    int size = b->shape->size, rank = b->rank, skips[32], n = 0;
    (void)d;
    for (skips[0] = size; skips[n] > 1; n++)
        skips[n + 1] = half_up(skips[n]);
    for (; n > 0; n--, b->round++) {
        int s = skips[n], blocks = skips[n - 1] - s;
        sched_send_round(b, (rank + size - s) % size, b->in, rank, blocks, 0);
        sched_recv_round(b, (rank + s) % size, b->in, rank + s, blocks);
    }
    b->result = b->in;
    return 0;
}

static int bruck_allreduce(struct sched_builder *b, struct diag *d) {
    int code = bruck_reduce_scatter(b, d);
    b->in = b->result;
    return code ? code : bruck_allgather(b, d);
}

static void reduce_scatter_cost(const struct coll_case *c, struct coll_cost *out) {
    int size = c->shape->size;
    coll_cost_one(c, out);
    for (int end = size; end > 1; end = half_up(end), out->rounds++) {
        int s = half_up(end);
        coll_cost_send(out, coll_case_elems(c, size, c->rank + s, end - s));
        out->reduced += coll_case_elems(c, size, c->rank, end - s);
    }
}

static void allgather_cost(const struct coll_case *c, struct coll_cost *out) {
    for (int end = c->shape->size; end > 1; end = half_up(end), out->rounds++)
        coll_cost_send(out, coll_case_elems(c, c->shape->size, c->rank, end - half_up(end)));
}

static void allreduce_cost(const struct coll_case *c, struct coll_cost *out) {
    reduce_scatter_cost(c, out);
    allgather_cost(c, out);
}

const struct coll_algo coll_algo_bruck = {
    .name = "bruck",
    .description = "reduce-scatter and allgather over a circulant graph: fewest words in 2 ceil(lg P) rounds, any P",
    .label = COLL_ROUNDING,
    .levels = 1,
    .cuts = COLL_CUT_SIZE,
    .messages = "2 ceil(lg P)",
    .words = "2 (P-1)/P n",
    .additions = "n (P-1)/P",
    .memory = "3 n",
    .build = {bruck_allreduce, bruck_reduce_scatter, bruck_allgather},
    .cost = {allreduce_cost, reduce_scatter_cost, allgather_cost},
};
