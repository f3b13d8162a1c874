/* The AVX-512 kernels over SIMDe's plain C, in place of the machine's kernel sets: linked before the library, so that
 * its table is never looked for. */
#include "kernels/avx512_job.h"

static panel_kernel *no_float_kernel(const struct tensor_type *type) {
    (void)type;
    return NULL;
}

static void mat_mul_simde(const struct mat *w, const struct act *x, int row0, int row1, float *y, size_t ldy,
                          size_t ldnode) {
    panel_mat_mul(w, x, row0, row1, y, ldy, ldnode, avx512_panel_kernel, no_float_kernel);
}

static void attention_portable(const struct attn_args *args) {
    kernel_set_portable.attention(args);
}

static int always(void) {
    return 1;
}

static const struct kernel_set kernel_set_simde = {
    .name = "avx512 in plain C", .available = always, .mat_mul = mat_mul_simde, .attention = attention_portable};

const struct kernel_set *const kernel_sets[] = {&kernel_set_simde, &kernel_set_portable, NULL};
