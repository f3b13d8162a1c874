/* single - one rank holds the whole model: the reference that every other strategy must reproduce. */
#include "parts.h"

static int spread(struct strategy *st, const struct model_shape *s, int n_ranks, struct diag *d) {
    (void)s;
    if (n_ranks != 1)
        return diag_set(d, ERR_PLAN, "strategy single: it is 1 rank, but there are %d: use dp, tp, pp or hybrid",
                        n_ranks);
    strategy_regular(st, 1, 1, 1, 1);
    return 0;
}

static int matches(const struct strategy *st) {
    return strategy_is_regular(st) && st->tp == 1 && st->pp == 1;
}

const struct strategy_kind strategy_kind_single = {
    .name = "single",
    .spelling = "1",
    .description = "one rank holds the whole model",
    .spread = spread,
    .matches = matches,
    .split = "A rank holds the whole model; nothing is sent inside a replica.",
};
