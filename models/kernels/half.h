/* half.h - binary16, bfloat16 and unaligned loads, inline for the kernels and the formats. */
#ifndef KERNELS_HALF_H
#define KERNELS_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t float_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float bits_float(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* GGUF is little-endian, and so are the loads here. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "northwall needs a little-endian machine");

static inline uint16_t load_u16(const void *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t load_u32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store_u16(void *p, uint16_t v) {
    memcpy(p, &v, sizeof v);
}

/* Exact. The exponent is moved by a multiplication, which also normalizes subnormals. NaN becomes quiet. */
static inline float half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = (uint32_t)(h & 0x7fffu) << 13;
    uint32_t finite = float_bits(bits_float(rest) * 0x1p112f);
    uint32_t special = rest | 0x7f800000u | (rest > 0x0f800000u ? 0x00400000u : 0);
    return bits_float(sign | (rest >= 0x0f800000u ? special : finite));
}

/* Round to nearest even; what overflows becomes infinite. NaN keeps its top payload bits and becomes quiet. */
static inline uint16_t float_to_half(float x) {
    uint32_t bits = float_bits(x), sign = bits >> 16 & 0x8000u, mag = bits & 0x7fffffffu;
    if (mag > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (mag >> 13 & 0x1ffu));
    if (mag >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520: half way from the largest to 2^16 */
    if (mag < 0x38800000u) /* below 2^-14: the spacing of floats at 0.5 is that of binary16 subnormals */
        return (uint16_t)(sign | (float_bits(bits_float(mag) + 0.5f) - 0x3f000000u));
    mag += 0xfffu + (mag >> 13 & 1u);
    return (uint16_t)(sign | (mag - 0x38000000u) >> 13);
}

static inline float bfloat_to_float(uint16_t h) {
    return bits_float((uint32_t)h << 16);
}

static inline uint16_t float_to_bfloat(float x) {
    uint32_t bits = float_bits(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* Scale of a block: binary16 at any address. */
static inline float load_half(const void *p) {
    return half_to_float(load_u16(p));
}

#endif
