/* Quantized weights in panels, with AVX-512 VNNI: panel_mat.h over the 16 rows of a panel. */
#ifdef NW_PLAIN_C /* the tests, on any machine */
#include "models/kernels/simde_more.h"
#else
#include <immintrin.h>
#endif

#include "kernels/avx512_job.h"
#include "kernels/half.h"

enum { LANES = 16, DECODE_VECTORS = 2 };

typedef __m512i vi;
typedef __m512 vf;

INLINE vi vi_load(const void *p) {
    return _mm512_loadu_si512(p);
}

INLINE vi vi_set(uint32_t v) {
    return _mm512_set1_epi32((int)v);
}

INLINE vi vi_and(vi a, vi b) {
    return _mm512_and_si512(a, b);
}

INLINE vi vi_or(vi a, vi b) {
    return _mm512_or_si512(a, b);
}

INLINE vi vi_add(vi a, vi b) {
    return _mm512_add_epi32(a, b);
}

INLINE vi vi_sub(vi a, vi b) {
    return _mm512_sub_epi32(a, b);
}

INLINE vi vi_mul(vi a, vi b) {
    return _mm512_mullo_epi32(a, b);
}

INLINE vi vi_sll(vi v, int n) {
    return _mm512_slli_epi32(v, (unsigned)n);
}

INLINE vi vi_srl(vi v, int n) {
    return _mm512_srli_epi32(v, (unsigned)n);
}

INLINE vi vi_sra(vi v, int n) {
    return _mm512_srai_epi32(v, (unsigned)n);
}

INLINE vf vf_load(const float *p) {
    return _mm512_loadu_ps(p);
}

INLINE void vf_store(float *p, vf v) {
    _mm512_storeu_ps(p, v);
}

INLINE vf vf_set(float v) {
    return _mm512_set1_ps(v);
}

INLINE vf vf_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}

INLINE vf vf_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}

INLINE vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}

INLINE vf vf_int(vi v) {
    return _mm512_cvtepi32_ps(v);
}

INLINE vf vf_neg(vf v) {
    return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(v), _mm512_set1_epi32((int)0x80000000u)));
}

INLINE vf vf_halves(const uint8_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

INLINE vf vf_low_half(vi v) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}

INLINE vf vf_high_half(vi v) {
    return vf_low_half(_mm512_srli_epi32(v, 16));
}

INLINE vi broadcast4(const int8_t *x) {
    return _mm512_set1_epi32((int)load_u32(x));
}

/* Two chains, as an instruction takes several cycles. */
INLINE vi dot_unsigned(const vi q[8], const int8_t *x, int k0, int k1, int bits) {
    vi even = _mm512_setzero_si512(), odd = even;
    (void)bits;
    for (int k = k0; k < k1; k += 2) {
        even = _mm512_dpbusd_epi32(even, q[k], broadcast4(x + 4 * k));
        odd = _mm512_dpbusd_epi32(odd, q[k + 1], broadcast4(x + 4 * k + 4));
    }
    return _mm512_add_epi32(even, odd);
}

/* q + 128 is unsigned. */
INLINE vi dot_signed(const vi q[8], const int8_t *x, int32_t total, int is_static) {
    vi up[8];
    (void)is_static;
    for (int k = 0; k < 8; k++)
        up[k] = _mm512_xor_si512(q[k], _mm512_set1_epi8((char)0x80));
    return _mm512_sub_epi32(dot_unsigned(up, x, 0, 8, 8), _mm512_slli_epi32(vi_set((uint32_t)total), 7));
}

#include "kernels/panel_mat.h"

panel_kernel *avx512_panel_kernel(const struct tensor_type *type, int floats, int is_static) {
    return find_kernel(type, floats, is_static);
}
