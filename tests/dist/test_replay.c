/* Logged operations: times by hand on shared and private links, what waits for ever, what another cluster must have in
 * common, and files that are cut short or changed. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "check.h"
#include "dist/replay.h"

enum { L = 5000, O_SEND = 300, O_RECV = 70, GAP = 900, BYTES = 600, WORDS = 200 * 1000 }; /* 600 B at 3 B/ns */

static void set_cluster(struct cluster *c, enum net_medium medium) {
    *c = (struct cluster){.n_cards = 4, .net = net_default};
    snprintf(c->name, sizeof c->name, "by hand");
    c->card.n_levels = 1;
    c->card.level[0].G = (struct pico_rate){1, 2};
    c->net.n_tiers = 1;
    c->net.tier[0].link = (struct net_link){0, L, O_SEND, O_RECV, GAP, .G = {1000, 3}, .medium = medium};
}

/* A log of 3 cards with these lines; number: of operations. */
struct rank_text {
    int number;
    const char *lines;
};

static int parse(struct op_log *log, const struct cluster *c, const struct rank_text r[3], char *copy, size_t cap,
                 struct diag *d) {
    int n = snprintf(copy, cap,
                     "northwall-operations 1\nplan 0123456789abcdef\ncards %016" PRIx64
                     "\nmodel a model\nstrategy tp3\ncluster x\nranks 3 replicas 1 users 2\nreplica 0 passes 1\n"
                     "pass 0 3 2 2 1 5 6\n",
                     ops_card_hash(c, 3));
    for (int i = 0; i < 3; i++)
        n += snprintf(copy + n, cap - (size_t)n, "rank %d card %d operations %d\n%s%s", i, i, r[i].number,
                      r[i].number ? "at 0 -1 embed\n" : "", r[i].lines);
    n += snprintf(copy + n, cap - (size_t)n, "end\n");
    return op_log_parse(log, "text", copy, (size_t)n, d);
}

/* Clocks of the ranks of such a log; or an error. */
static int times(struct net_clock clock[3], const struct cluster *c, const struct rank_text r[3], struct diag *d) {
    char text[2048];
    struct op_log log;
    struct simulation sim;
    int rc = parse(&log, c, r, text, sizeof text, d);
    CHECK(rc == 0, "%s", d->text);
    if (!rc) rc = replay(&sim, &log, c, NULL, d);
    op_log_fini(&log);
    if (rc) return rc;
    memcpy(clock, sim.clock, 3 * sizeof *clock);
    simulation_fini(&sim);
    return 0;
}

static void check_clock(const char *what, const struct net_stamp *s, uint64_t ps, uint64_t bandwidth,
                        uint64_t latency) {
    uint64_t sum = 0;
    for (int i = 0; i < NET_SHARES; i++)
        sum += s->share[i];
    CHECK(s->ps == ps && s->share[NET_BANDWIDTH] == bandwidth && s->share[NET_LATENCY] == latency && sum == ps,
          "%s: at %" PRIu64 " with %" PRIu64 " and %" PRIu64 ", not %" PRIu64, what, s->ps, s->share[NET_BANDWIDTH],
          s->share[NET_LATENCY], ps);
}

/* One sender and its port: the same with any medium; two at once, and three that come one after the other. */
static void check_times(void) {
    const struct rank_text one[3] = {{3, "memory 1000\nsend 2 7 600\nsend 2 7 600\n"},
                                     {0, ""},
                                     {2, "receive 0 7\nreceive 0 7\n"}},
                           two[3] = {{2, "memory 1000\nsend 2 7 600\n"},
                                     {2, "memory 1000\nsend 2 7 600\n"},
                                     {2, "receive 0 7\nreceive 1 7\n"}},
                           late[3] = {{2, "memory 1000\nsend 2 7 600\n"},
                                      {2, "memory 101000\nsend 2 7 600\n"},
                                      {2, "receive 0 7\nreceive 1 7\n"}};
    for (int m = NET_PRIVATE; m <= NET_FLUID; m++) {
        struct cluster c;
        struct net_clock clock[3];
        struct diag d = {0};
        uint64_t ready = 1000 + O_SEND, alike = m == NET_PRIVATE ? WORDS : 2 * WORDS;
        set_cluster(&c, (enum net_medium)m);
        CHECK(times(clock, &c, one, &d) == 0, "%s", d.text);
        check_clock("one after the other", &clock[2].now, ready + 2 * WORDS + L + O_RECV, 2 * WORDS, L);
        CHECK(times(clock, &c, two, &d) == 0, "%s", d.text);
        uint64_t tail = m == NET_FLUID ? 2 * O_RECV : O_RECV; /* both are there at once, or one before */
        if (m == NET_PRIVATE) tail = 2 * O_RECV;
        check_clock("two at once", &clock[2].now, ready + alike + L + tail, alike, L);
        CHECK(times(clock, &c, late, &d) == 0, "%s", d.text);
        /* the second is ready 100 ns after the first: half of it is shared, so each takes 300 ns of 400 in all */
        uint64_t end = m == NET_PRIVATE ? 100000 + WORDS : 2 * WORDS;
        uint64_t waited = m == NET_FIFO ? 2 * WORDS : m == NET_FLUID ? 3 * WORDS / 2 : WORDS;
        check_clock("one late", &clock[2].now, ready + end + L + O_RECV, waited, L);
    }
}

/* A sender that can feed half of the medium is not slowed by another one. */
static void check_port(void) {
    const struct rank_text two[3] = {{1, "send 2 7 600\n"}, {1, "send 2 7 600\n"}, {1, "receive 0 7\n"}};
    const struct rank_text both[3] = {{1, "send 2 7 600\n"}, {1, "send 2 7 600\n"}, {2, "receive 0 7\nreceive 1 7\n"}};
    struct cluster c;
    struct net_clock clock[3];
    struct diag d = {0};
    set_cluster(&c, NET_FLUID);
    c.net.tier[0].link.port = (struct pico_rate){2000, 3};
    CHECK(times(clock, &c, both, &d) == 0, "%s", d.text);
    check_clock("ports of half the medium", &clock[2].now, O_SEND + 2 * WORDS + L + 2 * O_RECV, 2 * WORDS, L);
    CHECK(times(clock, &c, two, &d) == ERR_MISMATCH && strstr(d.text, "rank 2 never receives 1 messages of rank 1"),
          "%s", d.text);
}

static void refused(const struct cluster *c, const char *text) {
    const struct rank_text r[3] = {{1, "send 2 7 600\n"}, {0, ""}, {1, "receive 0 7\n"}};
    struct cluster own;
    char copy[2048];
    struct op_log log;
    struct simulation sim;
    struct diag d = {0};
    set_cluster(&own, NET_PRIVATE);
    int rc = parse(&log, &own, r, copy, sizeof copy, &d);
    if (!rc) rc = replay(&sim, &log, c, NULL, &d);
    CHECK(rc == ERR_PLAN && strstr(d.text, text), "%d, %s, not %s", rc, d.text, text);
    op_log_fini(&log);
}

static void check_refusals(void) {
    const struct rank_text waits[3] = {{1, "receive 1 7\n"}, {1, "receive 0 7\n"}, {0, ""}};
    struct cluster c;
    struct net_clock clock[3];
    struct diag d = {0};
    set_cluster(&c, NET_FLUID);
    CHECK(times(clock, &c, waits, &d) == ERR_MISMATCH &&
              strstr(d.text, "rank 0 waits for ever for a message of rank 1 on channel 7, its operation 0"),
          "%s", d.text);
    c.n_cards = 2;
    refused(&c, "the operations are of 3 cards, but by hand has 2");
    set_cluster(&c, NET_FLUID);
    c.card.step_ps = 1;
    refused(&c, "in more than its links");
    set_cluster(&c, NET_FLUID);
    CHECK(cluster_except(&c, "2", 500000) == 0, "another speed");
    refused(&c, "in more than its links");
    set_cluster(&c, NET_FLUID);
    c.net.gamma.num++;
    refused(&c, "in more than its links");
    set_cluster(&c, NET_FLUID);
    c.net.tier[0].link.pull = 1;
    refused(&c, "transfer: pull");
    set_cluster(&c, NET_FLUID);
    c.net.tier[0].link.L_ps = SIM_MOST_PS;
    refused(&c, "26 days");
}

/* A log as the program writes it. */
static size_t write_whole(char *out, size_t cap, const struct cluster *c) {
    const struct rank_text r[3] = {{4, "memory 12\nsend 1 65539 600\nat 0 3 qkv\nreceive 2 7\ntake 0\n"},
                                   {2, "receive 0 65539\ncompute 18\n"},
                                   {2, "send 0 7 1\noverhead 5\n"}};
    struct op_log log;
    struct diag d = {0};
    char text[2048], *whole = NULL;
    size_t n = 0;
    CHECK(parse(&log, c, r, text, sizeof text, &d) == 0, "%s", d.text);
    CHECK(op_log_write(&log, "test_replay.operations", &d) == 0, "%s", d.text);
    op_log_fini(&log);
    CHECK(text_read_file("test_replay.operations", cap - 1, &whole, &n, &d) == 0, "%s", d.text);
    remove("test_replay.operations");
    if (whole) memcpy(out, whole, n + 1);
    free(whole);
    return n;
}

/* Cut at each byte it is refused with its line. */
static void check_cut(const char *whole, size_t n) {
    char text[2048], place[32];
    int line = 1;
    for (size_t cut = 0; cut < n; line += whole[cut++] == '\n') {
        struct op_log log;
        struct diag d = {0};
        memcpy(text, whole, cut);
        text[cut] = 0;
        CHECK(op_log_parse(&log, "text", text, cut, &d) == ERR_FORMAT, "cut at %zu of %zu", cut, n);
        snprintf(place, sizeof place, "text:%d: ", line);
        CHECK(strstr(d.text, place), "cut at %zu: %s, not %s", cut, d.text, place);
    }
}

/* With bytes changed it is refused, or replayed. */
static void check_changed(const char *whole, size_t n, const struct cluster *c, long times) {
    static const char change[] = "0123456789 -\naest";
    char text[2048];
    long replayed = 0;
    for (uint64_t i = 0; i < (uint64_t)times; i++) {
        struct op_log log;
        struct simulation sim;
        memcpy(text, whole, n + 1);
        for (uint64_t k = 0; k <= i % 3; k++)
            text[rng_u64(i, 2 * k) % n] = change[rng_u64(i, 2 * k + 1) % (sizeof change - 1)];
        if (op_log_parse(&log, "text", text, n, NULL)) continue;
        if (replay(&sim, &log, c, NULL, NULL) == 0) simulation_fini(&sim), replayed++;
        op_log_fini(&log);
    }
    CHECK(replayed > times / 200, "of %ld changed texts only %ld could be replayed", times, replayed);
}

int main(int argc, char **argv) {
    char whole[2048] = "";
    struct cluster c;
    set_cluster(&c, NET_FLUID);
    size_t n = write_whole(whole, sizeof whole, &c);
    check_times();
    check_port();
    check_refusals();
    check_cut(whole, n);
    if (n) check_changed(whole, n, &c, argc > 1 ? atol(argv[1]) : 20000);
    return check_report("test_replay");
}
