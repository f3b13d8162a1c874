/* coll_checks.h - what persistent collectives must do, run by each rank over whatever link it has: threads or MPI. */
#ifndef TESTS_COLLECTIVES_COLL_CHECKS_H
#define TESTS_COLLECTIVES_COLL_CHECKS_H

#include <time.h>

#include "collectives/coll.h"
#include "link_checks.h"

/* The thread sanitizer is slow: of the pairs of algorithms it sees some. */
#if defined __SANITIZE_THREAD__
#define SANITIZED_THREADS 1
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define SANITIZED_THREADS 1
#endif
#endif
#ifndef SANITIZED_THREADS
#define SANITIZED_THREADS 0
#endif

enum { MOST = 4096, CALLS = 20, CALLS_OF_PAIR = 7, EVERY_PAIR = SANITIZED_THREADS ? 27 : 3 };
static const size_t coll_lengths[] = {0, 1, 15, 16, 17, 1000, MOST};

/* One shape with its inputs and wanted sums, for all calls: call k takes them times 2^(k mod 5), which is exact. */
struct material {
    struct coll_shape shape;
    int begin[MAX_RANKS + 1], n_in;
    float *in, *want; /* [n_in][MOST], [MOST] */
};

enum values { CANONICAL, INTEGERS }; /* INTEGERS: small ones, exact in every order and in binary16 */

static inline float leaf_of(enum values values, int kind, size_t e, int leaf, int n_leaves) {
    if (values == CANONICAL) return leaf_value(kind, e, leaf, n_leaves);
    return (float)(int)(rng_u64(e, (uint64_t)leaf) % 7) - 3;
}

static inline void material_init(struct material *m, const struct link *l, int n_leaves, int ownership,
                                 enum values values, int kind) {
    float leaf[64], nodes[PAIRTREE_MAX_NODES];
    own_leaves(m->begin, l->size, n_leaves, ownership, (uint64_t)(n_leaves * 8 + ownership));
    m->shape = (struct coll_shape){.size = l->size, .n_leaves = n_leaves, .begin = m->begin};
    int begin = m->begin[l->rank], end = m->begin[l->rank + 1];
    struct pairtree_node cover[PAIRTREE_MAX_NODES];
    m->n_in = pairtree_cover(n_leaves, begin, end, cover);
    m->in = malloc(((size_t)m->n_in + 1) * MOST * sizeof(float));
    m->want = malloc(MOST * sizeof(float));
    for (size_t e = 0; e < MOST; e++) {
        for (int i = 0; i < n_leaves; i++)
            leaf[i] = leaf_of(values, kind, e, i, n_leaves);
        m->want[e] = tree_sum(leaf, n_leaves);
        pairtree_sum(n_leaves, begin, end, leaf + begin, nodes);
        for (int k = 0; k < m->n_in; k++)
            m->in[(size_t)k * MOST + e] = nodes[k];
    }
}

static inline void material_fini(struct material *m) {
    free(m->in);
    free(m->want);
}

static inline float scale_of(int call) {
    return (float)(1 << call % 5);
}

static inline void fill_inputs(const struct material *m, float *x, size_t n, int call) {
    for (int k = 0; k < m->n_in; k++)
        for (size_t e = 0; e < n; e++)
            x[(size_t)k * n + e] = scale_of(call) * m->in[(size_t)k * MOST + e];
}

static inline long count_wrong(const struct material *m, const float *got, size_t begin, size_t end, int call) {
    long wrong = 0;
    for (size_t e = begin; e < end; e++) {
        float want = scale_of(call) * m->want[e];
        wrong += memcmp(&want, &got[e], sizeof want) != 0;
    }
    return wrong;
}

/* A delay that differs from rank to rank and place to place; mostly none. */
static inline void maybe_sleep(const struct link *l, uint64_t *key) {
    uint64_t r = rng_u64((uint64_t)l->rank + 17, (*key)++);
    if (r % 8 == 0) nanosleep(&(struct timespec){0, (long)(r >> 32) % 100000}, NULL);
}

static inline struct coll_spec sum_spec(const struct material *m, const char *algo, enum coll_transport transport) {
    struct coll_spec spec = {.name = "test_reduce",
                             .kind = COLL_ALLREDUCE,
                             .algo = algo,
                             .label = COLL_APPROXIMATE,
                             .transport = transport,
                             .n_max = MOST,
                             .n_typical = 1000,
                             .shape = m->shape,
                             .tag = 11,
                             .yield = -1};
    coll_op_find(&spec.op, "sum", 1, NULL);
    return spec;
}

/* What finish rows must see: all of the result once, in order. */
struct rows {
    const struct material *m;
    size_t next, row;
    int call;
    long wrong;
};

static inline void see_row(void *ctx, const float *result, size_t first, size_t n) {
    struct rows *r = ctx;
    r->wrong += first != r->next || n > r->row;
    r->next = first + n;
    for (size_t i = 0; i < n; i++) {
        float want = scale_of(r->call) * r->m->want[first + i];
        r->wrong += memcmp(&want, &result[i], sizeof want) != 0;
    }
}

/* Calls of changing lengths, delayed here and there; results last through the next call; polled or waited for,
 * in place or apart; counted as the schedule says. */
static inline void check_calls(struct link *l, struct outcome *o, const struct material *m,
                               const struct coll_spec *wanted, int calls) {
    struct coll_spec spec = *wanted;
    struct rows rows = {.m = m, .row = 100};
    struct coll *c;
    struct coll_info info;
    struct diag d = {0};
    size_t before = 0, bytes;
    const float *old = NULL;
    float *buf = malloc(((size_t)m->n_in + 1) * MOST * sizeof *buf);
    uint64_t key = (uint64_t)l->size * 1000 + (uint64_t)spec.transport;
    if (l->size % 2) spec.finish = (struct coll_finish){see_row, &rows, rows.row};
    int code = coll_init(&c, l, &spec, &d);
    EXPECT(o, code == 0, "%s on %d ranks: %s", spec.algo, l->size, d.text);
    if (code != 0) {
        free(buf);
        return;
    }
    coll_info(c, &info);
    for (int call = 0; call < calls; call++) {
        size_t n = coll_lengths[rng_u64((uint64_t)spec.tag, (uint64_t)call) % 7];
        struct link_counts counts = l->counts;
        rows.call = call;
        rows.next = 0;
        maybe_sleep(l, &key);
        if (call % 5 == 4) {
            fill_inputs(m, buf, n, call);
            coll_run(c, buf, buf, n);
            EXPECT(o, count_wrong(m, buf, 0, n, call) == 0, "%s, %d ranks, in place, n = %zu", spec.algo, l->size, n);
            old = NULL;
        } else {
            fill_inputs(m, coll_sendbuf(c, n), n, call);
            maybe_sleep(l, &key);
            coll_start(c);
            maybe_sleep(l, &key);
            while (call % 3 == 2 && !coll_test(c))
                nanosleep(&(struct timespec){0, 1000}, NULL);
            const float *got = coll_wait(c);
            long wrong = count_wrong(m, got, 0, n, call);
            EXPECT(o, wrong == 0, "%s over %s, %d of %d ranks, %d leaves, call %d: %ld of %zu wrong", spec.algo,
                   coll_transport_name(info.transport), l->rank, l->size, m->shape.n_leaves, call, wrong, n);
            EXPECT(o, !old || count_wrong(m, old, 0, before, call - 1) == 0, "%s: the last result has changed",
                   spec.algo);
            old = got;
            before = n;
        }
        EXPECT(o, !spec.finish.row || (rows.wrong == 0 && rows.next == n), "%s: %ld rows wrong", spec.algo, rows.wrong);
        if (n != spec.n_typical || info.choice.algo->library) continue;
        EXPECT(o, l->counts.messages - counts.messages == info.cost.messages, "%s: %ld messages", spec.algo,
               (long)(l->counts.messages - counts.messages));
        EXPECT(o, l->counts.bytes - counts.bytes == info.sent_bytes, "%s: %ld bytes", spec.algo,
               (long)(l->counts.bytes - counts.bytes));
        EXPECT(o, spec.wire || info.sent_bytes == info.cost.sent * sizeof(float), "%s: %ld bytes", spec.algo,
               (long)info.sent_bytes);
    }
    EXPECT(o, coll_bytes(&spec, l->rank, &bytes, &d) == 0 && bytes >= info.bytes, "%s: %zu bytes instead of %zu",
           spec.algo, info.bytes, bytes);
    coll_free(c);
    free(buf);
}

/* Ranks in domains of `width` neighbours each, or dealt out (width < 0). */
static inline void fake_domains(int *domain, int size, int width) {
    for (int r = 0; r < size; r++)
        domain[r] = width > 0 ? r / width : width < 0 ? r % -width : 0;
}

/* One algorithm over one transport, with shapes that are whole subtrees and that cut the tree. */
static inline void check_algo(struct link *l, struct outcome *o, const char *name, const struct coll_algo *a,
                              enum coll_transport transport, int width, int variant) {
    static const int leaves[] = {0, 14, 5, 32};
    int n_leaves = leaves[variant % 4] ? leaves[variant % 4] : l->size;
    struct material m;
    int domain[MAX_RANKS];
    material_init(&m, l, n_leaves, variant % OWNERSHIPS, a->label == COLL_BIT_EXACT ? CANONICAL : INTEGERS,
                  variant % 3);
    fake_domains(domain, l->size, width);
    if (width != 0) m.shape.domain = domain;
    struct coll_spec spec = sum_spec(&m, name, transport);
    check_calls(l, o, &m, &spec, a->levels == 2 ? CALLS_OF_PAIR : CALLS);
    material_fini(&m);
}

/* All algorithms of one level, through memory, by messages, and mixed. */
static inline void check_algos(struct link *l, struct outcome *o, int library) {
    int variant = l->size;
    for (const struct coll_algo *const *a = coll_algos; *a; a++) {
        if ((*a)->levels != 1 || !(library || (*a)->build[COLL_ALLREDUCE])) continue;
        check_algo(l, o, (*a)->name, *a, COLL_TRANSPORT_SHM, 0, variant++);
        check_algo(l, o, (*a)->name, *a, COLL_TRANSPORT_LINK, 0, variant++);
        check_algo(l, o, (*a)->name, *a, COLL_TRANSPORT_AUTO, 2, variant++);
        check_algo(l, o, (*a)->name, *a, COLL_TRANSPORT_AUTO, -2, variant++);
    }
}

/* Pairs of algorithms in two levels, others at each rank count, over domains of 2 and 3 ranks and dealt out. */
static inline void check_two_levels(struct link *l, struct outcome *o) {
    static const int widths[] = {2, 3, -2};
    char name[64];
    int variant = 0;
    for (const struct coll_algo *const *a = coll_algos; *a; a++)
        for (const struct coll_algo *const *in = coll_algos; *in && (*a)->levels == 2; in++)
            for (const struct coll_algo *const *out = coll_algos; *out; out++) {
                if ((*in)->levels != 1 || (*in)->library || (*out)->levels != 1 || (*out)->library) continue;
                if (!(*in)->build[COLL_ALLREDUCE] || !(*out)->build[COLL_ALLREDUCE]) continue;
                if ((variant++ + l->size) % EVERY_PAIR != 0) continue;
                snprintf(name, sizeof name, "%s:%s:%s", (*a)->name, (*in)->name, (*out)->name);
                check_algo(l, o, name, *a, variant % 4 == 3 ? COLL_TRANSPORT_LINK : COLL_TRANSPORT_AUTO,
                           widths[variant % 3], variant);
            }
}

/* Codes travel: small integers are exact in binary16, so are their sums; other values are the same on all ranks. */
static inline void check_wires(struct link *l, struct outcome *o) {
    static const struct {
        enum coll_transport transport;
        int width;
    } ways[] = {{COLL_TRANSPORT_SHM, 0}, {COLL_TRANSPORT_LINK, 0}, {COLL_TRANSPORT_AUTO, 2}};
    int domain[MAX_RANKS];
    for (const struct coll_algo *const *a = coll_algos; *a; a++)
        for (int i = 0; i < 3; i++) {
            if (!(*a)->two_step || (*a)->levels != 1 || !(*a)->build[COLL_ALLREDUCE]) continue;
            struct material m;
            struct coll *c;
            struct diag d = {0};
            material_init(&m, l, l->size, 0, INTEGERS, 0);
            fake_domains(domain, l->size, ways[i].width);
            if (ways[i].width) m.shape.domain = domain;
            struct coll_spec spec = sum_spec(&m, (*a)->name, ways[i].transport);
            spec.wire = coll_wire_find("fp16");
            check_calls(l, o, &m, &spec, CALLS);
            material_fini(&m);
            material_init(&m, l, l->size, 0, CANONICAL, 0);
            spec.shape = m.shape;
            if (ways[i].width) spec.shape.domain = domain;
            int code = coll_init(&c, l, &spec, &d);
            EXPECT(o, code == 0, "%s: %s", (*a)->name, d.text);
            if (code == 0) {
                fill_inputs(&m, coll_sendbuf(c, MOST), MOST, 0);
                coll_start(c);
                const float *got = coll_wait(c);
                double worst = 0;
                for (int e = 0; e < MOST; e++)
                    worst = fmax(worst, fabs((double)got[e] - (double)m.want[e]));
                EXPECT(o, agree_same(l, hash_floats(got, MOST, 0), "sums", &d) == 0, "%s: %s", (*a)->name, d.text);
                EXPECT(o, worst <= (l->size + 1) * spec.wire->bound(l->size), "%s: off by %g", (*a)->name, worst);
                coll_free(c);
            }
            material_fini(&m);
        }
}

/* The other kinds: rank r's part of the reduction, and every rank's part of a vector. */
static inline void check_kind(struct link *l, struct outcome *o, enum coll_kind kind, const struct coll_algo *a,
                              enum coll_transport transport) {
    struct material m;
    struct coll *c;
    struct coll_info info;
    struct diag d = {0};
    material_init(&m, l, 14, 0, a->label == COLL_BIT_EXACT ? CANONICAL : INTEGERS, 0);
    struct coll_spec spec = sum_spec(&m, a->name, transport);
    spec.kind = kind;
    int code = coll_init(&c, l, &spec, &d);
    EXPECT(o, code == 0, "%s of %s: %s", coll_kind_name(kind), a->name, d.text);
    if (code != 0) {
        material_fini(&m);
        return;
    }
    coll_info(c, &info);
    for (int call = 0; call < CALLS; call++) {
        size_t n = coll_lengths[(call * 3 + 6) % 7], begin, end;
        begin = coll_part_begin(n, info.granule, info.n_parts, l->rank);
        end = coll_part_begin(n, info.granule, info.n_parts, l->rank + 1);
        float *x = coll_sendbuf(c, n);
        if (kind == COLL_REDUCE_SCATTER) fill_inputs(&m, x, n, call);
        for (size_t e = begin; e < end && kind == COLL_ALLGATHER; e++)
            x[e] = scale_of(call) * m.want[e];
        coll_start(c);
        const float *got = coll_wait(c);
        if (kind == COLL_ALLGATHER) begin = 0, end = n;
        EXPECT(o, count_wrong(&m, got, begin, end, call) == 0, "%s of %s, %d ranks, n = %zu", coll_kind_name(kind),
               a->name, l->size, n);
    }
    coll_free(c);
    material_fini(&m);
}

static inline void check_kinds(struct link *l, struct outcome *o) {
    for (const struct coll_algo *const *a = coll_algos; *a; a++)
        for (int kind = COLL_REDUCE_SCATTER; kind < COLL_KINDS; kind++)
            for (int t = COLL_TRANSPORT_SHM; t <= COLL_TRANSPORT_LINK; t++)
                if ((*a)->levels == 1 && (*a)->build[kind]) check_kind(l, o, (enum coll_kind)kind, *a, t);
}

/* Two collectives under way at once on one link, ended in the other order; one over messages, one through memory. */
static inline void check_interleaved(struct link *l, struct outcome *o) {
    struct material m[2];
    struct coll *c[2];
    struct diag d = {0};
    int codes = 0;
    for (int i = 0; i < 2; i++) {
        material_init(&m[i], l, i ? 14 : 8, i, CANONICAL, i);
        struct coll_spec spec =
            sum_spec(&m[i], i ? "twoshot" : "oneshot", i ? COLL_TRANSPORT_LINK : COLL_TRANSPORT_SHM);
        spec.tag = 20 + i;
        codes |= coll_init(&c[i], l, &spec, &d);
    }
    EXPECT(o, codes == 0, "%s", d.text);
    for (int call = 0; call < CALLS && codes == 0; call++) {
        size_t n[2] = {coll_lengths[call % 7], coll_lengths[(call + 3) % 7]};
        for (int i = 0; i < 2; i++) {
            fill_inputs(&m[i], coll_sendbuf(c[i], n[i]), n[i], call);
            coll_start(c[i]);
        }
        for (int i = 1; i >= 0; i--)
            EXPECT(o, count_wrong(&m[i], coll_wait(c[i]), 0, n[i], call) == 0, "number %d, call %d", i, call);
    }
    for (int i = 0; i < 2; i++) {
        if (codes == 0) coll_free(c[i]);
        material_fini(&m[i]);
    }
}

/* Odd and even ranks apart; the whole link goes on beside them. */
static inline void check_sub_links(struct link *l, struct outcome *o) {
    struct link *half = link_split(l, l->rank % 2, -l->rank);
    check_algo(half, o, "oneshot", coll_algo_find("oneshot"), COLL_TRANSPORT_AUTO, 0, 1);
    check_algo(l, o, "tree", coll_algo_find("tree"), COLL_TRANSPORT_AUTO, 0, 2);
    check_algo(half, o, "twoshot", coll_algo_find("twoshot"), COLL_TRANSPORT_LINK, 0, 3);
    link_free(half);
}

/* Specs that cannot be: the same refusal on all ranks. */
static inline void check_refusals(struct link *l, struct outcome *o) {
    struct material m;
    struct coll *c;
    struct diag d = {0};
    int domain[MAX_RANKS];
    material_init(&m, l, 8, 0, CANONICAL, 0);
    struct coll_spec spec = sum_spec(&m, "oneshot", COLL_TRANSPORT_AUTO);
    fake_domains(domain, l->size, 1);
    spec.shape.domain = domain;
    spec.transport = COLL_TRANSPORT_SHM;
    int code = coll_init(&c, l, &spec, &d);
    EXPECT(o, l->size == 1 || (code == ERR_UNSUPPORTED && strstr(d.text, "share no memory")), "%d %s", code, d.text);
    coll_free(c);
    d = (struct diag){0};
    spec = sum_spec(&m, "no-such", COLL_TRANSPORT_AUTO);
    EXPECT(o, coll_init(&c, l, &spec, &d) == ERR_USAGE && strstr(d.text, "no-such"), "%s", d.text);
    d = (struct diag){0};
    spec = sum_spec(&m, "oneshot", COLL_TRANSPORT_AUTO);
    spec.wire = coll_wire_find("fp16");
    spec.label = COLL_BIT_EXACT;
    EXPECT(o, coll_init(&c, l, &spec, &d) == ERR_USAGE && strstr(d.text, "approximate"), "%s", d.text);
    d = (struct diag){0};
    spec = sum_spec(&m, "oneshot", COLL_TRANSPORT_AUTO);
    spec.n_max += l->rank == l->size - 1;
    code = coll_init(&c, l, &spec, &d);
    EXPECT(o, code == (l->size == 1 ? 0 : ERR_MISMATCH), "%d %s", code, d.text);
    coll_free(c);
    material_fini(&m);
}

/* "auto" takes what may be taken, says why, and is what coll_resolve says. */
static inline void check_auto(struct link *l, struct outcome *o) {
    struct material m;
    struct coll *c;
    struct coll_info info;
    struct coll_choice choice;
    struct diag d = {0};
    uint64_t ps = 0;
    material_init(&m, l, 16, 0, CANONICAL, 2);
    struct coll_spec spec = sum_spec(&m, NULL, COLL_TRANSPORT_AUTO);
    spec.label = COLL_BIT_EXACT;
    int code = coll_init(&c, l, &spec, &d);
    EXPECT(o, code == 0, "%s", d.text);
    if (code == 0) {
        coll_info(c, &info);
        EXPECT(o, info.label == COLL_BIT_EXACT && info.choice.algo->label == COLL_BIT_EXACT, "%s", info.why);
        EXPECT(o, coll_resolve(&spec, &choice, NULL, 0, &d) == 0 && choice.algo == info.choice.algo, "%s", info.why);
        EXPECT(o, strstr(info.why, "fastest of") && info.calls == 0, "'%s'", info.why);
        int rc = coll_predict(&choice, spec.kind, &spec.shape, &net_default, info.transport == COLL_TRANSPORT_SHM,
                              &spec.op, NULL, spec.n_typical, info.granule, &ps, &d);
        EXPECT(o, rc == 0 && info.predicted_ps == ps, "%ld ps, not %ld", (long)info.predicted_ps, (long)ps);
        coll_free(c);
    }
    material_fini(&m);
}

/* All of the above. Collective. */
static inline void check_coll(struct link *l, struct outcome *o) {
    check_algos(l, o, 0);
    check_two_levels(l, o);
    check_kinds(l, o);
    check_wires(l, o);
    check_interleaved(l, o);
    check_sub_links(l, o);
    check_refusals(l, o);
    check_auto(l, o);
}

#endif
