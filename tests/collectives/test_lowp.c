/* All-reduces in a lossy wire form on ranks that are threads: to the bit what the definition says, each value rounded
 * twice, within the bound. With an argument: prints the measured errors of normal values. */
#include <math.h>

#include "collectives/coll.h"
#include "link_checks.h"
#include "thread_ranks.h"

enum { MOST = 2048, CALLS = 6 };
static const size_t lengths[CALLS] = {MOST, 0, 1, 33, 1000, 2047};

/* About normal, with outliers in some groups; other values on each rank and in each call. */
static float input(int rank, size_t e, int call) {
    uint64_t key = (uint64_t)(rank * CALLS + call), i = 12 * (uint64_t)e;
    float x = -6;
    for (uint64_t k = 0; k < 12; k++)
        x += rng_unit(key, i + k);
    if (rng_u64(key + 500, (uint64_t)e) % 200 == 0) x *= 30;
    return call == 3 ? ldexpf(x, -20) : x;
}

struct wanted {
    float in[8][MOST], coded[8][MOST], sum[MOST]; /* as brought in, as decoded, and what all must get */
    double exact[MOST], bound[MOST];
};

static void through(const struct coll_wire *w, const float *x, size_t n, float *y) {
    static _Thread_local unsigned char code[4 * MOST];
    w->encode(x, n, code);
    w->decode(code, n, y);
}

static double group_most(const float *x, size_t e, size_t n, size_t group) {
    double most = 0;
    for (size_t i = e / group * group; i < n && i < (e / group + 1) * group; i++)
        most = fmax(most, fabs((double)x[i]));
    return most;
}

/* What is wanted of P ranks: each input rounded, summed along the canonical tree, and rounded. The bound: that of each
 * rounding, and half a unit in the last place of the greatest partial sum for each of P - 1 additions. */
static void wanted_init(struct wanted *t, const struct coll_wire *w, int size, size_t n, int call) {
    static _Thread_local float sum[MOST];
    size_t group = (size_t)w->group;
    for (int r = 0; r < size; r++) {
        for (size_t e = 0; e < n; e++)
            t->in[r][e] = input(r, e, call);
        through(w, t->in[r], n, t->coded[r]);
    }
    for (size_t e = 0; e < n; e++) {
        float leaf[8];
        double magnitude = 0;
        t->exact[e] = t->bound[e] = 0;
        for (int r = 0; r < size; r++) {
            leaf[r] = t->coded[r][e];
            t->exact[e] += (double)t->in[r][e];
            magnitude += fabs((double)leaf[r]);
            t->bound[e] += w->bound(group_most(t->in[r], e, n, group));
        }
        sum[e] = tree_sum(leaf, size);
        t->bound[e] += 1.01 * (size - 1) * 0x1p-24 * magnitude;
    }
    for (size_t e = 0; e < n; e++)
        t->bound[e] += w->bound(group_most(sum, e, n, group));
    through(w, sum, n, t->sum);
    if (size == 1) memcpy(t->sum, t->in[0], sizeof t->sum); /* nothing is sent: nothing is rounded */
}

static void check_call(struct link *l, struct outcome *o, struct coll *c, const struct coll_wire *w, int call) {
    struct wanted *t = malloc(sizeof *t);
    size_t n = lengths[call];
    long wrong = 0, beyond = 0;
    float *x = coll_sendbuf(c, n);
    wanted_init(t, w, l->size, n, call);
    if (n > 0) memcpy(x, t->in[l->rank], n * sizeof *x);
    coll_start(c);
    const float *got = coll_wait(c);
    for (size_t e = 0; e < n; e++) {
        wrong += got[e] != t->sum[e];
        beyond += !(fabs((double)got[e] - t->exact[e]) <= t->bound[e]);
    }
    EXPECT(o, wrong == 0, "%s, %d ranks, %zu values: %ld are not the sum of what the codes mean", w->name, l->size, n,
           wrong);
    EXPECT(o, beyond == 0, "%s, %d ranks, %zu values: %ld beyond the bound", w->name, l->size, n, beyond);
    free(t);
}

static void check_way(struct link *l, struct outcome *o, const struct coll_wire *w, const char *algo,
                      enum coll_transport transport, int width) {
    int begin[MAX_RANKS + 1], domain[MAX_RANKS];
    for (int r = 0; r <= l->size; r++) {
        begin[r] = r;
        if (r < l->size) domain[r] = width ? r / width : 0;
    }
    struct coll_spec spec = {.name = "test_lowp",
                             .algo = algo,
                             .label = COLL_APPROXIMATE,
                             .transport = transport,
                             .wire = w,
                             .n_max = MOST,
                             .shape = {.size = l->size, .n_leaves = l->size, .begin = begin},
                             .tag = 5,
                             .yield = -1};
    if (width) spec.shape.domain = domain;
    struct coll_info info;
    struct coll *c;
    struct diag d = {0};
    coll_op_find(&spec.op, "sum", 1, NULL);
    int code = coll_init(&c, l, &spec, &d);
    EXPECT(o, code == 0, "%s: %s", w->name, d.text);
    if (code != 0) return;
    coll_info(c, &info);
    EXPECT(o, info.label == COLL_APPROXIMATE && info.choice.algo->two_step, "%s is %s", w->name,
           coll_label_name(info.label));
    EXPECT(o, l->size == 1 || info.sent_bytes * 10 <= info.cost.sent * sizeof(float) * w->bytes(320) / 128,
           "%s: %ld bytes sent for %ld values", w->name, (long)info.sent_bytes, (long)info.cost.sent);
    for (int call = 0; call < CALLS; call++)
        check_call(l, o, c, w, call);
    coll_free(c);
}

static void check_rank(struct link *l, struct outcome *o) {
    for (const struct coll_wire *const *w = coll_wires; *w; w++) {
        check_way(l, o, *w, "twoshot", COLL_TRANSPORT_SHM, 0);
        check_way(l, o, *w, "twoshot", COLL_TRANSPORT_LINK, 0);
        check_way(l, o, *w, "twoshot", COLL_TRANSPORT_AUTO, 2);
        check_way(l, o, *w, NULL, COLL_TRANSPORT_AUTO, 0);
    }
}

/* Root mean square and greatest error relative to the root mean square of the exact sums, and of the bounds. */
static void print_errors(const struct coll_wire *w, int size) {
    struct wanted *t = malloc(sizeof *t);
    double error = 0, exact = 0, most = 0, bound = 0;
    int n = 0;
    for (int call = 0; call < 3; call += 2, n += MOST) {
        wanted_init(t, w, size, MOST, call);
        for (int e = 0; e < MOST; e++) {
            double off = (double)t->sum[e] - t->exact[e];
            error += off * off;
            exact += t->exact[e] * t->exact[e];
            bound += t->bound[e] * t->bound[e];
            most = fmax(most, fabs(off) / t->bound[e]);
        }
    }
    printf(
        "%-5s P %d: rms error / rms sum %.3g, rms bound / rms sum %.3g, greatest error / bound %.3g (n %d, measured)\n",
        w->name, size, sqrt(error / exact), sqrt(bound / exact), most, n);
    free(t);
}

int main(int argc, char **argv) {
    (void)argv;
    for (const struct coll_wire *const *w = coll_wires; *w && argc > 1; w++)
        for (int size = 2; size <= 8; size *= 2)
            print_errors(*w, size);
    for (int size = 1; size <= 8; size++)
        run_threads(size, check_rank);
    return check_report("coll-lowp");
}
