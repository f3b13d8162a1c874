/* dp - data parallelism: replicas that serve different sequences and never talk. */
#include "parts.h"

static int spread(struct strategy *st, const struct model_shape *s, int n_ranks, struct diag *d) {
    (void)s, (void)d;
    strategy_regular(st, n_ranks, 1, 1, 1);
    return 0;
}

static int matches(const struct strategy *st) {
    return st->dp > 1;
}

const struct strategy_kind strategy_kind_dp = {
    .name = "dp",
    .spelling = "dpN",
    .description = "data parallelism: N replicas serve different sequences; joins with the others, as dp2xtp4",
    .spread = spread,
    .matches = matches,
    .split = "Replicas hold the same and serve different sequences; nothing is sent between them.",
};
