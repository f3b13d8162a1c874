#include "kernels/types/types.h"

/* 20 bytes: d and m (binary16), then nibbles as in Q4_0, without offset. */
enum { BYTES = 20 };

static void unpack(const uint8_t *block, int index, float step, struct weight_piece *p) {
    (void)index, (void)step;
    *p = (struct weight_piece){.scale = {1, 1}, .min = 1, .d = load_half(block), .m = load_half(block + 2)};
    for (int j = 0; j < 16; j++) {
        p->q[j] = block[4 + j] & 15;
        p->q[j + 16] = (int8_t)(block[4 + j] >> 4);
    }
}

static void dequantize(const void *src, float step, float *dst, int64_t n) {
    pieces_dequantize(unpack, 32, BYTES, 1, src, step, dst, n);
}

static void quantize(const float *src, float step, void *dst, int64_t n) {
    uint8_t *out = dst, level[32];
    float min;
    (void)step;
    for (int64_t i = 0; i < n; i += 32, out += BYTES) {
        store_u16(out, float_to_half(levels_affine(src + i, 15, level, &min)));
        store_u16(out + 2, float_to_half(min));
        nibbles_pack(level, out + 4);
    }
}

const struct tensor_type tensor_type_q4_1 = {
    .name = "Q4_1",
    .ggml_id = 3,
    .block = 32,
    .block_bytes = BYTES,
    .has_min = 1,
    .bits = 5,
    .dequantize = dequantize,
    .quantize = quantize,
    .unpack = unpack,
};
