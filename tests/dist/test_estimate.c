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

enum { CASES = 1200, AGAIN = 20, MAX_SEQS = 48, MAX_LEN = 2048, MOST = 8 };

enum kind { ONE, TP, PP, HYBRID, DP, KVP, STAGES, KINDS };
static const char *const kind_name[KINDS] = {"1", "tp", "pp", "tp x pp", "dp", "kvp", "stages"};
static const char *const strategies[KINDS][MOST] = {
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
    struct errors {
        int n;
        double total[CASES], prefill[CASES], share[CASES]; /* of simulate's time, %; share: the most that one is off */
    } error[2][KINDS]; /* clusters described, and random */
    double setup_s[KINDS], again_s[KINDS]; /* of processor time: an estimator with its first estimate; AGAIN more */
    int timed[KINDS];
};

struct one {
    struct model_shape shape;
    struct cluster cluster;
    struct strategy st;
    struct plan_opts opts;
    struct estimate_job job;
    int random; /* of the clusters */
};

static double seconds(void) { /* of processor time */
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void read_cluster(struct cluster *c, const char *name) {
    char path[512];
    struct diag d = {0};
    snprintf(path, sizeof path, "%s/%s.yaml", CLUSTER_DIR, name);
    CHECK(cluster_read(c, path, &d) == 0, "%s", d.text);
    c->n_cards = 0; /* as many as the plan takes */
}

/* Overheads of the size that a described card may have: no file has them yet. */
static void add_overheads(struct cluster *c, uint64_t key, uint64_t *n) {
    if (below(key, n, 2)) return;
    c->card.step_ps = below(key, n, 3000000);
    c->card.pass_ps = below(key, n, 50000000);
    c->card.token_ps = rng_u64(key, 1000) % 2000000;
    c->card.sequence_ps = rng_u64(key, 1001) % 20000000;
    c->host.token_ps = rng_u64(key, 1002) % 2000000;
    c->host.sequence_ps = rng_u64(key, 1003) % 20000000;
    for (int i = 0; i < c->net.n_tiers; i++)
        c->net.tier[i].link.o_send_ps = c->net.tier[i].link.o_recv_ps = below(key, n, 1000000);
}

static void one_cluster(struct one *o, uint64_t key, uint64_t *n) {
    struct cluster *c = &o->cluster;
    o->random = below(key, n, 3) == 0;
    if (o->random) {
        random_cluster(c, key, n, 0);
    } else {
        read_cluster(c, files[below(key, n, N_FILES)]);
        add_overheads(c, key, n);
        random_exceptions(c, key);
        c->net.tier[0].link.via_host = rng_u64(key, 3000) % 4 == 0;
        c->card.level[c->card.n_levels - 1].bytes = 0; /* all fits */
        if (!c->has_host) c->host = c->card;
        c->has_host = 1;
    }
}

/* Chunks that make 24 passes at most where a pass has room for them. */
static void one_job(struct one *o, uint64_t key, uint64_t *n) {
    o->job.n_seqs = 1 + (int)below(key, n, below(key, n, 2) ? 4 : MAX_SEQS);
    o->job.prompt_len = 1 + (int)below(key, n, below(key, n, 2) ? 1400 : 60);
    o->job.n_new = 1 + (int)below(key, n, below(key, n, 16) ? 24 : 600);
    o->job.chunk = (o->job.prompt_len + 23) / 24 + (int)below(key, n, 128);
}

static void one_plan(struct one *o, uint64_t key, uint64_t *n) {
    static const char *const algos[] = {"auto", "tree", "oneshot", "twoshot"};
    int per_replica = (o->job.n_seqs + o->st.dp - 1) / o->st.dp, most = 16 + (int)below(key, n, 500);
    enum act_bits bits = below(key, n, 4) ? ACT_I8 : ACT_F32;
    o->opts = (struct plan_opts){.decoder = {.linear_bits = bits,
                                             .head_bits = bits,
                                             .kv = (enum kv_type)below(key, n, 3),
                                             .n_seqs = per_replica,
                                             .n_ctx = MAX_LEN,
                                             .max_tokens = most > per_replica ? most : per_replica,
                                             .threads = 1},
                                 .n_micro = 1 + (int)below(key, n, below(key, n, 2) ? 20 : 4),
                                 .allreduce = algos[below(key, n, 4)],
                                 .transport = COLL_TRANSPORT_LINK,
                                 .net = &o->cluster.net,
                                 .top_candidates = 1 + (int)below(key, n, 5)};
    o->opts.decoder.hidden = (enum hidden_form)below(key, n, HIDDEN_FORMS);
    if (o->job.prompt_len < 100 && key % 2)
        o->opts.decoder.max_tokens = per_replica; /* passes that fill frame buffers */
}

static void one_init(struct one *o, int number, enum kind kind) {
    static const char *const shapes[] = {"tinyllama-1.1b", "llama3-8b", "granite-3b-northpole"};
    uint64_t key = (uint64_t)number + 7000, n = 0, n_strategies = 0;
    struct diag d = {0};
    memset(o, 0, sizeof *o);
    while (n_strategies < MOST && strategies[kind][n_strategies])
        n_strategies++;
    const char *text = strategies[kind][below(key, &n, n_strategies)];
    CHECK(strategy_parse(&o->st, text, &d) == 0, "%s", d.text);
    CHECK(preset_shape(&o->shape, shapes[below(key, &n, 3)], NULL, 0, &d) == 0, "%s", d.text);
    one_cluster(o, key, &n);
    one_job(o, key, &n);
    one_plan(o, key, &n);
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
    return 100 * fabs((double)estimate - (double)walked) / (double)walked;
}

static double share_off(const struct net_stamp *a, const struct net_stamp *b) {
    double most = 0;
    for (int i = 0; i < NET_SHARES; i++)
        most = fmax(most, 100 * fabs((double)a->share[i] / (double)a->ps - (double)b->share[i] / (double)b->ps));
    return most;
}

static void check_shares(const struct net_stamp *t) {
    uint64_t sum = 0;
    for (int i = 0; i < NET_SHARES; i++) {
        sum += t->share[i];
        CHECK(t->share[i] <= t->ps, "a share of more than all");
    }
    CHECK(sum == t->ps && sum > 0, "shares do not sum to the time");
}

/* Times more estimates, of other numbers of tokens. */
static void time_again(struct cases *all, enum kind kind, struct estimator *e, struct estimate_job job) {
    struct estimate est;
    struct diag d;
    double t = seconds();
    int n_new = job.n_new;
    for (int i = 0; i < AGAIN; i++) {
        job.n_new = n_new + i % 7;
        CHECK(estimator_run(e, &job, &est, &d) == 0, "%s", d.text);
    }
    all->again_s[kind] += seconds() - t;
    all->timed[kind]++;
}

static void compare(struct cases *all, const struct one *o, enum kind kind, const struct plan *p,
                    const struct estimate *est) {
    struct errors *e = &all->error[o->random][kind];
    struct net_stamp total;
    uint64_t prefill;
    if (walk(p, &o->cluster, &o->job, &prefill, &total)) return;
    check_shares(&est->total);
    check_shares(&est->prefill);
    CHECK(est->decode_ps == est->total.ps - est->prefill.ps, "decode is not the rest");
    e->total[e->n] = off(est->total.ps, total.ps);
    e->prefill[e->n] = off(est->prefill.ps, prefill);
    e->share[e->n++] = share_off(&est->total, &total);
}

static void check_one(struct cases *all, int number) {
    struct one o;
    enum kind kind = (enum kind)(number % KINDS);
    struct plan *p = NULL;
    struct estimator *e = NULL;
    struct estimate est = {0};
    struct diag d = {0};
    one_init(&o, number, kind);
    int rc = plan_make(&p, &o.shape, &o.st, strategy_ranks(&o.st), &o.opts, &d);
    if (!rc) random_frames(&o.cluster, p, (uint64_t)number);
    double t = seconds();
    if (!rc) rc = estimator_new(&e, p, &o.cluster, &d);
    if (!rc) rc = estimator_run(e, &o.job, &est, &d);
    CHECK(rc == 0 || rc == ERR_PLAN, "case %d, %s: %s", number, o.st.text, d.text);
    if (!rc) {
        all->setup_s[kind] += seconds() - t;
        time_again(all, kind, e, o.job);
        compare(all, &o, kind, p, &est);
    }
    estimator_free(e);
    plan_free(p);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of values in order. */
static double at_part(const double *v, int n, double part) {
    return v[(int)(part * (n - 1) + 0.5)];
}

static void print_errors(const char *what, double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    printf("  %s %.3f %.3f %.3f", what, at_part(v, n, 0.5), at_part(v, n, 0.95), at_part(v, n, 1));
}

static void print_speed(const char *what, int n, double again_s, double setup_s) {
    printf("%-7s estimates/s of a plan at hand %.0f, with its first %.0f (measured, processor time, n = %d x %d, %d)\n",
           what, AGAIN * n / again_s, n / setup_s, n, AGAIN, n);
}

/* Bounds are what was reached, rounded up. */
static int report(struct cases *all) {
    int n = 0;
    puts("|estimated - simulated|, % of simulated: p50, p95, max; shares of the total in points");
    for (int random = 0; random < 2; random++)
        for (int k = 0; k < KINDS; k++) {
            struct errors *e = &all->error[random][k];
            CHECK(e->n > 20, "only %d cases of %s could be run", e->n, kind_name[k]);
            if (e->n == 0) continue;
            printf("%-9s %-7s n %4d", random ? "random" : "described", kind_name[k], e->n);
            print_errors("total", e->total, e->n);
            print_errors("prefill", e->prefill, e->n);
            print_errors("shares", e->share, e->n);
            puts("");
            CHECK(at_part(e->total, e->n, 0.5) <= 0.1, "%s: half of the totals are off by more", kind_name[k]);
            CHECK(at_part(e->total, e->n, 0.95) <= 1, "%s: 5 %% of the totals are off by more", kind_name[k]);
            CHECK(at_part(e->prefill, e->n, 0.95) <= 1, "%s: 5 %% of the prompts are off by more", kind_name[k]);
            CHECK(at_part(e->share, e->n, 0.5) <= 1, "%s: half of the shares are off by more", kind_name[k]);
            n += e->n;
        }
    double again_s = 0, setup_s = 0;
    for (int k = 0; k < KINDS; k++) {
        print_speed(kind_name[k], all->timed[k], all->again_s[k], all->setup_s[k]);
        again_s += all->again_s[k];
        setup_s += all->setup_s[k];
    }
    print_speed("all", n, again_s, setup_s);
    return n;
}

/* Messages that share a link are refused. */
static void check_refusal(void) {
    struct one o;
    struct plan *p = NULL;
    struct estimate est;
    struct diag d = {0};
    one_init(&o, 1, TP);
    o.cluster.net.tier[0].link.medium = NET_FIFO;
    CHECK(plan_make(&p, &o.shape, &o.st, strategy_ranks(&o.st), &o.opts, &d) == 0, "%s", d.text);
    CHECK(plan_estimate(&est, p, &o.cluster, &o.job, &d) == ERR_PLAN && strstr(d.text, "share"), "%s", d.text);
    o.cluster.net.tier[0].link.medium = NET_PRIVATE;
    o.job.prompt_len = MAX_LEN + 1;
    CHECK(plan_estimate(&est, p, &o.cluster, &o.job, &d) == ERR_PLAN, "a prompt beyond the context");
    plan_free(p);
}

int main(void) {
    static struct cases all;
    for (int i = 0; i < CASES; i++)
        check_one(&all, i);
    int n = report(&all);
    CHECK(n >= 1000, "only %d of %d cases could be run", n, CASES);
    check_refusal();
    return check_report("test_estimate");
}
