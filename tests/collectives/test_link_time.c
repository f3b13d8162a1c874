/* Clocks on real messages: after collectives that really move data, each rank's clock is the timer's to the picosecond,
 * whatever the operating system delays. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collectives/coll.h"
#include "collectives/link_time.h"
#include "link_checks.h"
#include "thread_ranks.h"

enum { CASES = 60, CALLS = 3, MOST = 3000 };
static const char *const algos[] = {
    "tree", "oneshot", "twoshot", "ring", "recdbl", "rabenseifner", "bruck", "swing", "hierarchical:ring:tree"};
static int wrong_bytes; /* one message is longer than the timer thinks */

static uint64_t below(uint64_t key, uint64_t *n, uint64_t most) {
    return rng_u64(key, (*n)++) % most;
}

/* A net whose every tier is of messages. */
static void random_net(struct net *net, uint64_t key, uint64_t *n) {
    *net = net_default;
    net->n_tiers = 1 + (int)below(key, n, 3);
    for (int i = 0; i < net->n_tiers; i++)
        net->tier[i].link = (struct net_link){0,
                                              below(key, n, 5000000),
                                              below(key, n, 900000),
                                              below(key, n, 900000),
                                              below(key, n, 2000000),
                                              .G = {below(key, n, 3000), 1 + below(key, n, 7)},
                                              .via_host = i == 1};
    net->gamma = (struct pico_rate){below(key, n, 40), 3};
    net->copy = (struct pico_rate){below(key, n, 40), 7};
    net->codec = (struct pico_rate){below(key, n, 300), 1};
}

/* What all ranks know of a case. */
struct timed {
    struct net net;
    struct coll_spec spec;
    struct coll_choice choice;
    struct coll_op op;
    int begin[MAX_RANKS + 1], domain[MAX_RANKS];
    size_t n[CALLS];
    uint64_t begin_ps[MAX_RANKS];
};

static int timed_init(struct timed *c, int size, int number) {
    uint64_t key = (uint64_t)number * 64 + (uint64_t)size, n = 0;
    struct diag d = {0};
    const char *algo = algos[below(key, &n, sizeof algos / sizeof *algos)];
    random_net(&c->net, key, &n);
    own_leaves(c->begin, size, size + (int)below(key, &n, 5), (int)below(key, &n, OWNERSHIPS), key);
    for (int r = 0; r < size; r++) {
        c->domain[r] = r / (1 + (int)(key % 3));
        c->begin_ps[r] = below(key, &n, 3000000);
    }
    for (int i = 0; i < CALLS; i++)
        c->n[i] = below(key, &n, MOST);
    coll_op_find(&c->op, "sum", 1, &d);
    c->spec = (struct coll_spec){.kind = COLL_ALLREDUCE,
                                 .algo = algo,
                                 .label = COLL_APPROXIMATE,
                                 .transport = COLL_TRANSPORT_LINK,
                                 .op = c->op,
                                 .wire = below(key, &n, 3) ? NULL : coll_wires[below(key, &n, 3)],
                                 .n_max = MOST,
                                 .shape = {size, c->begin[size], c->begin, c->domain},
                                 .net = &c->net,
                                 .tag = 5};
    return coll_choice_parse(&c->choice, algo, &d);
}

/* What the timer says: all ranks, call after call. */
static int predict(const struct timed *c, struct net_clock *clocks, struct diag *d) {
    struct sched *all = calloc((size_t)c->spec.shape.size, sizeof *all);
    int size = c->spec.shape.size, rc = all ? 0 : ERR_MEMORY;
    for (int r = 0; r < size && !rc; r++) {
        clocks[r] = (struct net_clock){0};
        net_spend(&clocks[r], NET_MEMORY, c->begin_ps[r]);
        rc = sched_build(&all[r], &c->choice, c->spec.kind, &c->spec.shape, r, d);
        if (!rc && c->spec.wire) rc = sched_make_lossy(&all[r], &c->choice, d);
    }
    for (int i = 0; i < CALLS && !rc; i++)
        rc = sched_price(all, &c->spec.shape, &c->net, 0, &c->op, c->spec.wire, c->n[i],
                         c->spec.wire ? COLL_WIRE_GRANULE : COLL_LINE_BYTES / sizeof(float), clocks, d);
    for (int r = 0; r < size && all; r++)
        sched_fini(&all[r]);
    free(all);
    return rc;
}

static void delay(uint64_t key, uint64_t i) {
    struct timespec t = {0, (long)(rng_u64(key, i) % 300000)};
    if (rng_u64(key, i + 1000) % 3 == 0) nanosleep(&t, NULL);
}

static int same_stamp(const struct net_stamp *a, const struct net_stamp *b) {
    return a->ps == b->ps && memcmp(a->share, b->share, sizeof a->share) == 0;
}

static void run_case(struct link *l, struct outcome *o, int number) {
    struct timed c;
    struct diag d = {0};
    struct net_clock clock = {0}, clocks[MAX_RANKS];
    int tier[MAX_RANKS], size = l->size;
    struct coll *coll = NULL;
    if (timed_init(&c, size, number)) return;
    for (int r = 0; r < size; r++)
        tier[r] = net_tier(&c.net, &c.spec.shape, 0, l->rank, r);
    int rc = coll_init(&coll, l, &c.spec, &d);
    if (rc == ERR_USAGE || rc == ERR_UNSUPPORTED) return; /* not for so many ranks, or not for this wire form */
    EXPECT(o, rc == 0, "%s", d.text);
    if (rc) return;
    struct link_time time = {.clock = &clock, .net = &c.net, .tier = tier};
    EXPECT(o, link_time_start(l, &time, &d) == 0, "%s", d.text);
    net_spend(&clock, NET_MEMORY, c.begin_ps[l->rank]);
    for (int i = 0; i < CALLS; i++) {
        struct coll_info info;
        coll_info(coll, &info);
        delay((uint64_t)number, (uint64_t)(l->rank * 7 + i));
        float *in = coll_sendbuf(coll, c.n[i]);
        for (size_t k = 0; k < (size_t)info.n_in * c.n[i]; k++)
            in[k] = 1;
        coll_start(coll);
        delay((uint64_t)number + 77, (uint64_t)(l->rank * 7 + i));
        coll_wait(coll);
    }
    if (wrong_bytes && size > 1) {
        char byte = 0;
        struct link_request req;
        if (l->rank == 0) {
            link_isend(l, 1, 6, &byte, 1, &req);
            link_wait(l, &req);
        } else if (l->rank == 1) {
            link_recv(l, 0, 6, &byte, 1);
        }
    }
    link_time_stop(l);
    EXPECT(o, predict(&c, clocks, &d) == 0, "%s", d.text);
    int same = same_stamp(&clock.now, &clocks[l->rank].now);
    EXPECT(o, same == !(wrong_bytes && l->rank < 2 && size > 1),
           "case %d, %s, rank %d: clock %" PRIu64 ", timer %" PRIu64, number, c.spec.algo, l->rank, clock.now.ps,
           clocks[l->rank].now.ps);
    coll_free(coll);
}

static void run_cases(struct link *l, struct outcome *o) {
    for (int i = 0; i < CASES; i++)
        run_case(l, o, i);
}

static void check_refused(void) {
    struct link *l[2];
    struct diag d = {0};
    struct net_clock clock = {0};
    int tier[2] = {0, 0};
    struct link_time t = {.clock = &clock, .net = &net_default, .tier = tier};
    CHECK(link_threads_new(2, l) == 0, "2 links");
    CHECK(link_time_start(l[0], &t, &d) == ERR_UNSUPPORTED && strstr(d.text, "read in place"), "%s", d.text);
    link_free(l[0]);
    link_free(l[1]);
}

int main(void) {
    check_refused();
    for (int size = 1; size <= 9; size++)
        run_threads(size, run_cases);
    wrong_bytes = 1;
    run_threads(4, run_cases);
    return check_report("test_link_time");
}
