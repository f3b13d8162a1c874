/* The AVX2 kernel set: rows of a product in blocks that stay in the second-level cache while tiles of tokens pass. This
 * file is compiled for the baseline, so that `available` runs anywhere. */
#include <cpuid.h>

#include "kernels/avx2_job.h"

enum { ROW_BLOCK = 64 };

extern const struct kernel_set kernel_set_portable;

/* Rows [row0, row1) and one tile, `step` rows at a time. */
static void rows_times_tile(struct avx2_job job, avx2_kernel *kernel, int row1, int step) {
    for (; job.row < row1; job.row += step) {
        job.n_rows = row1 - job.row < step ? row1 - job.row : step;
        kernel(&job);
    }
}

static void mat_mul_avx2(const struct mat *w, const struct act *x, int row0, int row1, float *y, size_t ldy,
                         size_t ldnode) {
    int floats = uses_floats(w, x), step = floats ? 4 : 8;
    avx2_kernel *kernel = floats ? avx2_float_kernel(w->type) : avx2_int_kernel(w->type, uses_static_step(w, x));
    if (!kernel || (!floats && x->act_step != 0 && !w->type->per_channel)) {
        kernel_set_portable.mat_mul(w, x, row0, row1, y, ldy, ldnode);
        return;
    }
    uint8_t joins[MAT_MAX_LEAVES];
    shard_joins(w, joins);
    for (int r0 = row0; r0 < row1; r0 += ROW_BLOCK)
        for (int t = 0; t < x->n_tokens; t += ACT_TILE) {
            int r1 = row1 - r0 < ROW_BLOCK ? row1 : r0 + ROW_BLOCK;
            int nt = x->n_tokens - t < ACT_TILE ? x->n_tokens - t : ACT_TILE;
            rows_times_tile((struct avx2_job){w, x, r0, 0, t, nt, y, ldy, ldnode, joins}, kernel, r1, step);
        }
}

/* __builtin_cpu_supports also asks whether the system saves the registers; F16C it does not know everywhere. */
static int has_avx2(void) {
    unsigned a, b, c = 0, d;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __get_cpuid(1, &a, &b, &c, &d) &&
           (c & bit_F16C);
}

const struct kernel_set kernel_set_avx2 = {
    .name = "avx2",
    .available = has_avx2,
    .mat_mul = mat_mul_avx2,
    .attention = avx2_attention,
};
