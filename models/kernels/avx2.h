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

/* All ones in the first n of 8 lanes. */
INLINE __m256i first_lanes(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

#endif
