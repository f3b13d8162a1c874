/* steps.h - what int8 and int4 share: a group of values is a binary16 scale and whole numbers of steps. */
#ifndef WIRES_STEPS_H
#define WIRES_STEPS_H

#include <math.h>

#include "collectives/op.h"
#include "half.h"

enum { WIRE_GROUP = 32 };

/* As whole numbers, for there all compilers find the vector: NaN and infinities are the greatest. */
static inline FORM_LOOP uint32_t greatest_bits(const float *x, int n) {
    int32_t most = 0;
    for (int i = 0; i < n; i++) {
        int32_t bits = (int32_t)(bits_of(x[i]) & 0x7fffffff);
        most = bits > most ? bits : most;
    }
    return (uint32_t)most;
}

/* The scale of a group, stored at `out`; what its values are to be divided by. A group that is not finite: NaN, and
 * whatever numbers; one of zeros: 0, and zeros. */
static inline FORM_LOOP float store_scale(const float *x, int n, int steps, void *out) {
    uint32_t most = greatest_bits(x, n);
    uint16_t half = most >= 0x7f800000 ? HALF_NAN : half_step(float_of_bits(most), steps);
    memcpy(out, &half, sizeof half);
    return most == 0 || most >= 0x7f800000 ? 1 : float_of_half(half);
}

static inline FORM_LOOP float load_scale(const void *in) {
    uint16_t half;
    memcpy(&half, in, sizeof half);
    return float_of_half(half);
}

/* x / scale to the nearest whole number, clamped: added to 1.5 * 2^23 it shows in the low bits. The rounded quotient is
 * on the same side of every half step as the exact one, as half a step times a scale is a float. */
static inline FORM_LOOP int32_t steps_of(float x, float scale, int steps) {
    uint32_t bits = bits_of(x / scale), most = bits_of((float)steps), magnitude = bits & 0x7fffffff;
    float q = float_of_bits((magnitude < most ? magnitude : most) | (bits & 0x80000000));
    return (int32_t)(bits_of(q + 0x1.8p23f) - 0x4b400000);
}

/* Half a step, or what clamping cuts. */
static inline double steps_bound(double most, int steps) {
    if (!(most <= 3.4028234663852886e38)) return INFINITY;
    float above = (float)most;
    if ((double)above < most) above = nextafterf(above, INFINITY);
    return fmax((double)float_of_half(half_step(above, steps)) / 2, most - 65504. * steps);
}

#endif
