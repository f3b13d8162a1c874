/* avx2.h - shared by the files of the AVX2 kernel set, which are compiled for AVX2, FMA and F16C and must be entered
 * only on a CPU that has them. */
#ifndef KERNELS_AVX2_H
#define KERNELS_AVX2_H

#include <immintrin.h>

#include "kernels/avx2_job.h"
#include "kernels/half.h"

/* halves of 8, 4, 2, 1 (order_lanes_sum) of lanes 0-7 and 8-15 */
INLINE float lanes_sum(__m256 low, __m256 high) {
    __m256 t8 = _mm256_add_ps(low, high);
    __m128 t4 = _mm_add_ps(_mm256_castps256_ps128(t8), _mm256_extractf128_ps(t8, 1));
    __m128 t2 = _mm_add_ps(t4, _mm_movehl_ps(t4, t4));
    return _mm_cvtss_f32(_mm_add_ss(t2, _mm_movehdup_ps(t2)));
}

/* The last three steps of order_lanes_sum for 8 vectors of 8 lanes: result i is the sum of t[i]. */
INLINE __m256 reduce8(const __m256 t[8]) {
    __m256 four[4], two[2];
    for (int i = 0; i < 4; i++) /* [t0 lanes 0-3 | t1 lanes 0-3] + lanes 4-7 */
        four[i] = _mm256_add_ps(_mm256_permute2f128_ps(t[2 * i], t[2 * i + 1], 0x20),
                                _mm256_permute2f128_ps(t[2 * i], t[2 * i + 1], 0x31));
    for (int i = 0; i < 2; i++) /* [t0 t2 | t1 t3], two lanes of each */
        two[i] = _mm256_add_ps(_mm256_shuffle_ps(four[2 * i], four[2 * i + 1], 0x44),
                               _mm256_shuffle_ps(four[2 * i], four[2 * i + 1], 0xee));
    __m256 one = _mm256_add_ps(_mm256_shuffle_ps(two[0], two[1], 0x88), _mm256_shuffle_ps(two[0], two[1], 0xdd));
    return _mm256_permutevar8x32_ps(one, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)); /* from [0 2 4 6 | 1 3 5 7] */
}

/* All ones in the first n of 8 lanes. */
INLINE __m256i first_lanes(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

#endif
