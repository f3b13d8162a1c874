/* tp - tensor parallelism: every rank computes a part of every layer.
 *
 *      h ---+--- heads 0..3 of layer l --- O columns ---.
 *           |                                            +-- all-reduce --- h + sum      (and the same for the FFN)
 *           '--- heads 4..7 of layer l --- O columns ---'
 *
 * Two all-reduces a layer (Shoeybi et al. 2019, "Megatron-LM"), so latency counts at each (one where the model computes
 * attention and FFN side by side); memory and bandwidth of all ranks serve every token. */
#include "parts.h"

static int spread(struct strategy *st, const struct model_shape *s, int n_ranks, struct diag *d) {
    (void)s, (void)d;
    strategy_regular(st, 1, n_ranks, 1);
    return 0;
}

static int matches(const struct strategy *st) {
    return strategy_is_regular(st) && st->tp > 1 && st->pp == 1;
}

const struct strategy_kind strategy_kind_tp = {
    .name = "tp",
    .spelling = "tpN",
    .description = "tensor parallelism: N ranks split the heads, FFN columns and vocabulary of every layer",
    .spread = spread,
    .matches = matches,
    .split = "All ranks work on every layer, each on its heads, FFN columns and vocabulary rows; a token costs two "
             "all-reduces a layer.",
};
