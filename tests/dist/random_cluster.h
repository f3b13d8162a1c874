/* random_cluster.h - random traces on random clusters, and two simulations compared; everything follows from a key. */
#ifndef TESTS_DIST_RANDOM_CLUSTER_H
#define TESTS_DIST_RANDOM_CLUSTER_H

#include <string.h>

#include "analysis/random_cluster.h"
#include "base/hash.h"
#include "check.h"
#include "dist/engine.h"
#include "dist/simulate.h"

static inline uint64_t below(uint64_t key, uint64_t *n, uint64_t most) {
    return random_below(key, n, most);
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
