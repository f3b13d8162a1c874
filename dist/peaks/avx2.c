#include <immintrin.h>

#include "peaks.h"

/* As the kernels multiply weights of 4 bits: eight products of pairs added in 16 bits, then widened once. Weights of 5,
 * 6 and 8 bits have to be widened after 4, 2 and 1. */
static double int8_run(long rounds) {
    enum { CHAINS = 4, PAIRS = 8 };
    __m256i sum[CHAINS], w = _mm256_set1_epi8(5), x = _mm256_set1_epi8(-3);
    UNROLL for (int c = 0; c < CHAINS; c++) sum[c] = _mm256_setzero_si256();
    const __m256i ones = _mm256_set1_epi16(1);
    OPAQUE(w);
    for (long r = 0; r < rounds; r++)
        UNROLL for (int c = 0; c < CHAINS; c++) {
            __m256i part = _mm256_maddubs_epi16(w, x);
            UNROLL for (int i = 1; i < PAIRS; i++) {
                OPAQUE(x);
                part = _mm256_add_epi16(part, _mm256_maddubs_epi16(w, x));
            }
            sum[c] = _mm256_add_epi32(sum[c], _mm256_madd_epi16(part, ones));
            OPAQUE(x);
            OPAQUE(sum[c]);
        }
    return (double)rounds * CHAINS * PAIRS * 32 * 2;
}

static double f32_run(long rounds) {
    enum { CHAINS = 12 };
    __m256 sum[CHAINS], a = _mm256_set1_ps(0.75f), b = _mm256_set1_ps(0.5f);
    UNROLL for (int c = 0; c < CHAINS; c++) sum[c] = _mm256_setzero_ps();
    OPAQUE(a);
    OPAQUE(b);
    for (long r = 0; r < rounds; r++)
        UNROLL for (int c = 0; c < CHAINS; c++) {
            sum[c] = _mm256_fmadd_ps(sum[c], a, b);
            OPAQUE(sum[c]);
        }
    return (double)rounds * CHAINS * 8 * 2;
}

const struct peak_set peak_set_avx2 = {
    .kernels = "avx2",
    .what = {"vpmaddubsw x 8 then vpmaddwd, AVX2", "vfmadd, AVX2"},
    .run = {int8_run, f32_run},
};
