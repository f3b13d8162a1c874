/* pp - pipeline parallelism: each rank computes some layers, whole.
 *
 *      tokens --> [ layers 0..7 ] --h--> [ layers 8..15 ] --h--> [ layers 16..22, output ] --token--.
 *        ^                                                                                          |
 *        '------------------------------------------------------------------------------------------'
 *
 * One message a stage and token (Huang et al. 2019, "GPipe"). A single sequence keeps one stage busy at a time: several
 * micro-batches fill the pipeline. */
#include "parts.h"

static int spread(struct strategy *st, const struct model_shape *s, int n_ranks, struct diag *d) {
    if (n_ranks > s->n_layers)
        return diag_set(d, ERR_PLAN,
                        "strategy pp: %d stages need a layer each, but %s has %d layers: use tp, hybrid or stages",
                        n_ranks, s->name, s->n_layers);
    strategy_regular(st, 1, 1, 1, n_ranks);
    return 0;
}

static int matches(const struct strategy *st) {
    return strategy_is_regular(st) && st->tp == 1 && st->pp > 1;
}

const struct strategy_kind strategy_kind_pp = {
    .name = "pp",
    .spelling = "ppN",
    .description = "pipeline parallelism: N stages of one rank hold consecutive layers",
    .spread = spread,
    .matches = matches,
    .split = "Each rank holds consecutive layers, balanced by weight bytes; a token costs one message a stage, and a "
             "single sequence "
             "keeps one stage busy at a time.",
};
