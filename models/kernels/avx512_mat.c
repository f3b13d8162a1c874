/* Quantized weights in panels, with AVX-512 VNNI: panel_mat.h over the 16 rows of a panel. */
#ifdef NW_PLAIN_C /* the tests, on any machine */
#include "models/kernels/simde_more.h"
#else
#include <immintrin.h>
#endif

#include "kernels/avx512_job.h"
#include "kernels/half.h"

enum { LANES = 16 };

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

/* Nothing overflows; two chains of four, as an instruction takes several cycles. */
#define DOT_RUN(bits) 4

typedef __m512i vd;

INLINE vd dot_first(vi q, vi x4) {
    return _mm512_dpbusd_epi32(_mm512_setzero_si512(), q, x4);
}

INLINE vd dot_next(vd sum, vi q, vi x4) {
    return _mm512_dpbusd_epi32(sum, q, x4);
}

INLINE vi dot_sum(vd sum) {
    return sum;
}

INLINE vd dot_less(vd sum, const int8_t x[16], int32_t total, int n) {
    (void)x;
    return vi_sub(sum, vi_set((uint32_t)total << n));
}

INLINE vi vi_byte(vi v, int i) {
    return vi_and(vi_srl(v, 8 * i), vi_set(255));
}

INLINE vi vi_sub8(vi a, vi b) {
    return _mm512_sub_epi8(a, b);
}

#define BYTE_UNIT 1.0f

INLINE vf vf_byte(vi v, int i) {
    return vf_int(vi_sra(vi_sll(v, 24 - 8 * i), 24));
}

INLINE vi dot_scaled(vd sum, vi v, int i) {
    return vi_mul(sum, vi_byte(v, i));
}

INLINE vi dot_scaled_signed(vd sum, vi v, int i) {
    return vi_mul(sum, vi_sra(vi_sll(v, 24 - 8 * i), 24));
}

/* q + 128 is unsigned. */
typedef vi vx;

INLINE vx signed_x(const struct act *x, size_t at, int k) {
    return vi_set(load_u32(x->q[at] + 4 * k));
}

INLINE vi dot_begin(const struct act *x, size_t at) {
    return vi_set(0u - ((uint32_t)x->total[at] << 7));
}

INLINE vi dot_signed(vi sum, vi q, vx x) {
    return _mm512_dpbusd_epi32(sum, _mm512_xor_si512(q, _mm512_set1_epi32((int)0x80808080u)), x);
}

#include "kernels/panel_mat.h"

panel_kernel *avx512_panel_kernel(const struct tensor_type *type, int floats, int is_static) {
    return find_kernel(type, floats, is_static);
}
