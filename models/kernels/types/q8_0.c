#include "kernels/types/types.h"

/* 34 bytes: d (binary16), 32 signed bytes. */
enum { BYTES = 34 };

static void unpack(const uint8_t *block, int index, float step, struct weight_piece *p) {
    (void)index, (void)step;
    *p = (struct weight_piece){.scale = {1, 1}, .d = load_half(block)};
    memcpy(p->q, block + 2, 32);
}

static void dequantize(const void *src, float step, float *dst, int64_t n) {
    pieces_dequantize(unpack, 32, BYTES, 0, src, step, dst, n);
}

static void quantize(const float *src, float step, void *dst, int64_t n) {
    uint8_t *out = dst;
    (void)step;
    for (int64_t i = 0; i < n; i += 32, out += BYTES) {
        float d = fabsf(max_magnitude(src + i, 32)) / 127, inv = reciprocal(d);
        store_u16(out, float_to_half(d));
        for (int j = 0; j < 32; j++)
            out[2 + j] = (uint8_t)truncated(roundf(src[i + j] * inv), -128, 127);
    }
}

const struct tensor_type tensor_type_q8_0 = {
    .name = "Q8_0",
    .ggml_id = 8,
    .block = 32,
    .block_bytes = BYTES,
    .bits = 8.5,
    .dequantize = dequantize,
    .quantize = quantize,
    .unpack = unpack,
};
