/* round.h - float to integer, the same for every compiler and vector width. */
#ifndef KERNELS_ROUND_H
#define KERNELS_ROUND_H

#include "kernels/clones.h"
#include "kernels/half.h"

/* Nearest integer, ties to even, of |v| < 2^22; some integer (no trap, no undefined cast) for anything else. */
INLINE int32_t round_small(float v) {
    return (int32_t)(float_bits(v + 0x1.8p23f) - float_bits(0x1.8p23f));
}

INLINE int is_finite(float v) {
    return (float_bits(v) & 0x7f800000u) != 0x7f800000u;
}

/* Scale and its inverse for integers up to top (127 or 7) and values up to amax: order.h rule 6. */
INLINE void quant_scale(float amax, float top, float *scale, float *inv) {
    float up = top / amax;
    int ok = amax > 0 && is_finite(up);
    *scale = ok ? amax / top : 0.0f;
    *inv = ok ? up : 0.0f;
}

INLINE float quant_values(const float *x, int n, float top, int8_t *q) {
    uint32_t max = 0; /* magnitudes compare as their bits do */
    float scale, inv;
    for (int i = 0; i < n; i++) {
        uint32_t mag = float_bits(x[i]) & 0x7fffffffu;
        max = mag > max ? mag : max;
    }
    int finite = max < 0x7f800000u;
    quant_scale(finite ? bits_float(max) : 0, top, &scale, &inv);
    if (!finite) memset(q, 0, (size_t)n);
    for (int i = 0; finite && i < n; i++)
        q[i] = (int8_t)round_small(x[i] * inv);
    return finite ? scale : bits_float(0x7fc00000u);
}

/* Quantizes n <= 32 values with a scale of their own; returns the scale. */
INLINE float quant_group(const float *x, int n, float top, int8_t *q) {
    return n == 32 ? quant_values(x, 32, top, q) : quant_values(x, n, top, q);
}

/* The same with a static step, which is returned, clamped to low..high. */
INLINE float static_group(const float *x, int n, float step, float low, float high, int8_t *q) {
    for (int i = 0; i < n; i++) {
        float v = x[i] / step;
        v = v > low ? v : low; /* NaN goes to low, and to 0 below */
        v = v < high ? v : high;
        q[i] = (int8_t)(x[i] == x[i] ? round_small(v) : 0);
    }
    return step;
}

#endif
