/* steps.h - what int8 and int4 share: a group of values is a binary16 scale and whole numbers of steps. A form defines
 * WIRE_BITS before it includes this, then encode_group and decode_group, and its row is STEPS_WIRE. */
#ifndef WIRES_STEPS_H
#define WIRES_STEPS_H

#include <math.h>

#include "collectives/op.h"
#include "half.h"

enum {
    WIRE_GROUP = 32,
    STEPS = (1 << (WIRE_BITS - 1)) - 1,
    GROUP_BYTES = sizeof(uint16_t) + WIRE_GROUP * WIRE_BITS / 8
};

/* One group of n <= WIRE_GROUP values. add: to what x holds. */
static inline FORM_LOOP void encode_group(const float *restrict x, int n, unsigned char *restrict out);
static inline FORM_LOOP void decode_group(const unsigned char *restrict in, int n, float *restrict x, int add);

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
static inline FORM_LOOP float store_scale(const float *x, int n, void *out) {
    uint32_t most = greatest_bits(x, n);
    uint16_t half = most >= 0x7f800000 ? HALF_NAN : half_step(float_of_bits(most), STEPS);
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
static inline FORM_LOOP int32_t steps_of(float x, float scale) {
    uint32_t bits = bits_of(x / scale), most = bits_of((float)STEPS), magnitude = bits & 0x7fffffff;
    float q = float_of_bits((magnitude < most ? magnitude : most) | (bits & 0x80000000));
    return (int32_t)(bits_of(q + 0x1.8p23f) - 0x4b400000);
}

static size_t steps_bytes(size_t n) {
    size_t rest = n % WIRE_GROUP;
    return n / WIRE_GROUP * GROUP_BYTES + (rest ? sizeof(uint16_t) + (rest * WIRE_BITS + 7) / 8 : 0);
}

static inline FORM_LOOP void encode_loop(const float *restrict x, size_t n, unsigned char *restrict out) {
    for (; n >= WIRE_GROUP; n -= WIRE_GROUP, x += WIRE_GROUP, out += GROUP_BYTES)
        encode_group(x, WIRE_GROUP, out);
    if (n > 0) encode_group(x, (int)n, out);
}
CPU_FORMS(encode, (const float *restrict x, size_t n, unsigned char *restrict out), (x, n, out))

static inline FORM_LOOP void decode_groups(const unsigned char *restrict in, size_t n, float *restrict x, int add) {
    for (; n >= WIRE_GROUP; n -= WIRE_GROUP, x += WIRE_GROUP, in += GROUP_BYTES)
        decode_group(in, WIRE_GROUP, x, add);
    if (n > 0) decode_group(in, (int)n, x, add);
}

static inline FORM_LOOP void decode_loop(const unsigned char *restrict in, size_t n, float *restrict x) {
    decode_groups(in, n, x, 0);
}
CPU_FORMS(decode, (const unsigned char *restrict in, size_t n, float *restrict x), (in, n, x))

static inline FORM_LOOP void accumulate_loop(const unsigned char *restrict in, size_t n, float *restrict x) {
    decode_groups(in, n, x, 1);
}
CPU_FORMS(accumulate, (const unsigned char *restrict in, size_t n, float *restrict x), (in, n, x))

static void steps_encode(const float *x, size_t n, void *out) {
    encode(x, n, out);
}

static void steps_decode(const void *in, size_t n, float *x) {
    decode(in, n, x);
}

static void steps_accumulate(const void *in, size_t n, float *acc) {
    accumulate(in, n, acc);
}

/* Half a step, or what clamping cuts. */
static double steps_bound(double most) {
    if (!(most <= 3.4028234663852886e38)) return INFINITY;
    float above = (float)most;
    if ((double)above < most) above = nextafterf(above, INFINITY);
    return fmax((double)float_of_half(half_step(above, STEPS)) / 2, most - 65504. * STEPS);
}

#define STEPS_WIRE(wire_name, text)                                                                                    \
    {                                                                                                                  \
        .name = wire_name, .description = text, .group = WIRE_GROUP, .group_bytes = GROUP_BYTES, .bytes = steps_bytes, \
        .encode = steps_encode, .decode = steps_decode, .accumulate = steps_accumulate, .bound = steps_bound,          \
    }

#endif
