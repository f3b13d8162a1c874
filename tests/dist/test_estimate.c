/* The closed form against the simulator, which walks every step and message: random plans on described clusters and on
 * clusters of random numbers. */
#include "partition/estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/stats.h"
#include "check.h"
#include "dist/engine.h"
#include "dist/simulate.h"
#include "random_cluster.h"

enum { CASES = 1200, AGAIN = 20, MAX_SEQS = 48, MAX_LEN = 2048 };

enum kind { ONE, TP, PP, HYBRID, DP, KVP, STAGES, KINDS };
static const char *const kind_name[KINDS] = {"1", "tp", "pp", "tp x pp", "dp", "kvp", "stages"};
static const char *const strategies[KINDS][8] = {
    {"1"},
    {"tp2", "tp3", "tp4", "tp8", "tp16"},
    {"pp2", "pp3", "pp4", "pp8", "pp14"},
    {"tp2xpp2", "tp3xpp2", "tp2xpp3", "tp4xpp4", "tp2xpp7", "tp8xpp2"},
    {"dp2", "dp2xtp2", "dp2xpp2", "dp3xtp2xpp2", "dp4xtp4"},
    {"kvp2", "tp2xkvp2", "kvp2xpp2", "tp2xkvp4"},
    {"stages:1,2,3", "stages:3,1", "stages:1*13/1,2/1", "stages:host,1,2/0", "stages:host,2,1xdp2", "stages:2*6,4/0"}};
static const char *const files[] = {"northpole-16", "h100-sxm-8", "h200-8", "l4-4", "ib-cpu", "boards-1gbe"};
enum { N_FILES = sizeof files / sizeof *files };

struct cases {
    const char *dir;
    double *error[2][KINDS], *prefill[2][KINDS]; /* [0: described, 1: random][kind][CASES] */
    int n[2][KINDS], ran;
    double setup_s[KINDS], again_s[KINDS]; /* of processor time: an estimator with its first estimate; AGAIN more */
    int timed[KINDS];
};

struct one {
    struct model_shape shape;
    struct cluster cluster;
    struct strategy st;
    struct plan_opts opts;
    struct estimate_job job;
    int random;
};

static double seconds(void) { /* of processor time */
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void read_cluster(struct cluster *c, const char *dir, const char *name) {
    char path[512];
    struct diag d = {0};
    snprintf(path, sizeof path, "%s/%s.yaml", dir, name);
    CHECK(cluster_read(c, path, &d) == 0, "%s", d.text);
    c->n_cards = 0; /* as many as the plan takes */
}

/* Overheads of the size that a described card may have: no file has them yet. */
static void add_overheads(struct cluster *c, uint64_t key, uint64_t *n) {
    if (below(key, n, 2)) return;
    c->card.step_ps = below(key, n, 3000000);
    c->card.pass_ps = below(key, n, 50000000);
    for (int i = 0; i < c->net.n_tiers; i++)
        c->net.tier[i].link.o_send_ps = c->net.tier[i].link.o_recv_ps = below(key, n, 1000000);
}

static void one_init(struct one *o, int number, enum kind kind, const char *dir) {
    static const char *const shapes[] = {"tinyllama-1.1b", "llama3-8b", "granite-3b-northpole"};
    static const char *const algos[] = {"auto", "tree", "oneshot", "twoshot"};
    uint64_t key = (uint64_t)number + 7000, n = 0;
    struct diag d = {0};
    int n_strategies = 0;
    memset(o, 0, sizeof *o);
    while (n_strategies < 8 && strategies[kind][n_strategies])
        n_strategies++;
    const char *text = strategies[kind][below(key, &n, (uint64_t)n_strategies)];
    CHECK(strategy_parse(&o->st, text, &d) == 0, "%s", d.text);
    CHECK(preset_shape(&o->shape, shapes[below(key, &n, 3)], NULL, 0, &d) == 0, "%s", d.text);
    o->random = below(key, &n, 3) == 0;
    if (o->random) {
        random_cluster(&o->cluster, key, &n);
        for (int i = 0; i < o->cluster.net.n_tiers; i++)
            o->cluster.net.tier[i].link.fifo = 0;
    } else {
        read_cluster(&o->cluster, dir, files[below(key, &n, N_FILES)]);
        add_overheads(&o->cluster, key, &n);
        o->cluster.card.level[o->cluster.card.n_levels - 1].bytes = 0; /* all fits */
        if (!o->cluster.has_host) {
            o->cluster.has_host = 1;
            o->cluster.host = o->cluster.card;
        }
    }
    int dp = o->st.dp, n_seqs = 1 + (int)below(key, &n, below(key, &n, 2) ? 4 : MAX_SEQS);
    int per_replica = (n_seqs + dp - 1) / dp, n_new = 1 + (int)below(key, &n, 24);
    int len = 1 + (int)below(key, &n, below(key, &n, 2) ? 2000 : 60), most = 16 + (int)below(key, &n, 500);
    int integers = (int)below(key, &n, 4) > 0;
    o->opts = (struct plan_opts){.decoder = {.linear_bits = integers ? ACT_I8 : ACT_F32,
                                             .head_bits = integers ? ACT_I8 : ACT_F32,
                                             .kv = (enum kv_type)below(key, &n, 3),
                                             .n_seqs = per_replica,
                                             .n_ctx = MAX_LEN,
                                             .max_tokens = most > per_replica ? most : per_replica,
                                             .threads = 1},
                                 .n_micro = 1 + (int)below(key, &n, below(key, &n, 2) ? 20 : 4),
                                 .allreduce = algos[below(key, &n, 4)],
                                 .transport = COLL_TRANSPORT_LINK,
                                 .net = &o->cluster.net,
                                 .top_candidates = 1 + (int)below(key, &n, 5)};
    if (o->opts.n_micro > per_replica && below(key, &n, 2)) o->opts.n_micro = per_replica;
    /* Chunks that make 24 passes at most where a pass has room for them. */
    int least = (len + 23) / 24;
    o->job = (struct estimate_job){n_seqs, len, n_new, least + (int)below(key, &n, 128)};
}

static int make_trace(struct trace *out, const struct plan *p, const struct estimate_job *job, int replica,
                      struct diag *d) {
    static const int ids[MAX_LEN];
    const int *prompt[MAX_SEQS + 1];
    int len[MAX_SEQS + 1];
    for (int i = 0; i < job->n_seqs; i++) {
        prompt[i] = ids;
        len[i] = job->prompt_len;
    }
    struct engine_job j = {
        .n_seqs = job->n_seqs, .prompt = prompt, .prompt_len = len, .n_new = job->n_new, .chunk = job->chunk};
    return trace_fixed(out, p, &j, replica, d);
}

/* When the last sequence has its first token, and all theirs, with what that time is made of. */
static int walk(const struct plan *p, const struct cluster *c, const struct estimate_job *job, uint64_t *prefill,
                struct net_stamp *total) {
    struct trace trace[8];
    struct simulation sim;
    struct diag d = {0};
    int rc = 0, dp = p->strategy.dp;
    for (int i = 0; i < dp; i++)
        rc |= make_trace(&trace[i], p, job, i, &d);
    if (!rc) rc = simulate(&sim, p, c, trace, &d);
    CHECK(rc == 0, "%s: %s", p->strategy.text, d.text);
    *prefill = 0;
    *total = (struct net_stamp){0};
    for (int i = 0; i < dp && !rc; i++)
        for (int k = 0; k < trace[i].n; k++) {
            const struct net_stamp *t = &sim.taken[i][k];
            if (trace[i].pass[k].prefill && t->ps > *prefill) *prefill = t->ps;
            if (t->ps > total->ps) *total = *t;
        }
    if (!rc) simulation_fini(&sim);
    for (int i = 0; i < dp; i++)
        trace_fini(&trace[i]);
    return rc;
}

static double off(uint64_t estimate, uint64_t walked) {
    return fabs((double)estimate - (double)walked) / (double)walked;
}

static void check_shares(const struct estimate *e) {
    uint64_t sum = 0;
    for (int i = 0; i < NET_SHARES; i++) {
        sum += e->total.share[i];
        CHECK(e->total.share[i] <= e->total.ps, "a share of more than all");
    }
    CHECK(sum == e->total.ps && e->total.ps > 0, "shares do not sum");
}

/* Times one more estimate, of another number of tokens. */
static void time_again(struct cases *all, enum kind kind, struct estimator *e, struct estimate_job job) {
    struct estimate est;
    struct diag d;
    double t = seconds();
    int n_new = job.n_new;
    for (int i = 0; i < AGAIN; i++) {
        job.n_new = n_new + i % 7;
        estimator_run(e, &job, &est, &d);
    }
    all->again_s[kind] += seconds() - t;
    all->timed[kind]++;
}

static void check_one(struct cases *all, int number, int verbose) {
    struct one o;
    enum kind kind = (enum kind)(number % KINDS);
    struct plan *p = NULL;
    struct estimator *e = NULL;
    struct estimate est = {0};
    struct diag d = {0};
    one_init(&o, number, kind, all->dir);
    int rc = plan_make(&p, &o.shape, &o.st, strategy_ranks(&o.st), &o.opts, &d);
    CHECK(rc == 0 || rc == ERR_PLAN, "case %d: %s", number, d.text);
    double t = seconds();
    if (!rc) rc = estimator_new(&e, p, &o.cluster, &d);
    if (!rc) rc = estimator_run(e, &o.job, &est, &d);
    if (!rc) all->setup_s[kind] += seconds() - t;
    uint64_t prefill;
    struct net_stamp total;
    if (rc) {
        CHECK(rc == ERR_PLAN, "case %d, %s: %s", number, o.st.text, d.text);
    } else if (!walk(p, &o.cluster, &o.job, &prefill, &total)) {
        int *n = &all->n[o.random][kind];
        check_shares(&est);
        all->error[o.random][kind][*n] = off(est.total.ps, total.ps);
        all->prefill[o.random][kind][(*n)++] = off(est.prefill.ps, prefill);
        all->ran++;
        time_again(all, kind, e, o.job);
        if (verbose || off(est.total.ps, total.ps) > 0.02) {
            printf("%4d %-20s %-20s %-12s seqs %2d micro %2d max %3d chunk %3d len %4d new %2d %-8s: prefill %+.3f %%, "
                   "total %+.3f %% (%.3f ms)\n",
                   number, o.st.text, o.shape.name, o.cluster.name, o.job.n_seqs, o.opts.n_micro,
                   o.opts.decoder.max_tokens, o.job.chunk, o.job.prompt_len, o.job.n_new, o.opts.allreduce,
                   100 * ((double)est.prefill.ps / (double)prefill - 1),
                   100 * ((double)est.total.ps / (double)total.ps - 1), 1e-9 * (double)total.ps);
            for (int i = 0; i < NET_SHARES; i++)
                printf("   %.3f/%.3f", (double)est.total.share[i] / (double)est.total.ps,
                       (double)total.share[i] / (double)total.ps);
            printf("\n");
        }
    }
    estimator_free(e);
    plan_free(p);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double at_part(double *v, int n, double part) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    return 100 * v[(int)(part * (n - 1) + 0.5)];
}

static void report(struct cases *all) {
    for (int random = 0; random < 2; random++)
        for (int k = 0; k < KINDS; k++) {
            double *v = all->error[random][k], *w = all->prefill[random][k];
            int n = all->n[random][k];
            if (!n) continue;
            printf("%-9s %-8s n %4d  |estimate - simulate|, %% of total: p50 %.3f p95 %.3f max %.3f; of prefill: p50 "
                   "%.3f p95 %.3f max %.3f\n",
                   random ? "random" : "described", kind_name[k], n, at_part(v, n, 0.5), at_part(v, n, 0.95),
                   at_part(v, n, 1), at_part(w, n, 0.5), at_part(w, n, 0.95), at_part(w, n, 1));
        }
    for (int k = 0; k < KINDS; k++)
        printf("%-8s %.0f estimates a second of a plan at hand, %.0f with setting up (measured, n = %d x %d, %d; of processor "
               "time)\n",
               kind_name[k], AGAIN * all->timed[k] / all->again_s[k], all->timed[k] / all->setup_s[k], all->timed[k], AGAIN,
               all->timed[k]);
}

int main(int argc, char **argv) {
    struct cases all = {.dir = CLUSTER_DIR};
    int from = argc > 1 ? atoi(argv[1]) : 0, to = argc > 2 ? atoi(argv[2]) : CASES;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < KINDS; k++) {
            all.error[i][k] = calloc(CASES, sizeof(double));
            all.prefill[i][k] = calloc(CASES, sizeof(double));
        }
    for (int i = from; i < to; i++)
        check_one(&all, i, argc > 3);
    report(&all);
    return check_report("test_estimate");
}
