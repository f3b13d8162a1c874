/* walk.h - what the kernel sets share: where a row's blocks lie, and the tree of leaf sums. */
#ifndef KERNELS_WALK_H
#define KERNELS_WALK_H

#include <string.h>

#include "kernels/clones.h"
#include "models/kernels.h"

enum { BLOCK_MAX_BYTES = 256 };

/* Block `index` of a row in a panel (panel.c). */
void block_gather(const struct mat *w, int row, size_t index, uint8_t *out);

/* Block that holds column col of a row; buf [BLOCK_MAX_BYTES] may be used for it. */
INLINE const uint8_t *block_at(const struct mat *w, int row, int col, uint8_t *buf) {
    size_t index = (size_t)((col - w->first_col) / w->type->block);
    if (!w->in_panels) return w->data + (size_t)row * w->stride + index * (size_t)w->type->block_bytes;
    block_gather(w, row, index, buf);
    return buf;
}

/* True if the float rule applies: float weights, or activations left as floats. */
INLINE int uses_floats(const struct mat *w, const struct act *x) {
    return w->type->is_float || x->bits == ACT_F32;
}

INLINE int uses_static_step(const struct mat *w, const struct act *x) {
    return w->type->per_channel && x->act_step != 0;
}

/* Additions that follow when leaf `leaf` joins the stack of subtree sums that began at leaf0: one for each level at
 * which it ends a right child whose left sibling lies wholly on the stack (base/pairtree.h). */
INLINE int leaf_joins(int n_leaves, int leaf0, int leaf) {
    int joins = 0;
    for (struct pairtree_node node = pairtree_leaf(n_leaves, leaf); node.index & 1; joins++) {
        struct pairtree_node left = {node.level, node.index - 1};
        if (pairtree_begin(left, n_leaves) < leaf0) break;
        node = (struct pairtree_node){node.level + 1, node.index / 2};
    }
    return joins;
}

/* leaf_joins of all leaves of a shard, counted from leaf0. */
INLINE void shard_joins(const struct mat *w, uint8_t joins[MAT_MAX_LEAVES]) {
    for (int leaf = w->leaf0; leaf < w->leaf1; leaf++)
        joins[leaf - w->leaf0] = (uint8_t)leaf_joins(w->axis.n_leaves, w->leaf0, leaf);
}

/* Stack of subtree sums; an entry is a vector of `width` floats. */
struct sum_stack {
    int top, width;
    float *v; /* [PAIRTREE_MAX_NODES][width] */
};

/* Where the next leaf's sums are to be written. */
INLINE float *stack_slot(struct sum_stack *s) {
    return s->v + (size_t)s->top * (size_t)s->width;
}

INLINE void stack_push(struct sum_stack *s, int joins) {
    s->top++;
    for (; joins > 0; joins--) {
        s->top--;
        float *right = stack_slot(s), *left = right - s->width;
        for (int i = 0; i < s->width; i++)
            left[i] += right[i];
    }
}

#endif
