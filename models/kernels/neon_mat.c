/* Quantized weights in panels, with NEON's dot product: panel_mat.h over vectors of 4 rows. */
#include <arm_neon.h>

#include "kernels/half.h"
#include "kernels/neon_job.h"

enum { LANES = 4 };

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

/* Nothing overflows; weights of fewer than 8 bits are the same as signed bytes. */
#define DOT_RUN(bits) 4

typedef int32x4_t vd;

INLINE vd dot_next(vd sum, vi q, vi x4) {
    return vdotq_s32(sum, vreinterpretq_s8_u32(q), vreinterpretq_s8_u32(x4));
}

INLINE vd dot_first(vi q, vi x4) {
    return dot_next(vdupq_n_s32(0), q, x4);
}

INLINE vi dot_sum(vd sum) {
    return vreinterpretq_u32_s32(sum);
}

INLINE vd dot_less(vd sum, const int8_t x[16], int32_t total, int n) {
    (void)x;
    return vsubq_s32(sum, vdupq_n_s32(total * (1 << n)));
}

INLINE vi vi_byte(vi v, int i) {
    return vi_and(vi_srl(v, 8 * i), vi_set(255));
}

INLINE vi vi_sub8(vi a, vi b) {
    return vreinterpretq_u32_u8(vsubq_u8(vreinterpretq_u8_u32(a), vreinterpretq_u8_u32(b)));
}

#define BYTE_UNIT 1.0f

INLINE vf vf_byte(vi v, int i) {
    return vf_int(vi_sra(vi_sll(v, 24 - 8 * i), 24));
}

INLINE vi dot_scaled(vd sum, vi v, int i) {
    return vi_mul(dot_sum(sum), vi_byte(v, i));
}

INLINE vi dot_scaled_signed(vd sum, vi v, int i) {
    return vi_mul(dot_sum(sum), vi_sra(vi_sll(v, 24 - 8 * i), 24));
}

typedef vi vx;

INLINE vx signed_x(const struct act *x, size_t at, int k) {
    return vi_set(load_u32(x->q[at] + 4 * k));
}

INLINE vi dot_begin(const struct act *x, size_t at) {
    (void)x, (void)at;
    return vi_set(0);
}

INLINE vi dot_signed(vi sum, vi q, vx x) {
    return dot_sum(dot_next(vreinterpretq_s32_u32(sum), q, x));
}

#include "kernels/panel_mat.h"

panel_kernel *neon_panel_kernel(const struct tensor_type *type, int floats, int is_static) {
    return find_kernel(type, floats, is_static);
}
