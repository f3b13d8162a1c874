/* The AVX-512 VNNI kernel set: integer products of its own, the rest as with AVX2, which these CPUs have. This file is
 * compiled for the baseline, so that `available` runs anywhere. */
#include "kernels/avx2_job.h"
#include "kernels/avx512_job.h"

static void mat_mul_avx512(const struct mat *w, const struct act *x, int row0, int row1, float *y, size_t ldy,
                           size_t ldnode) {
    panel_mat_mul(w, x, row0, row1, y, ldy, ldnode, avx512_panel_kernel, avx2_float_kernel);
}

static int has_avx512_vnni(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

const struct kernel_set kernel_set_avx512 = {
    .name = "avx512",
    .available = has_avx512_vnni,
    .mat_mul = mat_mul_avx512,
    .attention = avx2_attention,
};
