/* hybrid - pipeline stages that are tensor-parallel groups: all-reduces stay inside a group, a message passes between.
 *
 *            stage 0                stage 1
 *      .--[ rank 0 ]--.  h  .--[ rank 2 ]--.
 *      |   all-reduce  |--->|   all-reduce  |--> token, back to stage 0
 *      '--[ rank 1 ]--'     '--[ rank 3 ]--'          */
#include "parts.h"

/* The widest group within the KV heads that leaves at least two stages, at most one a layer. */
static int spread(struct strategy *st, const struct model_shape *s, int n_ranks, struct diag *d) {
    int max = n_ranks / 2 < s->n_kv_heads ? n_ranks / 2 : s->n_kv_heads;
    int tp = largest_divisor(n_ranks, max);
    if (tp < 2 || n_ranks / tp > s->n_layers)
        return diag_set(
            d, ERR_PLAN,
            "strategy hybrid: %d ranks are no product of 2 to %d ranks a stage (KV heads) and 2 to %d stages (layers): "
            "use tp, pp or stages",
            n_ranks, s->n_kv_heads, s->n_layers);
    strategy_regular(st, 1, tp, 1, n_ranks / tp);
    return 0;
}

static int matches(const struct strategy *st) {
    return strategy_is_regular(st) && st->tp > 1 && st->pp > 1;
}

const struct strategy_kind strategy_kind_hybrid = {
    .name = "hybrid",
    .spelling = "tpNxppM",
    .description = "M pipeline stages, each a tensor-parallel group of N ranks",
    .spread = spread,
    .matches = matches,
    .split = "Stages hold consecutive layers, balanced by weight bytes, and the ranks of a stage split each by heads, "
             "FFN columns and "
             "vocabulary rows; a token costs two all-reduces a layer within a stage and one message between stages.",
};
