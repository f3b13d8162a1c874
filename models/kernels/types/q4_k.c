#include "kernels/types/types.h"

/* 144 bytes: d, dmin (binary16), 12 bytes of six-bit scales and minima (super.c), then 4 times 32 bytes of nibbles: the
 * low nibbles are piece 2k, the high ones piece 2k + 1. */
enum { BYTES = 144, QUANTS = 16 };

static void unpack(const uint8_t *block, int index, float step, struct weight_piece *p) {
    int scale, min;
    (void)step;
    scale6_get(block + 4, index, &scale, &min);
    *p = (struct weight_piece){.scale = {scale, scale}, .min = min, .d = load_half(block), .m = -load_half(block + 2)};
    const uint8_t *q = block + QUANTS + 32 * (index / 2);
    for (int j = 0; j < 32; j++)
        p->q[j] = q[j] >> (index & 1 ? 4 : 0) & 15;
}

static void dequantize(const void *src, float step, float *dst, int64_t n) {
    pieces_dequantize(unpack, 256, BYTES, 1, src, step, dst, n);
}

static void quantize(const float *src, float step, void *dst, int64_t n) {
    uint8_t *out = dst;
    (void)step;
    for (int64_t i = 0; i < n; i += 256, out += BYTES) {
        struct affine_super s;
        affine_super_quantize(src + i, 15, -1, 20, &s);
        store_u16(out, s.d);
        store_u16(out + 2, s.dmin);
        memcpy(out + 4, s.scales, sizeof s.scales);
        for (int j = 0; j < 128; j++) {
            const uint8_t *pair = s.level + j / 32 * 64 + j % 32;
            out[QUANTS + j] = (uint8_t)(pair[0] | pair[32] << 4);
        }
    }
}

const struct tensor_type tensor_type_q4_k = {
    .name = "Q4_K",
    .ggml_id = 12,
    .block = 256,
    .block_bytes = BYTES,
    .has_min = 1,
    .bits = 4.5,
    .dequantize = dequantize,
    .quantize = quantize,
    .unpack = unpack,
};
