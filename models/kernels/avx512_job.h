/* avx512_job.h - entry points of the AVX-512 VNNI kernel set: no instructions of that set. */
#ifndef KERNELS_AVX512_JOB_H
#define KERNELS_AVX512_JOB_H

#include "kernels/panel_job.h"

panel_kernel_find avx512_panel_kernel;

#endif
