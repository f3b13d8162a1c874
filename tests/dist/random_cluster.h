/* random_cluster.h - random cards and links, and two simulations compared; everything follows from a key. */
#ifndef TESTS_DIST_RANDOM_CLUSTER_H
#define TESTS_DIST_RANDOM_CLUSTER_H

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "check.h"
#include "dist/engine.h"
#include "dist/simulate.h"

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
    card->token_ps = rng_u64(key, *n + 1000) % 400000;
    card->sequence_ps = rng_u64(key, *n + 1001) % 900000;
}

/* Some of the first cards are slower or faster. */
static inline void random_exceptions(struct cluster *c, uint64_t key) {
    uint64_t own = 2000, *n = &own;
    for (uint64_t i = below(key, n, 3); i > 0; i--) {
        char cards[32];
        int first = (int)below(key, n, 8);
        snprintf(cards, sizeof cards, "%d-%d", first, first + (int)below(key, n, 3));
        CHECK(cluster_except(c, cards, 500000 + below(key, n, 1000000)) == 0, "cards %s", cards);
    }
}

/* Most plans get frame buffers with room for one of the longest messages, and some more. */
static inline void random_frames(struct cluster *c, const struct plan *p, uint64_t key) {
    uint64_t longest = (uint64_t)plan_hidden_bytes(p, p->opts.decoder.max_tokens);
    uint64_t tokens =
        (uint64_t)p->opts.n_micro * (PLAN_SAMPLED_HEADER_BYTES + (uint64_t)p->opts.max_logits * PLAN_SAMPLED_BYTES);
    if (rng_u64(key, 4000) % 6 == 0) return;
    c->card.frame_bytes = (longest > tokens ? longest : tokens) + rng_u64(key, 4001) % (longest / 2);
}

/* shared: some of its links are. */
static inline void random_cluster(struct cluster *c, uint64_t key, uint64_t *n, int shared) {
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
                                                .G = {1 + below(key, n, 3000), 1 + below(key, n, 7)}};
        if (shared && below(key, n, 4) == 0) c->net.tier[i].link.medium = NET_FIFO;
        c->net.tier[i].link.via_host = rng_u64(key, *n + 3000) % 3 == 0;
        c->joins[i] = i + 1 < c->net.n_tiers ? 2 << i : 0;
    }
    random_exceptions(c, key);
}

/* Of sequences with 1 to 40 prompt tokens each; with `other`, passes get random contexts and refused drafts. */
static inline void random_trace(struct trace *out, const struct plan *p, int replica, uint64_t key, int n_seqs,
                                int n_new, int other) {
    enum { MOST = 64 };
    static const int ids[40];
    const int *prompt[MOST];
    int len[MOST];
    uint64_t n = 0;
    struct diag d = {0};
    for (int i = 0; i < n_seqs && i < MOST; i++) {
        prompt[i] = ids;
        len[i] = 1 + (int)below(key, &n, 40);
    }
    struct engine_job job = {.n_seqs = n_seqs,
                             .prompt = prompt,
                             .prompt_len = len,
                             .n_new = n_new,
                             .chunk = 16,
                             .sampling = {.top_k = 1, .top_p = 1}};
    CHECK(trace_fixed(out, p, &job, replica, &d) == 0, "%s", d.text);
    for (int i = 0; i < out->n && other; i++) {
        struct trace_pass *t = &out->pass[i];
        if (t->wanted) t->returned = 1 + (int)below(key + (uint64_t)replica, &n, (uint64_t)t->wanted);
        t->ctx_read += (int64_t)below(key + (uint64_t)replica, &n, 1000);
        t->ctx_sum += (int64_t)below(key + (uint64_t)replica, &n, 10000);
    }
}

static inline int same_stamp(const struct net_stamp *a, const struct net_stamp *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

static inline int same_clock(const struct net_clock *a, const struct net_clock *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

/* Simulates a plan as it is done and with every event walked: both must say the same. Returns how many percent
 * of the events were not walked. */
static inline int check_both(const char *what, const struct plan *p, const struct cluster *c,
                             const struct trace *trace) {
    struct simulation fast = {0}, plain = {0};
    struct diag d = {0};
    int rc = simulate(&fast, p, c, trace, &d);
    if (!rc) rc = simulate_recorded(&plain, p, c, trace, NULL, &d);
    CHECK(rc == 0, "%s: %s", what, d.text);
    if (rc) return 0;
    CHECK(fast.events == plain.events && plain.events_skipped == 0, "%s: other events", what);
    CHECK(memcmp(fast.clock, plain.clock, (size_t)p->n_ranks * sizeof *fast.clock) == 0, "%s: other clocks", what);
    for (int i = 0; i < p->strategy.dp; i++)
        CHECK(memcmp(fast.taken[i], plain.taken[i], (size_t)trace[i].n * sizeof **fast.taken) == 0,
              "%s: tokens of replica %d taken at other times", what, i);
    int skipped = (int)(100 * fast.events_skipped / fast.events);
    simulation_fini(&fast);
    simulation_fini(&plain);
    return skipped;
}

#endif
