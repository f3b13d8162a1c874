#include <string.h>

#include "kernels/types/types.h"

void piece_values(const struct weight_piece *p, int has_min, float dst[32]) {
    float low = p->m * (float)p->min;
    for (int j = 0; j < 32; j++) {
        float v = p->d * (float)p->scale[j / 16] * (float)p->q[j];
        dst[j] = has_min ? v + low : v;
    }
}

void pieces_dequantize(piece_unpack *unpack, int block, int block_bytes, int has_min, const void *src, float step,
                       float *dst, int64_t n) {
    const uint8_t *at = src;
    for (int64_t i = 0; i < n; i += block, at += block_bytes) {
        for (int k = 0; k < block / 32; k++) {
            struct weight_piece piece;
            unpack(at, k, step, &piece);
            piece_values(&piece, has_min, dst + i + 32 * k);
        }
    }
}

float max_magnitude(const float *x, int n) {
    float best = 0, mag = 0;
    for (int i = 0; i < n; i++) {
        if (fabsf(x[i]) <= mag) continue;
        mag = fabsf(x[i]);
        best = x[i];
    }
    return best;
}

void min_max(const float *x, int n, float *min, float *max) {
    *min = *max = x[0];
    for (int i = 1; i < n; i++) {
        if (x[i] < *min) *min = x[i];
        if (x[i] > *max) *max = x[i];
    }
}

float levels_symmetric(const float x[32], int half, uint8_t level[32]) {
    float d = max_magnitude(x, 32) / (float)-half, inv = reciprocal(d);
    for (int j = 0; j < 32; j++)
        level[j] = (uint8_t)truncated(x[j] * inv + ((float)half + 0.5f), 0, 2 * half - 1);
    return d;
}

float levels_affine(const float x[32], int top, uint8_t level[32], float *min) {
    float max;
    min_max(x, 32, min, &max);
    float d = (max - *min) / (float)top, inv = reciprocal(d);
    for (int j = 0; j < 32; j++)
        level[j] = (uint8_t)truncated((x[j] - *min) * inv + 0.5f, 0, top);
    return d;
}

void nibbles_pack(const uint8_t level[32], uint8_t dst[16]) {
    for (int j = 0; j < 16; j++)
        dst[j] = (uint8_t)((level[j] & 15) | (level[j + 16] & 15) << 4);
}

void bits5_unpack(const uint8_t *src, int offset, int8_t q[32]) {
    uint32_t high = load_u32(src);
    for (int j = 0; j < 16; j++) {
        q[j] = (int8_t)((int)((src[4 + j] & 15u) | (high >> j & 1u) << 4) - offset);
        q[j + 16] = (int8_t)((int)(src[4 + j] >> 4 | (high >> (j + 16) & 1u) << 4) - offset);
    }
}

void bits5_pack(const uint8_t level[32], uint8_t *dst) {
    uint32_t high = 0;
    for (int j = 0; j < 32; j++)
        high |= (uint32_t)(level[j] >> 4) << j;
    memcpy(dst, &high, sizeof high);
    nibbles_pack(level, dst + 4);
}

void bits5_order(int words, int fifth, const uint32_t (*in)[TYPE_ROWS], uint32_t (*out)[TYPE_ROWS]) {
    memcpy(out, in, (size_t)words * sizeof *in);
    for (int r = 0; r < TYPE_ROWS; r++)
        out[fifth][r] = bits_spread(in[fifth][r]);
}

void bits5_restore(int words, int fifth, const uint32_t *in, uint32_t *out) {
    memcpy(out, in, (size_t)words * sizeof *in);
    out[fifth] = bits_gather(in[fifth]);
}
