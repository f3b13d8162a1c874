#include "models/kernels.h"

#include <stdatomic.h>
#include <string.h>

#include "kernels/round.h"

/* Set by kernels_select; NULL: the fastest that is available. */
static const struct kernel_set *selected;

/* Found once: in a virtual machine asking the CPU what it can do takes as long as a small product. Threads that meet
 * here first find the same. */
static const struct kernel_set *fastest(void) {
    static _Atomic(const struct kernel_set *) found;
    const struct kernel_set *set = atomic_load_explicit(&found, memory_order_relaxed);
    if (set) return set;
    const struct kernel_set *const *k = kernel_sets;
    while (!(*k)->available())
        k++;
    atomic_store_explicit(&found, *k, memory_order_relaxed);
    return *k;
}

static const struct kernel_set *current(void) {
    return selected ? selected : fastest();
}

int kernels_select(const char *name) {
    selected = NULL;
    if (!name || !strcmp(name, "auto")) return 0;
    for (const struct kernel_set *const *k = kernel_sets; *k; k++) {
        if (strcmp((*k)->name, name) || !(*k)->available()) continue;
        selected = *k;
        return 0;
    }
    return -1;
}

const char *kernels_selected(void) {
    return current()->name;
}

void mat_mul(const struct mat *w, const struct act *x, int row0, int row1, float *y, size_t ldy, size_t ldnode) {
    if (w->leaf0 < w->leaf1 && row0 < row1) current()->mat_mul(w, x, row0, row1, y, ldy, ldnode);
}

void attention(const struct attn_args *args) {
    current()->attention(args);
}

static int axis_fits(const struct mat *w) {
    const struct order_axis *a = &w->axis;
    return a->cols >= 0 && a->n_leaves >= 0 && a->n_leaves <= MAT_MAX_LEAVES && a->n_leaves <= a->cols &&
           (a->cut != ORDER_HEADS || !a->n_leaves || a->cols % a->n_leaves == 0) &&
           (w->type->is_float || a->cols % w->type->block == 0) && w->leaf0 >= 0 && w->leaf0 <= w->leaf1 &&
           w->leaf1 <= a->n_leaves;
}

static int data_fits(const struct mat *w) {
    int begin = order_leaf_begin(&w->axis, w->leaf0), end = order_leaf_begin(&w->axis, w->leaf1);
    if (w->leaf0 == w->leaf1 || !w->rows) return 1;
    int blocks = (end - w->first_col + w->type->block - 1) / w->type->block;
    size_t row_bytes = (size_t)blocks * (size_t)w->type->block_bytes;
    int stride_fits = w->in_panels ? w->rows <= MAT_PANEL || w->stride >= MAT_PANEL * row_bytes
                                   : w->rows == 1 || w->stride >= row_bytes;
    return w->data && w->first_col >= 0 && w->first_col % w->type->block == 0 && w->first_col <= begin && stride_fits &&
           (!w->in_panels || (!w->type->is_float && (uintptr_t)w->data % 32 == 0));
}

static int steps_fit(const struct mat *w) {
    if (!w->type->per_channel) return w->act_step == 0;
    if (w->rows && !w->row_step) return 0;
    if (w->act_step == 0) return 1;
    if (!(w->act_step > 0 && is_finite(w->act_step))) return 0;
    for (int leaf = w->leaf0; leaf < w->leaf1; leaf++)
        if (order_leaf_begin(&w->axis, leaf + 1) - order_leaf_begin(&w->axis, leaf) > MAT_STATIC_COLS) return 0;
    return 1;
}

int mat_prepare(struct mat *w) {
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    w->n_nodes = 0;
    if (!w->type || w->rows < 0 || !axis_fits(w) || !data_fits(w) || !steps_fit(w)) return -1;
    w->n_nodes = pairtree_cover(w->axis.n_leaves, w->leaf0, w->leaf1, nodes);
    return 0;
}
