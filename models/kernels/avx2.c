/* The AVX2 kernel set. This file is compiled for the baseline, so that `available` runs anywhere. */
#include <cpuid.h>

#include "kernels/avx2_job.h"

static void mat_mul_avx2(const struct mat *w, const struct act *x, int row0, int row1, float *y, size_t ldy,
                         size_t ldnode) {
    panel_mat_mul(w, x, row0, row1, y, ldy, ldnode, avx2_panel_kernel, avx2_float_kernel);
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
