#include <arm_neon.h>

#include "peaks.h"

static double int8_run(long rounds) {
    enum { CHAINS = 16 };
    int32x4_t sum[CHAINS];
    int8x16_t w = vdupq_n_s8(5), x = vdupq_n_s8(-3);
    UNROLL for (int c = 0; c < CHAINS; c++) sum[c] = vdupq_n_s32(0);
    OPAQUE(w);
    OPAQUE(x);
    for (long r = 0; r < rounds; r++)
        UNROLL for (int c = 0; c < CHAINS; c++) {
            sum[c] = vdotq_s32(sum[c], w, x);
            OPAQUE(sum[c]);
        }
    return (double)rounds * CHAINS * 16 * 2;
}

static double f32_run(long rounds) {
    enum { CHAINS = 16 };
    float32x4_t sum[CHAINS], a = vdupq_n_f32(0.75f), b = vdupq_n_f32(0.5f);
    UNROLL for (int c = 0; c < CHAINS; c++) sum[c] = vdupq_n_f32(0);
    OPAQUE(a);
    OPAQUE(b);
    for (long r = 0; r < rounds; r++)
        UNROLL for (int c = 0; c < CHAINS; c++) {
            sum[c] = vfmaq_f32(b, sum[c], a);
            OPAQUE(sum[c]);
        }
    return (double)rounds * CHAINS * 4 * 2;
}

const struct peak_set peak_set_neon = {
    .kernels = "neon",
    .what = {"sdot, NEON", "fmla, NEON"},
    .run = {int8_run, f32_run},
};
