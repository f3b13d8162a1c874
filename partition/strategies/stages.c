/* stages - a list of stages, each with its own size and, if wanted, number of layers: the machine's shape, not a grid.
 *
 *   stages:1*14/1,2/0        14 cards with a layer each and 2 cards that share the output layer, the mapping of
 *                            "Breakthrough low-latency, high-energy-efficiency LLM inference performance using
 * NorthPole" (HPEC 2024) stages:host,1*14/1,2/0   the same with a host rank that embeds the tokens */
#include <string.h>

#include "parts.h"

static int spread(struct strategy *st, const struct model_shape *s, int n_ranks, struct diag *d) {
    if (n_ranks <= s->n_layers)
        return diag_set(
            d, ERR_PLAN,
            "strategy stages: a stage for each of the %d layers of %s and an output stage need at least %d ranks, but "
            "there are %d: spell the list, as in stages:2*3,1",
            s->n_layers, s->name, s->n_layers + 1, n_ranks);
    memset(st, 0, sizeof *st);
    st->dp = 1;
    for (int i = 0; i < s->n_layers; i++)
        st->stage_size[i] = st->stage_layers[i] = 1;
    st->stage_size[s->n_layers] = n_ranks - s->n_layers;
    st->n_stages = s->n_layers + 1;
    return strategy_finish(st, d);
}

static int matches(const struct strategy *st) {
    return !strategy_is_regular(st);
}

const struct strategy_kind strategy_kind_stages = {
    .name = "stages",
    .spelling = "stages:SIZE*REPEAT/LAYERS,...",
    .description = "a list of stages with their own sizes and layers; alone: one rank a layer and an output stage",
    .spread = spread,
    .matches = matches,
    .split = "Stages have their own sizes and layers; the ranks of a stage split each of its layers by heads, FFN "
             "columns and vocabulary "
             "rows, and one message a token passes to each rank of the next stage.",
};
