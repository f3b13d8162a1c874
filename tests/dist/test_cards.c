/* What cards and hosts add to the time, in numbers worked out by hand: all that is not asked about takes no time. */
#include <inttypes.h>
#include <string.h>

#include "check.h"
#include "dist/engine.h"
#include "dist/simulate.h"
#include "partition/estimate.h"

enum { USERS = 4, PROMPT = 9, NEW = 5, CHUNK = 4 };

static void free_card(struct card *c) {
    *c = (struct card){.name = "free", .n_levels = 1, .level = {{.G = {0, 1}}}};
    for (int k = 0; k < PREC_COUNT; k++)
        c->op[k] = (struct pico_rate){0, 1};
}

static void free_cluster(struct cluster *c) {
    const struct pico_rate no_time = {0, 1};
    *c = (struct cluster){.name = "free", .has_host = 1, .net = {.n_tiers = 1}};
    free_card(&c->card);
    free_card(&c->host);
    c->net.gamma = c->net.copy = c->net.codec = c->net.tier[0].link.G = no_time;
}

static struct plan *make_plan(const struct cluster *c, const char *strategy, int n_micro) {
    struct model_shape shape;
    struct strategy st;
    struct plan *p = NULL;
    struct diag d = {0};
    struct plan_opts o = {.decoder = {.linear_bits = ACT_I8,
                                      .head_bits = ACT_I8,
                                      .n_seqs = USERS,
                                      .n_ctx = PROMPT + NEW,
                                      .max_tokens = USERS * CHUNK / n_micro,
                                      .threads = 1},
                          .n_micro = n_micro,
                          .transport = COLL_TRANSPORT_LINK,
                          .top_candidates = 1,
                          .net = &c->net};
    int rc = preset_shape(&shape, "smollm-135m", NULL, 0, &d);
    if (!rc) rc = strategy_parse(&st, strategy, &d);
    if (!rc) rc = plan_make(&p, &shape, &st, strategy_ranks(&st), &o, &d);
    CHECK(rc == 0, "%s: %s", strategy, d.text);
    return p;
}

/* When the last of all tokens has come, simulated as it is done and with every event walked; *est is estimated. */
static struct net_stamp run(const struct cluster *c, const char *strategy, int n_micro, struct net_stamp *est) {
    static const int ids[PROMPT];
    const int *prompt[USERS] = {ids, ids, ids, ids}, len[USERS] = {PROMPT, PROMPT, PROMPT, PROMPT};
    struct engine_job job = {.n_seqs = USERS, .prompt = prompt, .prompt_len = len, .n_new = NEW, .chunk = CHUNK};
    struct trace trace = {0};
    struct simulation sim = {0}, plain = {0};
    struct net_stamp last = {0};
    struct estimate all = {0};
    struct diag d = {0};
    struct plan *p = make_plan(c, strategy, n_micro);
    int rc = p ? trace_fixed(&trace, p, &job, 0, &d) : ERR_PLAN;
    if (!rc) rc = simulate(&sim, p, c, &trace, &d);
    if (!rc) rc = simulate_recorded(&plain, p, c, &trace, NULL, &d);
    if (!rc) rc = plan_estimate(&all, p, c, &(struct estimate_job){USERS, PROMPT, NEW, CHUNK}, &d);
    CHECK(rc == 0, "%s: %s", strategy, d.text);
    for (int i = 0; i < trace.n && !rc; i++) {
        CHECK(memcmp(&sim.taken[0][i], &plain.taken[0][i], sizeof last) == 0, "%s: pass %d walked", strategy, i);
        if (sim.taken[0][i].ps > last.ps) last = sim.taken[0][i];
    }
    *est = all.total;
    simulation_fini(&sim);
    simulation_fini(&plain);
    trace_fini(&trace);
    plan_free(p);
    return last;
}

static struct net_stamp simulated(const struct cluster *c, const char *strategy, int n_micro) {
    struct net_stamp est;
    return run(c, strategy, n_micro, &est);
}

/* Of jobs so simple that both are equal. */
static struct net_stamp time_of(const struct cluster *c, const char *strategy, int n_micro) {
    struct net_stamp est, last = run(c, strategy, n_micro, &est);
    CHECK(memcmp(&last, &est, sizeof last) == 0, "%s: %" PRIu64 " ps, estimated %" PRIu64, strategy, last.ps, est.ps);
    return last;
}

/* One micro-batch: all that a rank pays for tokens comes one after the other. */
static void check_overheads(void) {
    enum { FED = USERS * (PROMPT + NEW - 1), SAMPLED = USERS * NEW };
    static const struct {
        const char *strategy;
        uint64_t card, host; /* how often its overhead of a token is paid, and that of a sequence 100 times */
    } cases[] = {{"1", FED + 100 * SAMPLED, 0},
                 {"tp3", FED + 100 * SAMPLED, 0},
                 {"pp2", FED + 100 * SAMPLED, 0},
                 {"stages:host,1,2/0", 100 * SAMPLED, FED + 100 * SAMPLED}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cluster c;
        free_cluster(&c);
        c.card.token_ps = 3;
        c.card.sequence_ps = 300;
        c.host.token_ps = 7;
        c.host.sequence_ps = 700;
        struct net_stamp t = time_of(&c, cases[i].strategy, 1);
        CHECK(t.ps == 3 * cases[i].card + 7 * cases[i].host && t.share[NET_OVERHEAD] == t.ps, "%s: %" PRIu64 " ps",
              cases[i].strategy, t.ps);
    }
}

/* Passes alone take time. The slow card of a stage is waited for by the others; a pipeline pays all passes of its
 * slowest stage, and the first of the stages before. */
static void check_speeds(void) {
    enum { CHUNKS = (PROMPT + CHUNK - 1) / CHUNK, ROUNDS = CHUNKS + NEW - 1, LONG = 1000 };
    static const struct {
        const char *strategy, *slow;
        int n_micro;
        uint64_t passes, slow_passes;
    } cases[] = {{"1", "0", 1, 0, ROUNDS},
                 {"1", "1-7", 1, ROUNDS, 0},
                 {"tp3", "2", 1, 0, ROUNDS},
                 {"tp3", "0,2", 1, 0, ROUNDS},
                 {"pp2", "1", USERS, 1, ROUNDS * USERS},
                 {"pp3", "1", USERS, 2, ROUNDS * USERS},
                 {"pp3", "0-2", 1, 0, 3 * ROUNDS - 2 * (CHUNKS - 1)},
                 {"stages:host,1,2/0", "2", 1, 2 * ROUNDS - 2 * (CHUNKS - 1), ROUNDS}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cluster c;
        free_cluster(&c);
        c.card.pass_ps = c.host.pass_ps = LONG;
        CHECK(cluster_except(&c, cases[i].slow, 400000) == 0, "%s", cases[i].slow);
        struct net_stamp t = time_of(&c, cases[i].strategy, cases[i].n_micro);
        CHECK(t.ps == LONG * cases[i].passes + LONG * cases[i].slow_passes / 2 * 5, "%s, cards %s: %" PRIu64 " ps",
              cases[i].strategy, cases[i].slow, t.ps);
    }
}

/* Of a described cluster: a straggler never shortens, one of factor 1 changes nothing. */
static void check_straggler(void) {
    static const char *const strategies[] = {"tp3", "pp4", "tp3xpp2", "stages:host,1,2/0"};
    for (size_t i = 0; i < sizeof strategies / sizeof *strategies; i++) {
        struct cluster c;
        struct diag d = {0};
        CHECK(cluster_read(&c, CLUSTER_DIR "/northpole-16.yaml", &d) == 0, "%s", d.text);
        struct net_stamp before = simulated(&c, strategies[i], 2), after;
        CHECK(cluster_except(&c, "1", 1000000) == 0, "1");
        after = simulated(&c, strategies[i], 2);
        CHECK(before.ps && memcmp(&before, &after, sizeof after) == 0, "%s: factor 1", strategies[i]);
        uint64_t least = before.ps;
        for (uint64_t speed = 900000; speed > 200000; speed -= 200000) {
            CHECK(cluster_except(&c, "1", speed) == 0, "1");
            after = simulated(&c, strategies[i], 2);
            CHECK(after.ps >= before.ps, "%s: %" PRIu64 " ps, and %" PRIu64 " with a slower card", strategies[i],
                  before.ps, after.ps);
            before = after;
        }
        CHECK(after.ps > least, "%s: a card of 0.3 times the speed costs nothing", strategies[i]);
    }
}

/* Links alone take time: hidden states, of CHUNK or one token of each user, and what was sampled. Through the host each
 * message takes twice as long and its sender no longer; the last one of the prompts comes before the one in front of
 * it, which is waited for. */
static void check_via_host(void) {
    enum { CHUNKS = (PROMPT + CHUNK - 1) / CHUNK, LATENCY = 100000, LAST = PROMPT % CHUNK };
    for (int via = 0; via < 2; via++) {
        struct cluster c;
        free_cluster(&c);
        c.net.tier[0].link = (struct net_link){.L_ps = LATENCY, .G = {10, 1}, .via_host = via};
        uint64_t token = PLAN_TOKEN_BYTES + 4 * 576, chunk = 10 * (PLAN_HEADER_BYTES + USERS * CHUNK * token);
        uint64_t last = 10 * (PLAN_HEADER_BYTES + USERS * LAST * token);
        uint64_t one = 10 * (PLAN_HEADER_BYTES + USERS * token);
        uint64_t sampled = 10 * (PLAN_SAMPLED_HEADER_BYTES + USERS * PLAN_SAMPLED_BYTES);
        uint64_t prompt = (CHUNKS - 1) * chunk + (via ? chunk : last), rest = (NEW - 1) * one + NEW * sampled;
        struct net_stamp t = time_of(&c, "pp2", 1);
        CHECK(t.share[NET_LATENCY] == (uint64_t)(1 + via) * 2 * NEW * LATENCY, "%" PRIu64 " ps of latency",
              t.share[NET_LATENCY]);
        CHECK(t.share[NET_BANDWIDTH] == prompt + (uint64_t)(1 + via) * rest, "%" PRIu64 " ps of words",
              t.share[NET_BANDWIDTH]);
        CHECK(t.ps == t.share[NET_LATENCY] + t.share[NET_BANDWIDTH], "%" PRIu64 " ps", t.ps);
    }
}

/* A byte too few on the inner level: the output layer goes, unless the cache does and little of it is read by a
 * micro-batch; where there is an embedding alone, that, as single rows of it are read. */
static void check_places(void) {
    enum { SEQS = 64 };
    for (int n_micro = 1; n_micro <= SEQS; n_micro *= SEQS) {
        struct cluster c;
        struct model_shape shape;
        struct strategy st;
        struct plan *p = NULL;
        struct virtual_rank v;
        struct diag d = {0};
        free_cluster(&c);
        struct plan_opts o = {.decoder = {.n_seqs = SEQS, .n_ctx = 64, .max_tokens = SEQS, .threads = 1},
                              .n_micro = n_micro,
                              .transport = COLL_TRANSPORT_LINK,
                              .net = &c.net};
        int rc = preset_shape(&shape, "smollm-135m", NULL, 0, &d);
        if (!rc) rc = strategy_parse(&st, "pp2", &d);
        if (!rc) rc = plan_make(&p, &shape, &st, 2, &o, &d);
        CHECK(rc == 0, "%s", d.text);
        if (rc) return;
        const struct plan_rank *r = &p->ranks[1];
        uint64_t all = r->bytes.weights + r->bytes.kv + r->bytes.work + r->engine_bytes;
        c.card.n_levels = 2;
        c.card.level[0] = (struct card_level){.bytes = all, .G = {1, 1}};
        c.card.level[1] = (struct card_level){.G = {100, 1}};
        CHECK(virtual_rank_init(&v, &c, p, 1, &d) == 0 && v.place.kv == 0 && v.place.ends == 0 &&
                  v.place.layer[r->shard.layer1 - 1] == 0,
              "all fit on the inner level");
        c.card.level[0].bytes = all - 1;
        CHECK(virtual_rank_init(&v, &c, p, 1, &d) == 0, "%s", d.text);
        int outside = v.place.ends;
        for (int l = r->shard.layer0; l < r->shard.layer1; l++)
            outside += v.place.layer[l];
        CHECK(n_micro == 1 ? v.place.kv == 0 && outside == 1 : v.place.kv == 1 && outside == 0,
              "%d micro-batches: cache on level %d, %d layers on the outer one", n_micro, v.place.kv, outside);
        c.card.level[0].whole = 1;
        CHECK(virtual_rank_init(&v, &c, p, 1, &d) == 0 && v.place.kv == 1 && v.place.ends == 1 &&
                  v.place.layer[r->shard.layer0] == 1,
              "a level that holds the whole, or nothing");
        c.card.level[0].whole = 0;
        r = &p->ranks[0];
        c.card.level[0].bytes = r->bytes.weights + r->bytes.kv + r->bytes.work + r->engine_bytes - 1;
        CHECK(virtual_rank_init(&v, &c, p, 0, &d) == 0 && v.place.ends == 1 && v.place.kv == 0,
              "%d micro-batches: embedding on level %d, cache on level %d", n_micro, v.place.ends, v.place.kv);
        c.card.n_levels = 1;
        CHECK(virtual_rank_init(&v, &c, p, 0, &d) == ERR_PLAN, "a byte that is not there");
        plan_free(p);
    }
}

/* Latencies alone take time, one to the card and one back, of a token or a credit. Where a frame buffer has room for
 * one message of the prompts, the second and third one each wait for the credit of the one before; with room for two
 * the third one waits; with more nothing does. So it is through the host, where each takes twice as long. */
static void check_frames(void) {
    enum { CHUNKS = (PROMPT + CHUNK - 1) / CHUNK, LATENCY = 100000 };
    uint64_t token = PLAN_TOKEN_BYTES + 4 * 576, one = PLAN_HEADER_BYTES + USERS * CHUNK * token;
    uint64_t all = USERS * (PROMPT + NEW) * (PLAN_HEADER_BYTES + token) + PLAN_HEADER_BYTES;
    const struct {
        uint64_t frame;
        int waits, credits;
    } cases[] = {{0, 0, 0}, {one, 2, 1}, {2 * one, 1, 1}, {CHUNKS * one, 0, 1}, {all - 1, 0, 1}, {all, 0, 0}};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        struct cluster c;
        int via = i % 2, k = (int)i / 2;
        free_cluster(&c);
        c.net.tier[0].link.L_ps = LATENCY;
        c.net.tier[0].link.via_host = via;
        c.card.frame_bytes = cases[k].frame;
        struct plan *p = make_plan(&c, "pp2", 1);
        struct diag d = {0};
        uint64_t frame = 1;
        CHECK(virtual_frame(&frame, &c, p, &d) == 0 && frame == (cases[k].credits ? cases[k].frame : 0), "%d: %s", k,
              d.text);
        plan_free(p);
        uint64_t trip = 2 * (uint64_t)(1 + via) * LATENCY;
        struct net_stamp est, t = run(&c, "pp2", 1, &est);
        CHECK(est.ps >= t.ps && est.ps < t.ps + trip, "%d: estimated %" PRIu64 " ps", k, est.ps);
        CHECK(t.ps == (uint64_t)(NEW + cases[k].waits) * trip, "%d: %" PRIu64 " ps", k, t.ps);
    }
}

/* A message that never has room, or tokens that might not. */
static void check_no_room(void) {
    uint64_t one = PLAN_HEADER_BYTES + USERS * CHUNK * (PLAN_TOKEN_BYTES + 4 * 576), frame;
    struct cluster c;
    free_cluster(&c);
    struct plan *p = make_plan(&c, "pp2", 1);
    struct diag d = {0};
    c.card.frame_bytes = one - 1;
    CHECK(virtual_frame(&frame, &c, p, &d) == ERR_PLAN, "no room");
    CHECK(strstr(d.text, "the hidden states of a pass take 36.27 KiB, and the frame buffer of free holds 36.27 KiB: "
                         "use a smaller --chunk"),
          "%s", d.text);
    c.card.frame_bytes = one;
    p->opts.n_micro = 1000;
    d = (struct diag){0};
    CHECK(virtual_frame(&frame, &c, p, &d) == ERR_PLAN && strstr(d.text, "use fewer --micro-batches"), "%s", d.text);
    plan_free(p);
    p = make_plan(&c, "stages:host,1,2/0", 1);
    p->opts.n_micro = 1000;
    CHECK(virtual_frame(&frame, &c, p, &d) == 0, "a host takes all tokens");
    plan_free(p);
    p = make_plan(&c, "1", 1);
    CHECK(virtual_frame(&frame, &c, p, &d) == 0 && frame == 0, "nothing is sent");
    plan_free(p);
}

int main(void) {
    check_overheads();
    check_frames();
    check_no_room();
    check_via_host();
    check_speeds();
    check_straggler();
    check_places();
    return check_report("test_cards");
}
