/* avx2_job.h - the unit of work of the AVX2 kernel set, and its entry points: no instructions of that set. */
#ifndef KERNELS_AVX2_JOB_H
#define KERNELS_AVX2_JOB_H

#include "kernels/walk.h"

/* Some rows and one tile of tokens of a product. */
struct avx2_job {
    const struct mat *w;
    const struct act *x;
    int row, n_rows; /* first row, rows: at most as many as the kernel has lanes for */
    int tile0, nt; /* first token, tokens */
    float *y;
    size_t ldy, ldnode;
    const uint8_t *joins; /* shard_joins */
};

/* Kernels of a format, NULL if there is none here; they take up to 8 rows (integers), 4 rows (floats). */
typedef void avx2_kernel(const struct avx2_job *job);
avx2_kernel *avx2_int_kernel(const struct tensor_type *type, int is_static);
avx2_kernel *avx2_float_kernel(const struct tensor_type *type);

void avx2_attention(const struct attn_args *a);

#endif
