/* northpole - as many cards a layer as all layers can have, one in the paper, the output layer over the cards that are
 * left, and a host that embeds the tokens:
 *
 *   host -> card 0 (layer 0) -> card 1 (layer 1) -> ... -> card L-1 (layer L-1) -> cards L, L+1 (output layer) -> host
 *
 * The mapping of "Breakthrough low-latency, high-energy-efficiency LLM inference performance using NorthPole" (HPEC
 * 2024), where 14 layers and an output layer over two cards make 16. */
#include <string.h>

#include "parts.h"

static int spread(struct strategy *st, const struct model_shape *s, int n_ranks, struct diag *d) {
    if (n_ranks < s->n_layers + 2)
        return diag_set(
            d, ERR_PLAN,
            "strategy northpole: a host, a card for each of the %d layers of %s and one or more for its output "
            "layer are at least %d ranks, but there are %d: use stages",
            s->n_layers, s->name, s->n_layers + 2, n_ranks);
    memset(st, 0, sizeof *st);
    st->dp = st->kvp = st->host = 1;
    st->stage_size[0] = 1;
    int each = (n_ranks - 2) / s->n_layers;
    if (each > s->n_heads) each = s->n_heads;
    for (int i = 1; i <= s->n_layers; i++) {
        st->stage_size[i] = each;
        st->stage_layers[i] = 1;
    }
    st->stage_size[s->n_layers + 1] = n_ranks - 1 - each * s->n_layers;
    st->n_stages = s->n_layers + 2;
    return strategy_finish(st, d);
}

static int matches(const struct strategy *st) {
    int last = st->n_stages - 1;
    for (int i = 1; i < last; i++)
        if (st->stage_size[i] != st->stage_size[1] || st->stage_layers[i] != 1) return 0;
    return st->host && st->dp == 1 && last > 1 && st->stage_layers[last] == 0;
}

const struct strategy_kind strategy_kind_northpole = {
    .name = "northpole",
    .spelling = "northpole",
    .description =
        "a host, a card for each layer (or as many as there are for all), and the output layer over those left",
    .hosts = 1,
    .spread = spread,
    .matches = matches,
    .split = "A layer a card, so that weights and cache stay on it; one message a token passes from card to card.",
};
