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

/* Quantizes n <= 32 values with a scale of their own; returns the scale. */
INLINE float quant_group(const float *x, int n, float top, int8_t *q) {
    float amax = 0, scale, inv;
    int finite = 1;
    for (int i = 0; i < n; i++) {
        float mag = bits_float(float_bits(x[i]) & 0x7fffffffu);
        amax = mag > amax ? mag : amax;
        finite &= is_finite(x[i]);
    }
    quant_scale(amax, top, &scale, &inv);
    for (int i = 0; i < n; i++)
        q[i] = (int8_t)(finite ? round_small(x[i] * inv) : 0);
    return finite ? scale : bits_float(0x7fc00000u);
}

#endif
