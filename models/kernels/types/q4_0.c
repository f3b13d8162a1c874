#include "kernels/types/types.h"

/* 18 bytes: d (binary16), then byte j holds q + 8 of column j (low nibble) and of column j + 16 (high nibble). */
enum { BYTES = 18 };

static void unpack(const uint8_t *block, int index, float step, struct weight_piece *p) {
    (void)index, (void)step;
    *p = (struct weight_piece){.scale = {1, 1}, .d = load_half(block)};
    for (int j = 0; j < 16; j++) {
        p->q[j] = (int8_t)((block[2 + j] & 15) - 8);
        p->q[j + 16] = (int8_t)((block[2 + j] >> 4) - 8);
    }
}

static void dequantize(const void *src, float step, float *dst, int64_t n) {
    pieces_dequantize(unpack, 32, BYTES, 0, src, step, dst, n);
}

static void quantize(const float *src, float step, void *dst, int64_t n) {
    uint8_t *out = dst, level[32];
    (void)step;
    for (int64_t i = 0; i < n; i += 32, out += BYTES) {
        store_u16(out, float_to_half(levels_symmetric(src + i, 8, level)));
        nibbles_pack(level, out + 2);
    }
}

const struct tensor_type tensor_type_q4_0 = {
    .name = "Q4_0",
    .ggml_id = 2,
    .block = 32,
    .block_bytes = BYTES,
    .bits = 4.5,
    .dequantize = dequantize,
    .quantize = quantize,
    .unpack = unpack,
};
