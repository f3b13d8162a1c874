/* speeds.c - heads, FFN leaves and vocabulary rows of a stage dealt to ranks of unequal speeds.
 *
 * Ranks of a stage wait for each other in every all-reduce, so the slowest decides: rank i with work w(i) and speed
 * v(i) takes w(i) / v(i), and the largest of these quotients is as small as any contiguous split makes it
 * (split_linear: exact). Even shares that are as good stay; of others the ranks together have the fewest subtrees of
 * the canonical tree, each of which is a vector in an all-reduce. Results have the same bits whoever has which leaf
 * (order.h).
 *
 *     16 leaves, speeds 1 and 0.5:   11 5, the slowest takes 11; evenly 8 8, it takes 16                            */
#include <stdlib.h>

#include "parts.h"

__extension__ typedef unsigned __int128 wide; /* work by large factors */

/* Places where a row of things may be cut, and what lies between two of them. */
struct deal {
    const uint64_t *speed;
    int size, n_cuts, *cut; /* cut[0] = 0, ..., cut[n_cuts] = all */
    int64_t (*work)(const struct deal *k, int a, int b);
    const struct model_shape *shape;
    struct order_axis axis;
};

/* In 2^-20 of a unit of work at a card's speed. */
static int64_t quotient(int64_t work, uint64_t speed) {
    return (int64_t)(((wide)work * SPEED_ONE << 20) / speed);
}

static int64_t time_of(void *user, int rank, int a, int b) {
    const struct deal *k = user;
    return quotient(k->work(k, k->cut[a], k->cut[b]), k->speed[rank]);
}

static int64_t sums_of(void *user, int rank, int a, int b) {
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    const struct deal *k = user;
    (void)rank;
    return pairtree_cover(k->axis.n_leaves, k->cut[a], k->cut[b], nodes);
}

static int64_t slowest(const struct deal *k, const int *begin) {
    int64_t most = 0;
    for (int i = 0; i < k->size; i++) {
        int64_t t = quotient(k->work(k, begin[i], begin[i + 1]), k->speed[i]);
        if (t > most) most = t;
    }
    return most;
}

/* Cuts at every `step` things that are ends of subtrees so deep. */
static int find_cuts(struct deal *k, int step, int depth) {
    int n = k->axis.n_leaves, level = pairtree_root_level(n);
    if (!depth || depth > level) depth = level;
    k->n_cuts = 0;
    k->cut = calloc((size_t)n + 1, sizeof *k->cut);
    for (int i = step; k->cut && i <= n; i += step) {
        int64_t node = (((int64_t)i << depth) + n - 1) / n; /* the first that does not begin before i */
        if (node * n >> depth == i) k->cut[++k->n_cuts] = i;
    }
    return k->cut ? 0 : ERR_MEMORY;
}

static int best_of_cuts(struct deal *k, int step, int depth, int64_t *largest, int *begin) {
    int rc = find_cuts(k, step, depth);
    struct split_job job = {k->n_cuts, k->size, NULL, 0, time_of, sums_of, k};
    if (!rc) rc = split_linear(&job, largest, begin);
    for (int i = 0; i <= k->size && !rc; i++)
        begin[i] = k->cut[begin[i]];
    free(k->cut);
    return rc;
}

/* ---- heads ---- */

/* Rows of the four attention matrices, in units of head_dim. */
static int64_t head_rows(const struct deal *k, int a, int b) {
    return 2 * (b - a) + 2 * split_kv_heads(a, b, k->shape->n_heads / k->shape->n_kv_heads);
}

static int64_t most_kv(const struct deal *k, const int *begin) {
    int64_t most = 0;
    for (int i = 0; i < k->size; i++) {
        int kv = split_kv_heads(begin[i], begin[i + 1], k->shape->n_heads / k->shape->n_kv_heads);
        int64_t t = quotient(kv, k->speed[i]);
        if (t > most) most = t;
    }
    return most;
}

/* Whole KV groups, or single heads where these are faster and no rank reads its cache longer (split_whole). */
static int deal_heads(struct deal *k, int depth, int *begin, int *single) {
    int share = k->shape->n_heads / k->shape->n_kv_heads, rc;
    int64_t even = slowest(k, begin), grouped = INT64_MAX, alone = INT64_MAX;
    int *group = single + k->size + 1;
    rc = best_of_cuts(k, share, depth, &grouped, group);
    if (!rc) rc = best_of_cuts(k, 1, depth, &alone, single);
    if (rc) return rc;
    int use_single = alone < grouped && (k->size > k->shape->n_kv_heads || most_kv(k, single) <= most_kv(k, group));
    if (even <= (use_single ? alone : grouped)) return 0;
    for (int i = 0; i <= k->size; i++)
        begin[i] = use_single ? single[i] : group[i];
    return 0;
}

int speeds_heads(const struct model_shape *s, const uint64_t *speed, int size, int depth, int *begin) {
    struct deal k = {.speed = speed, .size = size, .work = head_rows, .shape = s};
    int *tried = calloc(2 * ((size_t)size + 1), sizeof *tried);
    k.axis = order_axis_heads(s->n_heads, s->head_dim);
    int rc = tried ? deal_heads(&k, depth, begin, tried) : ERR_MEMORY;
    free(tried);
    return rc;
}

/* ---- FFN leaves ---- */

static int64_t columns(const struct deal *k, int a, int b) {
    return order_leaf_begin(&k->axis, b) - order_leaf_begin(&k->axis, a);
}

int speeds_leaves(int d_ffn, const uint64_t *speed, int size, int depth, int *begin) {
    struct deal k = {.speed = speed, .size = size, .work = columns, .axis = order_axis_runs(d_ffn)};
    int64_t even = slowest(&k, begin), largest;
    int *best = calloc((size_t)size + 1, sizeof *best), rc = best ? 0 : ERR_MEMORY;
    if (!rc) rc = best_of_cuts(&k, 1, depth, &largest, best);
    for (int i = 0; i <= size && !rc && largest < even; i++)
        begin[i] = best[i];
    free(best);
    return rc;
}

/* ---- vocabulary rows ---- */

static int64_t single_rows(const struct deal *k, int a, int b) {
    (void)k;
    return b - a;
}

/* The rank that would have one more row the soonest. */
static int next_rank(const int *n, const uint64_t *speed, int size) {
    int best = 0;
    for (int i = 1; i < size; i++)
        if (quotient(n[i] + 1, speed[i]) < quotient(n[best] + 1, speed[best])) best = i;
    return best;
}

/* Nobody has less than its share rounded down; what is left goes row by row to who is done soonest, which is the best
 * for rows that are alike. */
int speeds_rows(int n, const uint64_t *speed, int size, int *begin) {
    const struct deal k = {.speed = speed, .size = size, .work = single_rows};
    int *rows = calloc((size_t)size, sizeof *rows), *best = calloc((size_t)size + 1, sizeof *best), left = n;
    uint64_t sum = 0;
    for (int i = 0; i < size; i++)
        sum += speed[i];
    for (int i = 0; i < size && rows; i++)
        left -= rows[i] = (int)((wide)n * speed[i] / sum);
    while (rows && left-- > 0)
        rows[next_rank(rows, speed, size)]++;
    for (int i = 0; i < size && rows && best; i++)
        best[i + 1] = best[i] + rows[i];
    int rc = !rows || !best ? ERR_MEMORY : 0, faster = !rc && slowest(&k, best) < slowest(&k, begin);
    for (int i = 0; i <= size && faster; i++)
        begin[i] = best[i];
    free(rows);
    free(best);
    return rc;
}
