/* ping_pong.c - half round trips of messages between pairs of ranks, judged by the rate of an Ethernet port. */
#include "ping_pong.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "collectives/agree.h"
#include "dist/app.h"

enum {
    SEGMENT = 1448, /* bytes of a TCP segment with time stamps, at an MTU of 1500 */
    AROUND = 90, /* around it: IP 20, TCP 32, Ethernet 38 */
    REPS = 501,
    REPS_LEAST = 9,
    TAG = 1,
};
static const double SIZE_S = 0.5, NARROW = 0.05, OFF = 0.10;

double ping_pong_wire_bytes(size_t bytes) {
    return (double)bytes + AROUND * ceil((double)bytes / SEGMENT);
}

/* ---- judging ---- */

static double wire_us(const struct ping_pong *p, size_t bytes) {
    return 1e6 * ping_pong_wire_bytes(bytes) / p->port_Bps;
}

static double payload(const struct ping_pong *p, double us) {
    return us > p->latency_us ? 1e6 * (double)p->time[p->n - 1].bytes / (us - p->latency_us) : 0;
}

/* The latency with the least squares of relative errors, the rate being given. */
static void fit_latency(struct ping_pong *p) {
    double sum = 0, low = 0, median = 0, high = 0;
    for (int i = 0; i < p->n; i++) {
        const struct stats_median *t = &p->time[i].us;
        double weight = 1 / (t->median * t->median), wire = wire_us(p, p->time[i].bytes);
        sum += weight;
        low += weight * (t->low - wire);
        median += weight * (t->median - wire);
        high += weight * (t->high - wire);
    }
    p->latency_us = median / sum;
    p->latency_low_us = low / sum;
    p->latency_high_us = high / sum;
}

void ping_pong_judge(struct ping_pong *p) {
    const struct ping_pong_time *last = &p->time[p->n - 1];
    if (!(p->port_Bps > 0)) return;
    fit_latency(p);
    p->payload_Bps = payload(p, last->us.median);
    p->payload_low_Bps = payload(p, last->us.high);
    p->payload_high_Bps = payload(p, last->us.low);
    p->wrong = 0;
    for (int i = 0; i < p->n; i++) {
        struct ping_pong_time *t = &p->time[i];
        t->expected_us = fmax(p->latency_us, 0) + wire_us(p, t->bytes);
        double off = t->us.median / t->expected_us - 1;
        t->verdict = off < -OFF ? "early" : off > OFF ? "late" : "ok";
        p->wrong += fabs(off) > OFF;
    }
}

/* ---- measuring ---- */

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void send(struct link *l, int peer, char *buf, size_t bytes) {
    struct link_request req;
    link_isend(l, peer, TAG, buf, bytes, &req);
    link_wait(l, &req);
}

static int is_enough(const double *us, int n, double begin) {
    double copy[REPS];
    if (n == REPS) return 1;
    if (n < REPS_LEAST || (n & (n - 1)) != 0) return n >= REPS_LEAST && now_us() - begin > SIZE_S * 1e6;
    memcpy(copy, us, (size_t)n * sizeof *us);
    struct stats_median s = stats_median(copy, n);
    return s.high - s.low <= NARROW * s.median || now_us() - begin > SIZE_S * 1e6;
}

/* The first byte of a ping tells whether another follows. The first two round trips do not count. */
static struct stats_median lead(struct link *l, int peer, char *buf, size_t bytes) {
    double us[REPS], begin = now_us();
    int n = -2, enough = 0;
    while (!enough) {
        double start = now_us();
        buf[0] = 1;
        send(l, peer, buf, bytes);
        link_recv(l, peer, TAG, buf, bytes);
        if (n >= 0) us[n] = (now_us() - start) / 2;
        n++;
        enough = n > 0 && is_enough(us, n, begin);
    }
    buf[0] = 0;
    send(l, peer, buf, bytes);
    return stats_median(us, n);
}

static void follow(struct link *l, int peer, char *buf, size_t bytes) {
    for (;;) {
        link_recv(l, peer, TAG, buf, bytes);
        if (!buf[0]) return;
        send(l, peer, buf, bytes);
    }
}

/* Rank 0 comes to know what p->a measured. */
static void measure_pair(struct ping_pong *p, struct link *l, char *buf, size_t min, size_t max, size_t factor) {
    for (size_t bytes = min; bytes <= max && p->n < PING_PONG_SIZES; bytes *= factor) {
        struct ping_pong_time *t = &p->time[p->n++];
        t->bytes = bytes;
        if (l->rank == p->a) t->us = lead(l, p->b, buf, bytes);
        if (l->rank == p->b) follow(l, p->a, buf, bytes);
        agree_bcast(l, p->a, &t->us, sizeof t->us);
    }
    ping_pong_judge(p);
}

/* ---- showing ---- */

static void print_pair(const struct ping_pong *p) {
    printf("ranks %d and %d: half a round trip (measured; median, interval of at least 95 %%)\n", p->a, p->b);
    if (p->port_Bps > 0)
        printf(
            "expected: %.1f us [%.1f, %.1f] of latency (fitted to all sizes) and the bytes of TCP and Ethernet at %.5g "
            "Mb/s; early or\nlate: off by more than %.0f %%\n",
            p->latency_us, p->latency_low_us, p->latency_high_us, p->port_Bps * 8e-6, 100 * OFF);
    printf("%9s %4s %10s %-22s %11s %8s %s\n", "bytes", "n", "time us", "[interval]", "expected us", "off %", "");
    for (int i = 0; i < p->n; i++) {
        const struct ping_pong_time *t = &p->time[i];
        char interval[48], off[24] = "-", expected[24] = "-";
        snprintf(interval, sizeof interval, "[%.1f, %.1f]", t->us.low, t->us.high);
        if (t->verdict) snprintf(off, sizeof off, "%+.1f", 100 * (t->us.median / t->expected_us - 1));
        if (t->verdict) snprintf(expected, sizeof expected, "%.1f", t->expected_us);
        printf("%9zu %4d %10.1f %-22s %11s %8s %s\n", t->bytes, t->us.n, t->us.median, interval, expected, off,
               t->verdict ? t->verdict : "");
    }
    if (p->payload_high_Bps > 0)
        printf("payload: %.5g MB/s [%.5g, %.5g] of the largest, behind the latency\n", 1e-6 * p->payload_Bps,
               1e-6 * p->payload_low_Bps, 1e-6 * p->payload_high_Bps);
}

static json_t *time_json(const struct ping_pong_time *t) {
    json_t *o =
        json_pack("{s:I, s:i, s:s, s:f, s:f, s:f}", "bytes", (json_int_t)t->bytes, "n", t->us.n, "kind", "measured",
                  "time_us_p50", t->us.median, "time_us_p50_low", t->us.low, "time_us_p50_high", t->us.high);
    if (t->verdict)
        json_object_update_new(o, json_pack("{s:f, s:s}", "expected_us", t->expected_us, "verdict", t->verdict));
    return o;
}

static json_t *pair_json(const struct ping_pong *p) {
    json_t *times = json_array(),
           *o = json_pack("{s:[i,i], s:b, s:o}", "ranks", p->a, p->b, "ok", p->wrong == 0, "times", times);
    for (int i = 0; i < p->n; i++)
        json_array_append_new(times, time_json(&p->time[i]));
    if (p->port_Bps > 0)
        json_object_update_new(o, json_pack("{s:f, s:f, s:f, s:f}", "port_Mbps", p->port_Bps * 8e-6, "latency_us",
                                            p->latency_us, "latency_us_low", p->latency_low_us, "latency_us_high",
                                            p->latency_high_us));
    if (p->payload_high_Bps > 0)
        json_object_update_new(o,
                               json_pack("{s:f, s:f, s:f}", "payload_MBps", 1e-6 * p->payload_Bps, "payload_MBps_low",
                                         1e-6 * p->payload_low_Bps, "payload_MBps_high", 1e-6 * p->payload_high_Bps));
    return o;
}

static void put_json(void *user, FILE *out) {
    json_dumpf(user, out, JSON_INDENT(1));
    fputc('\n', out);
}

static int show_json(const struct app *app, json_t *pairs, struct diag *d) {
    json_t *all = json_pack("{s:s, s:i, s:O}", "northwall_version", NW_VERSION, "ranks", app->size, "pairs", pairs);
    int rc = 0;
    if (app->spec.out)
        rc = text_write_file(app->spec.out, put_json, all, d);
    else
        put_json(all, stdout);
    json_decref(all);
    return rc;
}

int ping_pong_run(struct app *app, size_t min, size_t max, struct diag *d) {
    char *buf = calloc(1, max);
    int wrong = 0, rc = buf ? 0 : diag_set(d, ERR_MEMORY, "no memory for messages of %zu bytes", max);
    json_t *pairs = json_array();
    if (!rc && app->size < 2) rc = diag_set(d, ERR_USAGE, "coll --ping-pong takes two ranks: start it with mpirun");
    rc = err_agree(app->world, rc, d);
    for (int r = 0; r < app->size && !rc; r += 2) {
        struct ping_pong p = {.a = r, .b = r + 1 < app->size ? r + 1 : 0, .port_Bps = app->spec.expect * 125e3};
        measure_pair(&p, app->world, buf, min, max, (size_t)app->spec.factor);
        wrong += p.wrong;
        if (app->rank != 0) continue;
        json_array_append_new(pairs, pair_json(&p));
        if (!app->spec.json || app->spec.out) print_pair(&p);
    }
    if (!rc) rc = err_agree(app->world, app->rank == 0 && app->spec.json ? show_json(app, pairs, d) : 0, d);
    if (!rc && wrong)
        rc = diag_set(d, ERR_MISMATCH, "%d times of messages are not those of %g Mb/s", wrong, app->spec.expect);
    json_decref(pairs);
    free(buf);
    return rc;
}
