/* The pairwise tree against its definition: for each number of leaves 1..70 and each range of them, and at random for
 * more leaves. Values are floats whose sum depends on the order, compared by their bits. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/pairtree.h"
#include "check.h"

enum { SMALL = 70 };

/* Magnitudes over 2^16, so that nearly each addition rounds. */
static float leaf_value(uint64_t key, int leaf) {
    float v = rng_unit(key, (uint64_t)leaf) - 0.5f;
    return v * (float)(1u << rng_u64(key + 1, (uint64_t)leaf) % 17);
}

static int first_leaf(int n, int level, int index) {
    double width = n / (double)(1 << (pairtree_root_level(n) - level)); /* exact: n < 2^20, a power of two below */
    return (int)floor(index * width);
}

static int covers_none(int n, int level, int index) {
    return first_leaf(n, level, index) == first_leaf(n, level, index + 1);
}

/* Value of a node by the words of pairtree.h. */
static float value_by_definition(int n, int level, int index, uint64_t key) {
    if (!level) return leaf_value(key, first_leaf(n, level, index));
    if (covers_none(n, level - 1, 2 * index)) return value_by_definition(n, level - 1, 2 * index + 1, key);
    float left = value_by_definition(n, level - 1, 2 * index, key);
    if (covers_none(n, level - 1, 2 * index + 1)) return left;
    return left + value_by_definition(n, level - 1, 2 * index + 1, key);
}

static int same_bits(float a, float b) {
    return !memcmp(&a, &b, sizeof a);
}

static int inside(int n, int level, int index, int begin, int end) {
    return first_leaf(n, level, index) >= begin && first_leaf(n, level, index + 1) <= end;
}

/* The maximal nodes by definition: inside the range, while the parent is not (or is no node of the tree). */
static int cover_by_definition(int n, int begin, int end, struct pairtree_node *out) {
    int root = pairtree_root_level(n), count = 0;
    for (int leaf = begin; leaf < end; leaf++)
        for (int level = root; level >= 0; level--)
            for (int near = (int)(((int64_t)leaf << (root - level)) / n), index = near;
                 index <= near + 2 && index < 1 << (root - level); index++) {
                if (first_leaf(n, level, index) != leaf || covers_none(n, level, index)) continue;
                int parent_inside = level < root && inside(n, level + 1, index / 2, begin, end);
                if (inside(n, level, index, begin, end) && !parent_inside)
                    out[count++] = (struct pairtree_node){level, index};
            }
    return count;
}

static int same_nodes(const struct pairtree_node *a, int na, const struct pairtree_node *b, int nb) {
    int same = na == nb;
    for (int i = 0; same && i < na; i++)
        same = a[i].level == b[i].level && a[i].index == b[i].index;
    return same;
}

static void test_root_level(void) {
    static const int want[] = {0, 0, 1, 2, 2, 3, 3, 3, 3, 4};
    for (int n = 0; n < 10; n++)
        CHECK(pairtree_root_level(n) == want[n], "%d leaves", n);
    CHECK(pairtree_root_level(PAIRTREE_MAX_LEAVES) == 20 && pairtree_root_level(PAIRTREE_MAX_LEAVES - 1) == 20, "2^20");
    struct pairtree_node root = {3, 0}, none = {0, 0};
    CHECK(pairtree_begin(root, 5) == 0 && pairtree_end(root, 5) == 5, "root of 5");
    CHECK(pairtree_begin(none, 5) == 0 && pairtree_end(none, 5) == 0, "a node without leaves");
}

static void check_range(int n, int begin, int end) {
    struct pairtree_node got[PAIRTREE_MAX_NODES], want[2 * SMALL];
    float sum[PAIRTREE_MAX_NODES], leaf[SMALL];
    int count = pairtree_cover(n, begin, end, got);
    CHECK(same_nodes(got, count, want, cover_by_definition(n, begin, end, want)), "cover of [%d,%d) of %d", begin, end,
          n);
    for (int i = 0, at = begin; i <= count; at = i < count ? pairtree_end(got[i], n) : at, i++)
        CHECK(i < count ? pairtree_begin(got[i], n) == at : at == end, "[%d,%d) of %d: node %d", begin, end, n, i);
    for (int i = begin; i < end; i++)
        leaf[i - begin] = leaf_value((uint64_t)n, i);
    CHECK(pairtree_sum(n, begin, end, leaf, sum) == count, "sum of [%d,%d) of %d", begin, end, n);
    for (int i = 0; i < count; i++)
        CHECK(same_bits(sum[i], value_by_definition(n, got[i].level, got[i].index, (uint64_t)n)),
              "[%d,%d) of %d: sum %d", begin, end, n, i);
}

static void test_ranges(void) {
    struct pairtree_node none[PAIRTREE_MAX_NODES];
    for (int n = 1; n <= SMALL; n++) {
        for (int begin = 0; begin < n; begin++)
            for (int end = begin + 1; end <= n; end++)
                check_range(n, begin, end);
        int whole = pairtree_cover(n, 0, n, none);
        CHECK(whole == 1 && none[0].level == pairtree_root_level(n) && none[0].index == 0, "the whole of %d", n);
        CHECK(pairtree_cover(n, n, n, none) == 0 && pairtree_cover(n, 2, 1, none) == 0, "empty ranges of %d", n);
        CHECK(pairtree_cover(n, -3, n + 5, none) == 1, "clipped range of %d", n);
    }
    CHECK(pairtree_cover(0, 0, 0, none) == 0 && pairtree_cover(0, 0, 4, none) == 0, "no leaves");
}

/* Sums of a cover into slots, then the joins, give the cover of the joined range. */
static void check_merge(int n, int begin, int mid, int end) {
    struct pairtree_node left[PAIRTREE_MAX_NODES], right[PAIRTREE_MAX_NODES], out[PAIRTREE_MAX_NODES];
    struct pairtree_node want[PAIRTREE_MAX_NODES];
    struct pairtree_join joins[PAIRTREE_MAX_NODES];
    float slot[2 * PAIRTREE_MAX_NODES];
    int out_slot[PAIRTREE_MAX_NODES], n_joins;
    int nl = pairtree_cover(n, begin, mid, left), nr = pairtree_cover(n, mid, end, right);
    for (int i = 0; i < nl; i++)
        slot[i] = value_by_definition(n, left[i].level, left[i].index, 9);
    for (int i = 0; i < nr; i++)
        slot[nl + i] = value_by_definition(n, right[i].level, right[i].index, 9);
    int count = pairtree_merge(left, nl, right, nr, out, out_slot, joins, &n_joins);
    CHECK(same_nodes(out, count, want, pairtree_cover(n, begin, end, want)), "[%d,%d,%d) of %d", begin, mid, end, n);
    CHECK(n_joins == nl + nr - count, "%d joins of %d + %d into %d", n_joins, nl, nr, count);
    for (int i = 0; i < n_joins; i++)
        slot[joins[i].a] = slot[joins[i].a] + slot[joins[i].b];
    for (int i = 0; i < count; i++)
        CHECK(same_bits(slot[out_slot[i]], value_by_definition(n, out[i].level, out[i].index, 9)),
              "[%d,%d,%d) of %d: value %d", begin, mid, end, n, i);
}

static void test_merges(void) {
    for (int n = 1; n <= SMALL; n += n < 20 ? 1 : n < 40 ? 5 : 10)
        for (int begin = 0; begin <= n; begin++)
            for (int mid = begin; mid <= n; mid++)
                for (int end = mid; end <= n; end++)
                    check_merge(n, begin, mid, end);
}

/* The order is a tree's and not a chain's: the values would show it. */
static void test_values_tell(void) {
    int differ = 0;
    for (uint64_t key = 1; key <= 100; key++) {
        float chain = 0;
        for (int i = 0; i < 16; i++)
            chain += leaf_value(key, i);
        differ += !same_bits(chain, value_by_definition(16, 4, 0, key));
    }
    CHECK(differ > 30, "only %d of 100 chained sums differ", differ);
}

/* Node lists stay within their bound, and neighbours merge, up to the most leaves allowed. */
static void test_many_leaves(void) {
    struct pairtree_node left[PAIRTREE_MAX_NODES], right[PAIRTREE_MAX_NODES], out[PAIRTREE_MAX_NODES];
    struct pairtree_node want[PAIRTREE_MAX_NODES];
    struct pairtree_join joins[PAIRTREE_MAX_NODES];
    int out_slot[PAIRTREE_MAX_NODES], n_joins, most = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        int n = PAIRTREE_MAX_LEAVES - (int)(i % 3 ? rng_u64(7, i) % (PAIRTREE_MAX_LEAVES - 4) : 0);
        int begin = i < 10 ? 1 : (int)(rng_u64(8, i) % (uint64_t)n),
            end = i < 10 ? n - 1 : n - (int)(rng_u64(9, i) % (uint64_t)n);
        if (begin >= end) continue;
        int mid = begin + (int)(rng_u64(10, i) % (uint64_t)(end - begin + 1));
        int nl = pairtree_cover(n, begin, mid, left), nr = pairtree_cover(n, mid, end, right);
        int count = pairtree_merge(left, nl, right, nr, out, out_slot, joins, &n_joins);
        CHECK(same_nodes(out, count, want, pairtree_cover(n, begin, end, want)), "[%d,%d,%d) of %d", begin, mid, end,
              n);
        CHECK(nl <= PAIRTREE_MAX_NODES && nr <= PAIRTREE_MAX_NODES && n_joins <= PAIRTREE_MAX_NODES, "bounds");
        most = count > most ? count : most;
    }
    CHECK(most == 38, "longest list %d: 2 (20 - 1) is the most that 2^20 leaves give", most);
}

int main(void) {
    test_root_level();
    test_ranges();
    test_merges();
    test_values_tell();
    test_many_leaves();
    return check_report("base-pairtree");
}
