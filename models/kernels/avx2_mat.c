/* Quantized weights in panels, with AVX2: panel_mat.h over vectors of 8 rows. */
#include "kernels/avx2.h"

enum { LANES = 8 };

typedef __m256i vi;
typedef __m256 vf;

INLINE vi vi_load(const void *p) {
    return _mm256_loadu_si256(p);
}

INLINE vi vi_set(uint32_t v) {
    return _mm256_set1_epi32((int)v);
}

INLINE vi vi_and(vi a, vi b) {
    return _mm256_and_si256(a, b);
}

INLINE vi vi_or(vi a, vi b) {
    return _mm256_or_si256(a, b);
}

INLINE vi vi_add(vi a, vi b) {
    return _mm256_add_epi32(a, b);
}

INLINE vi vi_sub(vi a, vi b) {
    return _mm256_sub_epi32(a, b);
}

INLINE vi vi_sll(vi v, int n) {
    return _mm256_slli_epi32(v, n);
}

INLINE vi vi_srl(vi v, int n) {
    return _mm256_srli_epi32(v, n);
}

INLINE vi vi_sra(vi v, int n) {
    return _mm256_srai_epi32(v, n);
}

INLINE vf vf_load(const float *p) {
    return _mm256_loadu_ps(p);
}

INLINE void vf_store(float *p, vf v) {
    _mm256_storeu_ps(p, v);
}

INLINE vf vf_set(float v) {
    return _mm256_set1_ps(v);
}

INLINE vf vf_add(vf a, vf b) {
    return _mm256_add_ps(a, b);
}

INLINE vf vf_mul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}

INLINE vf vf_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}

INLINE vf vf_int(vi v) {
    return _mm256_cvtepi32_ps(v);
}

INLINE vf vf_neg(vf v) {
    return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f));
}

INLINE vf vf_halves(const uint8_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

INLINE vf vf_low_half(vi v) {
    __m256i packed = _mm256_packus_epi32(_mm256_and_si256(v, _mm256_set1_epi32(0xffff)), _mm256_setzero_si256());
    return _mm256_cvtph_ps(_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0xd8)));
}

INLINE vf vf_high_half(vi v) {
    return vf_low_half(_mm256_srli_epi32(v, 16));
}

/* Pairs of products of 4, 5, 6 bits with 7 bits stay below 2^15 when 8, 4, 2 of them are added:
 * 15 * 127 * 16 = 30480, 31 * 127 * 8 = 31496, 63 * 127 * 4 = 32004. (-128 of a static step: 15 * 128 * 16 = 30720.) */
#define DOT_RUN(bits) ((bits) == 4 ? 8 : (bits) == 5 ? 4 : 2)

typedef __m256i vd; /* of 16 bits */

INLINE vd dot_first(vi q, vi x4) {
    return _mm256_maddubs_epi16(q, x4);
}

INLINE vd dot_next(vd sum, vi q, vi x4) {
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(q, x4));
    __asm__("" : "+x"(sum)); /* added here, not when all products lie in registers, of which there are too few */
    return sum;
}

INLINE vi dot_sum(vd sum) {
    return _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
}

/* In 16 bits as the products: each of the 16 columns' four words has columns 0, 1 in its low half, 2, 3 in its high. */
INLINE vd dot_less(vd sum, const int8_t x[16], int32_t total, int n) {
    __m128i pairs = _mm_maddubs_epi16(_mm_set1_epi8((char)(1 << n)), _mm_loadu_si128((const __m128i *)x));
    (void)total;
    pairs = _mm_add_epi16(pairs, _mm_unpackhi_epi64(pairs, pairs));
    pairs = _mm_add_epi16(pairs, _mm_shuffle_epi32(pairs, 1));
    return _mm256_sub_epi16(sum, _mm256_broadcastd_epi32(pairs));
}

/* Byte i of each word moved within it: to places of `to`, 0x80 where zero is wanted. */
INLINE vi byte_to(vi v, int i, uint32_t to) {
    __m256i words = _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c, 0, 0x04040404, 0x08080808, 0x0c0c0c0c);
    __m256i from = _mm256_or_si256(_mm256_add_epi8(words, _mm256_set1_epi8((char)i)), vi_set(to));
    return _mm256_shuffle_epi8(v, from);
}

INLINE vi vi_byte(vi v, int i) {
    return byte_to(v, i, 0x80808000u);
}

INLINE vi vi_sub8(vi a, vi b) {
    return _mm256_sub_epi8(a, b);
}

/* At the top of its word a byte has its sign. */
#define BYTE_UNIT 0x1p-24f

INLINE vf vf_byte(vi v, int i) {
    return vf_int(byte_to(v, i, 0x00808080u));
}

/* Scales as 16-bit numbers, the same for both halves of a word. */
INLINE vi dot_scaled(vd sum, vi v, int i) {
    return _mm256_madd_epi16(sum, byte_to(v, i, 0x80008000u));
}

INLINE vi dot_scaled_signed(vd sum, vi v, int i) {
    return _mm256_madd_epi16(sum, _mm256_srai_epi16(byte_to(v, i, 0x00800080u), 8));
}

/* |x| times q with x's sign: vpmaddubsw wants an unsigned factor. To change bits instead of the sign gives -q - 1, too
 * small by one for each |x|, which the sum begins with. Pairs fit 16 bits: 2 * 128 * -128 = -2^15, 2 * 128 * 127. */
typedef struct {
    vi size, flip;
} vx;

INLINE vx signed_x(const struct act *x, size_t at, int k) {
    return (vx){vi_set(load_u32(x->split[at][0] + 4 * k)), vi_set(load_u32(x->split[at][1] + 4 * k))};
}

INLINE vi dot_begin(const struct act *x, size_t at) {
    return vi_set((uint32_t)x->below[at]);
}

INLINE vi dot_signed(vi sum, vi q, vx x) {
    vi pairs = _mm256_maddubs_epi16(x.size, _mm256_xor_si256(q, x.flip));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    __asm__("" : "+x"(sum)); /* as in dot_next */
    return sum;
}

#include "kernels/panel_mat.h"

panel_kernel *avx2_panel_kernel(const struct tensor_type *type, int floats, int is_static) {
    return find_kernel(type, floats, is_static);
}
