/* Axes, leaves, groups and the reduction of lanes. */
#include "models/order.h"

#include "check.h"
#include "gen.h"
#include "kernels/walk.h"

static void check_axis(struct order_axis a) {
    CHECK(order_leaf_begin(&a, 0) == 0 && order_leaf_begin(&a, a.n_leaves) == a.cols, "ends of %d columns", a.cols);
    for (int leaf = 0; leaf < a.n_leaves; leaf++)
        CHECK(order_leaf_begin(&a, leaf) < order_leaf_begin(&a, leaf + 1), "empty leaf %d of %d columns", leaf, a.cols);
}

/* Groups of any range of leaves tile it, stay in one leaf and one piece, and are as long as that allows. */
static void check_groups(struct order_axis a, int leaf0, int leaf1) {
    int n = order_group_count(&a, leaf0, leaf1);
    struct order_group *g = gen_alloc((size_t)n * sizeof *g);
    int at = order_leaf_begin(&a, leaf0);
    order_groups(&a, leaf0, leaf1, g);
    for (int i = 0; i < n; at = g[i++].end) {
        CHECK(g[i].begin == at && g[i].begin < g[i].end, "group %d of %d", i, n);
        CHECK(g[i].begin / 32 == (g[i].end - 1) / 32, "group %d leaves its piece", i);
        CHECK(g[i].begin >= order_leaf_begin(&a, g[i].leaf) && g[i].end <= order_leaf_begin(&a, g[i].leaf + 1), "leaf");
        CHECK(g[i].end % 32 == 0 || g[i].end == order_leaf_begin(&a, g[i].leaf + 1), "group %d is cut early", i);
    }
    CHECK(at == order_leaf_begin(&a, leaf1), "groups end at %d", at);
    free(g);
}

static void test_axes(void) {
    for (int cols = 1; cols < 3000; cols += cols < 70 ? 1 : 37) {
        struct order_axis runs = order_axis_runs(cols), whole = order_axis_whole(cols);
        check_axis(runs), check_axis(whole);
        CHECK(whole.n_leaves == 1 && runs.n_leaves == ((cols + 31) / 32 < 16 ? (cols + 31) / 32 : 16), "%d", cols);
        for (int leaf = 0; leaf < runs.n_leaves; leaf++)
            CHECK(order_leaf_begin(&runs, leaf) % 32 == 0, "%d", cols);
        check_groups(runs, 0, runs.n_leaves), check_groups(whole, 0, 1);
        check_groups(runs, runs.n_leaves / 3, runs.n_leaves - runs.n_leaves / 4);
    }
    for (int dim = 1; dim <= 160; dim += 7)
        for (int heads = 1; heads < 20; heads += 3) {
            struct order_axis a = order_axis_heads(heads, dim);
            check_axis(a);
            CHECK(a.n_leaves == heads && a.cols == heads * dim && order_leaf_begin(&a, heads / 2) == heads / 2 * dim,
                  "heads");
            check_groups(a, 0, heads), check_groups(a, heads / 2, heads);
        }
    struct order_axis none = order_axis_whole(0);
    CHECK(none.n_leaves == 0 && order_group_count(&none, 0, 0) == 0, "empty axis");
}

/* 40 columns of 5 heads of 8, from head 1: two cut pieces. */
static void test_groups_by_hand(void) {
    struct order_axis a = order_axis_heads(3, 40);
    static const struct order_group want[] = {{40, 64, 1}, {64, 80, 1}, {80, 96, 2}, {96, 120, 2}};
    struct order_group g[4];
    CHECK(order_group_count(&a, 1, 3) == 4, "count");
    order_groups(&a, 1, 3, g);
    CHECK(!memcmp(g, want, sizeof want), "groups");
}

static void test_lanes(void) {
    float big = 0x1p24f, lane[ORDER_LANES] = {0};
    lane[0] = big, lane[8] = 1, lane[4] = -big,
    lane[12] = 1; /* (2^24 + 1) + (-2^24 + 1): the first rounds its 1 away */
    CHECK(order_lanes_sum(lane) == 1, "%g", order_lanes_sum(lane));
    for (int i = 0; i < ORDER_LANES; i++)
        lane[i] = (float)(1 << i);
    CHECK(order_lanes_sum(lane) == 65535, "%g", order_lanes_sum(lane));
}

/* The kernels' stack and base/pairtree agree on every range of leaves. */
static void test_stack(void) {
    float leaf[70], v[PAIRTREE_MAX_NODES], want[PAIRTREE_MAX_NODES];
    gen_seed(5);
    for (int n = 1; n <= 70; n++)
        for (int begin = 0; begin < n; begin++)
            for (int end = begin + 1; end <= n; end += 1 + gen_int(4)) {
                struct sum_stack s = {0, 1, v};
                for (int i = begin; i < end; i++) {
                    *stack_slot(&s) = leaf[i - begin] = gen_float();
                    stack_push(&s, leaf_joins(n, begin, i));
                }
                int nodes = pairtree_sum(n, begin, end, leaf, want);
                CHECK(s.top == nodes && !memcmp(v, want, (size_t)nodes * sizeof *v), "%d leaves, [%d, %d)", n, begin,
                      end);
            }
}

int main(void) {
    test_axes();
    test_groups_by_hand();
    test_lanes();
    test_stack();
    return check_report("order");
}
