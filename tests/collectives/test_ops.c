/* The ops attn_merge and topk: alone, and through persistent collectives with every algorithm on ranks that are
 * threads.
 */
#include <float.h>
#include <math.h>

#include "collectives/coll.h"
#include "link_checks.h"
#include "thread_ranks.h"

enum { DIM = 20, WIDTH = 2 + DIM, MOST_POSITIONS = 96, MOST_SHARDS = 9, K = 5 };

/* ---- attention ---- */

/* Positions [0, n) with a score and a value each, cut into shards; what is wanted, and how far off it may be. */
struct attention {
    int n, shards, cut[MOST_SHARDS + 1];
    float score[MOST_POSITIONS], value[MOST_POSITIONS][DIM];
    double want[DIM], mean_magnitude[DIM]; /* of |value|, with the same weights */
    double l;
};

static void cut_positions(struct attention *t, uint64_t key) {
    t->cut[0] = 0;
    for (int i = 1; i <= t->shards; i++) {
        int cut = i == t->shards ? t->n : (int)(rng_u64(key, (uint64_t)(1000 + i)) % (uint64_t)(t->n + 1)), k = i;
        for (; k > 1 && t->cut[k - 1] > cut; k--)
            t->cut[k] = t->cut[k - 1];
        t->cut[k] = cut;
    }
}

static void attention_init(struct attention *t, int shards, uint64_t key) {
    static const float ranges[] = {1, 10, 100, 10000};
    double m = -INFINITY;
    t->n = 1 + (int)(rng_u64(key, 0) % MOST_POSITIONS);
    t->shards = shards;
    cut_positions(t, key);
    for (int j = 0; j < t->n; j++) {
        uint64_t at = (uint64_t)j;
        t->score[j] = ranges[key % 4] * (2 * rng_unit(key + 7, at) - 1);
        if (key % 5 == 0) t->score[j] = ranges[key % 4] - rng_unit(key + 7, at); /* all near the top of the range */
        m = fmax(m, (double)t->score[j]);
        for (int d = 0; d < DIM; d++)
            t->value[j][d] = ldexpf(2 * rng_unit(key + 8, at * DIM + (uint64_t)d) - 1, d % 5 * 4 - 8);
    }
    t->l = 0;
    for (int d = 0; d < DIM; d++)
        t->want[d] = t->mean_magnitude[d] = 0;
    for (int j = 0; j < t->n; j++) {
        double w = exp((double)t->score[j] - m);
        t->l += w;
        for (int d = 0; d < DIM; d++) {
            t->want[d] += w * (double)t->value[j][d];
            t->mean_magnitude[d] += w * fabs((double)t->value[j][d]);
        }
    }
    for (int d = 0; d < DIM; d++) {
        t->want[d] /= t->l;
        t->mean_magnitude[d] /= t->l;
    }
}

/* A shard's element: double inside, each number rounded once. */
static void shard_element(const struct attention *t, int shard, float *x) {
    double m = -INFINITY, sum[1 + DIM] = {0};
    for (int j = t->cut[shard]; j < t->cut[shard + 1]; j++)
        m = fmax(m, (double)t->score[j]);
    for (int j = t->cut[shard]; j < t->cut[shard + 1]; j++) {
        double w = exp((double)t->score[j] - m);
        sum[0] += w;
        for (int d = 0; d < DIM; d++)
            sum[1 + d] += w * (double)t->value[j][d];
    }
    x[0] = (float)m;
    for (int i = 0; i <= DIM; i++)
        x[1 + i] = (float)sum[i];
}

/* M merges: each weight in l and in o has at most 3 M + 1 relative errors of 2^-24 (its e^d, product and sum in each
 * merge, and the first rounding); 1 % for their products, and what underflows, below 2^-126 of a value at each merge.
 * The values are at most 2^8. A sum inside a shard cancels: its rounding counts relative to the magnitudes, too. */
static double merge_bound(const struct attention *t, int d, int merges) {
    double relative = 1.01 * (3 * merges + 1) * 0x1p-24;
    return relative * (t->mean_magnitude[d] + fabs(t->want[d])) + merges * 0x1p-118;
}

/* Reduces elements [first, end) in some order: splits at a place that the key says, operands either way round. */
static void merge_range(const struct coll_op *op, float (*x)[WIDTH], int first, int end, uint64_t key, float *out) {
    float a[WIDTH], b[WIDTH];
    if (end - first == 1) {
        memcpy(out, x[first], sizeof a);
        return;
    }
    int middle = first + 1 + (int)(rng_u64(key, (uint64_t)(first * 16 + end)) % (uint64_t)(end - first - 1));
    merge_range(op, x, first, middle, key, a);
    merge_range(op, x, middle, end, key, b);
    if (key % 2)
        op->reduce(op, out, a, b, 1);
    else
        op->reduce(op, out, b, a, 1);
}

static void check_splits(const struct coll_op *op) {
    static struct attention t;
    float x[MOST_SHARDS][WIDTH], got[WIDTH];
    for (uint64_t key = 0; key < 1800; key++) {
        attention_init(&t, 1 + (int)(key % MOST_SHARDS), key);
        for (int s = 0; s < t.shards; s++)
            shard_element(&t, s, x[s]);
        for (uint64_t order = 0; order < 4; order++) {
            merge_range(op, x, 0, t.shards, key * 8 + order, got);
            for (int d = 0; d < DIM; d++) {
                double error = fabs((double)got[2 + d] / (double)got[1] - t.want[d]);
                CHECK(error <= merge_bound(&t, d, t.shards - 1), "case %ld, %d shards, order %ld: off by %g of %g",
                      (long)key, t.shards, (long)order, error, merge_bound(&t, d, t.shards - 1));
            }
            CHECK(fabs((double)got[1] - t.l) <= t.l * 1.01 * (3 * t.shards - 2) * 0x1p-24, "case %ld: l = %g",
                  (long)key, (double)got[1]);
        }
    }
}

static int same_float(float a, float b) {
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

static long count_different(const float *a, const float *b, int n) {
    long different = 0;
    for (int i = 0; i < n; i++)
        different += !same_float(a[i], b[i]);
    return different;
}

static void special_element(float *x, int i) {
    static const float special[] = {0.0f, -0.0f,   1,        -1,       FLT_MIN / 4, -FLT_MIN / 8, 100, -104.5f,
                                    1e4f, FLT_MAX, -FLT_MAX, INFINITY, -INFINITY,   NAN,          -87, 3.25f};
    x[0] = special[i % 16];
    for (int k = 1; k < WIDTH; k++)
        x[k] = x[0] == -INFINITY ? 0 : special[rng_u64(77, (uint64_t)(i * WIDTH + k)) % 16];
}

/* Over special values: both ways round, into either operand, several elements at once: the same bits. */
static void check_special(const struct coll_op *op) {
    enum { N = 64 };
    static float x[N][WIDTH], a[N][WIDTH], b[N][WIDTH], one[N][WIDTH], two[N][WIDTH];
    const size_t bytes = sizeof x;
    for (int i = 0; i < N; i++)
        special_element(x[i], i);
    for (int shift = 0; shift < N; shift++) {
        memcpy(a, x, bytes);
        for (int i = 0; i < N; i++)
            memcpy(b[i], x[(i + shift) % N], sizeof b[i]);
        op->reduce(op, one, a, b, N);
        op->reduce(op, two, b, a, N);
        CHECK(count_different(one[0], two[0], N * WIDTH) == 0, "does not commute, shift %d", shift);
        for (int i = 0; i < N; i++) {
            float ma = a[i][0], mb = b[i][0], m = ma > mb ? ma : mb;
            int nothing = isnan(ma) || isnan(mb);
            CHECK(nothing ? isnan(one[i][0]) && isnan(one[i][1]) && isnan(one[i][WIDTH - 1]) : one[i][0] == m, "%g",
                  (double)one[i][0]);
            if (!nothing && ma == -INFINITY) CHECK(!count_different(one[i], b[i], WIDTH), "changed by an empty one");
            if (m == INFINITY && ma > -INFINITY && mb > -INFINITY)
                CHECK(nothing || isnan(one[i][1]), "l = %g of an infinite score", (double)one[i][1]);
        }
        op->reduce(op, a, a, b, N);
        CHECK(count_different(one[0], a[0], N * WIDTH) == 0, "other bits into a, shift %d", shift);
        memcpy(a, x, bytes);
        op->reduce(op, b, a, b, N);
        CHECK(count_different(one[0], b[0], N * WIDTH) == 0, "other bits into b, shift %d", shift);
    }
    op->identity(op, a, N);
    op->reduce(op, b, a, x, N);
    for (int i = 0; i < N; i++)
        CHECK(isnan(x[i][0]) || !count_different(b[i], x[i], WIDTH), "changed by the identity");
}

/* The weights against exp, at all scales of the difference. */
static void check_weights(void) {
    struct coll_op op;
    CHECK(coll_op_find(&op, "attn_merge", 1, NULL) == 0 && op.elem_bytes == 12, "found");
    for (int i = 0; i < 100000; i++) {
        float a[3] = {0, 0, 0}, b[3] = {-110 * rng_unit(5, (uint64_t)i), 1, 0}, out[3];
        if (i % 3 == 0) b[0] = ldexpf(b[0], -(i % 40));
        op.reduce(&op, out, a, b, 1);
        double want = exp((double)b[0]), unit = fmax(ldexp(want, -24), 0x1p-150);
        CHECK(fabs((double)out[1] - want) <= 1.0001 * unit, "e^%a is %a", (double)b[0], (double)out[1]);
    }
}

/* ---- candidates ---- */

static int compare_entries(const void *x, const void *y) {
    const struct topk_entry *a = x, *b = y;
    if (a->value != b->value) return a->value > b->value ? -1 : 1;
    return (uint32_t)a->id < (uint32_t)b->id ? -1 : (uint32_t)a->id > (uint32_t)b->id;
}

/* A rank's sorted list of up to K candidates with few different values, both zeros among them and even -inf; ids
 * rank + size * i. */
static void make_list(struct topk_entry list[K], int rank, int size, uint64_t key) {
    static const float values[] = {1, 0.0f, -0.0f, -2, 3, -INFINITY, 0.5f, 1};
    int n = (int)(rng_u64(key, (uint64_t)rank) % (K + 1));
    for (int i = 0; i < K; i++) {
        float value = values[rng_u64(key + 1, (uint64_t)(rank * K + i)) % 8];
        list[i] = i < n ? (struct topk_entry){value, rank + size * i} : (struct topk_entry){-INFINITY, -1};
    }
    qsort(list, K, sizeof *list, compare_entries);
}

static void wanted_list(struct topk_entry want[K], int size, uint64_t key) {
    struct topk_entry all[MAX_RANKS * K];
    for (int r = 0; r < size; r++)
        make_list(all + r * K, r, size, key);
    qsort(all, (size_t)(size * K), sizeof *all, compare_entries);
    memcpy(want, all, K * sizeof *want);
}

/* Every permutation of lists[at..n), merged from the left into either operand. */
static void check_orders(const struct coll_op *op, struct topk_entry (*lists)[K], int at, int n,
                         const struct topk_entry *want) {
    if (at == n) {
        struct topk_entry sum[K], next[K];
        op->identity(op, sum, 1);
        for (int i = 0; i < n; i++) {
            memcpy(next, lists[i], sizeof next);
            if (i % 3 == 2) {
                op->reduce(op, next, sum, next, 1);
                memcpy(sum, next, sizeof sum);
            } else {
                op->reduce(op, sum, i % 2 ? next : sum, i % 2 ? sum : next, 1);
            }
        }
        CHECK(memcmp(sum, want, sizeof sum) == 0, "%d lists: another order, another result", n);
        return;
    }
    for (int i = at; i < n; i++) {
        struct topk_entry t[K];
        memcpy(t, lists[at], sizeof t);
        memcpy(lists[at], lists[i], sizeof t);
        memcpy(lists[i], t, sizeof t);
        check_orders(op, lists, at + 1, n, want);
        memcpy(lists[i], lists[at], sizeof t);
        memcpy(lists[at], t, sizeof t);
    }
}

static void check_topk(const struct coll_op *op) {
    struct topk_entry lists[5][K], want[K];
    for (uint64_t key = 0; key < 200; key++) {
        int n = 1 + (int)(key % 5);
        for (int i = 0; i < n; i++)
            make_list(lists[i], i, n, key);
        wanted_list(want, n, key);
        check_orders(op, lists, 0, n, want);
    }
}

/* ---- through collectives ---- */

enum { HEADS = 37 };

/* Each rank brings one vector: leaf r is rank r's. */
static struct coll_spec rank_spec(const struct link *l, const char *algo, enum coll_transport transport, int *begin) {
    for (int r = 0; r <= l->size; r++)
        begin[r] = r;
    return (struct coll_spec){.name = "test_op",
                              .algo = algo,
                              .label = COLL_ROUNDING,
                              .transport = transport,
                              .n_max = HEADS,
                              .shape = {.size = l->size, .n_leaves = l->size, .begin = begin},
                              .tag = 3,
                              .yield = -1};
}

static void call_attention(struct link *l, struct outcome *o, struct coll *c, const char *algo, int call) {
    static _Thread_local struct attention t[HEADS];
    struct diag d = {0};
    float *x = coll_sendbuf(c, HEADS);
    for (int h = 0; h < HEADS; h++) {
        attention_init(&t[h], l->size, (uint64_t)(call * HEADS + h));
        shard_element(&t[h], l->rank, x + h * WIDTH);
    }
    coll_start(c);
    const float *got = coll_wait(c);
    for (int h = 0; h < HEADS; h++)
        for (int i = 0; i < DIM; i++) {
            double error = fabs((double)got[h * WIDTH + 2 + i] / (double)got[h * WIDTH + 1] - t[h].want[i]);
            double bound = merge_bound(&t[h], i, l->size - 1);
            EXPECT(o, error <= bound, "%s on %d ranks: head %d is off by %g of %g", algo, l->size, h, error, bound);
        }
    EXPECT(o, agree_same(l, hash_floats(got, HEADS * WIDTH, 0), "attention", &d) == 0, "%s: %s", algo, d.text);
}

static void call_topk(struct link *l, struct outcome *o, struct coll *c, const char *algo, int call) {
    struct topk_entry *x = coll_sendbuf(c, HEADS), want[K];
    for (int h = 0; h < HEADS; h++)
        make_list(x + h * K, l->rank, l->size, (uint64_t)(call * HEADS + h));
    coll_start(c);
    const struct topk_entry *got = coll_wait(c);
    for (int h = 0; h < HEADS; h++) {
        wanted_list(want, l->size, (uint64_t)(call * HEADS + h));
        EXPECT(o, memcmp(want, got + h * K, sizeof want) == 0, "%s on %d ranks: list %d", algo, l->size, h);
    }
}

static void check_algo(struct link *l, struct outcome *o, const char *algo, enum coll_transport transport, int width) {
    static const char *const names[] = {"attn_merge", "topk"};
    int begin[MAX_RANKS + 1], domain[MAX_RANKS];
    for (int op = 0; op < 2; op++) {
        struct coll_spec spec = rank_spec(l, algo, transport, begin);
        struct coll_info info;
        struct coll *c;
        struct diag d = {0};
        for (int r = 0; r < l->size && width; r++)
            domain[r] = r / width;
        if (width) spec.shape.domain = domain;
        if (op == 1) spec.label = COLL_BIT_EXACT;
        int code = coll_op_find(&spec.op, names[op], op ? K : DIM, &d);
        if (code == 0) code = coll_init(&c, l, &spec, &d);
        EXPECT(o, code == 0, "%s: %s: %s", names[op], algo, d.text);
        if (code != 0) return;
        coll_info(c, &info);
        EXPECT(o, op == 0 || info.label == COLL_BIT_EXACT, "%s is %s", algo, coll_label_name(info.label));
        for (int call = 0; call < 3; call++)
            (op ? call_topk : call_attention)(l, o, c, algo, call);
        coll_free(c);
    }
}

static void check_rank(struct link *l, struct outcome *o) {
    struct coll_op op;
    struct coll *c;
    struct diag d = {0};
    int begin[MAX_RANKS + 1];
    for (const struct coll_algo *const *a = coll_algos; *a; a++) {
        if ((*a)->levels != 1 || !(*a)->build[COLL_ALLREDUCE]) continue;
        check_algo(l, o, (*a)->name, COLL_TRANSPORT_SHM, 0);
        check_algo(l, o, (*a)->name, COLL_TRANSPORT_LINK, 0);
        check_algo(l, o, (*a)->name, COLL_TRANSPORT_AUTO, 2);
    }
    check_algo(l, o, "hierarchical:twoshot:ring", COLL_TRANSPORT_AUTO, 2);
    check_algo(l, o, "hierarchical:tree:recdbl", COLL_TRANSPORT_AUTO, 2);
    struct coll_spec spec = rank_spec(l, "mpi", COLL_TRANSPORT_AUTO, begin);
    EXPECT(o, coll_op_find(&op, "topk", K, &d) == 0, "%s", d.text);
    spec.op = op;
    EXPECT(o, coll_init(&c, l, &spec, &d) == ERR_UNSUPPORTED, "the library has no %s", op.name);
    spec.algo = "twoshot";
    spec.label = COLL_APPROXIMATE;
    spec.wire = coll_wire_find("int8");
    EXPECT(o, coll_init(&c, l, &spec, &d) == ERR_USAGE, "no wire form carries %s", op.name);
}

static void check_names(void) {
    struct coll_op op;
    struct diag d = {0};
    CHECK(coll_op_find(&op, "topk", 0, &d) == ERR_RANGE && strstr(d.text, "topk"), "%s", d.text);
    d = (struct diag){0};
    CHECK(coll_op_find(&op, "sum", 2, &d) == ERR_RANGE, "%s", d.text);
    d = (struct diag){0};
    CHECK(coll_op_find(&op, "product", 1, &d) == ERR_USAGE && strstr(d.text, "attn_merge"), "%s", d.text);
}

int main(void) {
    static const int sizes[] = {1, 2, 3, 5, 8};
    struct coll_op merge, topk;
    CHECK(coll_op_find(&merge, "attn_merge", DIM, NULL) == 0 && merge.elem_bytes == sizeof(float[WIDTH]), "found");
    CHECK(coll_op_find(&topk, "topk", K, NULL) == 0 && topk.elem_bytes == sizeof(struct topk_entry[K]), "found");
    check_names();
    check_splits(&merge);
    check_special(&merge);
    check_weights();
    check_topk(&topk);
    for (int i = 0; i < 5; i++)
        run_threads(sizes[i], check_rank);
    return check_report("coll-ops");
}
