/* avx2_job.h - entry points of the AVX2 kernel set: no instructions of that set. */
#ifndef KERNELS_AVX2_JOB_H
#define KERNELS_AVX2_JOB_H

#include "kernels/panel_job.h"

panel_kernel_find avx2_panel_kernel; /* quantized weights in panels */
panel_kernel *avx2_float_kernel(const struct tensor_type *type); /* float weights, as rows */

void avx2_attention(const struct attn_args *a);

#endif
