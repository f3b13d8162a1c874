#include "base/pairtree.h"

#include <string.h>

int pairtree_root_level(int n_leaves) {
    int level = 0;
    while (((long)1 << level) < n_leaves)
        level++;
    return level;
}

/* Leaf at which index i of a level begins: floor(i * n / 2^(root - level)). */
static int boundary(long index, int level, int n_leaves) {
    return (int)(index * n_leaves >> (pairtree_root_level(n_leaves) - level));
}

int pairtree_begin(struct pairtree_node node, int n_leaves) {
    return boundary(node.index, node.level, n_leaves);
}

int pairtree_end(struct pairtree_node node, int n_leaves) {
    return boundary((long)node.index + 1, node.level, n_leaves);
}

struct pairtree_node pairtree_leaf(int n_leaves, int leaf) {
    long width = (long)1 << pairtree_root_level(n_leaves);
    struct pairtree_node node = {0, (int)((((long)leaf + 1) * width - 1) / n_leaves)}, sibling = {0, node.index ^ 1};
    if (width == 1 || pairtree_begin(sibling, n_leaves) < pairtree_end(sibling, n_leaves)) return node;
    return (struct pairtree_node){1, node.index / 2};
}

/* Highest node that starts at leaf `begin` and covers nothing at or past `end`. */
static struct pairtree_node highest(int n_leaves, int begin, int end) {
    struct pairtree_node node = pairtree_leaf(n_leaves, begin);
    int root = pairtree_root_level(n_leaves);
    while (node.level < root) {
        struct pairtree_node up = {node.level + 1, node.index / 2};
        if (pairtree_begin(up, n_leaves) != begin || pairtree_end(up, n_leaves) > end) break;
        node = up;
    }
    return node;
}

int pairtree_cover(int n_leaves, int begin, int end, struct pairtree_node nodes[PAIRTREE_MAX_NODES]) {
    int n = 0;
    if (begin < 0) begin = 0;
    if (end > n_leaves) end = n_leaves;
    while (begin < end) {
        nodes[n] = highest(n_leaves, begin, end);
        begin = pairtree_end(nodes[n], n_leaves);
        n++;
    }
    return n;
}

/* True if b is the right sibling of a. */
static int siblings(struct pairtree_node a, struct pairtree_node b) {
    return a.level == b.level && a.index + 1 == b.index && a.index % 2 == 0;
}

/* Joins the last two nodes of a list while they are siblings; *n shrinks; calls are recorded through joins. */
static void settle(struct pairtree_node *list, int *slot, int *n, struct pairtree_join *joins, int *n_joins) {
    while (*n >= 2 && siblings(list[*n - 2], list[*n - 1])) {
        joins[(*n_joins)++] = (struct pairtree_join){slot[*n - 2], slot[*n - 1]};
        list[*n - 2] = (struct pairtree_node){list[*n - 2].level + 1, list[*n - 2].index / 2};
        (*n)--;
    }
}

int pairtree_merge(const struct pairtree_node *left, int nl, const struct pairtree_node *right, int nr,
                   struct pairtree_node out[PAIRTREE_MAX_NODES], int out_slot[PAIRTREE_MAX_NODES],
                   struct pairtree_join joins[PAIRTREE_MAX_NODES], int *n_joins) {
    struct pairtree_node list[2 * PAIRTREE_MAX_NODES];
    int slot[2 * PAIRTREE_MAX_NODES], n = 0;
    *n_joins = 0;
    for (int i = 0; i < nl + nr; i++) {
        list[n] = i < nl ? left[i] : right[i - nl];
        slot[n] = i;
        n++;
        settle(list, slot, &n, joins, n_joins);
    }
    memcpy(out, list, (size_t)n * sizeof *out);
    memcpy(out_slot, slot, (size_t)n * sizeof *out_slot);
    return n;
}

int pairtree_sum(int n_leaves, int begin, int end, const float *leaf, float out[PAIRTREE_MAX_NODES]) {
    struct pairtree_node list[PAIRTREE_MAX_NODES];
    int n = 0;
    for (int i = begin; i < end; i++) {
        list[n] = pairtree_leaf(n_leaves, i);
        out[n++] = leaf[i - begin];
        while (n >= 2 && siblings(list[n - 2], list[n - 1])) {
            out[n - 2] = out[n - 2] + out[n - 1];
            list[n - 2] = (struct pairtree_node){list[n - 2].level + 1, list[n - 2].index / 2};
            n--;
        }
    }
    return n;
}
