/* Exchanges between steps: decoders on two ranks make as many as they should, those that take a planted time show it,
 * and links that are planted come back from what their exchanges take. */
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "collectives/agree.h"
#include "exchange.h"
#include "ping_pong.h"

enum { RANKS = 2, PASSES = 3, TAG = 1, TAG_SUM = 2, SLOW_NS = 2000000, MOST = 4096 };

/* ---- fitting ---- */

static const size_t sizes[] = {256, 1024, 4096, 16384};
enum { N_SIZES = 4 };

static const struct exchange_line nothing = {0};

/* What a message takes from its sender's start on until its receiver has it; ns. */
static double message_ns(const struct net *net, size_t bytes) {
    struct net_clock a = {0}, b = {0};
    struct net_stamp arrival = net_send(&a, net, 0, bytes);
    net_recv(&b, net, 0, &arrival);
    return 1e-3 * (double)b.now.ps;
}

static struct net net_of(double latency, double send, double recv, double ps) {
    struct net net = {.n_tiers = 1};
    net.tier[0].link = (struct net_link){.L_ps = (uint64_t)llround(1e3 * latency),
                                         .o_send_ps = (uint64_t)llround(1e3 * send),
                                         .o_recv_ps = (uint64_t)llround(1e3 * recv),
                                         .G = {(uint64_t)llround(1e3 * ps), 1000}};
    return net;
}

static void check_planted(double latency, double send, double recv, double ps) {
    struct net net = net_of(latency, send, recv, ps);
    struct exchange_point p[N_SIZES];
    struct exchange_line line;
    for (int i = 0; i < N_SIZES; i++) {
        p[i] = (struct exchange_point){(double)sizes[i], message_ns(&net, sizes[i]), 0};
        p[i].all_ns = p[i].ns + 40000;
    }
    exchange_fit(&line, p, N_SIZES, &nothing);
    CHECK(line.off < 1e-4, "a line is one: off by %g", line.off);
    exchange_split(line.ns, &latency, &send, &recv);
    net = net_of(latency, send, recv, line.ps);
    for (int i = 0; i < N_SIZES; i++)
        CHECK(fabs(message_ns(&net, sizes[i]) - p[i].ns) <= 1e-3 * p[i].all_ns, "%zu B: %g ns, planted %g", sizes[i],
              message_ns(&net, sizes[i]), p[i].ns);
}

/* Messages of an Ethernet port, in segments: no line, but near one, and by how much not is said. */
static void check_segments(double latency_ns, double port_Bps) {
    struct exchange_point p[N_SIZES];
    struct exchange_line line;
    double worst = 0;
    for (int i = 0; i < N_SIZES; i++) {
        double ns = latency_ns + 1e9 * ping_pong_wire_bytes(sizes[i]) / port_Bps;
        p[i] = (struct exchange_point){(double)sizes[i], ns, ns};
    }
    exchange_fit(&line, p, N_SIZES, &nothing);
    struct net net = net_of(line.ns, 0, 0, line.ps);
    for (int i = 0; i < N_SIZES; i++)
        worst = fmax(worst, fabs(message_ns(&net, sizes[i]) / p[i].ns - 1));
    CHECK(worst < 0.05, "%g B/s: off by %g", port_Bps, worst);
    CHECK(fabs(worst - line.off) < 1e-3, "%g B/s: off by %g, said %g", port_Bps, worst, line.off);
}

/* What is lost in the noise of steps is as long as it is by itself; what is longer is longer. */
static void check_bare(void) {
    const struct exchange_line bare = {200, 50, 0};
    struct exchange_point p[N_SIZES];
    struct exchange_line line;
    for (int i = 0; i < N_SIZES; i++)
        p[i] = (struct exchange_point){(double)sizes[i], i % 2 ? -300 : 250, 30000};
    exchange_fit(&line, p, N_SIZES, &bare);
    CHECK(line.ns == bare.ns && line.ps == bare.ps, "%g ns + %g ps", line.ns, line.ps);
    for (int i = 0; i < N_SIZES; i++)
        p[i].ns = 5000 + 0.08 * p[i].bytes;
    exchange_fit(&line, p, N_SIZES, &bare);
    CHECK(fabs(line.ns - 5000) < 1 && fabs(line.ps - 80) < 0.1, "%g ns + %g ps", line.ns, line.ps);
}

static void check_split(void) {
    double latency, send = 40, recv = 10;
    exchange_split(100, &latency, &send, &recv);
    CHECK(latency == 50 && send == 40 && recv == 10, "%g %g %g", latency, send, recv);
    exchange_split(25, &latency, &send, &recv);
    CHECK(latency == 0 && send == 20 && recv == 5, "never more than all: %g %g %g", latency, send, recv);
    exchange_split(0, &latency, &send, &recv);
    CHECK(latency == 0 && send == 0 && recv == 0, "nothing: %g %g %g", latency, send, recv);
}

/* ---- measuring ---- */

struct thread {
    pthread_t id;
    struct link *link;
    double ns[EXCHANGE_PLACES][2];
    uint64_t sums, messages;
    int rc;
};

static void wait_row(void *ctx, const float *result, size_t first, size_t n) {
    struct timespec t = {0, SLOW_NS};
    (void)result, (void)first, (void)n;
    nanosleep(&t, NULL);
    ++*(uint64_t *)ctx;
}

static int open_sum(struct coll **c, struct thread *t, struct diag *d) {
    static const int begin[] = {0, 1, 2};
    struct coll_spec spec = {.name = "test",
                             .algo = "oneshot",
                             .transport = COLL_TRANSPORT_LINK,
                             .tag = TAG_SUM,
                             .n_max = MOST / sizeof(float),
                             .shape = {RANKS, RANKS, begin, NULL},
                             .finish = {wait_row, &t->sums, MOST},
                             .yield = -1};
    int rc = coll_op_find(&spec.op, "sum", 1, d);
    return rc ? rc : coll_init(c, t->link, &spec, d);
}

static void *rank_main(void *arg) {
    static char buf[RANKS][2 * MOST];
    const size_t bytes = MOST;
    struct thread *t = arg;
    struct sampler_params greedy = {.top_p = 1};
    struct exchange_bench b = {.link = t->link, .buf = buf[t->link->rank], .tag = TAG};
    struct diag d = {0};
    t->rc = step_bench_open(&b.steps, 1 << 20, 4 << 20, &greedy, &d);
    if (!t->rc) t->rc = open_sum(&b.coll, t, &d);
    for (int w = 0; w < EXCHANGE_PLACES && !t->rc; w++) {
        uint64_t before = t->link->counts.messages;
        t->rc = exchange_measure(&b, (enum exchange_place)w, PASSES, &bytes, 1, t->ns[w], &d);
        t->messages = t->link->counts.messages - before;
    }
    agree_barrier(t->link);
    coll_free(b.coll);
    step_bench_close(b.steps);
    link_free(t->link);
    return NULL;
}

static void check_measured(void) {
    struct thread t[RANKS] = {0};
    struct link *links[RANKS];
    CHECK(link_threads_new(RANKS, links) == 0, "links");
    for (int r = 0; r < RANKS; r++) {
        t[r].link = links[r];
        CHECK(pthread_create(&t[r].id, NULL, rank_main, &t[r]) == 0, "thread %d", r);
    }
    for (int r = 0; r < RANKS; r++)
        pthread_join(t[r].id, NULL);
    for (int r = 0; r < RANKS; r++)
        CHECK(t[r].rc == 0 && t[r].sums > 0 && t[r].sums == t[0].sums, "rank %d: %d, %d sums", r, t[r].rc,
              (int)t[r].sums);
    for (int w = 0; w < EXCHANGE_PASS; w++)
        CHECK(t[0].ns[w][0] > 0 && t[0].ns[w][1] >= SLOW_NS, "place %d: %g ns, %g with a sum of %d ns at least", w,
              t[0].ns[w][0], t[0].ns[w][1], SLOW_NS);
    CHECK(t[0].ns[EXCHANGE_PASS][0] > 0 && t[0].ns[EXCHANGE_PASS][1] > 0, "turns: %g, %g", t[0].ns[EXCHANGE_PASS][0],
          t[0].ns[EXCHANGE_PASS][1]);
    CHECK(t[1].messages == t[0].messages + 1 && t[0].messages >= PASSES, "messages: %d and %d", (int)t[0].messages,
          (int)t[1].messages);
}

int main(void) {
    check_planted(60000, 40000, 1500, 420000);
    check_planted(200, 90, 170, 120);
    check_planted(0, 0, 0, 15);
    for (double port = 1.25e6; port <= 25e6; port *= 2)
        check_segments(178e3, port);
    check_bare();
    check_split();
    check_measured();
    return check_report("test_exchange");
}
