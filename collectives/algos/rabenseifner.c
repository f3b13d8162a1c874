/* rabenseifner - recursive halving until each rank has a part of the sum, recursive doubling until all have it whole.
 *
 *   P = 5: Q = 4 is the greatest power of two; 1 pair folds first and unfolds last.
 *
 *     rank     0        1        2        3        4
 *              '------->                                  fold: 1 speaks for 0
 *                     a b c d  a b c d  a b c d  a b c d
 *                       '--------'        '--------'      give half, keep and add half
 *                     a b          c d  a b          c d
 *                       '--------|--------'        |      give half of that
 *                                '-----------------'
 *                     a          c        b          d    each a quarter of the sum; then the same way back
 *              <-------'                                  unfold
 *
 * Cost, P = Q: 2 lg P messages of n/2, n/4, ... and back: 2 lg P alpha + 2 (P-1)/P n beta + (P-1)/P n gamma; else
 * (2 floor(lg P) + 2) alpha + (2 (P-1)/P + 2) n beta + (1 + (P-1)/P) n gamma (Rabenseifner 2004; Thakur, Rabenseifner,
 * Gropp 2005). Neighbours meet first, so where P = Q and ranks own whole subtrees of equal size, the sum is the
 * canonical one.
 *
 * reduce_scatter and allgather are the two halves; part r is rank r's, so messages have up to P/2 pieces (the halves of
 * the picture are then every second part). For other P the reduce-scatter folds whole vectors, n words more. */
#include "sched_build.h"

static int partner(int at, int n, int s) {
    return (at ^ (1 << s)) & (n - 1);
}

HALVES_KIND(allreduce, partner)
HALVES_KIND(reduce_scatter, partner)
HALVES_KIND(allgather, partner)

const struct coll_algo coll_algo_rabenseifner = {
    .name = "rabenseifner",
    .description = "recursive halving, then doubling: the fewest words in 2 lg P rounds",
    .label = COLL_ROUNDING,
    .levels = 1,
    .cuts = COLL_CUT_POWER,
    .messages = "2 lg P",
    .words = "2 (P-1)/P n",
    .additions = "n (P-1)/P",
    .memory = "3 n",
    .build = {allreduce, reduce_scatter, allgather},
    .cost = {allreduce_cost, reduce_scatter_cost, allgather_cost},
};
