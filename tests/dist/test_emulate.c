/* Three engines, one time: a running engine's clocks, the simulator's and those of a replay of what was executed are
 * the same picoseconds, share by share, for random plans on random clusters, whatever the operating system delays; and
 * not the simulator's when one real message is longer. What ranks did when is recorded alike, without gaps. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collectives/arbiter.h"
#include "critical.h"
#include "dist/simulate.h"
#include "engine_priv.h"
#include "models/decoder/tiny.h"
#include "random_cluster.h"

enum { MAX_RANKS = 12, SEQS = 5, CASES = 90 };
static const char *const log_file = "test_emulate.operations";

static const char *const strategies[] = {"1",
                                         "tp2",
                                         "tp3",
                                         "tp4",
                                         "tp8",
                                         "pp2",
                                         "pp3",
                                         "pp4",
                                         "tp2xpp2",
                                         "tp3xpp2",
                                         "tp2xpp3",
                                         "dp2xtp2",
                                         "dp2xpp2",
                                         "kvp2",
                                         "tp2xkvp2",
                                         "kvp2xpp2",
                                         "stages:1,2,3",
                                         "stages:3,1",
                                         "stages:1*3,2/0",
                                         "stages:host,1,2/0",
                                         "stages:host,2,1xdp2"};
enum { N_STRATEGIES = sizeof strategies / sizeof *strategies };

struct job_case {
    const char *strategy;
    struct model_shape shape;
    struct cluster cluster;
    struct plan_opts opts;
    struct engine_job job;
    int *prompt[SEQS], len[SEQS], end_id;
    uint64_t key, speed[MAX_RANKS];
    int wrong_bytes;
};

struct rank_run {
    const struct job_case *c;
    struct link *link, *bus; /* link NULL: the arbiter */
    struct engine_result result;
    struct trace trace[MAX_RANKS]; /* rank 0: of all replicas, with their times */
    struct net_stamp *taken[MAX_RANKS];
    struct recording rec; /* rank 0: of all */
    struct diag d;
    int rc;
};

static int case_init(struct job_case *c, int number) {
    static const char *const algos[] = {"auto", "tree", "oneshot", "twoshot", "ring", "hierarchical:ring:tree"};
    uint64_t key = (uint64_t)number + 1000, n = 0;
    struct strategy st;
    struct diag d = {0};
    memset(c, 0, sizeof *c);
    c->key = key;
    c->strategy = strategies[number % N_STRATEGIES];
    CHECK(strategy_parse(&st, c->strategy, &d) == 0, "%s", d.text);
    const struct tiny *t = &tiny_archs[below(key, &n, 6)]; /* all that generate */
    int quantized = (int)below(key, &n, 2);
    tiny_shape(&c->shape, t, quantized ? "Q8_0" : "F16", NULL);
    if (st.kvp > 1 || st.n_stages > c->shape.n_layers) { /* heads for all, layers for all */
        struct tiny deep = tiny_archs[0];
        deep.n_layers = 4;
        tiny_shape(&c->shape, &deep, quantized ? "Q8_0" : "F16", NULL);
    }
    random_cluster(&c->cluster, key, &n, 1);
    if (number % 6 == 5) c->cluster.net.tier[number % c->cluster.net.n_tiers].link.medium = NET_FLUID;
    int n_seqs = 1 + (int)below(key, &n, SEQS);
    int draft = below(key, &n, 3) == 0 ? 2 : 0, per_replica = (n_seqs + st.dp - 1) / st.dp;
    c->opts = (struct plan_opts){.decoder = {.linear_bits = quantized ? ACT_I8 : ACT_F32,
                                             .head_bits = quantized ? ACT_I8 : ACT_F32,
                                             .kv = (enum kv_type)below(key, &n, 2),
                                             .n_seqs = per_replica,
                                             .n_ctx = 48,
                                             .max_tokens = 4 + (int)below(key, &n, 20),
                                             .threads = 1,
                                             .seed = 5},
                                 .n_micro = 1 + (int)below(key, &n, (uint64_t)per_replica),
                                 .allreduce = algos[below(key, &n, 6)],
                                 .transport = COLL_TRANSPORT_LINK,
                                 .net = &c->cluster.net,
                                 .domain_ranks = (int)below(key, &n, 4),
                                 .top_candidates = 1 + (int)below(key, &n, 5)};
    for (int i = 0; i < MAX_RANKS; i++)
        c->speed[i] = 100000 * (1 + rng_u64(key, 5000 + (uint64_t)i) % 20);
    if (number % 3 == 0) c->opts.speed = c->speed; /* shares that need not suit the cards */
    if (number % 4) c->opts.decoder.max_tokens = 2; /* passes that fill frame buffers */
    if (c->opts.decoder.max_tokens < per_replica) c->opts.decoder.max_tokens = per_replica;
    c->opts.max_logits = draft ? c->opts.decoder.max_tokens : 0;
    if (st.kvp == 1 && !c->shape.parallel_block && below(key, &n, 4) == 0) c->opts.drop_sync = "1";
    for (int s = 0; s < n_seqs; s++) {
        c->len[s] = 1 + (int)below(key, &n, 20);
        c->prompt[s] = malloc((size_t)c->len[s] * sizeof(int));
        for (int i = 0; i < c->len[s]; i++)
            c->prompt[s][i] = (int)below(key, &n, (uint64_t)c->shape.n_vocab);
    }
    c->end_id = (int)below(key, &n, (uint64_t)c->shape.n_vocab);
    c->job =
        (struct engine_job){.n_seqs = n_seqs,
                            .prompt = (const int *const *)c->prompt,
                            .prompt_len = c->len,
                            .n_new = 1 + (int)below(key, &n, 9),
                            .chunk = 1 + (int)below(key, &n, 9),
                            .sampling = {.temperature = 0.8, .top_k = c->opts.top_candidates, .top_p = 1, .seed = 3},
                            .draft = {draft, 1, 2},
                            .end_ids = &c->end_id,
                            .n_end_ids = (int)below(key, &n, 2)};
    c->opts.decoder.hidden = (enum hidden_form)below(key, &n, HIDDEN_FORMS);
    return strategy_ranks(&st);
}

static void case_fini(struct job_case *c) {
    for (int s = 0; s < SEQS; s++)
        free(c->prompt[s]);
}

static int make_plan(struct plan **out, const struct job_case *c, int real, int size, struct diag *d) {
    struct strategy st;
    struct plan_opts o = c->opts;
    int rc = strategy_parse(&st, c->strategy, d);
    o.top_candidates += real && c->wrong_bytes; /* an offer of 8 bytes more */
    return rc ? rc : plan_make(out, &c->shape, &st, size, &o, d);
}

static void *run_rank(void *arg) {
    struct rank_run *r = arg;
    struct plan *plan = NULL;
    if (!r->link) {
        r->rc = make_plan(&plan, r->c, 1, r->bus->size - 1, &r->d);
        if (!r->rc) r->rc = arbiter_run(r->bus, &r->c->cluster.net, virtual_media(&r->c->cluster, plan), &r->d);
        plan_free(plan);
        return NULL;
    }
    struct engine *e = NULL;
    struct timespec t = {0, (long)(rng_u64(r->c->key, (uint64_t)r->link->rank) % 2000000)};
    r->rc = make_plan(&plan, r->c, 1, r->link->size, &r->d);
    if (!r->rc) r->rc = engine_init(&e, plan, NULL, r->link, -1, &r->d);
    if (!r->rc) r->rc = engine_emulate(e, &r->c->cluster, r->bus, &r->d);
    if (!r->rc) engine_record(e, 0, UINT64_MAX);
    if (!r->rc) engine_log(e);
    nanosleep(&t, NULL);
    if (!r->rc) r->rc = engine_generate(e, &r->c->job, &r->result, &r->d);
    if (!r->rc) r->rc = engine_traces(e, &r->result, r->trace, r->taken, &r->d);
    if (!r->rc) r->rc = engine_recording(e, &r->rec, &r->d);
    if (!r->rc && r->link->rank == 0) r->rc = op_log_write(engine_operations(e), log_file, &r->d);
    engine_free(e);
    plan_free(plan);
    return NULL;
}

static void run_ranks(const struct job_case *c, int size, struct rank_run *ranks) {
    struct link *links[MAX_RANKS], *bus[MAX_RANKS + 1] = {0};
    pthread_t thread[MAX_RANKS + 1];
    int shared = 0;
    for (int i = 0; i < c->cluster.net.n_tiers; i++)
        shared |= c->cluster.net.tier[i].link.medium == NET_FIFO && !place_is_fluid(&c->cluster);
    CHECK(size <= MAX_RANKS && link_threads_new(size, links) == 0, "%d links", size);
    CHECK(!shared || link_threads_new(size + 1, bus) == 0, "a bus of %d", size);
    for (int r = 0; r < size + shared; r++) {
        ranks[r] = (struct rank_run){.c = c, .link = r < size ? links[r] : NULL, .bus = bus[r]};
        pthread_create(&thread[r], NULL, run_rank, &ranks[r]);
    }
    for (int r = 0; r < size + shared; r++)
        pthread_join(thread[r], NULL);
    CHECK(!shared || ranks[size].rc == 0, "%s", ranks[size].d.text);
    for (int r = 0; r < size; r++)
        link_free(links[r]);
    for (int r = 0; r < size + shared && shared; r++)
        link_free(bus[r]);
}

static int same_trace(const struct trace *a, const struct trace *b) {
    return a->n == b->n && memcmp(a->pass, b->pass, (size_t)a->n * sizeof *a->pass) == 0;
}

/* Work and waiting follow each other from 0 to the end; messages on a link follow each other. */
static void check_events(const struct job_case *c, const struct recorder *r, uint64_t end_ps) {
    uint64_t at[RECORD_CREDIT + NET_MAX_TIERS] = {0};
    int bad = 0;
    for (int i = 0; i < r->n; i++) {
        const struct record_event *e = &r->event[i];
        int link = e->track >= RECORD_LINK, track = link ? e->track : RECORD_WORKS;
        bad += link ? e->start_ps < at[track] || e->end_ps < e->start_ps || e->start_ps < e->ready_ps
                    : e->start_ps != at[track] || e->end_ps <= e->start_ps;
        at[track] = e->end_ps;
    }
    CHECK(bad == 0 && (r->n > 0 || end_ps == 0), "%s: %d of %d events overlap or leave gaps", c->strategy, bad, r->n);
    CHECK(at[RECORD_WORKS] == end_ps, "%s: events end at %" PRIu64 ", the clock at %" PRIu64, c->strategy,
          at[RECORD_WORKS], end_ps);
}

/* The path back from a time of tokens is made of what its stamp says; and a recording of its end says the same of that.
 */
static void check_path(const struct job_case *c, const struct plan *p, const struct trace *trace,
                       const struct recording *rec, int replica, const struct net_stamp *taken) {
    struct critical path, last, windowed;
    struct recording end;
    struct simulation sim;
    struct diag d = {0};
    int rank = replica * p->ranks_per_replica;
    uint64_t from = taken->ps / 3 * 2;
    int rc = critical_walk(&path, rec, p, &c->cluster, rank, 0, taken->ps, &d);
    CHECK(rc == 0 && memcmp(path.share, taken->share, sizeof path.share) == 0, "%s: another path: %s", c->strategy,
          d.text);
    rc = critical_walk(&last, rec, p, &c->cluster, rank, from, taken->ps, &d);
    CHECK(rc == 0 && last.ps == taken->ps - from, "%s: %s", c->strategy, d.text);
    rc = recording_init(&end, p->n_ranks, from, taken->ps, &d);
    if (!rc) rc = simulate_recorded(&sim, p, &c->cluster, trace, &end, &d);
    if (!rc) rc = critical_walk(&windowed, &end, p, &c->cluster, rank, from, taken->ps, &d);
    CHECK(rc == 0 && memcmp(&windowed, &last, sizeof last) == 0, "%s: another path in a window: %s", c->strategy,
          d.text);
    if (!rc) simulation_fini(&sim);
    recording_fini(&end);
}

static int waited; /* cases in which a rank has waited for room in a frame buffer */

static void count_waited(const struct recording *rec) {
    int waits = 0;
    for (int r = 0; r < rec->n_ranks; r++)
        for (int i = 0; i < rec->rank[r].n; i++)
            waits += rec->rank[r].event[i].track == RECORD_WAITS && rec->rank[r].event[i].step == STEP_SEND_HIDDEN;
    waited += waits > 0;
}

static int same_events(const struct recorder *a, const struct recorder *b) {
    return a->n == b->n && (a->n == 0 || memcmp(a->event, b->event, (size_t)a->n * sizeof *a->event) == 0);
}

/* How many ranks have other clocks, or do other things, replayed and simulated. */
static int other_ranks(const struct op_log *log, const struct plan *p, const struct cluster *c,
                       const struct trace *trace) {
    struct simulation played, sim;
    struct recording what, other;
    struct diag d = {0};
    int bad = 0, rc = recording_init(&what, p->n_ranks, 0, UINT64_MAX, &d);
    if (!rc) rc = recording_init(&other, p->n_ranks, 0, UINT64_MAX, &d);
    if (!rc) rc = replay(&played, log, c, &what, &d);
    if (!rc) rc = recording_end(&what, p, c, &d);
    if (!rc) rc = simulate_recorded(&sim, p, c, trace, &other, &d);
    CHECK(rc == 0, "%s", d.text);
    for (int r = 0; r < p->n_ranks && !rc; r++)
        bad += !same_clock(&played.clock[r], &sim.clock[r]) || !same_events(&what.rank[r], &other.rank[r]);
    for (int i = 0; i < p->strategy.dp && !rc; i++)
        bad += memcmp(played.taken[i], sim.taken[i], (size_t)trace[i].n * sizeof **sim.taken) != 0;
    simulation_fini(&played);
    simulation_fini(&sim);
    recording_fini(&what);
    recording_fini(&other);
    return bad;
}

/* Ranks are nowhere earlier where they share a medium of the rate that each had to itself. */
static void check_later(const struct job_case *c, const struct op_log *log) {
    struct cluster own = c->cluster, shared;
    struct simulation early, late;
    struct diag d = {0};
    for (int i = 0; i < own.net.n_tiers; i++)
        own.net.tier[i].link.medium = NET_PRIVATE;
    shared = own;
    for (int i = 0; i < own.net.n_tiers; i++)
        shared.net.tier[i].link.medium = NET_FLUID;
    int rc = replay(&early, log, &own, NULL, &d), bad = 0;
    if (!rc) rc = replay(&late, log, &shared, NULL, &d);
    CHECK(rc == 0, "%s", d.text);
    for (int r = 0; r < log->n_ranks && !rc; r++)
        bad += early.clock[r].now.ps > late.clock[r].now.ps;
    CHECK(bad == 0, "%s: %d ranks are earlier where they share links", c->strategy, bad);
    simulation_fini(&early);
    simulation_fini(&late);
}

/* What was executed, on the cluster where it was and on another one with other media. */
static void check_replays(const struct job_case *c, const struct plan *p, const struct rank_run *ranks,
                          const struct trace *trace) {
    struct op_log log;
    struct simulation sim;
    struct cluster other = c->cluster;
    struct diag d = {0};
    uint64_t n = 0;
    int bad = 0, rc = op_log_read(&log, log_file, &d), many = p->stages[p->n_stages - 1].size > 1;
    if (!rc) rc = replay(&sim, &log, &c->cluster, NULL, &d);
    CHECK(rc == 0, "%s: %s", c->strategy, d.text);
    if (rc) return;
    for (int r = 0; r < p->n_ranks && !place_is_fluid(&c->cluster); r++)
        bad += !same_clock(&sim.clock[r], &ranks[r].result.clock);
    for (int i = 0; i < p->strategy.dp; i++)
        bad += memcmp(sim.taken[i], ranks[0].taken[i], (size_t)trace[i].n * sizeof **sim.taken) != 0;
    CHECK(bad == 0, "%s: %d clocks differ from those of a replay", c->strategy, bad);
    simulation_fini(&sim);
    for (int i = 0; i < other.net.n_tiers; i++) {
        struct net_link *l = &other.net.tier[i].link;
        l->medium = (enum net_medium)(i ? below(c->key ^ 77, &n, 3) : NET_FLUID);
        l->L_ps += below(c->key ^ 77, &n, 2) * 1000;
        if (below(c->key ^ 77, &n, 2)) l->port = (struct pico_rate){l->G.num * 3, l->G.den * 2};
    }
    int others[2] = {other_ranks(&log, p, &c->cluster, trace), other_ranks(&log, p, &other, trace)};
    for (int i = 0; i < 2; i++)
        CHECK((others[i] == 0) == !(c->wrong_bytes && many),
              "%s: %d ranks have other times replayed and simulated (%d)", c->strategy, others[i], i);
    check_later(c, &log);
    op_log_fini(&log);
}

/* Of ranks that ran: how many clocks and times of tokens differ from the simulator's. */
static int differences(const struct job_case *c, const struct plan *p, const struct rank_run *ranks) {
    struct trace trace[MAX_RANKS] = {{0}}, fixed;
    struct simulation sim, plain;
    struct recording rec;
    struct diag d = {0};
    int bad = 0, fluid = place_is_fluid(&c->cluster);
    for (int i = 0; i < p->strategy.dp; i++) {
        trace[i] = ranks[i * p->ranks_per_replica].result.trace;
        if (c->job.draft.most || c->job.n_end_ids) continue;
        CHECK(trace_fixed(&fixed, p, &c->job, i, &d) == 0, "%s", d.text);
        CHECK(same_trace(&fixed, &trace[i]), "%s: %d passes are foreseen, %d were made, or others", c->strategy,
              fixed.n, trace[i].n);
        trace_fini(&fixed);
    }
    check_both(c->strategy, p, &c->cluster, trace);
    int rc = recording_init(&rec, p->n_ranks, 0, UINT64_MAX, &d);
    if (!rc) rc = simulate_recorded(&sim, p, &c->cluster, trace, &rec, &d);
    if (!rc && (rc = simulate(&plain, p, &c->cluster, trace, &d))) simulation_fini(&sim);
    CHECK(rc == 0, "%s: %s", c->strategy, d.text);
    if (rc) return -1;
    for (int r = 0; r < p->n_ranks; r++) {
        int same = fluid || same_clock(&sim.clock[r], &ranks[r].result.clock);
        /* a rank that waits longer may make up for it by the end: what it did tells */
        bad += !same || (c->wrong_bytes && !same_events(&rec.rank[r], &ranks[0].rec.rank[r]));
        CHECK(same_clock(&sim.clock[r], &plain.clock[r]), "%s: rank %d has another time when recorded", c->strategy, r);
        CHECK(!same || c->wrong_bytes || same_events(&rec.rank[r], &ranks[0].rec.rank[r]),
              "%s: rank %d did %d things simulated, %d really, or others", c->strategy, r, rec.rank[r].n,
              ranks[0].rec.rank[r].n);
        if (fluid && c->wrong_bytes) continue;
        check_events(c, &ranks[0].rec.rank[r], fluid ? sim.clock[r].now.ps : ranks[r].result.clock.now.ps);
    }
    for (int i = 0; i < p->strategy.dp; i++) {
        const struct net_stamp *last = NULL;
        for (int k = 0; k < trace[i].n; k++)
            if (sim.taken[i][k].ps) last = &sim.taken[i][k];
        if (last) check_path(c, p, trace, &rec, i, last);
    }
    for (int i = 0; i < p->strategy.dp; i++)
        for (int k = 0; k < trace[i].n; k++)
            bad += !same_stamp(&sim.taken[i][k], &ranks[0].taken[i][k]);
    count_waited(&rec);
    check_replays(c, p, ranks, trace);
    simulation_fini(&plain);
    simulation_fini(&sim);
    recording_fini(&rec);
    return bad;
}

static void check_shares(const struct rank_run *r) {
    uint64_t sum = 0;
    for (int i = 0; i < NET_SHARES; i++)
        sum += r->result.clock.now.share[i];
    CHECK(sum == r->result.clock.now.ps, "shares %" PRIu64 " of %" PRIu64, sum, r->result.clock.now.ps);
}

/* Returns 0 if the case could not be run, 2 if its ranks shared a medium, else 1. */
static int check_case(int number, int wrong_bytes) {
    struct job_case c;
    struct rank_run ranks[MAX_RANKS + 1];
    struct plan *p = NULL;
    struct diag d = {0};
    int size = case_init(&c, number), rc = make_plan(&p, &c, 0, size, &d), ran = 0;
    c.wrong_bytes = wrong_bytes;
    if (rc) {
        CHECK(rc == ERR_PLAN || rc == ERR_USAGE, "%s: %s", c.strategy, d.text);
    } else {
        random_frames(&c.cluster, p, c.key);
        run_ranks(&c, size, ranks);
        rc = ranks[0].rc;
        CHECK(rc == 0, "case %d, %s, %s: %s", number, c.strategy, c.shape.name, ranks[0].d.text);
        int bad = rc ? -1 : differences(&c, p, ranks), many = p->stages[p->n_stages - 1].size > 1;
        CHECK(rc || (bad == 0) == !(wrong_bytes && many), "case %d, %s, %s: %d clocks differ", number, c.strategy,
              c.shape.name, bad);
        for (int r = 0; r < size; r++) {
            if (!rc) check_shares(&ranks[r]);
            for (int i = 0; i < p->strategy.dp && r == 0 && !rc; i++) {
                trace_fini(&ranks[r].trace[i]);
                free(ranks[r].taken[i]);
            }
            engine_result_fini(&ranks[r].result);
            recording_fini(&ranks[r].rec);
        }
        ran = 1 + (virtual_media(&c.cluster, p) > 0);
    }
    plan_free(p);
    case_fini(&c);
    return ran;
}

int main(void) {
    int ran = 0, shared = 0;
    for (int i = 0; i < CASES; i++) {
        int how = check_case(i, 0);
        ran += how > 0;
        shared += how == 2;
    }
    CHECK(ran > CASES * 2 / 3 && shared > CASES / 8 && waited > CASES / 12,
          "of %d cases only %d could be run, %d with shared media, and %d waited for room", CASES, ran, shared, waited);
    for (int i = 0; i < N_STRATEGIES; i++)
        check_case(i, 1);
    remove(log_file);
    return check_report("test_emulate");
}
