#include <math.h>
#include <stdint.h>

#include "peaks.h"

/* Plain C, as the portable kernels: the compiler makes what it can of it for the baseline of the architecture. All in
 * memory of the first cache, which the compiler takes for new in each round. */
#define MEMORY_IS_NEW(a, b) __asm__ volatile("" : : "r"(a), "r"(b) : "memory")

static double int8_run(long rounds) {
    enum { CHAINS = 16, COLS = 32 };
    int8_t w[CHAINS][COLS] = {{0}}, x[COLS] = {0};
    int32_t sum[CHAINS] = {0};
    for (long r = 0; r < rounds; r++) {
        MEMORY_IS_NEW(w, x);
        for (int c = 0; c < CHAINS; c++)
            for (int i = 0; i < COLS; i++)
                sum[c] += w[c][i] * x[i];
    }
    for (int c = 0; c < CHAINS; c++)
        __asm__ volatile("" : "+m"(sum[c]));
    return (double)rounds * CHAINS * COLS * 2;
}

static double f32_run(long rounds) {
    enum { CHAINS = 16 };
    float w[CHAINS] = {0}, x[CHAINS] = {0};
    float sum[CHAINS] = {0};
    for (long r = 0; r < rounds; r++) {
        MEMORY_IS_NEW(w, x);
        for (int c = 0; c < CHAINS; c++)
            sum[c] = fmaf(w[c], x[c], sum[c]);
    }
    for (int c = 0; c < CHAINS; c++)
        __asm__ volatile("" : "+m"(sum[c]));
    return (double)rounds * CHAINS * 2;
}

const struct peak_set peak_set_portable = {
    .kernels = "portable",
    .what = {"a sum of byte products, plain C", "fmaf, plain C"},
    .run = {int8_run, f32_run},
};
