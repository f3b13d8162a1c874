/* shares.c - a plan whose shares follow the speeds of a cluster's cards, where that is faster. */
#include <stdlib.h>

#include "partition/estimate.h"
#include "partition/place.h"
#include "parts.h"

enum { MOST_DEPTH = 8 }; /* of 16 FFN leaves and up to 256 heads */

/* Of each rank of a replica, the slowest of those in its place; 1: some differ. */
static int find_speeds(const struct plan *p, const struct cluster *c, uint64_t *speed) {
    int differ = 0;
    for (int i = 0; i < p->n_ranks; i++) {
        uint64_t *at = &speed[i % p->ranks_per_replica];
        struct pico_rate slow = cluster_slow(c, virtual_card(p, i));
        uint64_t own = p->ranks[i].role == RANK_HOST ? SPEED_ONE : slow.den * (SPEED_ONE / slow.num);
        if (i < p->ranks_per_replica || own < *at) *at = own;
    }
    for (int i = 1; i < p->ranks_per_replica; i++)
        differ |= speed[i] != speed[0];
    return differ;
}

/* All sequences that the plan has room for, half of the context read and half written; 0: no time is known. */
static uint64_t total_ps(const struct plan *p, const struct cluster *apart) {
    const struct decoder_opts *o = &p->opts.decoder;
    int prompt = (o->n_ctx + 1) / 2, rest = o->n_ctx - prompt;
    struct estimate_job job = {o->n_seqs * p->strategy.dp, prompt, rest ? rest : 1, o->max_tokens};
    struct estimate e;
    return plan_estimate(&e, p, apart, &job, NULL) ? 0 : e.total.ps;
}

/* A plan that cannot be, as one without room, is none. */
static int try_depth(struct plan **best, uint64_t *least, const struct plan *even, const struct plan_opts *o,
                     const struct cluster *apart, struct diag *d) {
    struct diag own = {0};
    struct plan *p;
    int rc = plan_make(&p, &even->shape, &even->strategy, even->n_ranks, o, &own);
    uint64_t ps = rc ? 0 : total_ps(p, apart);
    if (ps && ps < *least) {
        plan_free(*best);
        *best = p;
        *least = ps;
    } else {
        plan_free(p);
    }
    return rc == ERR_MEMORY ? diag_set(d, rc, "%s", own.text) : 0;
}

int plan_share(struct plan **out, const struct plan *even, const struct plan_opts *asked, const struct cluster *c,
               struct diag *d) {
    struct cluster *apart = malloc(sizeof *apart);
    uint64_t *speed = calloc((size_t)even->ranks_per_replica, sizeof *speed), least;
    struct plan_opts o = *asked; /* a rank with more rows may offer more candidates than any of even's */
    int rc = apart && speed ? 0 : diag_set(d, ERR_MEMORY, "no memory for the speeds of cards");
    *out = NULL;
    o.speed = speed;
    if (!rc && even->shape.causal && find_speeds(even, c, speed)) {
        *apart = *c;
        cluster_set_apart(apart);
        least = total_ps(even, apart);
        for (o.cut_depth = 0; o.cut_depth <= MOST_DEPTH && least && !rc; o.cut_depth++)
            rc = try_depth(out, &least, even, &o, apart, d);
    }
    if (rc) plan_free(*out);
    if (rc) *out = NULL;
    free(apart);
    free(speed);
    return rc;
}
