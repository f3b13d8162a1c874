/* Speed of the simulator by plan (ranks, users, tokens each): events, how many of them were skipped, seconds, and a
 * hash of all that came out, which no change of speed may change.
 *
 *   speed-simulate [GENERATED [ROUNDS [plainly]]]     tokens a sequence (64); best of ROUNDS (3); every event walked */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "dist/engine.h"
#include "dist/simulate.h"

enum { PROMPT = 128, MAX_REPLICAS = 64 };

static const struct {
    const char *model, *strategy;
    int users, n_micro, varied; /* varied: prompts of many lengths */
} cases[] = {
    {"granite-3b-northpole", "stages:1*14,2/0", 28, 14, 0},
    {"llama3-8b", "tp8", 8, 1, 0},
    {"llama3-70b", "tp8xpp8", 8, 8, 0},
    {"llama3-70b", "tp8xpp80", 1, 1, 0},
    {"llama3-70b", "tp16xpp40", 1, 1, 0},
    {"llama3-70b", "tp8xpp64xdp2", 2, 1, 0},
    {"llama3-70b", "tp8xpp64xdp2", 128, 64, 0},
    {"llama3-70b", "tp8xpp64xdp2", 128, 64, 1},
};

/* Assumed numbers of a large card, eight of them to a server. */
static void cluster_init(struct cluster *c) {
    memset(c, 0, sizeof *c);
    snprintf(c->name, sizeof c->name, "assumed");
    c->card = (struct card){.name = "assumed",
                            .n_levels = 2,
                            .level = {{.name = "cache", .bytes = 50000000, .G = {1, 12}, .latency_ps = 300000},
                                      {.name = "HBM", .G = {1, 3}, .latency_ps = 600000}},
                            .op = {{1, 900}, {1, 1900}, {1, 1900}},
                            .step_ps = 2000000,
                            .pass_ps = 10000000};
    c->net = net_default;
    c->net.n_tiers = 2;
    c->net.tier[0].link = (struct net_link){0, 500000, 200000, 200000, 10000, .G = {20, 9}};
    c->net.tier[1].link = (struct net_link){0, 3000000, 500000, 500000, 100000, .G = {20, 1}};
    c->joins[0] = 8;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t hash_of(const struct simulation *s, const struct trace *trace, int dp) {
    uint64_t h = hash_bytes(s->clock, (size_t)s->n_ranks * sizeof *s->clock, 0);
    for (int i = 0; i < dp; i++)
        h = hash_bytes(s->taken[i], (size_t)trace[i].n * sizeof **s->taken, h);
    return h;
}

static int run_case(int i, int n_new, int rounds, int plainly, const struct cluster *c) {
    struct model_shape shape;
    struct strategy st;
    struct plan *p = NULL;
    struct diag d = {0};
    struct trace trace[MAX_REPLICAS] = {{0}};
    static int prompt[PROMPT];
    const int *prompts[256];
    int len[256];
    for (int s = 0; s < cases[i].users; s++) {
        prompts[s] = prompt;
        len[s] = cases[i].varied ? 1 + s * 37 % PROMPT : PROMPT;
    }
    struct engine_job job = {.n_seqs = cases[i].users,
                             .prompt = prompts,
                             .prompt_len = len,
                             .n_new = n_new,
                             .chunk = PROMPT,
                             .sampling = {.top_k = 1, .top_p = 1}};
    int rc = preset_shape(&shape, cases[i].model, NULL, 0, &d);
    if (!rc) rc = strategy_parse(&st, cases[i].strategy, &d);
    if (rc) return fprintf(stderr, "%s\n", d.text), rc;
    int each = (cases[i].users + st.dp - 1) / st.dp;
    struct plan_opts o = {.decoder = {.linear_bits = ACT_I8,
                                      .head_bits = ACT_I8,
                                      .n_seqs = each,
                                      .n_ctx = PROMPT + n_new,
                                      .max_tokens = PROMPT * ((each + cases[i].n_micro - 1) / cases[i].n_micro),
                                      .threads = 1},
                          .n_micro = cases[i].n_micro,
                          .transport = COLL_TRANSPORT_LINK,
                          .top_candidates = 1,
                          .net = &c->net};
    rc = plan_make(&p, &shape, &st, strategy_ranks(&st), &o, &d);
    for (int r = 0; r < st.dp && !rc; r++)
        rc = trace_fixed(&trace[r], p, &job, r, &d);
    double best = 0;
    struct simulation s;
    for (int k = 0; k < rounds && !rc; k++) {
        double begin = now();
        rc = plainly ? simulate_recorded(&s, p, c, trace, NULL, &d) : simulate(&s, p, c, trace, &d);
        double took = now() - begin;
        if (k == 0 || took < best) best = took;
        if (rc) break;
        if (k + 1 == rounds)
            printf("%-22s %-18s %5d %4d %5d  %12" PRIu64 " %12" PRIu64 " %8.3f s %8.2f M/s  %016" PRIx64 "\n",
                   cases[i].model, cases[i].strategy, p->n_ranks, cases[i].users, n_new, s.events, s.events_skipped,
                   best, (double)s.events / best * 1e-6, hash_of(&s, trace, st.dp));
        simulation_fini(&s);
    }
    if (rc) fprintf(stderr, "%s: %s\n", cases[i].strategy, d.text);
    for (int r = 0; r < st.dp; r++)
        trace_fini(&trace[r]);
    plan_free(p);
    return rc;
}

int main(int argc, char **argv) {
    int n_new = argc > 1 ? atoi(argv[1]) : 64, rounds = argc > 2 ? atoi(argv[2]) : 3, rc = 0;
    struct cluster c;
    cluster_init(&c);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        rc |= run_case((int)i, n_new, rounds, argc > 3, &c);
    return rc != 0;
}
