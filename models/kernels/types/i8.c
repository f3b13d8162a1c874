#include "kernels/types/types.h"

/* One signed byte a column; the step lies outside the row. */
static void unpack(const uint8_t *block, int index, float step, struct weight_piece *p) {
    (void)index;
    *p = (struct weight_piece){.scale = {1, 1}, .d = step};
    memcpy(p->q, block, 32);
}

static void dequantize(const void *src, float step, float *dst, int64_t n) {
    pieces_dequantize(unpack, 32, 32, 0, src, step, dst, n);
}

static void quantize(const float *src, float step, void *dst, int64_t n) {
    int8_t *out = dst;
    for (int64_t i = 0; i < n; i++)
        out[i] = (int8_t)nearest(clamp_float(src[i] / step, -128, 127));
}

const struct tensor_type tensor_type_i8 = {
    .name = "I8",
    .ggml_id = -1,
    .block = 32,
    .block_bytes = 32,
    .per_channel = 1,
    .bits = 8,
    .dequantize = dequantize,
    .quantize = quantize,
    .unpack = unpack,
};
