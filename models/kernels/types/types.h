/* types.h - what the rows of the format table share. */
#ifndef KERNELS_TYPES_H
#define KERNELS_TYPES_H

#include <math.h>

#include "kernels/half.h"
#include "kernels/round.h"
#include "models/tensor_type.h"

typedef void piece_unpack(const uint8_t *block, int index, float step, struct weight_piece *piece);

/* Canonical values of one piece (tensor_type.h). */
void piece_values(const struct weight_piece *p, int has_min, float dst[32]);

/* Canonical values of n weights of a quantized type (tensor_type.h). */
void pieces_dequantize(piece_unpack *unpack, int block, int block_bytes, int has_min, const void *src, float step,
                       float *dst, int64_t n);

/* Nearest integer, ties to even, of |x| < 2^22; some integer beyond in the same direction for more. */
static inline int nearest(float x) {
    return round_small(x);
}

static inline int clamp_int(int v, int lo, int hi) {
    return v < lo ? lo : v > hi ? hi : v;
}

/* NaN gives lo. */
static inline float clamp_float(float v, float lo, float hi) {
    return v > lo ? v < hi ? v : hi : lo;
}

/* v without its fraction, in lo..hi. */
static inline int truncated(float v, int lo, int hi) {
    return (int)clamp_float(v, (float)lo, (float)hi);
}

/* 1/d, or 0 where that is not finite: blocks of zeros, and of values too small to be told from them. */
static inline float reciprocal(float d) {
    float inv = d != 0 ? 1 / d : 0;
    return fabsf(inv) <= 0x1.fffffep127f ? inv : 0;
}

/* Integers of 32 values; what a step of them is worth. Symmetric: x is step * (level - half), and the value of largest
 * magnitude becomes -half, so that the range of the integers is used on its side. Affine: min + step * level. */
float levels_symmetric(const float x[32], int half, uint8_t level[32]);
float levels_affine(const float x[32], int top, uint8_t level[32], float *min);

/* Byte j: columns j (low nibble) and j + 16. */
void nibbles_pack(const uint8_t level[32], uint8_t dst[16]);

/* 32 values of 5 bits: a word with bit 4 of column j in bit j, then nibbles of columns j and j + 16. */
void bits5_unpack(const uint8_t *src, int offset, int8_t q[32]);
void bits5_pack(const uint8_t level[32], uint8_t *dst);

/* Of each byte the bits of mask from bit `from` on, at bit `to`. */
static inline uint32_t bit_field(uint32_t v, int from, uint32_t mask, int to) {
    return (v >> from & mask * 0x01010101u) << to;
}

/* Bit c of a word to bit c / 4 of byte c % 4, so that one shift moves the bits of four columns; and back. */
static inline uint32_t bits_spread(uint32_t v) {
    uint32_t out = 0;
    for (int k = 0; k < 8; k++) /* the product puts bits 0-3 at bits 0, 8, 16, 24 */
        out |= ((v >> 4 * k & 15) * 0x00204081u & 0x01010101u) << k;
    return out;
}

static inline uint32_t bits_gather(uint32_t v) {
    uint32_t out = 0;
    for (int k = 0; k < 8; k++) /* and these at bits 28-31 */
        out |= (bit_field(v, k, 1, 0) * 0x10204080u >> 28) << 4 * k;
    return out;
}

/* Q5_0 and Q5_1 in panels: the word of fifth bits spread. */
void bits5_order(int words, int fifth, const uint32_t (*in)[TYPE_ROWS], uint32_t (*out)[TYPE_ROWS]);
void bits5_restore(int words, int fifth, const uint32_t *in, uint32_t *out);

/* The value of largest magnitude, the first of equals, with its sign. */
float max_magnitude(const float *x, int n);
void min_max(const float *x, int n, float *min, float *max);

/* ggml's searches for the scales of the K formats (search.c). */
float search_symmetric(const float *x, int n, int half, uint8_t *level);
float search_affine(const float *x, const float *weight, int n, int top, float first, int steps, float *low,
                    uint8_t *level);

/* Scale and minimum of piece `index` from the 12 bytes of six-bit numbers in Q4_K and Q5_K (super.c), and back. */
static inline void scale6_get(const uint8_t scales[12], int index, int *scale, int *min) {
    int j = index & 3;
    if (index < 4) {
        *scale = scales[j] & 63;
        *min = scales[4 + j] & 63;
    } else {
        *scale = (scales[8 + j] & 15) | scales[j] >> 6 << 4;
        *min = scales[8 + j] >> 4 | scales[4 + j] >> 6 << 4;
    }
}
void scale6_pack(const uint8_t scale[8], const uint8_t min[8], uint8_t scales[12]);

/* Q4_K and Q5_K differ in the width of the integers alone. */
struct affine_super {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t level[256];
};
void affine_super_quantize(const float *x, int top, float first, int steps, struct affine_super *out);

#endif
