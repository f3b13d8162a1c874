#include "analysis/random_cluster.h"

#include <stdio.h>

#include "base/hash.h"

uint64_t random_below(uint64_t key, uint64_t *n, uint64_t most) {
    return rng_u64(key, (*n)++) % most;
}

void random_card(struct card *card, uint64_t key, uint64_t *n) {
    snprintf(card->name, sizeof card->name, "random");
    card->n_levels = 1 + (int)random_below(key, n, 2);
    for (int i = 0; i < card->n_levels; i++)
        card->level[i] = (struct card_level){.bytes = i + 1 < card->n_levels ? 4000 + random_below(key, n, 300000) : 0,
                                             .G = {1 + random_below(key, n, 900), 1 + random_below(key, n, 7)},
                                             .latency_ps = random_below(key, n, 90000)};
    if (rng_u64(key, *n + 1003) % 2) card->level[0].alone = (struct pico_rate){1 + rng_u64(key, *n + 1004) % 900, 7};
    card->level[0].whole = rng_u64(key, *n + 1002) % 3 == 0;
    for (int k = 0; k < PREC_COUNT; k++)
        card->op[k] = (struct pico_rate){1 + random_below(key, n, 50), 1 + random_below(key, n, 9)};
    card->step_ps = random_below(key, n, 300000);
    card->pass_ps = random_below(key, n, 9000000);
    card->token_ps = rng_u64(key, *n + 1000) % 400000;
    card->sequence_ps = rng_u64(key, *n + 1001) % 900000;
    for (uint64_t k = 0; k < STEP_COUNT; k++)
        card->step[k] =
            (struct card_step){{1 + rng_u64(key, *n + 1100 + k) % 3, 1}, rng_u64(key, *n + 1200 + k) % 90000};
}

void random_exceptions(struct cluster *c, uint64_t key) {
    uint64_t own = 2000, *n = &own;
    for (uint64_t i = random_below(key, n, 3); i > 0; i--) {
        char cards[32];
        int first = (int)random_below(key, n, 8);
        snprintf(cards, sizeof cards, "%d-%d", first, first + (int)random_below(key, n, 3));
        cluster_except(c, cards, 500000 + random_below(key, n, 1000000)); /* has room for so few */
    }
}

void random_frames(struct cluster *c, const struct plan *p, uint64_t key) {
    uint64_t longest = (uint64_t)plan_hidden_bytes(p, p->opts.decoder.max_tokens);
    uint64_t tokens =
        (uint64_t)p->opts.n_micro * (PLAN_SAMPLED_HEADER_BYTES + (uint64_t)p->opts.max_logits * PLAN_SAMPLED_BYTES);
    if (rng_u64(key, 4000) % 6 == 0) return;
    c->card.frame_bytes = (longest > tokens ? longest : tokens) + rng_u64(key, 4001) % (longest / 2);
}

void random_cluster(struct cluster *c, uint64_t key, uint64_t *n, int shared) {
    snprintf(c->name, sizeof c->name, "random");
    random_card(&c->card, key, n);
    c->has_host = 1;
    if (random_below(key, n, 2)) random_card(&c->host, key, n);
    c->net = net_default;
    c->net.n_tiers = 1 + (int)random_below(key, n, 3);
    for (int i = 0; i < c->net.n_tiers; i++) {
        c->net.tier[i].link = (struct net_link){0,
                                                random_below(key, n, 5000000),
                                                random_below(key, n, 900000),
                                                random_below(key, n, 900000),
                                                random_below(key, n, 2000000),
                                                .G = {1 + random_below(key, n, 3000), 1 + random_below(key, n, 7)}};
        if (shared && random_below(key, n, 4) == 0) c->net.tier[i].link.medium = NET_FIFO;
        c->net.tier[i].link.via_host = rng_u64(key, *n + 3000) % 3 == 0;
        c->joins[i] = i + 1 < c->net.n_tiers ? 2 << i : 0;
    }
    random_exceptions(c, key);
}
