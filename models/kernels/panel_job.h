/* panel_job.h - the unit of work of the kernels that read panels, and what each such kernel set exports. No
 * instructions of any set: files compiled for the baseline include this. */
#ifndef KERNELS_PANEL_JOB_H
#define KERNELS_PANEL_JOB_H

#include "kernels/walk.h"

/* Some rows and one tile of tokens of a product. */
struct panel_job {
    const struct mat *w;
    const struct act *x;
    int row, rows; /* first row, and how many from there on are wanted */
    int tile0, nt; /* first token, tokens */
    float *y;
    size_t ldy, ldnode;
    const uint8_t *joins; /* shard_joins */
};

/* Computes `row` on and returns how many rows it did: a whole number of vectors, of which the last may be padding. */
typedef int panel_kernel(const struct panel_job *job);

/* A product with quantized weights in panels; floats: by the float rule. */
typedef panel_kernel *panel_kernel_find(const struct tensor_type *type, int floats, int is_static);

/* Rows in blocks that stay in the second-level cache while tiles of tokens pass. */
INLINE void panel_mat_mul(const struct mat *w, const struct act *x, int row0, int row1, float *y, size_t ldy,
                          size_t ldnode, panel_kernel *kernel) {
    enum { ROW_BLOCK = 64 };
    uint8_t joins[MAT_MAX_LEAVES];
    shard_joins(w, joins);
    for (int r0 = row0; r0 < row1; r0 += ROW_BLOCK)
        for (int t = 0; t < x->n_tokens; t += ACT_TILE) {
            int r1 = row1 - r0 < ROW_BLOCK ? row1 : r0 + ROW_BLOCK;
            int nt = x->n_tokens - t < ACT_TILE ? x->n_tokens - t : ACT_TILE;
            for (int r = r0; r < r1;)
                r += kernel(&(struct panel_job){w, x, r, r1 - r, t, nt, y, ldy, ldnode, joins});
        }
}

#endif
