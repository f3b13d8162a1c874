/* Which plan rank each process takes (partition/map.h): the messages counted are the plan's, nothing is cheaper than
 * the map chosen (all maps of small jobs are tried), and large jobs have their groups on one node each. */
#include "partition/map.h"

#include <stdlib.h>

#include "check.h"
#include "random_shape.h"

enum { CASES = 300, MOST_RANKS = 8 };

static const struct net_link between = {.L_ps = 50000000, .G = {80000, 1}};

static int64_t sum_of(const struct map_traffic *t, int rank, int64_t *bytes) {
    int64_t messages = 0;
    *bytes = 0;
    for (int i = t->begin[rank]; i < t->begin[rank + 1]; i++) {
        CHECK(t->edge[i].to != rank && t->edge[i].to >= 0 && t->edge[i].to < t->n, "rank %d to %d", rank,
              t->edge[i].to);
        CHECK(i == t->begin[rank] || t->edge[i].to > t->edge[i - 1].to, "by receiver");
        messages += t->edge[i].messages;
        *bytes += t->edge[i].bytes;
    }
    return messages;
}

static struct plan *random_plan(struct dice *d) {
    struct model_shape shape;
    struct strategy st;
    struct plan_opts opts;
    struct plan *p = NULL;
    random_shape(d, &shape);
    random_opts(d, &opts);
    random_strategy(d, &shape, &st);
    opts.mem_bytes = 0;
    return plan_make(&p, &shape, &st, strategy_ranks(&st), &opts, NULL) ? NULL : p;
}

/* What each rank sends is what its steps cost; on one node nothing crosses, on a node each all does. */
static void test_counts(void) {
    int plans = 0;
    for (int c = 0; c < CASES; c++) {
        struct dice d = {(uint64_t)c + 9000, 0};
        struct plan *p = random_plan(&d);
        struct map_traffic t;
        struct map_crossing none, all;
        if (!p) continue;
        int rc = map_traffic_init(&t, p, NULL, NULL), node[64];
        CHECK(rc == 0, "%s: %d", p->strategy.text, rc);
        for (int r = 0; r < p->n_ranks && !rc; r++) {
            struct plan_pass pass = {.tokens = 1, .sampled = p->shape.causal, .ctx_sum = 1};
            struct plan_totals one;
            int64_t bytes, messages = sum_of(&t, r, &bytes);
            plan_totals(p, r, &pass, &one);
            CHECK((double)messages == one.messages && (double)bytes == one.sent_bytes,
                  "case %d, %s, rank %d: %lld messages, %lld bytes, the plan says %.0f and %.0f", c, p->strategy.text,
                  r, (long long)messages, (long long)bytes, one.messages, one.sent_bytes);
            node[r] = 0;
        }
        map_count(&none, &t, node);
        for (int r = 0; r < p->n_ranks; r++)
            node[r] = r;
        map_count(&all, &t, node);
        CHECK(!none.messages && !none.bytes && none.all_messages == all.messages && none.all_bytes == all.bytes,
              "%s: one node, a node each", p->strategy.text);
        map_traffic_fini(&t);
        plan_free(p);
        plans++;
    }
    CHECK(plans > CASES / 2, "%d plans", plans);
}

static uint64_t ps_of(const struct map_traffic *t, const int *node) {
    uint64_t ps = 0;
    for (int r = 0; r < t->n; r++)
        for (int i = t->begin[r]; i < t->begin[r + 1]; i++)
            if (node[r] != node[t->edge[i].to])
                ps += (uint64_t)t->edge[i].messages * between.L_ps + pico_of((uint64_t)t->edge[i].bytes, between.G);
    return ps;
}

/* Of all maps with rank 0 on process 0's node. */
static uint64_t least_of_all(const struct map_traffic *t, int *room, int n_nodes, int *node, int rank) {
    uint64_t least = UINT64_MAX;
    if (rank == t->n) return ps_of(t, node);
    for (int k = 0; k < (rank ? n_nodes : 1); k++) {
        if (!room[k]) continue;
        room[k]--;
        node[rank] = k;
        uint64_t ps = least_of_all(t, room, n_nodes, node, rank + 1);
        if (ps < least) least = ps;
        room[k]++;
    }
    return least;
}

/* A permutation that keeps process 0, hands a node's ranks out in order, and is as launched unless that is worse. */
static void check_map(const struct map *m, const int *node) {
    int last[64];
    for (int i = 0; i < m->n_procs; i++)
        last[i] = -1;
    CHECK(m->rank[0] == 0, "process 0 has rank %d", m->rank[0]);
    for (int i = 0; i < m->n_procs; i++) {
        int r = m->rank[i];
        CHECK(r >= 0 && r < m->n_procs && m->process[r] == i, "process %d has rank %d", i, r);
        CHECK(r > last[node[i]], "node %d has rank %d behind %d", node[i], r, last[node[i]]);
        CHECK(r >= m->n_ranks || m->node[r] == node[i], "rank %d is on node %d, not %d", r, node[i], m->node[r]);
        CHECK(m->changed || r == i, "as launched");
        last[node[i]] = r;
    }
    CHECK(m->changed == (m->ps < m->launched_ps) && m->ps <= m->grown_ps && m->grown_ps <= m->launched_ps, "costs");
}

/* Processes dealt to up to 4 nodes at random. Returns how many nodes. */
static int random_nodes(struct dice *d, int n, int *node, int *room) {
    int first[4] = {-1, -1, -1, -1}, nodes = 0, kinds = 2 + roll(d, 3);
    for (int i = 0; i < n; i++) {
        int k = roll(d, kinds);
        if (first[k] < 0) first[k] = i, nodes++;
        node[i] = first[k];
    }
    for (int i = 0, k = 0; i < n; i++) {
        if (node[i] != i) continue;
        room[k] = 0;
        for (int j = 0; j < n; j++)
            room[k] += node[j] == i;
        k++;
    }
    return nodes;
}

static void test_least(void) {
    int cases = 0, grown = 0, better = 0;
    for (int c = 0; cases < CASES; c++) {
        struct dice d = {(uint64_t)c + 77000, 0};
        struct plan *p = random_plan(&d);
        struct map_traffic t;
        struct map m;
        int node[64], room[4], at[MOST_RANKS], procs = p ? p->n_ranks + (roll(&d, 4) == 0) : 0;
        if (!p || p->n_ranks > MOST_RANKS || p->n_ranks < 3) {
            plan_free(p);
            continue;
        }
        int nodes = random_nodes(&d, procs, node, room);
        int rc = map_traffic_init(&t, p, NULL, NULL);
        if (!rc) rc = map_choose(&m, &t, node, procs, &between, NULL);
        CHECK(rc == 0, "%s: %d", p->strategy.text, rc);
        check_map(&m, node);
        uint64_t least = least_of_all(&t, room, nodes, at, 0);
        CHECK(m.least && m.ps == least && ps_of(&t, m.node) == (m.changed ? least : m.launched_ps),
              "case %d, %s on %d nodes: %llu, not %llu", c, p->strategy.text, nodes, (unsigned long long)m.ps,
              (unsigned long long)least);
        grown += m.grown_ps == least;
        better += m.changed;
        cases++;
        map_fini(&m);
        map_traffic_fini(&t);
        plan_free(p);
    }
    printf("map: of %d small jobs %d are mapped better than launched, %d as well as can be without looking at all\n",
           cases, better, grown);
    CHECK(grown >= cases * 97 / 100 && better > cases / 3, "%d of %d grown, %d better", grown, cases, better);
}

static struct plan *plan_of(const char *strategy, const char *allreduce) {
    struct model_shape shape;
    struct strategy st;
    struct plan *p = NULL;
    struct plan_opts o = {.decoder = {.n_seqs = 1, .n_ctx = 64, .max_tokens = 8, .threads = 1}, .allreduce = allreduce};
    struct diag d = {0};
    int rc = preset_shape(&shape, "llama3-70b", NULL, 0, &d);
    if (!rc) rc = strategy_parse(&st, strategy, &d);
    if (!rc) rc = plan_make(&p, &shape, &st, strategy_ranks(&st), &o, &d);
    CHECK(rc == 0, "%s: %s", strategy, d.text);
    return p;
}

/* Ranks that a launcher dealt round the nodes come back together: nothing crosses that would not if node after node had
 * been filled. */
static void check_dealt_round(const char *strategy, int nodes) {
    struct plan *p = plan_of(strategy, NULL);
    struct map_traffic t;
    struct map m;
    struct map_crossing launched, chosen, filled;
    int n = p ? p->n_ranks : 0, *node = malloc(2 * (size_t)(n + 1) * sizeof *node), *block = node + n;
    for (int i = 0; i < n; i++) {
        node[i] = i % nodes;
        block[i] = i / (n / nodes);
    }
    int rc = p ? map_traffic_init(&t, p, NULL, NULL) : -1;
    if (!rc) rc = map_choose(&m, &t, node, n, &between, NULL);
    CHECK(rc == 0, "%s", strategy);
    if (!rc) {
        map_count(&launched, &t, node);
        map_count(&chosen, &t, m.node);
        map_count(&filled, &t, block);
        CHECK(m.changed && chosen.messages == filled.messages && chosen.bytes == filled.bytes &&
                  chosen.messages < launched.messages,
              "%s on %d nodes: %lld messages between nodes, %lld node after node, %lld as launched", strategy, nodes,
              (long long)chosen.messages, (long long)filled.messages, (long long)launched.messages);
        map_fini(&m);
        map_traffic_fini(&t);
    }
    free(node);
    plan_free(p);
}

static void test_dealt_round(void) {
    check_dealt_round("tp2xpp2", 2);
    check_dealt_round("tp8xpp4", 4);
    check_dealt_round("tp4xpp40", 20);
    check_dealt_round("dp4xtp8xpp40", 160);
    check_dealt_round("tp4xkvp2xpp4", 4);
    check_dealt_round("dp2xtp4xpp8", 16);
}

/* 3 + 3 + 2 processes for four stages of two: three stages are whole on a node each, one is split. */
static void test_uneven(void) {
    struct plan *p = plan_of("tp2xpp4", NULL);
    struct map_traffic t;
    struct map m;
    int node[8] = {0, 1, 2, 0, 1, 2, 0, 1}, whole = 0;
    int rc = p ? map_traffic_init(&t, p, NULL, NULL) : -1;
    if (!rc) rc = map_choose(&m, &t, node, 8, &between, NULL);
    CHECK(rc == 0, "uneven nodes");
    for (int s = 0; s < 4 && !rc; s++)
        whole += m.node[2 * s] == m.node[2 * s + 1];
    CHECK(whole == 3 && (rc || m.least), "%d stages lie on one node", whole);
    if (!rc) map_fini(&m);
    map_traffic_fini(&t);
    plan_free(p);
}

/* An algorithm of two levels sends by where its ranks are: by message what its schedules hold. */
static void test_two_levels(void) {
    struct plan *p = plan_of("tp8", "hierarchical:twoshot:ring");
    struct map_traffic t;
    struct map_crossing is;
    struct coll_spec spec;
    struct coll_choice choice;
    int node[8] = {0, 0, 0, 0, 4, 4, 4, 4}, rc = p ? map_traffic_init(&t, p, node, NULL) : -1;
    int64_t messages = 0, gather = 0;
    CHECK(rc == 0, "two levels");
    if (rc) return;
    plan_coll(p, 0, STEP_ATTN_REDUCE, &spec);
    spec.shape.domain = node;
    rc = coll_choice_parse(&choice, spec.algo, NULL);
    for (int r = 0; r < 8 && !rc; r++) {
        struct sched s;
        rc = sched_build(&s, &choice, COLL_ALLREDUCE, &spec.shape, r, NULL);
        for (int i = 0; i < s.n_steps && !rc; i++)
            messages += s.steps[i].op == SCHED_SEND && node[s.steps[i].peer] != node[r];
        sched_fini(&s);
        const struct coll_event *event;
        int count = 0;
        if (!rc)
            rc = plan_events(p, r, STEP_SAMPLE, plan_coll_elems(p, r, STEP_SAMPLE, -1, 1, 1), &event, &count, NULL);
        for (int i = 0; i < count && !rc; i++)
            gather += event[i].doing == COLL_SENDS && node[event[i].peer] != node[r];
    }
    map_count(&is, &t, node);
    CHECK(rc == 0 && messages > 0 && is.messages == 2 * p->shape.n_layers * messages + gather,
          "%lld messages between domains, the schedules say %lld in each of %d sums, and %lld for a token",
          (long long)is.messages, (long long)messages, 2 * p->shape.n_layers, (long long)gather);
    map_traffic_fini(&t);
    plan_free(p);
}

static void test_errors(void) {
    struct plan *p = plan_of("tp2", "mpi"), *q = plan_of("tp2xpp2", NULL);
    struct map_traffic t;
    struct map m;
    int node[4] = {0, 1, 0, 1};
    CHECK(p && map_traffic_init(&t, p, NULL, NULL) == ERR_UNSUPPORTED, "the library's own");
    map_traffic_fini(&t);
    CHECK(q && map_traffic_init(&t, q, NULL, NULL) == 0 && map_choose(&m, &t, node, 3, &between, NULL) == ERR_PLAN,
          "too few processes");
    map_fini(&m);
    map_traffic_fini(&t);
    plan_free(p);
    plan_free(q);
}

int main(void) {
    test_counts();
    test_least();
    test_dealt_round();
    test_uneven();
    test_two_levels();
    test_errors();
    return check_report("map");
}
