#include "kernels/types/types.h"

/* 176 bytes: as Q4_K, with 32 bytes of fifth bits before the nibbles: bit k of byte j is that of column j of piece k.
 */
enum { BYTES = 176, HIGH = 16, QUANTS = 48 };

static void unpack(const uint8_t *block, int index, float step, struct weight_piece *p) {
    int scale, min;
    (void)step;
    scale6_get(block + 4, index, &scale, &min);
    *p = (struct weight_piece){.scale = {scale, scale}, .min = min, .d = load_half(block), .m = -load_half(block + 2)};
    const uint8_t *q = block + QUANTS + 32 * (index / 2);
    for (int j = 0; j < 32; j++)
        p->q[j] = (int8_t)((q[j] >> (index & 1 ? 4 : 0) & 15) | (block[HIGH + j] >> index & 1) << 4);
}

static void dequantize(const void *src, float step, float *dst, int64_t n) {
    pieces_dequantize(unpack, 256, BYTES, 1, src, step, dst, n);
}

static void quantize(const float *src, float step, void *dst, int64_t n) {
    uint8_t *out = dst;
    (void)step;
    for (int64_t i = 0; i < n; i += 256, out += BYTES) {
        struct affine_super s;
        affine_super_quantize(src + i, 31, -0.5f, 15, &s);
        store_u16(out, s.d);
        store_u16(out + 2, s.dmin);
        memcpy(out + 4, s.scales, sizeof s.scales);
        memset(out + HIGH, 0, 32);
        for (int j = 0; j < 256; j++)
            out[HIGH + j % 32] |= (uint8_t)((s.level[j] >> 4) << (j / 32));
        for (int j = 0; j < 128; j++) {
            const uint8_t *pair = s.level + j / 32 * 64 + j % 32;
            out[QUANTS + j] = (uint8_t)((pair[0] & 15) | (pair[32] & 15) << 4);
        }
    }
}

const struct tensor_type tensor_type_q5_k = {
    .name = "Q5_K",
    .ggml_id = 13,
    .block = 256,
    .block_bytes = BYTES,
    .has_min = 1,
    .bits = 5.5,
    .dequantize = dequantize,
    .quantize = quantize,
    .unpack = unpack,
};
