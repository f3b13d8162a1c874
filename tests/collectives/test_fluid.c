/* A medium that messages share: alone as a private link, alike for all, every byte once, and as a second reckoning in
 * floating point, message by message, says. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "check.h"
#include "collectives/fluid.h"

enum { MOST = 12, CASES = 400 };

struct message {
    uint64_t begin, bytes, end;
    int sender;
};

static uint64_t below(uint64_t key, uint64_t *n, uint64_t most) {
    return rng_u64(key, (*n)++) % most;
}

/* Messages in order of beginning. */
static void pass_all(const struct net_link *link, struct message *m, int n) {
    struct fluid f = {.link = link};
    struct diag d = {0};
    CHECK(fluid_reserve(&f, n, &d) == 0, "%s", d.text);
    for (int i = 0; i < n || f.n > 0;) {
        uint64_t due = fluid_due(&f, NULL);
        if (f.n > 0 && (i == n || due <= m[i].begin)) {
            ((struct message *)fluid_end(&f))->end = due;
        } else {
            fluid_begin(&f, m[i].begin, m[i].sender, m[i].bytes, &m[i]);
            i++;
        }
    }
    fluid_fini(&f);
}

static uint64_t alone(const struct net_link *l, uint64_t k) {
    uint64_t medium = pico_of(k, l->G), port = l->port.den ? pico_of(k, l->port) : 0;
    return port > medium ? port : medium;
}

static double rate(struct pico_rate r) {
    return (double)r.num / (double)r.den;
}

/* In how long the first message ends; *each: what a byte of each takes. */
static double next_end(const struct net_link *l, const double *left, int n, double *each) {
    int under_way = 0;
    double least = INFINITY;
    for (int i = 0; i < n; i++) {
        under_way += left[i] >= 0;
        if (left[i] >= 0 && left[i] < least) least = left[i];
    }
    *each = fmax(under_way * rate(l->G), l->port.den ? rate(l->port) : 0);
    return under_way ? least * *each : INFINITY;
}

/* What is left of each message goes down until it is below 0: gone. */
static void check_second(const struct net_link *l, const struct message *m, int n) {
    double left[MOST], at = 0, each;
    int begun = 0, bad = 0;
    for (int i = 0; i < n; i++)
        left[i] = -1;
    for (;;) {
        double takes = next_end(l, left, n, &each), until = at + takes;
        if (begun < n && (double)m[begun].begin < until) until = (double)m[begun].begin;
        if (isinf(until)) break;
        for (int i = 0; i < begun; i++) {
            if (left[i] < 0) continue;
            left[i] -= (until - at) / each;
            if (left[i] * each > 1e-3) continue;
            bad += fabs((double)m[i].end - until) > n + 1e-9 * until;
            left[i] = -1;
        }
        at = until;
        if (begun < n && (double)m[begun].begin <= at) left[begun] = (double)m[begun].bytes, begun++;
    }
    CHECK(bad == 0, "%d of %d messages end at other times", bad, n);
}

static int compare_begin(const void *a, const void *b) {
    const struct message *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->sender - y->sender;
}

/* Up to a picosecond a message, a medium that is never idle passes its bytes in their time at full rate. */
static void check_busy(const struct net_link *l, const struct message *m, int n) {
    uint64_t bytes = 0, last = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && m[i].begin > last) return;
        bytes += m[i].bytes;
        last = m[i].end > last ? m[i].end : last;
    }
    uint64_t takes = last - m[0].begin, full = pico_of(bytes, l->G), most = (uint64_t)n;
    if (!l->port.den)
        CHECK(takes + most >= full && takes <= full + most, "%" PRIu64 ", at full rate %" PRIu64, takes, full);
}

static void check_case(uint64_t key) {
    uint64_t n = 0;
    struct net_link link = {.medium = NET_FLUID, .G = {1 + below(key, &n, 3000), 1 + below(key, &n, 700)}};
    struct message m[MOST], other[MOST];
    int count = 1 + (int)below(key, &n, MOST), together = (int)below(key, &n, 3) == 0;
    if (below(key, &n, 2)) link.port = (struct pico_rate){link.G.num * (1 + below(key, &n, 9)), link.G.den * 2};
    for (int i = 0; i < count; i++)
        m[i] = (struct message){.begin = together ? 7 : below(key, &n, 100000),
                                .bytes = below(key, &n, 4) ? below(key, &n, 30000) : 0,
                                .sender = i};
    qsort(m, (size_t)count, sizeof *m, compare_begin);
    pass_all(&link, m, count);
    check_second(&link, m, count);
    if (!together) check_busy(&link, m, count);
    for (int i = 0; i < count; i++) {
        CHECK(m[i].end >= m[i].begin + alone(&link, m[i].bytes), "case %" PRIu64 ": earlier than alone", key);
        struct message one = m[i];
        pass_all(&link, &one, 1);
        CHECK(one.end == one.begin + alone(&link, one.bytes), "case %" PRIu64 ": alone it takes other times", key);
        other[together ? count - 1 - i : i] = m[i];
    }
    pass_all(&link, other, count);
    for (int i = 0; i < count; i++)
        CHECK(other[together ? count - 1 - i : i].end == m[i].end, "case %" PRIu64 ": the order of calls shows", key);
}

/* n alike take n times as long; where ports are narrow, as long as one. */
static void check_alike(void) {
    struct net_link link = {.medium = NET_FLUID, .G = {1000, 3}};
    for (int n = 1; n <= MOST; n++) {
        struct message m[MOST];
        for (int i = 0; i < n; i++)
            m[i] = (struct message){100, 777, 0, i};
        link.port = (struct pico_rate){0, 0};
        pass_all(&link, m, n);
        CHECK(m[0].end == 100 + (uint64_t)n * 259000 && m[n - 1].end == m[0].end, "%d end at %" PRIu64, n, m[0].end);
        link.port = (struct pico_rate){4000, 3};
        pass_all(&link, m, n);
        CHECK(m[0].end == 100 + (uint64_t)(n > 4 ? n : 4) * 259000, "%d with ports end at %" PRIu64, n, m[0].end);
    }
}

int main(void) {
    for (int i = 0; i < CASES; i++)
        check_case((uint64_t)i + 1);
    check_alike();
    return check_report("test_fluid");
}
