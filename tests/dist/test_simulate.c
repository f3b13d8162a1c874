/* What the simulator skips, it knows: clocks, their shares and the times of tokens are those of a walk of every event,
 * for presets of up to 64 ranks, and some layers on 300, on random clusters and for passes that nothing foresees. */
#include <inttypes.h>
#include <stdlib.h>

#include "dist/engine.h"
#include "partition/random_shape.h"
#include "random_cluster.h"

enum { SEQS = 12, ROUNDS = 3, MAX_DP = 4, WIDE_LAYERS = 3 };

static const struct {
    const char *model, *strategy, *drop_sync, *allreduce;
    int mixed; /* every third layer has another type */
    int n_micro, least; /* least: percent of its events that come again */
} cases[] = {
    {"llama3-70b", "tp8xpp8", NULL, NULL, 0, 4, 50},
    {"llama3-70b", "tp2xpp8xdp4", NULL, NULL, 0, 3, 50},
    {"llama3-70b", "tp8", "0,3-40", NULL, 0, 2, 50},
    {"llama3-8b", "tp4xpp3", NULL, NULL, 1, 3, 50},
    {"llama3-8b", "tp64", NULL, NULL, 0, 1, 20},
    {"llama3-8b", "tp8xkvp2xpp2", NULL, NULL, 0, 2, 50},
    {"granite-3b-northpole", "stages:1*14,2/0", NULL, NULL, 0, 12, 0},
    {"granite-3b-northpole", "stages:host,2*7,3/0xdp2", NULL, NULL, 0, 5, 0},
    {"pythia-410m", "tp4xpp2xdp2", NULL, NULL, 0, 2, 50},
    {"smollm-135m", "stages:1,5,3,2", NULL, NULL, 0, 4, 50},
    {"smollm-135m", "tp3xpp6xdp2", NULL, NULL, 0, 2, 20},
    {"tinyllama-1.1b", "pp11xdp2", NULL, NULL, 0, 2, 0},
    {"smollm-135m", "tp8xpp2", NULL, "ring", 0, 2, 20},
    {"smollm-135m", "tp300", NULL, "twoshot", 0, 1, 0},
    {"smollm-135m", "tp259xpp2", NULL, "tree", 1, 2, 0},
    {"tinyllama-1.1b", "1", NULL, NULL, 0, 1, 0},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static int is_wide(int i) {
    return cases[i].strategy[0] == 't' && atoi(cases[i].strategy + 2) > PLAN_KEPT_RANKS;
}

static int make_plan(struct plan **out, int i, const struct cluster *c, struct diag *d) {
    struct model_shape shape;
    struct strategy st;
    int rc = preset_shape(&shape, cases[i].model, NULL, 0, d);
    if (!rc && is_wide(i)) shape.n_layers = WIDE_LAYERS;
    if (!rc && cases[i].mixed) mix_types(&shape, type_index("Q8_0"));
    if (!rc) rc = strategy_parse(&st, cases[i].strategy, d);
    if (rc) return rc;
    int each = (SEQS + st.dp - 1) / st.dp;
    struct plan_opts o = {.allreduce = cases[i].allreduce,
                          .decoder = {.linear_bits = ACT_I8,
                                      .head_bits = ACT_I8,
                                      .hidden = (enum hidden_form)(i % HIDDEN_FORMS),
                                      .n_seqs = each,
                                      .n_ctx = 64,
                                      .max_tokens = 16 * each,
                                      .threads = 1},
                          .n_micro = cases[i].n_micro < each ? cases[i].n_micro : each,
                          .transport = COLL_TRANSPORT_LINK,
                          .top_candidates = 3,
                          .drop_sync = cases[i].drop_sync,
                          .net = &c->net};
    return plan_make(out, &shape, &st, strategy_ranks(&st), &o, d);
}

/* Runs of ranks on one tier, against one tier after the other. */
static void check_tiers(const struct plan *p, const struct cluster *c) {
    int bad = 0;
    for (int a = 0; a < p->n_ranks; a++) {
        const struct plan_stage *s = &p->stages[p->ranks[a].stage];
        int first = a - p->ranks[a].tp_index, behind = first + s->size;
        for (int b = first; b < behind; b++) {
            int end = b + 1;
            while (end < behind && virtual_tier(c, p, a, end) == virtual_tier(c, p, a, b))
                end++;
            bad += virtual_tier_end(c, p, a, b, behind) != end;
        }
    }
    CHECK(!bad, "%s: %d runs of ranks on one tier", p->strategy.text, bad);
}

static void check_case(int i, int round) {
    struct cluster c = {0};
    struct plan *p = NULL;
    struct trace trace[MAX_DP] = {{0}};
    struct diag d = {0};
    uint64_t key = (uint64_t)(100 * round + i), n = 0;
    char what[128];
    snprintf(what, sizeof what, "%s %s, round %d", cases[i].model, cases[i].strategy, round);
    random_cluster(&c, key, &n, 0);
    c.card.level[0].bytes *= 1000; /* some layers lie in it */
    if (round) c.n_exceptions = 0; /* stages and replicas may be alike */
    c.net.tier[0].link.pull = (int)below(key, &n, 2);
    int rc = make_plan(&p, i, &c, &d);
    CHECK(rc == 0, "%s: %s", what, d.text);
    if (!rc) check_tiers(p, &c);
    if (!rc && round == 1) random_frames(&c, p, key);
    for (int r = 0; !rc && r < p->strategy.dp; r++)
        random_trace(&trace[r], p, r, key, SEQS, 5, round);
    int skipped = rc ? 0 : check_both(what, p, &c, trace);
    CHECK(skipped >= cases[i].least || c.n_exceptions, "%s: only %d %% of the events skipped", what, skipped);
    for (int r = 0; r < MAX_DP; r++)
        trace_fini(&trace[r]);
    plan_free(p);
}

/* A card so slow that the clocks could not hold it. */
static void check_too_long(void) {
    struct cluster c = {0};
    struct plan *p = NULL;
    struct trace trace = {0};
    struct simulation sim;
    struct diag d = {0};
    uint64_t n = 0;
    random_cluster(&c, 1, &n, 0);
    c.card.pass_ps = UINT64_MAX / 20;
    int rc = make_plan(&p, N_CASES - 1, &c, &d);
    CHECK(rc == 0, "%s", d.text);
    if (rc) return;
    random_trace(&trace, p, 0, 1, SEQS, 5, 0);
    rc = simulate(&sim, p, &c, &trace, &d);
    CHECK(rc == ERR_PLAN && strstr(d.text, "26 days"), "%d: %s", rc, d.text);
    rc = simulate_recorded(&sim, p, &c, &trace, NULL, &d);
    CHECK(rc == ERR_PLAN && strstr(d.text, "26 days"), "every event walked: %d: %s", rc, d.text);
    trace_fini(&trace);
    plan_free(p);
}

int main(void) {
    for (int k = 0; k < ROUNDS; k++)
        for (int i = 0; i < N_CASES; i++)
            if (!is_wide(i) || i % ROUNDS == k) check_case(i, k);
    check_too_long();
    return check_report("test_simulate");
}
