/* coll_bench.c - collectives in turn, repetition by repetition: neighbours in time are compared.
 *
 *   for each size:  hand-off and reading of the cores (before)
 *     for each repetition, algorithm and form:
 *       once untimed             its code and lines are as warm as in a loop of its own, although others took turns
 *       operand written          untimed: an unchanged one would measure a hit in the reader's cache
 *       barrier                  through shared memory: ranks leave it within a hand-off or two of each other
 *       t0, the collective, t1   on each rank; the repetition's time is the greatest t1 - t0 of all ranks
 *       barrier                  nobody's checking takes a shared processor from who is still under way
 *       result checked           untimed, every repetition
 *                   hand-off and reading of the cores (after)
 *
 * (The barrier scheme of ReproMPI: Hunold, Carpen-Amarie, IEEE TPDS 27 (2016), with one barrier for all contestants.)
 * Behind a product, the timed part is the product, which writes the operand, and the collective; the product alone is
 * one more contestant, and nothing is warmed. */
#include "coll_bench.h"

#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coll_log.h"
#include "collectives/agree.h"

enum {
    SEGMENT_FLAG = 256, /* bytes behind a rank's barrier number */
    SEGMENT_BLOCK = 4096, /* what the other reads */
    ROUND_TRIPS = 32,
    HAND_OFFS = 15,
    READS = 9,
    SPINS = 1000 * 1000, /* then this rank gives way: where it has a core of its own, something else is wrong */
    PUSH_BYTES = 131072,
    CHUNK = 4096, /* repetitions gathered at a time */
    FIRST_LOOK = 31, /* repetitions before the first look at the intervals */
    FAR_NS = 120,
};
static const double ADAPTIVE_S = 2, NARROW = 0.05;

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- shared lines ---- */

static _Atomic uint64_t *word_of(const struct coll_bench *b, int rank, size_t off) {
    return (_Atomic uint64_t *)(void *)((char *)b->shared->base[rank] + off);
}

static void publish(const struct coll_bench *b, size_t off, uint64_t value) {
    atomic_store_explicit(word_of(b, b->app->rank, off), value, memory_order_release);
}

static void await(const struct coll_bench *b, int rank, size_t off, uint64_t value) {
    const _Atomic uint64_t *word = word_of(b, rank, off);
    struct link *l = b->app->world;
    double begin = 0;
    for (long i = 0; atomic_load_explicit(word, memory_order_acquire) < value; i++) {
        if (!l->oversubscribed && i < SPINS) continue;
        sched_yield();
        if (i % 1024 != 0) continue;
        if (begin == 0) begin = now_ns();
        if (l->wait_limit_s > 0 && now_ns() - begin > 1e9 * l->wait_limit_s)
            link_abort(l, "waited %g s for rank %d at barrier %llu: it is stopped, or slow (--timeout allows more)",
                       l->wait_limit_s, rank, (unsigned long long)value);
    }
}

static void barrier(struct coll_bench *b) {
    if (!b->shared) {
        agree_barrier(b->app->world);
        return;
    }
    publish(b, 0, ++b->barriers);
    for (int r = 0; r < b->app->size; r++)
        await(b, r, 0, b->barriers);
}

/* ---- what the cores give ---- */

static double median(double *v, int n) {
    return stats_median(v, n).median;
}

static double hand_off_ns(struct coll_bench *b) {
    double v[HAND_OFFS];
    int rank = b->app->rank;
    for (int i = 0; i < HAND_OFFS; i++) {
        double t = now_ns();
        for (int k = 0; k < ROUND_TRIPS; k++) {
            b->flags++;
            if (rank == 1) await(b, 0, SEGMENT_FLAG, b->flags);
            publish(b, SEGMENT_FLAG, b->flags);
            if (rank == 0) await(b, 1, SEGMENT_FLAG, b->flags);
        }
        v[i] = (now_ns() - t) / (2 * ROUND_TRIPS);
    }
    return median(v, HAND_OFFS);
}

static volatile uint64_t sink;

/* A line that is dirty in the other core's first cache comes later than one that has left it for the second. */
static void push_out(void) {
    static uint64_t other[PUSH_BYTES / sizeof(uint64_t)];
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        sum += other[i];
    sink = sum;
}

/* Ways to read: word by word, or by the kernel of sums; data in the writer's first cache or pushed out of it. */
enum { READ_PUSHED = 1, READ_SUMS = 2, READ_WAYS = 4 };

static void read_block(const struct coll_bench *b, const void *block, int way) {
    const uint64_t *at = block;
    uint64_t sum = 0;
    size_t words = b->bytes / sizeof *at;
    if (way & READ_SUMS) {
        b->sum.reduce(&b->sum, b->out_buf, b->in_buf, block, b->bytes / sizeof(float));
        return;
    }
    for (size_t w = 0; w < words; w++)
        sum += at[w];
    sink = sum;
}

/* Rank 0 reads what rank 1 has just written. */
static double read_ps(struct coll_bench *b, int way) {
    double v[READS];
    int rank = b->app->rank;
    void *block = (char *)b->shared->base[1] + SEGMENT_BLOCK;
    float *x = block;
    for (int i = 0; i < READS; i++) {
        for (size_t k = 0; rank == 1 && k < b->bytes / sizeof *x; k++)
            x[k] = (float)i;
        if (rank == 1 && way & READ_PUSHED) push_out();
        if (rank == 0 && way & READ_SUMS) memset(b->in_buf, 0, b->bytes);
        publish(b, SEGMENT_FLAG, ++b->flags);
        await(b, rank ^ 1, SEGMENT_FLAG, b->flags);
        double t = now_ns();
        if (rank == 0) read_block(b, block, way);
        v[i] = 1000 * (now_ns() - t);
        publish(b, SEGMENT_FLAG, ++b->flags);
        await(b, rank ^ 1, SEGMENT_FLAG, b->flags);
    }
    return median(v, READS);
}

static void measure_ground(struct coll_bench *b, struct coll_ground *g) {
    *g = (struct coll_ground){0};
    if (!b->shared || b->app->size < 2) return;
    barrier(b);
    if (b->app->rank < 2) {
        g->hand_off_ns = hand_off_ns(b);
        g->read_ps = read_ps(b, 0);
        for (int way = 1; way < READ_WAYS; way++)
            g->read_ps = fmin(g->read_ps, read_ps(b, way)); /* a floor: the best way */
    }
    barrier(b);
    agree_bcast(b->app->world, 0, g, sizeof *g);
}

int coll_moved(const struct coll_bench *b) {
    double x = b->before.hand_off_ns, y = b->after.hand_off_ns;
    return x > 0 && ((x < FAR_NS) != (y < FAR_NS) || x > 1.5 * y || y > 1.5 * x);
}

const char *coll_state(const struct coll_bench *b) {
    if (!(b->before.hand_off_ns > 0)) return "unknown";
    if (b->app->world->oversubscribed) return "shared";
    return coll_moved(b) ? "moved" : b->before.hand_off_ns < FAR_NS ? "near" : "far";
}

static void find_floor(struct coll_bench *b) {
    struct net net = {.n_tiers = 1};
    double read = 0.5 * (b->before.read_ps + b->after.read_ps);
    b->floor_ps = 0;
    if (!(read > 0) || b->app->world->oversubscribed) return;
    net.flag_ps = (uint64_t)(500 * (b->before.hand_off_ns + b->after.hand_off_ns));
    net.tier[0].link = (struct net_link){.pull = 1, .G = {(uint64_t)read, b->bytes}};
    b->floor_ps = coll_floor_ps(b->data.kind, b->app->size, &net, b->bytes);
}

/* ---- one call ---- */

static int is_library(const struct coll_bench *b, const struct coll_method *m) {
    return b->library >= 0 && m == &b->method[b->library];
}

/* The formula's messages were counted on the way; of the library's nothing is known. */
static void count_call(struct coll_bench *b, const struct coll_method *m, uint64_t messages) {
    if (!is_library(b, m)) b->miscounted += messages != m->info.cost.messages;
}

static uint64_t check(struct coll_bench *b, struct coll_times *t, const void *got, size_t granule) {
    if (b->context) return coll_gemv_wrong(&b->gemv, got);
    return coll_data_wrong(&b->data, b->app->rank, b->rep, got, b->n, granule, &t->most);
}

/* Local time in us. */
static double call_out(struct coll_bench *b, struct coll_method *m) {
    struct link *l = b->app->world;
    coll_data_fill(&b->data, b->app->rank, b->rep, b->in_buf, b->n);
    barrier(b);
    uint64_t before = l->counts.messages;
    double t = now_ns();
    if (is_library(b, m))
        l->ops->allreduce(l, b->in_buf, b->out_buf, b->n);
    else
        coll_run(m->coll, b->in_buf, b->out_buf, b->n);
    t = now_ns() - t;
    count_call(b, m, l->counts.messages - before);
    barrier(b);
    m->times[FORM_OUT].wrong += check(b, &m->times[FORM_OUT], b->out_buf, m->info.granule);
    return 1e-3 * t;
}

static double call_in(struct coll_bench *b, struct coll_method *m) {
    struct link *l = b->app->world;
    void *x = coll_sendbuf(m->coll, b->n);
    if (!b->context) coll_data_fill(&b->data, b->app->rank, b->rep, x, b->n);
    barrier(b);
    uint64_t before = l->counts.messages;
    double t = now_ns();
    if (b->context) coll_gemv_run(&b->gemv, x);
    if (b->context && b->app->rank == b->data.flip) *(float *)x += 1;
    coll_start(m->coll);
    const void *got = coll_wait(m->coll);
    t = now_ns() - t;
    count_call(b, m, l->counts.messages - before);
    barrier(b);
    m->times[FORM_IN].wrong += check(b, &m->times[FORM_IN], got, m->info.granule);
    return 1e-3 * t;
}

static double call(struct coll_bench *b, struct coll_method *m, int form) {
    b->rep++;
    return form == FORM_OUT ? call_out(b, m) : call_in(b, m);
}

/* Repetition i of all in turn; i < 0: warm-up. A product in front leaves nothing warm, so nothing is warmed. */
static void repeat_all(struct coll_bench *b, int i) {
    if (b->context) {
        barrier(b);
        double t = now_ns();
        coll_gemv_run(&b->gemv, b->gemv.y);
        t = now_ns() - t;
        barrier(b);
        if (i >= 0) b->alone[i] = 1e-3 * t;
    }
    for (int k = 0; k < b->n_methods; k++) {
        struct coll_method *m = &b->method[k];
        for (int form = b->first_form; form < COLL_FORMS; form++) {
            if (!b->context) call(b, m, form);
            double us = call(b, m, form);
            if (i >= 0) m->times[form].us[i] = us;
        }
    }
}

/* ---- from all ranks to rank 0 ---- */

static void take_slowest(struct coll_bench *b, double *us, double *all, int from, int to) {
    for (int at = from; at < to; at += CHUNK) {
        int n = to - at < CHUNK ? to - at : CHUNK;
        agree_allgather(b->app->world, us + at, (size_t)n * sizeof *us, all);
        for (int r = 0; r < b->app->size; r++)
            for (int i = 0; i < n; i++)
                us[at + i] = fmax(us[at + i], all[r * n + i]);
    }
}

/* Ranks' own times of repetitions [from, to) become the slowest's. */
static int gather(struct coll_bench *b, int from, int to, struct diag *d) {
    double *all = malloc((size_t)b->app->size * CHUNK * sizeof *all);
    int rc = all ? 0 : diag_set(d, ERR_MEMORY, "no memory for times of %d ranks", b->app->size);
    rc = err_agree(b->app->world, rc, d);
    if (!rc && b->context) take_slowest(b, b->alone, all, from, to);
    for (int k = 0; k < b->n_methods && !rc; k++)
        for (int form = b->first_form; form < COLL_FORMS; form++)
            take_slowest(b, b->method[k].times[form].us, all, from, to);
    free(all);
    return rc;
}

static struct stats_median sum_up(const double *us, double *sorted, int n) {
    memcpy(sorted, us, (size_t)n * sizeof *us);
    return stats_median(sorted, n);
}

static int is_narrow(const struct stats_median *s) {
    return s->low <= s->high && s->high - s->low <= NARROW * s->median;
}

/* 1 once all medians are known well enough. Collective: rank 0 decides. */
static int enough(struct coll_bench *b, int n, double begin) {
    int over = n == b->reps || now_ns() - begin > 1e9 * ADAPTIVE_S, narrow = 1;
    for (int k = 0; k < b->n_methods && !over; k++)
        for (int form = b->first_form; form < COLL_FORMS; form++) {
            struct coll_times *t = &b->method[k].times[form];
            struct stats_median s = sum_up(t->us, t->sorted, n);
            narrow &= is_narrow(&s);
        }
    over |= narrow;
    agree_bcast(b->app->world, 0, &over, sizeof over);
    return over;
}

static int measure_all(struct coll_bench *b, struct diag *d) {
    double begin = now_ns();
    int gathered = 0, rc = 0;
    for (int i = 0; i < b->warmup; i++)
        repeat_all(b, -1);
    measure_ground(b, &b->before);
    for (b->n_reps = 0; b->n_reps < b->reps && !rc;) {
        repeat_all(b, b->n_reps++);
        int looks = b->adaptive && b->n_reps >= FIRST_LOOK && ((b->n_reps + 1) & b->n_reps) == 0;
        if (!looks && b->n_reps < b->reps) continue;
        rc = gather(b, gathered, b->n_reps, d);
        gathered = b->n_reps;
        if (!rc && b->adaptive && enough(b, b->n_reps, begin)) break;
    }
    measure_ground(b, &b->after);
    find_floor(b);
    return rc;
}

/* ---- figures ---- */

static double quantile(const double *sorted, int n, double q) {
    int i = (int)ceil(q * n) - 1;
    return sorted[i < 0 ? 0 : i];
}

static struct stats_median compare(const double *a, const double *z, double sign, double *scratch, int n) {
    for (int i = 0; i < n; i++)
        scratch[i] = sign < 0 ? z[i] - a[i] : a[i] / z[i];
    return stats_median(scratch, n);
}

static void sum_up_times(struct coll_bench *b, struct coll_times *t, const struct coll_times *library) {
    int n = b->n_reps;
    t->mean = 0;
    for (int i = 0; i < n; i++)
        t->mean += t->us[i] / n;
    if (library) t->speedup = compare(library->us, t->us, 1, t->sorted, n);
    if (b->context) t->exposed = compare(b->alone, t->us, -1, t->sorted, n);
    t->s = sum_up(t->us, t->sorted, n);
    t->p5 = quantile(t->sorted, n, 0.05);
    t->p95 = quantile(t->sorted, n, 0.95);
    t->exposed_us = b->context ? t->s.median - b->alone_s.median : 0;
}

static void sum_up_all(struct coll_bench *b) {
    if (b->context) b->alone_s = sum_up(b->alone, b->method[0].times[FORM_IN].sorted, b->n_reps);
    for (int k = 0; k < b->n_methods; k++)
        for (int form = b->first_form; form < COLL_FORMS; form++) {
            const struct coll_times *library =
                b->library >= 0 && k != b->library && !b->context ? &b->method[b->library].times[form] : NULL;
            struct coll_times *t = &b->method[k].times[form];
            t->wrong = agree_sum(b->app->world, t->wrong);
            t->most = agree_max(b->app->world, t->most, NULL);
            b->wrong += t->wrong;
            sum_up_times(b, t, library);
        }
}

/* ---- a size ---- */

/* Most messages and words of any rank. */
static void find_costs(struct coll_bench *b, struct coll_method *m) {
    m->most = (struct coll_cost){0};
    m->sent_bytes = (uint64_t)agree_max(b->app->world, (double)m->info.sent_bytes, NULL);
    if (m->info.choice.algo->library) return;
    for (int r = 0; r < b->app->size; r++) {
        struct coll_cost c;
        sched_formula(&m->info.choice, b->data.kind, &b->shape, r, b->n, m->info.granule, &c);
        if (c.messages > m->most.messages) m->most.messages = c.messages;
        if (c.sent > m->most.sent) m->most.sent = c.sent;
        if (c.reduced > m->most.reduced) m->most.reduced = c.reduced;
    }
    m->most.rounds = m->info.n_rounds;
}

static int open_method(struct coll_bench *b, struct coll_method *m, struct diag *d) {
    int is_auto = !strcmp(m->name, "auto");
    struct coll_spec spec = {.name = m->name,
                             .kind = b->data.kind,
                             .algo = m->name,
                             .label = is_auto && !b->data.wire ? COLL_BIT_EXACT : COLL_APPROXIMATE,
                             .transport = m->transport,
                             .op = b->data.op,
                             .wire = b->data.wire,
                             .n_max = b->n,
                             .shape = b->shape,
                             .net = &b->net,
                             .tag = 1,
                             .yield = -1};
    int rc = coll_init(&m->coll, b->app->world, &spec, d);
    if (rc) return rc;
    coll_info(m->coll, &m->info);
    coll_log(b->app, b->app->world, 0, &m->info, b->app->rank == 0);
    for (int form = 0; form < COLL_FORMS; form++) {
        struct coll_times *t = &m->times[form];
        *t = (struct coll_times){0};
        t->us = form < b->first_form ? NULL : calloc(2 * (size_t)b->reps, sizeof *t->us);
        t->sorted = t->us ? t->us + b->reps : NULL;
        if (form >= b->first_form && !t->us)
            rc = diag_set(d, ERR_MEMORY, "no memory for %d times: fewer --reps", b->reps);
    }
    rc = err_agree(b->app->world, rc, d);
    if (!rc) find_costs(b, m);
    return rc;
}

static void close_size(struct coll_bench *b) {
    for (int k = 0; k < b->n_methods; k++) {
        struct coll_method *m = &b->method[k];
        coll_free(m->coll);
        m->coll = NULL;
        for (int form = 0; form < COLL_FORMS; form++) {
            free(m->times[form].us);
            m->times[form].us = NULL;
        }
    }
    free(b->alone);
    b->alone = NULL;
    if (b->context) coll_gemv_fini(&b->gemv);
}

int coll_bench_size(struct coll_bench *b, size_t n, struct diag *d) {
    int rc = 0;
    b->n = n;
    b->bytes = n * b->data.op.elem_bytes;
    for (int k = 0; k < b->n_methods && !rc; k++)
        rc = open_method(b, &b->method[k], d);
    if (b->context && !rc) {
        b->alone = calloc((size_t)b->reps, sizeof *b->alone);
        rc = err_agree(b->app->world, b->alone ? 0 : diag_set(d, ERR_MEMORY, "no memory for times"), d);
        if (!rc) rc = coll_gemv_init(&b->gemv, b->app->world, n, b->context_bytes, d);
    }
    if (!rc) rc = measure_all(b, d);
    if (!rc) {
        sum_up_all(b);
        if (b->app->rank == 0) coll_print_size(b);
    }
    close_size(b);
    return rc;
}

/* ---- a run ---- */

/* One leaf a rank. */
static int make_shape(struct coll_bench *b, struct diag *d) {
    int size = b->app->size;
    b->begin = calloc((size_t)size + 1, sizeof *b->begin);
    b->domain = calloc((size_t)size, sizeof *b->domain);
    int rc = b->begin && b->domain ? 0 : diag_set(d, ERR_MEMORY, "no memory for %d ranks", size);
    rc = err_agree(b->app->world, rc, d);
    if (rc) return rc;
    for (int r = 0; r <= size; r++)
        b->begin[r] = r;
    link_domains(b->app->world, b->domain);
    b->shape = (struct coll_shape){.size = size, .n_leaves = size, .begin = b->begin, .domain = b->domain};
    return 0;
}

int coll_bench_open(struct coll_bench *b, struct diag *d) {
    struct diag no = {0};
    int rc = make_shape(b, d), together = 1;
    if (!rc) rc = coll_op_find(&b->sum, "sum", 1, d);
    if (rc) return rc;
    size_t bytes = (b->max_bytes + 127) / 64 * 64;
    if (posix_memalign(&b->in_buf, 64, bytes)) b->in_buf = NULL;
    if (posix_memalign(&b->out_buf, 64, bytes)) b->out_buf = NULL;
    rc = b->in_buf && b->out_buf ? 0 : diag_set(d, ERR_MEMORY, "no memory for vectors of %zu bytes", b->max_bytes);
    rc = err_agree(b->app->world, rc, d);
    if (rc) return rc;
    for (int r = 0; r < b->app->size; r++)
        together &= b->domain[r] == 0;
    if (together && b->app->world->ops->share && link_share(b->app->world, SEGMENT_BLOCK + bytes, &b->shared, &no) != 0)
        b->shared = NULL;
    return 0;
}

void coll_bench_close(struct coll_bench *b) {
    if (b->shared) link_unshare(b->app->world, b->shared);
    free(b->in_buf);
    free(b->out_buf);
    free(b->begin);
    free(b->domain);
}
