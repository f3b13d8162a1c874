#include "models/order.h"

#include <stdint.h>

static int ceil_div(int a, int b) {
    return a / b + (a % b != 0);
}

struct order_axis order_axis_whole(int cols) {
    return (struct order_axis){ORDER_WHOLE, cols, cols > 0};
}

struct order_axis order_axis_heads(int n_heads, int head_dim) {
    return (struct order_axis){ORDER_HEADS, n_heads * head_dim, n_heads};
}

struct order_axis order_axis_runs(int cols) {
    int blocks = ceil_div(cols, ORDER_GROUP);
    return (struct order_axis){ORDER_RUNS_CUT, cols, blocks < ORDER_RUNS ? blocks : ORDER_RUNS};
}

int order_leaf_begin(const struct order_axis *axis, int leaf) {
    if (leaf >= axis->n_leaves) return axis->cols;
    if (axis->cut == ORDER_HEADS) return leaf * (axis->cols / axis->n_leaves);
    if (axis->cut == ORDER_WHOLE) return 0;
    return ORDER_GROUP * (int)((int64_t)leaf * ceil_div(axis->cols, ORDER_GROUP) / axis->n_leaves);
}

int order_group_count(const struct order_axis *axis, int leaf0, int leaf1) {
    int n = 0;
    for (int leaf = leaf0; leaf < leaf1; leaf++) {
        int begin = order_leaf_begin(axis, leaf), end = order_leaf_begin(axis, leaf + 1);
        if (begin < end) n += (end - 1) / ORDER_GROUP - begin / ORDER_GROUP + 1;
    }
    return n;
}

void order_groups(const struct order_axis *axis, int leaf0, int leaf1, struct order_group *groups) {
    for (int leaf = leaf0; leaf < leaf1; leaf++) {
        int end = order_leaf_begin(axis, leaf + 1);
        for (int c = order_leaf_begin(axis, leaf), next; c < end; c = next) {
            next = (c / ORDER_GROUP + 1) * ORDER_GROUP;
            if (next > end) next = end;
            *groups++ = (struct order_group){c, next, leaf};
        }
    }
}

float order_lanes_sum(const float lane[ORDER_LANES]) {
    float t[ORDER_LANES / 2];
    for (int j = 0; j < 8; j++)
        t[j] = lane[j] + lane[j + 8];
    for (int half = 4; half; half /= 2)
        for (int j = 0; j < half; j++)
            t[j] += t[j + half];
    return t[0];
}
