/* kvp - KV parallelism: the ranks that work on the same heads share their cache by position (Helix Parallelism, Bhatia
 * et al. 2025, arXiv 2507.07120; decode context parallelism elsewhere).
 *
 *   kvp 2, a shard of heads 0-7, blocks of 32 positions in turns:
 *
 *   q k v of heads 0-7 --- positions   0-31  64-95 ... --- (m, l, o) of heads 0-7 --.         .-- heads 0-3 -- O, FFN
 *                                                                                    merge --+
 *   q k v of heads 0-7 --- positions 32-63  96-127 ... --- (m, l, o) of heads 0-7 --'         '-- heads 4-7 -- O, FFN
 *
 * For models with fewer KV heads than ranks, where tensor parallelism copies the cache: here each rank holds and reads
 * 1/kvp of it, for kvp copies of the q, k and v weights and one more collective a layer. Merging rounds, so results are
 * those of one rank but for rounding, and the same for every tp, pp, chunk and batch. */
#include "parts.h"

/* As few ranks a cache as there can be. */
static int spread(struct strategy *st, const struct model_shape *s, int n_ranks, struct diag *d) {
    int tp = n_ranks > 1 ? n_ranks / 2 : 1;
    while (n_ranks % tp || s->n_kv_heads % tp)
        tp--;
    if (!s->causal || s->n_heads % n_ranks)
        return diag_set(d, ERR_PLAN,
                        "strategy kvp: %d heads of %s cannot be dealt evenly to %d ranks that share a cache: use tp",
                        s->n_heads, s->name, n_ranks);
    strategy_regular(st, 1, tp, n_ranks / tp, 1);
    return 0;
}

static int matches(const struct strategy *st) {
    return st->kvp > 1;
}

const struct strategy_kind strategy_kind_kvp = {
    .name = "kvp",
    .spelling = "tpNxkvpK",
    .description = "KV parallelism: K ranks share the cache of each tensor-parallel shard by position",
    .spread = spread,
    .matches = matches,
    .split = "The ranks that attend with the same heads keep blocks of positions in turns, and merge what they find; a "
             "token costs one more collective a layer, and results are those of one rank but for rounding.",
};
