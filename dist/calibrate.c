/* calibrate.c - samples figures until the 95 % interval of each median is narrower than 5 % of it, or time is over. */
#include "calibrate.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "collectives/agree.h"
#include "collectives/coll.h"
#include "dist/probe.h"
#include "load.h"
#include "step_times.h"

enum {
    SEGMENT_BARRIER = 256, /* bytes behind a rank's flag, and so on */
    SEGMENT_TIMES = 512,
    SEGMENT_BYTES = 4096,
    MAX_VALUES = 48, /* figures of one sample */
    PROBE_LEAST = 2 << 20, /* bytes: a huge page */
    LEAST_CACHE = 32 << 20, /* bytes: what a cache is taken to have at least, where decoders should leave it */
    STEPS_SHARE = 4, /* of the budget, in groups: what the times of steps take */
    BURST = 32,
    EXCHANGE_SHARE = 2, /* and exchanges between steps on each link */
    SAMPLES_LEAST = 11, /* of a slow link, for which they may take so many times their share: */
    LONGER = 4,
    TRIES = 5, /* of each size in a sample, whose median counts; one on slow links */
    CHAIN = 4, /* all-reduces one after the other */
    PASSES = 16, /* of a decoder that exchanges; SLOW_PASSES on slow links */
    SLOW_PASSES = 4,
    BEHIND = 65536, /* bytes of a message behind work, at most */
    TAG = 1,
    SLOW_NS = 5 * 1000 * 1000, /* a message that takes longer is the last size: a sample has some 15 of the largest */
    SLOW_LINK_NS = 50 * 1000, /* of its shortest message */
    N_SIZES_LEAST = 4,
    EXCHANGE_SIZES = 4, /* from the second of sizes on: what decoders exchange */
};
static const size_t sizes[] = {64, 256, 1024, 4096, 16384, 65536, 262144, 1048576};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

/* A pair of ranks at work, or one rank that is not of it (link NULL). */
struct pair {
    int a, b;
    struct link *link;
    struct coll *coll; /* shm: a one-shot */
    char *buf; /* messages */
    int n_sizes; /* the first of sizes, as many as do not take too long */
    int tries;
    double short_ns; /* one way, the first of sizes; 0: not measured */
};

struct bed {
    struct calibration *c;
    struct link *world;
    struct link_shared *shared;
    uint64_t flags, barriers; /* so far */
    double clock_ns; /* what asking for the time costs */
    struct probe probe;
    struct pair pair;
    int reader; /* who reads, -1: all */
    double *rates; /* [n_rates][ranks] of each, where all read memory; NULL: they are not kept */
    int n_rates;
    struct product_job *product[PREC_COUNT];
    float *work; /* arithmetic: three vectors */
    struct step_bench *steps;
    struct calibrated_exchange exchange; /* that is sampled */
    double op_s[PREC_COUNT]; /* of an operation of the kernels */
    double shares; /* of the budget, for the next figures */
    struct diag *steps_diag; /* of the first run of them that failed */
    int steps_rc;
};

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double median_of(double *v, int n) {
    return stats_median(v, n).median;
}

/* ---- sampling ---- */

typedef void take_sample(struct bed *b, double *out);

/* Whose shortest message takes longer than a short step: more time, fewer tries. */
static int is_slow(const struct bed *b) {
    return b->pair.tries == 1;
}

/* Shares are known well enough to 5 points. */
static int is_narrow(const struct stats_median *s, const char *unit) {
    double most = *unit == '%' ? 5 : 0.05 * fabs(s->median);
    return s->low <= s->high && s->high - s->low <= most;
}

static const char *verdict(double (*v)[CALIBRATE_SAMPLES], const char *const (*names)[2], int n_values, int n,
                           double begin, double budget_s, double longer, struct stats_median *s) {
    int narrow = 1;
    for (int i = 0; i < n_values; i++) {
        double copy[CALIBRATE_SAMPLES];
        memcpy(copy, v[i], (size_t)n * sizeof *copy);
        s[i] = stats_median(copy, n);
        narrow &= is_narrow(&s[i], names[i][1]);
    }
    if (narrow) return "narrow";
    if (n == CALIBRATE_SAMPLES) return "samples";
    double part = (now_ns() - begin) / (budget_s * 1e9);
    if (part <= 1 || (part < longer && n < SAMPLES_LEAST)) return NULL;
    return part < 1.5 ? "time" : "longer";
}

/* Lines and step times fitted to several sizes. */
static const char *kind_of(const char *name) {
    static const char *const fitted[] = {"one way",    "one-shot",     "products read", "overhead",
                                         "efficiency", "a token that", "protocol",      "off by"};
    for (size_t i = 0; i < sizeof fitted / sizeof *fitted; i++)
        if (strstr(name, fitted[i])) return "fitted";
    return "measured";
}

/* Adds n_values figures, whose names and units follow each other, by repeated samples; returns the first's index, or an
 * error below 0. Collective. */
static int sample(struct bed *b, take_sample *take, const char *const (*names)[2], int n_values, struct diag *d) {
    struct calibration *c = b->c;
    double(*v)[CALIBRATE_SAMPLES] = calloc(MAX_VALUES, sizeof *v), one[MAX_VALUES] = {0}, begin = now_ns();
    struct stats_median s[MAX_VALUES] = {{0}};
    const char *ended = NULL;
    int over = 0, rc = v ? 0 : diag_set(d, ERR_MEMORY, "no memory for samples");
    if (!rc && c->n + n_values > CALIBRATE_FIGURES) rc = diag_set(d, ERR_RANGE, "too many figures for one table");
    rc = err_agree(b->world, rc, d);
    if (!rc) take(b, one); /* first touches, caches, connections */
    for (int n = 0; !rc && !over; n++) {
        take(b, one);
        for (int i = 0; i < n_values; i++)
            v[i][n] = one[i];
        if (n % 4 != 2 && n + 1 < CALIBRATE_SAMPLES) continue;
        if (c->app->rank == 0)
            ended = verdict(v, names, n_values, n + 1, begin, b->shares * c->budget_s, is_slow(b) ? LONGER : 1, s);
        over = app_stop ? ERR_INTERRUPTED : ended != NULL; /* rank 0 knows for all */
        agree_bcast(b->world, 0, &over, sizeof over);
        if (over < 0) rc = diag_set(d, over, "interrupted");
    }
    rc = err_agree(b->world, rc, d);
    for (int i = 0; !rc && i < n_values; i++) {
        struct figure *f = &c->figure[c->n + i];
        *f = (struct figure){.kind = kind_of(names[i][0]),
                             .unit = names[i][1],
                             .s = c->app->rank == 0 ? s[i] : (struct stats_median){0},
                             .ended = ended};
        snprintf(f->name, sizeof f->name, "%s", names[i][0]);
    }
    free(v);
    if (rc) return rc;
    c->n += n_values;
    return c->n - n_values;
}

static const double *sizes_x(double x[N_SIZES]) {
    for (int i = 0; i < N_SIZES; i++)
        x[i] = (double)sizes[i];
    return x;
}

/* The line through the times of the first n sizes; a in t's unit. */
static void fit(const double *t, int n, double *a, double *b) {
    double x[N_SIZES];
    fit_line(sizes_x(x), t, n, a, b);
}

/* Where a second line begins, in bytes (0: nowhere), and the greatest errors of one line and of two in percent. */
static void fit_protocol(const double *t, int n, double out[3]) {
    double x[N_SIZES], worst[2];
    int at = fit_break(sizes_x(x), t, n, worst);
    out[0] = at ? x[at] : 0;
    out[1] = 100 * worst[0];
    out[2] = 100 * worst[1];
}

/* ---- shared memory of neighbours ---- */

static _Atomic uint64_t *word_of(const struct bed *b, int rank, size_t off) {
    return (_Atomic uint64_t *)(void *)((char *)b->shared->base[rank] + off);
}

static void await_word(const struct bed *b, int rank, size_t off, uint64_t value) {
    const _Atomic uint64_t *at = word_of(b, rank, off);
    double begin = 0;
    for (long i = 0; atomic_load_explicit(at, memory_order_acquire) < value; i++) {
        if (!b->world->oversubscribed && i < 100000) {
#if defined __x86_64__
            __builtin_ia32_pause();
#endif
            continue;
        }
        sched_yield();
        if (begin == 0) begin = now_ns();
        if (i % 1024 == 0 && b->world->wait_limit_s > 0 && now_ns() - begin > b->world->wait_limit_s * 1e9)
            link_abort(b->world, "waited %g s for a flag of rank %d", b->world->wait_limit_s, rank);
    }
}

static int other_of(const struct bed *b) {
    return b->world->rank == b->pair.a ? b->pair.b : b->pair.a;
}

/* Both ranks of a pair go on within one hand-off; where they share no memory, rank a by a message before the other. */
static void meet(struct bed *b) {
    if (!b->shared->base[other_of(b)]) {
        agree_barrier(b->pair.link);
        return;
    }
    b->barriers++;
    atomic_store_explicit(word_of(b, b->world->rank, SEGMENT_BARRIER), b->barriers, memory_order_release);
    await_word(b, other_of(b), SEGMENT_BARRIER, b->barriers);
}

/* Ranks that have met others before have counted more than those that have not. Collective. */
static void start_counting(struct bed *b) {
    agree_barrier(b->world);
    atomic_store(word_of(b, b->world->rank, 0), 0);
    atomic_store(word_of(b, b->world->rank, SEGMENT_BARRIER), 0);
    b->flags = b->barriers = 0;
    agree_barrier(b->world);
}

static int in_pair(const struct bed *b) {
    return b->world->rank == b->pair.a || b->world->rank == b->pair.b;
}

/* Half a round trip of a flag between the pair's ranks. */
static void take_hand_off(struct bed *b, double *out) {
    int me = b->world->rank, trips = b->world->oversubscribed ? 8 : 100;
    double begin = 0, ns = -1;
    if (in_pair(b)) {
        meet(b);
        begin = now_ns();
        for (int i = 1; i <= trips; i++) {
            uint64_t value = b->flags + (uint64_t)i;
            if (me == b->pair.b) await_word(b, b->pair.a, 0, value);
            atomic_store_explicit(word_of(b, me, 0), value, memory_order_release);
            if (me == b->pair.a) await_word(b, b->pair.b, 0, value);
        }
        ns = (now_ns() - begin) / (2 * trips);
        b->flags += (uint64_t)trips;
    }
    *out = agree_max(b->world, me == b->pair.a ? ns : -1, NULL);
}

/* ---- memory and arithmetic ---- */

static void take_read(struct bed *b, double *out) {
    int streams, reads = b->reader < 0 || b->reader == b->world->rank;
    agree_barrier(b->world);
    double rate = reads ? probe_read_Bps(&b->probe, 1, &streams) * 1e-9 : HUGE_VAL;
    *out = agree_min(b->world, rate, NULL);
    if (b->rates) agree_allgather(b->world, &rate, sizeof rate, b->rates + b->n_rates++ * b->world->size);
}

enum { WORK = 4096, WORK_TURNS = 8 }; /* elements: 16 KiB a vector, which stays in the first or second cache */

static void work_on(const struct bed *b, int what, const struct coll_op *sum, void *code) {
    float *x = b->work, *y = x + WORK, *z = y + WORK;
    const struct coll_wire *wire = what < 2 ? NULL : coll_wires[(what - 2) / 2];
    if (what == 0)
        sum->reduce(sum, z, x, y, WORK);
    else if (what == 1)
        memcpy(z, x, WORK * sizeof *x);
    else if (what % 2 == 0)
        wire->encode(x, WORK, code);
    else
        wire->decode(code, WORK, z);
}

static int count_wires(void) {
    int n = 0;
    while (coll_wires[n] && 2 + 2 * n + 2 <= MAX_VALUES)
        n++;
    return n;
}

/* Reduce, copy, then encode and decode of each wire form: ps a byte of binary32 on the slowest rank. */
static void take_work(struct bed *b, double *out) {
    struct coll_op sum = {0};
    char *code = (char *)(b->work + 3 * WORK);
    coll_op_find(&sum, "sum", 1, NULL);
    for (int what = 0; what < 2 + 2 * count_wires(); what++) {
        double tries[TRIES];
        for (int i = 0; i < TRIES; i++) {
            work_on(b, what, &sum, code);
            double begin = now_ns();
            for (int k = 0; k < WORK_TURNS; k++)
                work_on(b, what, &sum, code);
            tries[i] = (now_ns() - begin - b->clock_ns) * 1e3 / (WORK_TURNS * WORK * sizeof(float));
        }
        out[what] = agree_max(b->world, median_of(tries, TRIES), NULL);
    }
}

/* ---- shared memory as collectives use it ---- */

/* The larger of what both ranks of the pair have, without messages where they share memory. */
static double greater_of(struct bed *b, double value) {
    if (!b->shared->base[other_of(b)]) return agree_max(b->pair.link, value, NULL);
    double *mine = (double *)(void *)word_of(b, b->world->rank, SEGMENT_TIMES);
    *mine = value;
    meet(b);
    double theirs = *(double *)(void *)word_of(b, other_of(b), SEGMENT_TIMES);
    meet(b);
    return value > theirs ? value : theirs;
}

static void write_operands(const struct bed *b, size_t n, int turn) {
    float *x = coll_sendbuf(b->pair.coll, n);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(turn + (int)(i & 63));
}

/* Ranks that share no memory cannot begin at once: each all-reduce begins when the one before it has ended, and what
 * writing operands takes is little beside a message. */
static double time_chain(struct bed *b, size_t n) {
    double begin = 0;
    for (int i = 0; i <= CHAIN; i++) {
        if (i == 1) begin = now_ns();
        write_operands(b, n, i);
        coll_start(b->pair.coll);
        coll_wait(b->pair.coll);
    }
    return (now_ns() - begin - b->clock_ns) / CHAIN;
}

/* One all-reduce of the pair, operands written before it: the slower rank's time. */
static double time_coll(struct bed *b, size_t bytes, int turn) {
    size_t n = bytes / sizeof(float);
    double ns;
    if (!b->shared->base[other_of(b)]) {
        ns = time_chain(b, n);
    } else {
        write_operands(b, n, turn);
        meet(b);
        double begin = now_ns();
        coll_start(b->pair.coll);
        coll_wait(b->pair.coll);
        ns = now_ns() - begin - b->clock_ns;
    }
    ns = greater_of(b, ns);
    return ns > 1 ? ns : 1;
}

/* A one-shot all-reduce: ns at no bytes, ps a byte. */
static void take_coll(struct bed *b, double *out) {
    double t[N_SIZES], tries[TRIES], a = -1, word = -1;
    for (int i = 0; in_pair(b) && i < b->pair.n_sizes; i++) {
        for (int k = 0; k < b->pair.tries; k++)
            tries[k] = time_coll(b, sizes[i], k);
        t[i] = median_of(tries, b->pair.tries);
    }
    if (in_pair(b)) fit(t, b->pair.n_sizes, &a, &word);
    out[0] = agree_max(b->world, a, NULL);
    out[1] = agree_max(b->world, word < 0 ? word : word * 1e3, NULL);
}

/* ---- messages ---- */

static double time_ping_pong(const struct bed *b, size_t bytes) {
    struct link *l = b->pair.link;
    struct link_request req;
    double begin = now_ns();
    for (int turn = 0; turn < 2; turn++) {
        if (turn == l->rank) {
            link_isend(l, 1 - l->rank, TAG, b->pair.buf, bytes, &req);
            link_wait(l, &req);
        } else {
            link_recv(l, 1 - l->rank, TAG, b->pair.buf + sizes[N_SIZES - 1], bytes);
        }
    }
    double ns = (now_ns() - begin - b->clock_ns) / 2;
    return ns > 1 ? ns : 1;
}

static void spin_ns(double ns) {
    double end = now_ns() + ns;
    while (now_ns() < end) {
    }
}

/* Many short messages one way. On the sender: what starting one takes. On the receiver: what taking one takes; after a
 * delay all have come, else it is the gap. */
static double time_burst(const struct bed *b, double delay_ns) {
    struct link *l = b->pair.link;
    struct link_request req[BURST];
    char ack;
    double begin, end;
    if (l->rank == 0) {
        begin = now_ns();
        for (int i = 0; i < BURST; i++)
            link_isend(l, 1, TAG, b->pair.buf + 64 * i, 64, &req[i]);
        end = now_ns();
        for (int i = 0; i < BURST; i++)
            link_wait(l, &req[i]);
        link_recv(l, 1, TAG, &ack, 1);
    } else {
        link_recv(l, 0, TAG, b->pair.buf, 64);
        spin_ns(delay_ns);
        begin = now_ns();
        for (int i = 1; i < BURST; i++)
            link_recv(l, 0, TAG, b->pair.buf, 64);
        end = now_ns();
        link_isend(l, 0, TAG, b->pair.buf, 1, &req[0]);
        link_wait(l, &req[0]);
    }
    return (end - begin - b->clock_ns) / (l->rank == 0 ? BURST : BURST - 1);
}

/* Of a message that is not too long for the link. */
static size_t behind_work_bytes(const struct pair *p) {
    size_t most = sizes[p->n_sizes - 1];
    return most < BEHIND ? most : BEHIND;
}

/* Both ranks exchange it, and compute for so long in between; ns. */
static double time_exchange(const struct bed *b, double compute_ns) {
    struct link *l = b->pair.link;
    struct link_request in, out;
    size_t bytes = behind_work_bytes(&b->pair);
    double begin = now_ns();
    link_irecv(l, 1 - l->rank, TAG, b->pair.buf + sizes[N_SIZES - 1], bytes, &in);
    link_isend(l, 1 - l->rank, TAG, b->pair.buf, bytes, &out);
    if (compute_ns > 0) spin_ns(compute_ns);
    link_wait(l, &in);
    link_wait(l, &out);
    return now_ns() - begin;
}

static double overlap_percent(const struct bed *b) {
    double plain[TRIES], both[TRIES];
    int n = b->pair.tries;
    for (int i = 0; i < n; i++) {
        plain[i] = time_exchange(b, 0);
        both[i] = time_exchange(b, plain[i]) - plain[i]; /* what is left to wait for */
    }
    double alone = median_of(plain, n), left = median_of(both, n), hidden = 1 - left / alone;
    return hidden < 0 ? 0 : hidden > 1 ? 100 : 100 * hidden;
}

/* One way at no bytes (ns), ps a byte, overhead of sending, of receiving, gap (ns), share hidden (%), a one-shot; then
 * what fit_protocol says of one way. */
static void take_messages(struct bed *b, double *out) {
    double t[N_SIZES], tries[TRIES], mine[11] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    take_coll(b, out + 6);
    for (int i = 0; b->pair.link && i < b->pair.n_sizes; i++) {
        for (int k = 0; k < b->pair.tries; k++)
            tries[k] = time_ping_pong(b, sizes[i]);
        t[i] = median_of(tries, b->pair.tries);
    }
    if (b->pair.link) {
        double far = b->shared->base[other_of(b)] ? 0 : b->pair.short_ns;
        double delay = 100e3 + BURST * far; /* until all have come, over slow links too */
        double burst = time_burst(b, 0), late = time_burst(b, delay), overlap = overlap_percent(b);
        if (b->pair.link->rank == 0) {
            fit(t, b->pair.n_sizes, &mine[0], &mine[1]);
            fit_protocol(t, b->pair.n_sizes, &mine[8]);
            mine[1] *= 1e3;
            mine[2] = burst < late ? burst : late;
            mine[5] = overlap;
        } else {
            mine[3] = late;
            mine[4] = burst;
        }
    }
    for (int i = 0; i < 11; i++)
        if (i < 6 || i >= 8) out[i] = agree_max(b->world, mine[i], NULL); /* the one-shot's are agreed already */
}

/* ---- groups of figures ---- */

static int measure_hand_offs(struct bed *b, const int *domain, struct diag *d) {
    int first = -1;
    for (int a = 0; a + 1 < b->world->size; a++) {
        char name[48];
        const char *names[1][2] = {{name, "ns"}};
        if (domain[a] != domain[a + 1]) continue;
        b->pair = (struct pair){.a = a, .b = a + 1};
        start_counting(b);
        snprintf(name, sizeof name, "hand-off of a flag, ranks %d-%d", a, a + 1);
        int i = sample(b, take_hand_off, names, 1, d);
        if (i < 0) return i;
        if (first >= 0) continue;
        first = b->c->hand_off = i;
        b->c->a = a;
        b->c->b = a + 1;
    }
    return 0;
}

/* Hosts move virtual processors: near ones become far and back, and all figures with them. */
static int repeat_hand_off(struct bed *b, struct diag *d) {
    static const char *const names[1][2] = {{"the first hand-off once more", "ns"}};
    if (b->c->hand_off < 0) return 0;
    b->pair = (struct pair){.a = b->c->a, .b = b->c->b};
    start_counting(b);
    int i = sample(b, take_hand_off, names, 1, d);
    b->c->hand_off_after = i;
    return i < 0 ? i : 0;
}

/* The first sample was for first touches. Ranks that take turns on processors read as the scheduler lets them. */
static int compare_ranks(struct bed *b, struct diag *d) {
    struct calibration *c = b->c;
    int size = b->world->size, n = b->n_rates - 1;
    double *speed = calloc((size_t)size, sizeof *speed);
    if (speed && n > 0 && !b->world->oversubscribed)
        c->n_unequal = unequal_find(b->rates + size, n, size, c->unequal, speed);
    if (speed && c->n_unequal > 0) c->rank0_speed = speed[0];
    free(speed);
    return speed && c->n_unequal >= 0 ? 0 : diag_set(d, ERR_MEMORY, "no memory to compare ranks");
}

/* All ranks at once, and what each has of it. */
static int measure_together(struct bed *b, const char *const (*names)[2], struct diag *d) {
    size_t n = (size_t)b->world->size * (CALIBRATE_SAMPLES + 1);
    b->rates = calloc(n, sizeof *b->rates);
    int rc = err_agree(b->world, b->rates ? 0 : diag_set(d, ERR_MEMORY, "no memory for samples"), d);
    int i = rc ? rc : sample(b, take_read, names, 1, d);
    if (i >= 0) rc = err_agree(b->world, compare_ranks(b, d), d);
    free(b->rates);
    b->rates = NULL;
    return rc ? rc : i;
}

static int measure_memory(struct bed *b, struct diag *d) {
    int size = b->world->size, rc = probe_init(&b->probe, bench_probe_bytes(), 1);
    rc = err_agree(b->world, rc ? diag_set(d, ERR_MEMORY, "no memory to read: %zu bytes", bench_probe_bytes()) : 0, d);
    for (b->reader = -1; b->reader < size && !rc; b->reader++) {
        char name[48];
        const char *names[1][2] = {{name, "GB/s"}};
        if (b->reader >= 0 && size == 1) break;
        if (b->reader < 0)
            snprintf(name, sizeof name, size == 1 ? "memory read" : "memory read, all at once, slowest");
        else
            snprintf(name, sizeof name, "memory read, rank %d alone", b->reader);
        int i = b->reader < 0 ? measure_together(b, names, d) : sample(b, take_read, names, 1, d);
        if (i < 0) rc = i;
        if (b->reader < 0) b->c->together = b->c->alone = i;
        if (b->reader == 0) b->c->alone = i;
    }
    probe_fini(&b->probe);
    return rc;
}

/* What stays in the cache from pass to pass is read from there. */
static int measure_cache(struct bed *b, struct diag *d) {
    static const char *const names[1][2] = {{"last-level cache read, all at once", "GB/s"}};
    size_t bytes = b->c->cache_bytes / 2;
    agree_bcast(b->world, 0, &bytes, sizeof bytes);
    if (bytes < PROBE_LEAST) return 0;
    int rc = err_agree(b->world, probe_init(&b->probe, bytes, 1) ? diag_set(d, ERR_MEMORY, "no memory to read") : 0, d);
    b->reader = -1;
    if (!rc) rc = b->c->cache = sample(b, take_read, names, 1, d);
    probe_fini(&b->probe);
    return rc < 0 ? rc : 0;
}

/* The kernels of each precision, with all ranks at work. */
static void take_rates(struct bed *b, double *out) {
    for (int i = 0; i < PREC_COUNT; i++) {
        agree_barrier(b->world);
        out[i] = agree_min(b->world, 1e-9 * product_Ops(b->product[i]), NULL);
    }
}

static int measure_rates(struct bed *b, struct diag *d) {
    static const char *const names[PREC_COUNT][2] = {
        {"products, float x F16", "GOP/s"}, {"products, int8 x Q8_0", "GOP/s"}, {"products, int4 x Q4_0", "GOP/s"}};
    static const char *const types[PREC_COUNT] = {"F16", "Q8_0", "Q4_0"};
    static const enum act_bits bits[PREC_COUNT] = {ACT_F32, ACT_I8, ACT_I4};
    int failed = 0;
    for (int i = 0; i < PREC_COUNT; i++)
        failed |= !(b->product[i] = product_new(tensor_type_find(types[i]), bits[i], 1));
    int rc = err_agree(b->world, failed ? diag_set(d, ERR_MEMORY, "no memory for products") : 0, d);
    int first = rc ? rc : sample(b, take_rates, names, PREC_COUNT, d);
    for (int i = 0; i < PREC_COUNT; i++) {
        product_free(b->product[i]);
        b->c->rate[i] = first < 0 ? -1 : first + i;
    }
    return first < 0 ? first : 0;
}

/* ---- steps ---- */

/* Figures of the steps, in this order; then what each kind of step has of its own. */
static const char *const step_values[][2] = {{"products read the cache", "GB/s"},
                                             {"products read memory", "GB/s"},
                                             {"products read memory, rank 0 alone", "GB/s"},
                                             {"around a pass", "ns"},
                                             {"a token that is embedded", "ns"},
                                             {"a token that is sampled", "ns"}};
enum { STEP_VALUES = sizeof step_values / sizeof *step_values };

/* Rows of the embedding and sampled tokens are counted by the token. */
static int has_own(int kind, int efficiency) {
    return !card_is_message((enum step_kind)kind) && kind != (efficiency ? STEP_EMBED : STEP_SAMPLE);
}

/* Nonzero: an error, which stays. */
static int fit_steps(struct bed *b, int alone, struct step_fit *f) {
    struct step_point point[STEP_POINTS];
    struct pass_point pass[STEP_JOBS];
    if (!b->steps_rc) b->steps_rc = step_bench_run(b->steps, b->world, alone, b->steps_diag);
    if (!b->steps_rc) step_fit(f, point, step_bench_points(b->steps, b->op_s, point, pass), pass, STEP_JOBS);
    return b->steps_rc;
}

static void take_steps(struct bed *b, double *out) {
    struct step_fit f, alone;
    if (fit_steps(b, 0, &f)) return;
    alone = f;
    if (b->world->size > 1 && fit_steps(b, 1, &alone)) return;
    const double values[STEP_VALUES] = {1e-9 * f.Bps[0], 1e-9 * f.Bps[1], 1e-9 * alone.Bps[1],
                                        1e9 * f.pass_s,  1e9 * f.token_s, 1e9 * f.sequence_s};
    memcpy(out, values, sizeof values);
    out += STEP_VALUES;
    for (int k = 0; k < STEP_COUNT; k++) {
        if (has_own(k, 0)) *out++ = 1e9 * f.overhead_s[k];
        if (has_own(k, 1)) *out++ = f.efficiency[k];
    }
}

static int sample_steps(struct bed *b, struct diag *d) {
    char text[MAX_VALUES][48];
    const char *names[MAX_VALUES][2];
    int n = STEP_VALUES, first;
    memcpy(names, step_values, sizeof step_values);
    for (int k = 0; k < STEP_COUNT; k++)
        for (int i = 0; i < 2; i++) {
            b->c->step[k][i] = has_own(k, i) ? b->c->n + n : -1;
            if (!has_own(k, i)) continue;
            snprintf(text[n], sizeof text[n], "%s, %s", step_name((enum step_kind)k), i ? "efficiency" : "overhead");
            names[n][0] = text[n];
            names[n++][1] = i ? "x" : "ns";
        }
    b->steps_diag = d;
    b->shares = STEPS_SHARE;
    first = sample(b, take_steps, names, n, d);
    b->shares = 1;
    return b->steps_rc ? b->steps_rc : first;
}

static int measure_work(struct bed *b, struct diag *d) {
    char text[MAX_VALUES][40];
    const char *names[MAX_VALUES][2] = {{"reduce in cache", "ps/B"}, {"copy in cache", "ps/B"}};
    size_t code_bytes = 8 * WORK;
    b->work = aligned_alloc(64, 3 * WORK * sizeof *b->work + code_bytes);
    int rc = err_agree(b->world, b->work ? 0 : diag_set(d, ERR_MEMORY, "no memory for arithmetic"), d);
    if (rc) return rc;
    memset(b->work, 0, 3 * WORK * sizeof *b->work + code_bytes);
    for (int i = 0; i < 2 * WORK; i++)
        b->work[i] = (float)(i % 251) - 125;
    int n = 2 + 2 * count_wires(), first;
    for (int i = 2; i < n; i++) {
        snprintf(text[i], sizeof text[i], "%s %s", coll_wires[(i - 2) / 2]->name, i % 2 ? "decode" : "encode");
        names[i][0] = text[i];
        names[i][1] = "ps/B";
    }
    first = sample(b, take_work, names, n, d);
    free(b->work);
    if (first < 0) return first;
    b->c->reduce = first;
    b->c->copy = first + 1;
    for (int i = 2; i < n; i++) /* that of int8 if there is one, else the last form's */
        if (b->c->codec < 0 || !strncmp(text[i], "int8", 4)) b->c->codec = first + (i & ~1);
    return 0;
}

/* A link of ranks a and b; NULL on the others. */
static int open_pair(struct bed *b, int a, int z, struct diag *d) {
    int mine = b->world->rank == a || b->world->rank == z;
    b->pair = (struct pair){.a = a,
                            .b = z,
                            .n_sizes = N_SIZES,
                            .tries = TRIES,
                            .link = link_split(b->world, mine ? 0 : -1, b->world->rank)};
    int rc = mine && !b->pair.link ? diag_set(d, ERR_MEMORY, "no memory for a link of two") : 0;
    if (mine && !rc && !(b->pair.buf = calloc(2, sizes[N_SIZES - 1])))
        rc = diag_set(d, ERR_MEMORY, "no memory for messages");
    return err_agree(b->world, rc, d);
}

static void close_pair(struct bed *b) {
    coll_free(b->pair.coll);
    link_free(b->pair.link);
    free(b->pair.buf);
    b->pair = (struct pair){0};
}

/* The pair's one-shot over a transport. Collective over the world. */
static int open_coll(struct bed *b, enum coll_transport transport, struct diag *d) {
    static const int begin[] = {0, 1, 2};
    struct coll_spec spec = {.name = "calibrate",
                             .algo = "oneshot",
                             .transport = transport,
                             .tag = TAG + 1,
                             .n_max = sizes[N_SIZES - 1] / sizeof(float),
                             .shape = {2, 2, begin, NULL},
                             .yield = -1};
    int rc = b->pair.link ? coll_op_find(&spec.op, "sum", 1, d) : 0;
    if (!rc && b->pair.link) rc = coll_init(&b->pair.coll, b->pair.link, &spec, d);
    return err_agree(b->world, rc, d);
}

static int measure_shm(struct bed *b, struct diag *d) {
    static const char *const names[][2] = {{"one-shot of 2 over shm, no bytes", "ns"},
                                           {"one-shot of 2 over shm", "ps/B"}};
    if (b->c->hand_off < 0) return 0;
    start_counting(b);
    int rc = open_pair(b, b->c->a, b->c->b, d);
    if (!rc) rc = open_coll(b, COLL_TRANSPORT_SHM, d);
    int i = rc ? rc : sample(b, take_coll, names, 2, d);
    close_pair(b);
    b->c->shm_exchange =
        (struct calibrated_exchange){.bare = i, .places = EXCHANGE_PASS, .sizes = EXCHANGE_SIZES, .bytes = sizes + 1};
    return i < 0 ? i : 0;
}

/* The slower the link, the fewer sizes and tries; the first ones connect. All ranks know rank a's choice. */
static void choose_sizes(struct bed *b) {
    struct pair *p = &b->pair;
    double ns = 0, tries[TRIES];
    for (int i = -1; p->link && i < N_SIZES && (i < N_SIZES_LEAST || ns < SLOW_NS / 4); i++) {
        for (int k = 0; k < TRIES; k++)
            tries[k] = time_ping_pong(b, sizes[i < 0 ? 0 : i]);
        ns = median_of(tries, TRIES);
        agree_bcast(p->link, 0, &ns, sizeof ns);
        p->n_sizes = i + 1;
        if (i == 0) p->short_ns = ns;
    }
    agree_bcast(b->world, p->a, &p->n_sizes, sizeof p->n_sizes);
    agree_bcast(b->world, p->a, &p->short_ns, sizeof p->short_ns);
    p->tries = p->short_ns > SLOW_LINK_NS ? 1 : TRIES;
}

static int measure_tier(struct bed *b, const char *name, int a, int z, struct diag *d) {
    enum { FIGURES = 11 };
    char text[FIGURES][48], hidden[32];
    const char *const what[FIGURES][2] = {{"one way, no bytes", "ns"},
                                          {"one way", "ps/B"},
                                          {"start of a send", "ns"},
                                          {"a receive that has come", "ns"},
                                          {"gap in a burst", "ns"},
                                          {hidden, "%"},
                                          {"one-shot of 2, no bytes", "ns"},
                                          {"one-shot of 2", "ps/B"},
                                          {"other protocol from", "B"},
                                          {"one line is off by at most", "%"},
                                          {"two lines are off by at most", "%"}};
    const char *names[FIGURES][2];
    struct calibrated_tier *t = &b->c->tier[b->c->n_tiers];
    start_counting(b);
    int rc = open_pair(b, a, z, d);
    if (!rc) rc = open_coll(b, COLL_TRANSPORT_LINK, d);
    if (!rc) choose_sizes(b);
    snprintf(hidden, sizeof hidden, "%zu KiB hidden behind work", behind_work_bytes(&b->pair) >> 10);
    for (int i = 0; i < FIGURES; i++) {
        snprintf(text[i], sizeof text[i], "%s: %s", name, what[i][0]);
        names[i][0] = text[i];
        names[i][1] = what[i][1];
    }
    int i = rc ? rc : sample(b, take_messages, names, FIGURES, d), more = b->pair.n_sizes - 1;
    *t = (struct calibrated_tier){.name = name,
                                  .a = a,
                                  .b = z,
                                  .send = i + 2,
                                  .recv = i + 3,
                                  .gap = i + 4,
                                  .sum = i + 6,
                                  .off = i + 9,
                                  .is_slow = is_slow(b),
                                  .exchange = {.bare = i,
                                               .places = EXCHANGE_PLACES,
                                               .sizes = more < EXCHANGE_SIZES ? more : EXCHANGE_SIZES,
                                               .bytes = sizes + 1}};
    close_pair(b);
    if (i < 0) return i;
    b->c->n_tiers++;
    return 0;
}

/* Within a node between the neighbours of shm, between nodes from rank 0 to the first rank elsewhere. */
static int measure_messages(struct bed *b, const int *domain, struct diag *d) {
    int far = 0, rc = 0;
    while (far < b->world->size && domain[far] == domain[0])
        far++;
    if (b->c->hand_off >= 0) rc = measure_tier(b, "mpi", b->c->a, b->c->b, d);
    if (!rc && far < b->world->size) rc = measure_tier(b, "net", 0, far, d);
    return rc;
}

/* ---- exchanges between steps ---- */

/* Known to the pair's rank a, then to all. */
static void take_exchanges(struct bed *b, double *out) {
    const struct calibrated_exchange *x = &b->exchange;
    const struct exchange_bench bench = {b->steps, b->pair.link, b->pair.coll, b->pair.buf, TAG};
    int passes = is_slow(b) ? SLOW_PASSES : PASSES, rc = b->steps_rc;
    for (int w = 0; w < x->places && !rc && b->pair.link; w++) {
        double *at = out + w * (1 + x->sizes);
        rc = exchange_measure(&bench, (enum exchange_place)w, passes, x->bytes, x->sizes, at, b->steps_diag);
    }
    b->steps_rc = err_agree(b->world, rc, b->steps_diag);
    agree_bcast(b->world, b->pair.a, out, (size_t)(x->places * (1 + x->sizes)) * sizeof *out);
}

static int sample_exchanges(struct bed *b, const char *link, struct calibrated_exchange *x, struct diag *d) {
    static const char *const where[EXCHANGE_PLACES][2] = {{"cache", "sum"}, {"memory", "sum"}, {"turns", "message"}};
    char text[MAX_VALUES][48], size[24];
    const char *names[MAX_VALUES][2];
    int n = 0;
    for (int w = 0; w < x->places; w++)
        for (int i = -1; i < x->sizes; i++, n++) {
            snprintf(size, sizeof size, "%zu B", i < 0 ? 0 : x->bytes[i]);
            snprintf(text[n], sizeof text[n], "%s: steps, %s, %s %s", link, where[w][0], i < 0 ? "no" : size,
                     where[w][1]);
            names[n][0] = text[n];
            names[n][1] = "ns";
        }
    b->exchange = *x;
    b->steps_diag = d;
    b->shares = EXCHANGE_SHARE;
    x->first = sample(b, take_exchanges, names, n, d);
    b->shares = 1;
    return b->steps_rc ? b->steps_rc : x->first < 0 ? x->first : 0;
}

static int measure_exchange(struct bed *b, const char *link, int a, int z, enum coll_transport transport, int slow,
                            struct calibrated_exchange *x, struct diag *d) {
    int rc = open_pair(b, a, z, d);
    if (!rc) rc = open_coll(b, transport, d);
    if (slow) b->pair.tries = 1;
    if (!rc) rc = sample_exchanges(b, link, x, d);
    close_pair(b);
    return rc;
}

/* While the decoders are there. */
static int measure_exchanges(struct bed *b, struct diag *d) {
    struct calibration *c = b->c;
    int rc = 0;
    if (c->hand_off >= 0) rc = measure_exchange(b, "shm", c->a, c->b, COLL_TRANSPORT_SHM, 0, &c->shm_exchange, d);
    for (int i = 0; i < c->n_tiers && !rc; i++) {
        struct calibrated_tier *t = &c->tier[i];
        rc = measure_exchange(b, t->name, t->a, t->b, COLL_TRANSPORT_LINK, t->is_slow, &t->exchange, d);
    }
    return rc;
}

/* After the rates that efficiencies are shares of. */
static int measure_steps(struct bed *b, struct diag *d) {
    struct calibration *c = b->c;
    struct sampler_params sampling = app_sampling(c->app);
    size_t cache_bytes = c->cache_bytes, last = topo_last_level_cache_bytes();
    for (int i = 0; i < PREC_COUNT; i++)
        b->op_s[i] = c->app->rank == 0 ? 1e-9 / c->figure[c->rate[i]].s.median : 0;
    agree_bcast(b->world, 0, b->op_s, sizeof b->op_s);
    agree_bcast(b->world, 0, &cache_bytes, sizeof cache_bytes);
    int rc = step_bench_open(&b->steps, cache_bytes, last > LEAST_CACHE ? last : LEAST_CACHE, &sampling, d);
    rc = err_agree(b->world, rc, d);
    if (!rc) rc = c->steps = sample_steps(b, d);
    if (rc >= 0) rc = measure_exchanges(b, d);
    step_bench_close(b->steps);
    return rc < 0 ? rc : 0;
}

/* ---- other load ---- */

/* Shares of rank 0's machine; its processes' own time is that of all ranks there, in however many containers. */
static void measure_load(struct bed *b, const struct load *from) {
    struct load to = load_now(RUSAGE_SELF);
    int here = b->c->app->node == 0;
    double own = 1e-9 * (double)agree_sum(b->world, here ? (uint64_t)((to.own_s - from->own_s) * 1e9) : 0);
    b->c->other_load = load_of_others(from, &to, own);
    b->c->stolen = load_stolen(from, &to);
}

/* ---- all of it ---- */

static double clock_cost_ns(void) {
    double v[101];
    for (int i = 0; i < 101; i++) {
        double begin = now_ns();
        v[i] = now_ns() - begin;
    }
    return median_of(v, 101);
}

static int count_groups(const int *domain, int size) {
    int n = 4 + STEPS_SHARE + (size > 1 ? size + 3 + 2 * EXCHANGE_SHARE : 0);
    for (int r = 0; r + 1 < size; r++)
        n += domain[r] == domain[r + 1];
    return n;
}

/* Ranks of a machine share its memory and one last-level cache, those of a node links besides. */
static void share_node(struct calibration *c, const int *domain) {
    int first = 0;
    c->per_machine = (int)agree_sum(c->app->world, c->app->node == 0);
    for (int r = 0; r < c->app->size; r++)
        first += domain[r] == domain[0];
    c->per_node = c->app->size % first ? 0 : first;
    for (int r = 0; r < c->app->size; r++)
        if (domain[r] != domain[r / first * first]) c->per_node = 0;
    c->cache_bytes = topo_last_level_cache_bytes() / (size_t)c->per_machine;
    c->memory_bytes = topo_memory_bytes() / (size_t)c->per_machine;
}

int calibrate(struct calibration *c, struct app *app, double seconds, struct diag *d) {
    struct bed b = {.c = c, .world = app->world, .clock_ns = clock_cost_ns(), .shares = 1};
    struct load load = load_now(RUSAGE_SELF);
    int *domain = calloc((size_t)app->size, sizeof *domain);
    *c = (struct calibration){.app = app,
                              .rank0_speed = 1,
                              .hand_off = -1,
                              .together = -1,
                              .alone = -1,
                              .cache = -1,
                              .reduce = -1,
                              .copy = -1,
                              .codec = -1};
    int rc = err_agree(app->world, domain ? 0 : diag_set(d, ERR_MEMORY, "no memory for the table of nodes"), d);
    if (!rc) {
        link_domains(app->world, domain);
        share_node(c, domain);
        c->budget_s = seconds / count_groups(domain, app->size);
        rc = link_share(app->world, SEGMENT_BYTES, &b.shared, d);
    }
    if (!rc) {
        rc = measure_hand_offs(&b, domain, d);
        if (!rc) rc = measure_work(&b, d);
        if (!rc) rc = measure_shm(&b, d);
        if (!rc) rc = measure_messages(&b, domain, d);
        if (!rc) rc = repeat_hand_off(&b, d);
        if (!rc) rc = measure_memory(&b, d);
        if (!rc) rc = measure_cache(&b, d);
        if (!rc) rc = measure_rates(&b, d);
        if (!rc) rc = measure_steps(&b, d);
        if (!rc) measure_load(&b, &load);
        link_unshare(app->world, b.shared);
    }
    free(domain);
    return rc;
}
