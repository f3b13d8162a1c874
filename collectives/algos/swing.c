/* swing - recursive halving and doubling whose partners swing from one side to the other, to stay near on a ring.
 *
 *   P = 8, partner of rank r in round s: r + d(s) for even r, r - d(s) for odd r, d(s) = (1 - (-2)^(s+1)) / 3:
 *
 *     rank          0    1    2    3    4    5    6    7
 *     d(0) =  1     1    0    3    2    5    4    7    6      give half of the parts
 *     d(1) = -1     7    2    1    4    3    6    5    0      give a quarter
 *     d(2) =  3     3    6    5    0    7    2    1    4      give an eighth; then the same way back
 *
 * Cost: as rabenseifner: 2 lg P alpha + 2 (P-1)/P n beta + (P-1)/P n gamma, and the same folding of what is above a
 * power of two (its authors have a form for even P without folding, not used here). What is saved is distance: the
 * partner is |d(s)| < 2^s hops away on a ring, not 2^s (De Sensi, Bonato, Saam, Hoefler, "Swing: short-cutting rings
 * for higher bandwidth allreduce", NSDI 2024). No hop is shorter where all links are alike, as in shared memory or
 * under one switch.
 *
 * The authors' other form exchanges whole vectors, lg P rounds. It is not used: from P = 8 on the sets of ranks that
 * partners have summed overlap without being equal (0 has 6 7 0 1 after two rounds, 1 has 0 1 2 3), so ranks add in
 * different orders and end with different bits. Here each part is reduced once. */
#include "sched_build.h"

/* d(s) = 1 - 2 + 4 - ... : 1, -1, 3, -5, 11 */
static int partner(int at, int n, int s) {
    int d = 0;
    for (int i = 0, power = 1; i <= s; i++, power *= -2)
        d += power;
    return ((at % 2 ? at - d : at + d) % n + n) % n;
}

HALVES_KIND(allreduce, partner)
HALVES_KIND(reduce_scatter, partner)
HALVES_KIND(allgather, partner)

const struct coll_algo coll_algo_swing = {
    .name = "swing",
    .description = "halving, then doubling, with partners that stay near on a ring: fewest words in 2 lg P rounds",
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
