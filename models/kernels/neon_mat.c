/* Quantized weights in panels, with NEON's dot product: panel_mat.h over vectors of 4 rows. */
#include <arm_neon.h>

#include "kernels/neon_job.h"

enum { LANES = 4, DECODE_VECTORS = 4 };

typedef uint32x4_t vi;
typedef float32x4_t vf;

INLINE vi vi_load(const void *p) {
    return vreinterpretq_u32_u8(vld1q_u8(p));
}

INLINE vi vi_set(uint32_t v) {
    return vdupq_n_u32(v);
}

INLINE vi vi_and(vi a, vi b) {
    return vandq_u32(a, b);
}

INLINE vi vi_or(vi a, vi b) {
    return vorrq_u32(a, b);
}

INLINE vi vi_add(vi a, vi b) {
    return vaddq_u32(a, b);
}

INLINE vi vi_sub(vi a, vi b) {
    return vsubq_u32(a, b);
}

INLINE vi vi_mul(vi a, vi b) {
    return vmulq_u32(a, b);
}

INLINE vi vi_sll(vi v, int n) {
    return vshlq_u32(v, vdupq_n_s32(n));
}

INLINE vi vi_srl(vi v, int n) {
    return vshlq_u32(v, vdupq_n_s32(-n));
}

INLINE vi vi_sra(vi v, int n) {
    return vreinterpretq_u32_s32(vshlq_s32(vreinterpretq_s32_u32(v), vdupq_n_s32(-n)));
}

INLINE vf vf_load(const float *p) {
    return vld1q_f32(p);
}

INLINE void vf_store(float *p, vf v) {
    vst1q_f32(p, v);
}

INLINE vf vf_set(float v) {
    return vdupq_n_f32(v);
}

INLINE vf vf_add(vf a, vf b) {
    return vaddq_f32(a, b);
}

INLINE vf vf_mul(vf a, vf b) {
    return vmulq_f32(a, b);
}

INLINE vf vf_fma(vf a, vf b, vf c) {
    return vfmaq_f32(c, a, b);
}

INLINE vf vf_int(vi v) {
    return vcvtq_f32_s32(vreinterpretq_s32_u32(v));
}

INLINE vf vf_neg(vf v) {
    return vnegq_f32(v);
}

INLINE vf vf_halves(const uint8_t *p) {
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

INLINE vf vf_low_half(vi v) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(v)));
}

INLINE vf vf_high_half(vi v) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vshrn_n_u32(v, 16)));
}

INLINE vi dot_bytes(const vi q[8], const int8_t *x, int k0, int k1) {
    int32x4_t even = vdupq_n_s32(0), odd = even;
    for (int k = k0; k < k1; k += 2) {
        int8x16_t x0 = vreinterpretq_s8_s32(vld1q_dup_s32((const void *)(x + 4 * k)));
        int8x16_t x1 = vreinterpretq_s8_s32(vld1q_dup_s32((const void *)(x + 4 * k + 4)));
        even = vdotq_s32(even, vreinterpretq_s8_u32(q[k]), x0);
        odd = vdotq_s32(odd, vreinterpretq_s8_u32(q[k + 1]), x1);
    }
    return vreinterpretq_u32_s32(vaddq_s32(even, odd));
}

/* Fewer than 8 bits: the same as signed bytes. */
INLINE vi dot_unsigned(const vi q[8], const int8_t *x, int k0, int k1, int bits) {
    (void)bits;
    return dot_bytes(q, x, k0, k1);
}

INLINE vi dot_signed(const vi q[8], const int8_t *x, int32_t total, int is_static) {
    (void)total, (void)is_static;
    return dot_bytes(q, x, 0, 8);
}

#include "kernels/panel_mat.h"

panel_kernel *neon_panel_kernel(const struct tensor_type *type, int floats, int is_static) {
    return find_kernel(type, floats, is_static);
}
