/* The NEON kernel set, for 64-bit ARM with the dot product: quantized weights; floats and attention are the portable
 * ones. This file is compiled for the baseline, so that `available` runs anywhere. */
#include "kernels/neon_job.h"

#include <sys/auxv.h>

static panel_kernel *no_float_kernel(const struct tensor_type *type) {
    (void)type;
    return NULL;
}

static void mat_mul_neon(const struct mat *w, const struct act *x, int row0, int row1, float *y, size_t ldy,
                         size_t ldnode) {
    panel_mat_mul(w, x, row0, row1, y, ldy, ldnode, neon_panel_kernel, no_float_kernel);
}

static void attention_neon(const struct attn_args *args) {
    kernel_set_portable.attention(args);
}

static int has_dot_product(void) {
    enum { ASIMDDP = 1 << 20 }; /* Linux arch/arm64/include/uapi/asm/hwcap.h */
    return (getauxval(AT_HWCAP) & ASIMDDP) != 0;
}

const struct kernel_set kernel_set_neon = {
    .name = "neon",
    .available = has_dot_product,
    .mat_mul = mat_mul_neon,
    .attention = attention_neon,
};
