#include <immintrin.h>

#include "peaks.h"

static double int8_run(long rounds) {
    enum { CHAINS = 12 };
    __m512i sum[CHAINS], w = _mm512_set1_epi8(5), x = _mm512_set1_epi8(-3);
    UNROLL for (int c = 0; c < CHAINS; c++) sum[c] = _mm512_setzero_si512();
    OPAQUE(w);
    OPAQUE(x);
    for (long r = 0; r < rounds; r++)
        UNROLL for (int c = 0; c < CHAINS; c++) {
            sum[c] = _mm512_dpbusd_epi32(sum[c], w, x);
            OPAQUE(sum[c]);
        }
    return (double)rounds * CHAINS * 64 * 2;
}

static double f32_run(long rounds) {
    enum { CHAINS = 12 };
    __m512 sum[CHAINS], a = _mm512_set1_ps(0.75f), b = _mm512_set1_ps(0.5f);
    UNROLL for (int c = 0; c < CHAINS; c++) sum[c] = _mm512_setzero_ps();
    OPAQUE(a);
    OPAQUE(b);
    for (long r = 0; r < rounds; r++)
        UNROLL for (int c = 0; c < CHAINS; c++) {
            sum[c] = _mm512_fmadd_ps(sum[c], a, b);
            OPAQUE(sum[c]);
        }
    return (double)rounds * CHAINS * 16 * 2;
}

const struct peak_set peak_set_avx512 = {
    .kernels = "avx512",
    .what = {"vpdpbusd, AVX-512 VNNI", "vfmadd, AVX-512"},
    .run = {int8_run, f32_run},
};
