/* random_cluster.h - clusters no one would build: every number of card and links drawn. */
#ifndef TESTS_RANDOM_CLUSTER_H
#define TESTS_RANDOM_CLUSTER_H

#include <stdio.h>

#include "base/hash.h"
#include "partition/cluster.h"

static inline uint64_t below(uint64_t key, uint64_t *n, uint64_t most) {
    return rng_u64(key, (*n)++) % most;
}

static inline void random_card(struct card *card, uint64_t key, uint64_t *n) {
    snprintf(card->name, sizeof card->name, "random");
    card->n_levels = 1 + (int)below(key, n, 2);
    for (int i = 0; i < card->n_levels; i++)
        card->level[i] = (struct card_level){.bytes = i + 1 < card->n_levels ? 4000 + below(key, n, 300000) : 0,
                                             .G = {1 + below(key, n, 900), 1 + below(key, n, 7)},
                                             .latency_ps = below(key, n, 90000)};
    for (int k = 0; k < PREC_COUNT; k++)
        card->op[k] = (struct pico_rate){1 + below(key, n, 50), 1 + below(key, n, 9)};
    card->step_ps = below(key, n, 300000);
    card->pass_ps = below(key, n, 9000000);
}

static inline void random_cluster(struct cluster *c, uint64_t key, uint64_t *n) {
    snprintf(c->name, sizeof c->name, "random");
    random_card(&c->card, key, n);
    c->has_host = 1;
    if (below(key, n, 2)) random_card(&c->host, key, n);
    c->net = net_default;
    c->net.n_tiers = 1 + (int)below(key, n, 3);
    for (int i = 0; i < c->net.n_tiers; i++) {
        c->net.tier[i].link = (struct net_link){0,
                                                below(key, n, 5000000),
                                                below(key, n, 900000),
                                                below(key, n, 900000),
                                                below(key, n, 2000000),
                                                {1 + below(key, n, 3000), 1 + below(key, n, 7)},
                                                below(key, n, 4) == 0};
        c->joins[i] = i + 1 < c->net.n_tiers ? 2 << i : 0;
    }
}

#endif
