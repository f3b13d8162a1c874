#include "analysis/random_plan.h"

#include <stdio.h>
#include <string.h>

#include "analysis/case.h"
#include "base/hash.h"
#include "dist/engine.h"
#include "dist/simulate.h"

enum { MOST = 8 };

const char *const random_kind_name[RANDOM_KINDS] = {"1", "tp", "pp", "tp x pp", "dp", "kvp", "stages"};
static const char *const strategies[RANDOM_KINDS][MOST] = {
    {"1"},
    {"tp2", "tp3", "tp4", "tp8", "tp16"},
    {"pp2", "pp3", "pp4", "pp8", "pp14"},
    {"tp2xpp2", "tp3xpp2", "tp2xpp3", "tp4xpp4", "tp2xpp7", "tp8xpp2"},
    {"dp2", "dp2xtp2", "dp2xpp2", "dp3xtp2xpp2", "dp4xtp4"},
    {"kvp2", "tp2xkvp2", "kvp2xpp2", "tp2xkvp4"},
    {"stages:1,2,3", "stages:3,1", "stages:1*13/1,2/1", "stages:host,1,2/0", "stages:host,2,1xdp2", "stages:2*6,4/0"}};
static const char *const files[] = {"northpole-16", "h100-sxm-8", "h200-8", "l4-4", "ib-cpu", "boards-1gbe"};
enum { N_FILES = sizeof files / sizeof *files };

/* Overheads of the size that a described card may have: no file has them yet. */
static void add_overheads(struct cluster *c, uint64_t key, uint64_t *n) {
    if (random_below(key, n, 2)) return;
    c->card.step_ps = random_below(key, n, 3000000);
    c->card.pass_ps = random_below(key, n, 50000000);
    c->card.token_ps = rng_u64(key, 1000) % 2000000;
    c->card.sequence_ps = rng_u64(key, 1001) % 20000000;
    c->host.token_ps = rng_u64(key, 1002) % 2000000;
    c->host.sequence_ps = rng_u64(key, 1003) % 20000000;
    for (int i = 0; i < c->net.n_tiers; i++)
        c->net.tier[i].link.o_send_ps = c->net.tier[i].link.o_recv_ps = random_below(key, n, 1000000);
}

static int set_cluster(struct random_plan *o, uint64_t key, uint64_t *n, struct diag *d) {
    struct cluster *c = &o->cluster;
    o->random = random_below(key, n, 3) == 0;
    if (o->random) {
        random_cluster(c, key, n, 0);
    } else {
        int rc = case_cluster(c, files[random_below(key, n, N_FILES)], d);
        if (rc) return rc;
        c->n_cards = 0; /* as many as the plan takes */
        add_overheads(c, key, n);
        random_exceptions(c, key);
        c->net.tier[0].link.via_host = rng_u64(key, 3000) % 4 == 0;
        c->card.level[c->card.n_levels - 1].bytes = 0; /* all fits */
        if (!c->has_host) c->host = c->card;
        c->has_host = 1;
    }
    return 0;
}

/* Chunks that make 24 passes at most where a pass has room for them. */
static void set_job(struct random_plan *o, uint64_t key, uint64_t *n) {
    o->job.n_seqs = 1 + (int)random_below(key, n, random_below(key, n, 2) ? 4 : RANDOM_MOST_SEQS);
    o->job.prompt_len = 1 + (int)random_below(key, n, random_below(key, n, 2) ? 1400 : 60);
    o->job.n_new = 1 + (int)random_below(key, n, random_below(key, n, 16) ? 24 : 600);
    o->job.chunk = (o->job.prompt_len + 23) / 24 + (int)random_below(key, n, 128);
}

static void set_opts(struct random_plan *o, uint64_t key, uint64_t *n) {
    static const char *const algos[] = {"auto", "tree", "oneshot", "twoshot"};
    int per_replica = (o->job.n_seqs + o->st.dp - 1) / o->st.dp, most = 16 + (int)random_below(key, n, 500);
    enum act_bits bits = random_below(key, n, 4) ? ACT_I8 : ACT_F32;
    o->opts = (struct plan_opts){.decoder = {.linear_bits = bits,
                                             .head_bits = bits,
                                             .kv = (enum kv_type)random_below(key, n, 3),
                                             .n_seqs = per_replica,
                                             .n_ctx = RANDOM_MOST_TOKENS,
                                             .max_tokens = most > per_replica ? most : per_replica,
                                             .threads = 1},
                                 .n_micro = 1 + (int)random_below(key, n, random_below(key, n, 2) ? 20 : 4),
                                 .allreduce = algos[random_below(key, n, 4)],
                                 .transport = COLL_TRANSPORT_LINK,
                                 .net = &o->cluster.net,
                                 .top_candidates = 1 + (int)random_below(key, n, 5)};
    o->opts.decoder.hidden = (enum hidden_form)random_below(key, n, HIDDEN_FORMS);
    if (o->job.prompt_len < 100 && key % 2)
        o->opts.decoder.max_tokens = per_replica; /* passes that fill frame buffers */
}

static int set_strategy(struct random_plan *o, uint64_t key, uint64_t *n, struct diag *d) {
    static const char *const shapes[] = {"tinyllama-1.1b", "llama3-8b", "granite-3b-northpole"};
    uint64_t n_strategies = 0;
    while (n_strategies < MOST && strategies[o->kind][n_strategies])
        n_strategies++;
    const char *text = strategies[o->kind][random_below(key, n, n_strategies)];
    int rc = strategy_parse(&o->st, text, d);
    return rc ? rc : preset_shape(&o->shape, shapes[random_below(key, n, 3)], NULL, 0, d);
}

int random_plan_init(struct random_plan *o, int number, struct diag *d) {
    uint64_t key = (uint64_t)number + 7000, n = 0;
    memset(o, 0, sizeof *o);
    o->kind = (enum random_kind)(number % RANDOM_KINDS);
    int rc = set_strategy(o, key, &n, d);
    if (!rc) rc = set_cluster(o, key, &n, d);
    if (rc) return rc;
    set_job(o, key, &n);
    set_opts(o, key, &n);
    rc = plan_make(&o->plan, &o->shape, &o->st, strategy_ranks(&o->st), &o->opts, d);
    if (!rc) random_frames(&o->cluster, o->plan, (uint64_t)number);
    return rc;
}

void random_plan_fini(struct random_plan *o) {
    plan_free(o->plan);
    o->plan = NULL;
}

static int make_trace(struct trace *out, const struct plan *p, const struct estimate_job *job, int replica,
                      struct diag *d) {
    static const int ids[RANDOM_MOST_TOKENS];
    const int *prompt[RANDOM_MOST_SEQS + 1];
    int len[RANDOM_MOST_SEQS + 1];
    for (int i = 0; i < job->n_seqs; i++) {
        prompt[i] = ids;
        len[i] = job->prompt_len;
    }
    struct engine_job j = {
        .n_seqs = job->n_seqs, .prompt = prompt, .prompt_len = len, .n_new = job->n_new, .chunk = job->chunk};
    return trace_fixed(out, p, &j, replica, d);
}

int random_plan_walk(const struct random_plan *o, uint64_t *prefill_ps, struct net_stamp *total, struct diag *d) {
    struct trace trace[8] = {0};
    struct simulation sim;
    int rc = 0, dp = o->plan->strategy.dp;
    for (int i = 0; i < dp && !rc; i++)
        rc = make_trace(&trace[i], o->plan, &o->job, i, d);
    if (!rc) rc = simulate(&sim, o->plan, &o->cluster, trace, d);
    *prefill_ps = 0;
    *total = (struct net_stamp){0};
    for (int i = 0; i < dp && !rc; i++)
        for (int k = 0; k < trace[i].n; k++) {
            const struct net_stamp *t = &sim.taken[i][k];
            if (trace[i].pass[k].prefill && t->ps > *prefill_ps) *prefill_ps = t->ps;
            if (t->ps > total->ps) *total = *t;
        }
    if (!rc) simulation_fini(&sim);
    for (int i = 0; i < dp; i++)
        trace_fini(&trace[i]);
    return rc;
}
