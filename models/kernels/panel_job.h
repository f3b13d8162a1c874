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

/* The kernel of a format, NULL if there is none. Quantized weights lie in panels; floats: by the float rule. */
typedef panel_kernel *panel_kernel_find(const struct tensor_type *type, int floats, int is_static);
typedef panel_kernel *float_kernel_find(const struct tensor_type *type); /* float weights, as rows */

extern const struct kernel_set kernel_set_portable;

enum { PANEL_ROW_BLOCK = 64 };

/* Rows in blocks that stay in the second-level cache while tiles of tokens pass. What a set has no kernel for is left
 * to the portable one. */
INLINE void panel_mat_mul(const struct mat *w, const struct act *x, int row0, int row1, float *y, size_t ldy,
                          size_t ldnode, panel_kernel_find *find, float_kernel_find *find_float) {
    panel_kernel *kernel = NULL;
    if (w->type->is_float)
        kernel = find_float(w->type);
    else if (w->in_panels && (x->act_step == 0 || w->type->per_channel))
        kernel = find(w->type, uses_floats(w, x), uses_static_step(w, x));
    if (!kernel) {
        kernel_set_portable.mat_mul(w, x, row0, row1, y, ldy, ldnode);
        return;
    }
    uint8_t joins[MAT_MAX_LEAVES];
    shard_joins(w, joins);
    for (int r0 = row0; r0 < row1; r0 += PANEL_ROW_BLOCK)
        for (int t = 0; t < x->n_tokens; t += ACT_TILE) {
            int r1 = row1 - r0 < PANEL_ROW_BLOCK ? row1 : r0 + PANEL_ROW_BLOCK;
            int nt = x->n_tokens - t < ACT_TILE ? x->n_tokens - t : ACT_TILE;
            for (int r = r0; r < r1;)
                r += kernel(&(struct panel_job){w, x, r, r1 - r, t, nt, y, ldy, ldnode, joins});
        }
}

#endif
