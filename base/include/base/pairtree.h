/* pairtree.h - the canonical pairwise tree over n leaves, and its maximal subtrees.
 *
 * Sums that cross leaves are always taken along this tree, so their bits do not depend on who owns which leaf. It
 * halves [0, n) until single leaves are left: with R = ceil(lg n), node (level l, index i) covers the leaves [floor(i*n
 * / 2^(R-l)), floor((i+1)*n / 2^(R-l))); its value is left child + right child. At level 0 some nodes cover no leaf;
 * the other child's value is then the parent's. The root of 5 leaves (R = 3):
 *
 *              +                 (0+1) + (2+(3+4))
 *            /   \
 *           +     +
 *          / \   / \
 *         0   1 2   +            leaf 2 is node {1, 2}, and its only child with a leaf, {0, 4}:
 *                  / \           stored as the highest of them
 *                 3   4
 *
 * So the even split of n leaves over 2^k ranks, floor(r*n / 2^k), gives each rank one whole subtree, whatever n is; and
 * for n = 2^R it is the order of recursive doubling, that is of MPI_Allreduce in the usual libraries at 2^k ranks.
 *
 * A contiguous range of leaves [a, b) is a unique ordered list of at most PAIRTREE_MAX_NODES maximal nodes. Adding two
 * neighbouring lists and joining siblings gives the list of the joined range; the whole range gives the root alone. */
#ifndef BASE_PAIRTREE_H
#define BASE_PAIRTREE_H

enum { PAIRTREE_MAX_NODES = 40, PAIRTREE_MAX_LEAVES = 1 << 20 };

struct pairtree_node {
    int level, index;
};

/* Level of the root of n leaves (0 for n <= 1). Local. */
int pairtree_root_level(int n_leaves);

/* First leaf and one past the last leaf of a node: equal if it covers none. Local. */
int pairtree_begin(struct pairtree_node node, int n_leaves);
int pairtree_end(struct pairtree_node node, int n_leaves);

/* The highest node that covers just one leaf, 0 <= leaf < n_leaves. Local. */
struct pairtree_node pairtree_leaf(int n_leaves, int leaf);

/* Writes the maximal nodes of leaves [begin, end), clipped to [0, n_leaves), in leaf order; returns their number (0 for
 * an empty range). n_leaves <= PAIRTREE_MAX_LEAVES, which bounds the number of nodes. Local. */
int pairtree_cover(int n_leaves, int begin, int end, struct pairtree_node nodes[PAIRTREE_MAX_NODES]);

/* Sums leaf values [begin, end) that arrive in order into the maximal nodes, with a stack:
 *   for each leaf: push(value); the stack joins siblings as they complete.
 * This scalar form defines the order; kernels may do the same with vectors. leaf[i] is the value of leaf begin+i; out
 * receives pairtree_cover()'s number of sums, which is returned. Local. */
int pairtree_sum(int n_leaves, int begin, int end, const float *leaf, float out[PAIRTREE_MAX_NODES]);

/* One joining step of two neighbouring node lists: out = left list followed by right list, siblings joined until none
 * is left. Each entry of `joins` says: node slot `dst` = slot `a` + slot `b`, to be executed in order; slots number the
 * left list 0..nl-1, then the right list nl..nl+nr-1; the result of a join stays in slot a. out_slot[k] is where out[k]
 * lies. Returns the number of nodes in out; *n_joins the number of additions. Local. */
struct pairtree_join {
    int a, b;
};
int pairtree_merge(const struct pairtree_node *left, int nl, const struct pairtree_node *right, int nr,
                   struct pairtree_node out[PAIRTREE_MAX_NODES], int out_slot[PAIRTREE_MAX_NODES],
                   struct pairtree_join joins[PAIRTREE_MAX_NODES], int *n_joins);

#endif
