#include "kernels/types/types.h"

/* 16 bytes for 32 columns: nibbles in Q4_0's order, q + 8; the step lies outside the row. */
enum { BYTES = 16 };

static void unpack(const uint8_t *block, int index, float step, struct weight_piece *p) {
    (void)index;
    *p = (struct weight_piece){.scale = {1, 1}, .d = step};
    for (int j = 0; j < 16; j++) {
        p->q[j] = (int8_t)((block[j] & 15) - 8);
        p->q[j + 16] = (int8_t)((block[j] >> 4) - 8);
    }
}

static void dequantize(const void *src, float step, float *dst, int64_t n) {
    pieces_dequantize(unpack, 32, BYTES, 0, src, step, dst, n);
}

static int level(float x, float step) {
    return nearest(clamp_float(x / step, -8, 7)) + 8;
}

static void quantize(const float *src, float step, void *dst, int64_t n) {
    uint8_t *out = dst;
    for (int64_t i = 0; i < n; i += 32, out += BYTES)
        for (int j = 0; j < 16; j++)
            out[j] = (uint8_t)(level(src[i + j], step) | level(src[i + j + 16], step) << 4);
}

const struct tensor_type tensor_type_i4 = {
    .name = "I4",
    .ggml_id = -1,
    .block = 32,
    .block_bytes = BYTES,
    .per_channel = 1,
    .bits = 4,
    .dequantize = dequantize,
    .quantize = quantize,
    .unpack = unpack,
};
