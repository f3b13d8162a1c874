/* Shares of ranks with unequal speeds: none of all contiguous splits has a faster slowest rank, equal speeds give the
 * plan without speeds, and even shares that are as good stay. */
#include <inttypes.h>
#include <stdlib.h>

#include "check.h"
#include "random_shape.h"

enum { CASES = 150, MOST = 4, ONE = 1000000 };

static const int tenths[] = {1, 3, 5, 8, 10, 10, 13, 20};

static int64_t time_of(int64_t work, uint64_t speed) {
    return (int64_t)(work * 1e6 * 1048576 / (double)speed);
}

struct one {
    struct model_shape shape;
    struct plan_opts opts;
    uint64_t speed[2 * MOST];
    int size;
};

static int64_t kv_heads(const struct one *o, int a, int b) {
    int share = o->shape.n_heads / o->shape.n_kv_heads;
    return a < b ? (b - 1) / share - a / share + 1 : 0;
}

static int64_t head_rows(const struct one *o, int a, int b) {
    return 2 * (b - a) + 2 * kv_heads(o, a, b);
}

static int64_t columns(const struct one *o, int a, int b) {
    struct order_axis axis = order_axis_runs(o->shape.d_ffn);
    return order_leaf_begin(&axis, b) - order_leaf_begin(&axis, a);
}

static int64_t rows(const struct one *o, int a, int b) {
    (void)o;
    return b - a;
}

typedef int64_t work_of(const struct one *o, int a, int b);

/* By trying every split of [a, n) over the ranks from i on, cut at whole steps. */
static int64_t least(const struct one *o, work_of *work, int n, int step, int i, int a) {
    if (i == o->size - 1) return time_of(work(o, a, n), o->speed[i]);
    int64_t best = INT64_MAX;
    for (int b = a; b <= n; b += step) {
        int64_t here = time_of(work(o, a, b), o->speed[i]);
        if (here >= best) break;
        int64_t rest = least(o, work, n, step, i + 1, b);
        if (rest < here) rest = here;
        if (rest < best) best = rest;
    }
    return best;
}

static int64_t slowest(const struct one *o, work_of *work, const int *begin) {
    int64_t most = 0;
    for (int i = 0; i < o->size; i++) {
        int64_t t = time_of(work(o, begin[i], begin[i + 1]), o->speed[i]);
        if (t > most) most = t;
    }
    return most;
}

/* Quotients that doubles round. */
static int about(int64_t a, int64_t b) {
    return llabs(a - b) <= 4;
}

static void one_init(struct one *o, int number) {
    struct dice d = {(uint64_t)number + 70, 0};
    *o = (struct one){.size = 2 + number % (MOST - 1)};
    do
        random_shape(&d, &o->shape);
    while (o->shape.n_heads > 24 || !o->shape.causal);
    if (o->size == MOST) o->shape.n_vocab = 1 + roll(&d, 60);
    random_opts(&d, &o->opts);
    for (int i = 0; i < 2 * MOST; i++)
        o->speed[i] = (uint64_t)tenths[roll(&d, 8)] * ONE / 10;
}

static struct plan *make(const struct one *o, const char *form, const uint64_t *speed, int depth) {
    struct plan_opts opts = o->opts;
    struct strategy st;
    struct plan *p = NULL;
    struct diag d = {0};
    char text[64];
    snprintf(text, sizeof text, form, o->size);
    opts.speed = speed;
    opts.cut_depth = depth;
    int rc = strategy_parse(&st, text, &d);
    if (!rc) rc = plan_make(&p, &o->shape, &st, strategy_ranks(&st), &opts, &d);
    CHECK(rc == 0, "%s: %s", text, d.text);
    return p;
}

static int same(const int *a, const int *b, int n) {
    return !memcmp(a, b, (size_t)n * sizeof *a);
}

/* Returns how many of the three shares are not even. */
static int check_shares(const struct one *o, const struct plan *p, const struct plan *even) {
    const struct plan_stage *is = p->stages, *was = even->stages;
    const struct model_shape *s = &o->shape;
    int leaves = order_axis_runs(s->d_ffn).n_leaves, n = o->size + 1;
    int64_t ffn = slowest(o, columns, is->ffn_begin), vocab = slowest(o, rows, is->vocab_begin);
    int64_t heads = slowest(o, head_rows, is->head_begin);
    int64_t single = least(o, head_rows, s->n_heads, 1, 0, 0);
    int64_t grouped = least(o, head_rows, s->n_heads, s->n_heads / s->n_kv_heads, 0, 0);
    CHECK(about(ffn, least(o, columns, leaves, 1, 0, 0)), "%s: FFN columns of %d", s->name, o->size);
    CHECK(about(vocab, least(o, rows, s->n_vocab, 1, 0, 0)), "%s: %d rows of %d", s->name, s->n_vocab, o->size);
    int64_t before = slowest(o, head_rows, was->head_begin);
    CHECK(about(heads, single) || about(heads, grouped) || (heads == before && heads <= grouped),
          "%s: heads of %d: %" PRId64 ", single %" PRId64 ", groups %" PRId64, s->name, o->size, heads, single,
          grouped);
    CHECK(heads <= before, "%s: heads of %d are slower than even ones", s->name, o->size);
    const int changed[3] = {!same(is->head_begin, was->head_begin, n), !same(is->ffn_begin, was->ffn_begin, n),
                            !same(is->vocab_begin, was->vocab_begin, n)};
    CHECK(!changed[0] || heads < before, "%s: even heads were as good", s->name);
    CHECK(!changed[1] || ffn < slowest(o, columns, was->ffn_begin), "%s: even columns were as good", s->name);
    CHECK(!changed[2] || vocab < slowest(o, rows, was->vocab_begin), "%s: even rows were as good", s->name);
    return changed[0] + changed[1] + changed[2];
}

/* Subtrees of the ranks' leaves, all together. */
static int n_sums(const struct one *o, const struct plan *p) {
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    int n = 0, leaves = order_axis_runs(o->shape.d_ffn).n_leaves;
    for (int i = 0; i < o->size; i++)
        n += pairtree_cover(leaves, p->stages[0].ffn_begin[i], p->stages[0].ffn_begin[i + 1], nodes);
    return n;
}

/* Deeper cuts are never slower, and whole halves are not cut. */
static void check_depths(const struct one *o) {
    int64_t before = INT64_MAX;
    for (int depth = 1; depth <= 5; depth++) {
        struct plan *p = make(o, "tp%d", o->speed, depth);
        int64_t t = slowest(o, columns, p->stages[0].ffn_begin);
        CHECK(t <= before, "%s: depth %d is slower", o->shape.name, depth);
        if (depth == 1 && o->size == 2) CHECK(n_sums(o, p) <= 2, "%s: %d sums of halves", o->shape.name, n_sums(o, p));
        before = t;
        plan_free(p);
    }
}

static void check_unlike(const struct one *o) {
    uint64_t equal[2 * MOST];
    struct plan *even = make(o, "tp%d", NULL, 0), *shared;
    for (int i = 0; i < 2 * MOST; i++)
        equal[i] = o->speed[0];
    struct plan *same_speed = make(o, "tp%d", equal, 0);
    CHECK(same_speed->hash == even->hash, "%s: equal speeds make another plan", o->shape.name);
    plan_free(same_speed);
    plan_free(even);
    if (o->size % 2 || o->shape.n_heads % o->size) return;
    even = make(o, "kvp%d", NULL, 0);
    shared = make(o, "kvp%d", o->speed, 0);
    CHECK(shared->hash == even->hash, "%s: ranks that share a cache have other shares", o->shape.name);
    plan_free(shared);
    plan_free(even);
}

/* Two stages of unlike ranks: each has the shares that it would have by itself, and the faster one no fewer layers. */
static void check_stages(const struct one *o) {
    struct one own = *o;
    if (own.shape.n_layers < 2) return;
    struct plan *p = make(&own, "tp%dxpp2", own.speed, 0);
    for (int s = 0; s < 2; s++) {
        struct plan *alone = make(&own, "tp%d", own.speed + s * own.size, 0);
        CHECK(same(p->stages[s].head_begin, alone->stages[0].head_begin, own.size + 1) &&
                  same(p->stages[s].ffn_begin, alone->stages[0].ffn_begin, own.size + 1),
              "%s: shares of stage %d", own.shape.name, s);
        plan_free(alone);
    }
    plan_free(p);
    for (int i = 0; i < own.size; i++)
        own.speed[i] = 2 * ONE, own.speed[own.size + i] = ONE / 2;
    p = make(&own, "tp%dxpp2", own.speed, 0);
    CHECK(p->stages[0].layer1 >= own.shape.n_layers - p->stages[0].layer1, "%s: %d layers on fast ranks",
          own.shape.name, p->stages[0].layer1);
    plan_free(p);
}

int main(void) {
    int changed = 0;
    for (int i = 0; i < CASES; i++) {
        struct one o;
        one_init(&o, i);
        struct plan *even = make(&o, "tp%d", NULL, 0), *p = make(&o, "tp%d", o.speed, 0);
        if (even && p) changed += check_shares(&o, p, even);
        plan_free(p);
        plan_free(even);
        check_depths(&o);
        check_unlike(&o);
        check_stages(&o);
    }
    CHECK(changed > CASES, "only %d shares of %d changed", changed, 3 * CASES);
    return check_report("test_speeds");
}
