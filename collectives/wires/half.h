/* half.h - binary16 to and from binary32, for loops that are to be vectors: no branches. Infinity is no
 * code of any wire form; what is no number decodes to the quiet NaN. */
#ifndef WIRES_HALF_H
#define WIRES_HALF_H

#include <stdint.h>
#include <string.h>

#include "cpu_forms.h"

enum { HALF_MOST = 0x7bff, HALF_NAN = 0x7e00, HALF_INFINITE = 0x7c00 };

static inline FORM_LOOP uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline FORM_LOOP float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Without a branch, which compilers else make to spare a float operation that might trap. */
static inline FORM_LOOP uint32_t choose(int condition, uint32_t yes, uint32_t no) {
    uint32_t mask = 0u - (uint32_t)condition;
    return (yes & mask) | (no & ~mask);
}

static inline FORM_LOOP float float_of_half(uint16_t h) {
    uint32_t magnitude = h & 0x7fffu, sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t small = bits_of((float)(int32_t)magnitude * 0x1p-24f), normal = (magnitude << 13) + 0x38000000;
    uint32_t bits = choose(magnitude < 0x400, small, normal);
    return float_of_bits(choose(magnitude >= HALF_INFINITE, 0x7fc00000, bits) | sign);
}

/* Nearest even, saturating; NaN of what is not finite. Magnitudes below 2^-14 are multiples of 2^-24: adding 0.5 leaves
 * them, rounded, in the low bits. Else 13 bits of the significand go, with a carry into the exponent, which is rebased
 * from 127 to 15. */
static inline FORM_LOOP uint16_t half_of_float(float x) {
    uint32_t all = bits_of(x), sign = all >> 16 & 0x8000, bits = all & 0x7fffffff;
    uint32_t small = bits_of(float_of_bits(bits) + 0.5f) - 0x3f000000;
    uint32_t normal = (bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13;
    normal = normal < HALF_MOST ? normal : HALF_MOST;
    return (uint16_t)choose(bits >= 0x7f800000, HALF_NAN, choose(bits < 0x38800000, small, normal) | sign);
}

/* The least half that is not below most / steps, at most the largest one; most >= 0 finite, steps * a half exact. */
static inline uint16_t half_step(float most, int steps) {
    float quotient = most / (float)steps;
    uint32_t bits = bits_of(quotient);
    if (quotient > 65504) return HALF_MOST;
    uint32_t half = bits < 0x38800000 ? (uint32_t)(quotient * 0x1p24f) : (bits - 0x38000000) >> 13;
    half += float_of_half((uint16_t)half) * (float)steps < most;
    return (uint16_t)(half < HALF_MOST ? half : HALF_MOST);
}

#endif
