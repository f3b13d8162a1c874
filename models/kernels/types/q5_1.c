#include "kernels/types/types.h"

/* 24 bytes: d and m (binary16), then 5-bit values as in Q5_0, without offset. */
enum { BYTES = 24 };

static void unpack(const uint8_t *block, int index, float step, struct weight_piece *p) {
    (void)index, (void)step;
    *p = (struct weight_piece){.scale = {1, 1}, .min = 1, .d = load_half(block), .m = load_half(block + 2)};
    bits5_unpack(block + 4, 0, p->q);
}

static void dequantize(const void *src, float step, float *dst, int64_t n) {
    pieces_dequantize(unpack, 32, BYTES, 1, src, step, dst, n);
}

static void quantize(const float *src, float step, void *dst, int64_t n) {
    uint8_t *out = dst, level[32];
    float min;
    (void)step;
    for (int64_t i = 0; i < n; i += 32, out += BYTES) {
        store_u16(out, float_to_half(levels_affine(src + i, 31, level, &min)));
        store_u16(out + 2, float_to_half(min));
        bits5_pack(level, out + 4);
    }
}

/* In panels. */
enum { WORDS = BYTES / 4, FIFTH = 1 };

static void order(const uint32_t (*in)[TYPE_ROWS], uint32_t (*out)[TYPE_ROWS]) {
    bits5_order(WORDS, FIFTH, in, out);
}

static void restore(const uint32_t *in, uint32_t *out) {
    bits5_restore(WORDS, FIFTH, in, out);
}

const struct tensor_type tensor_type_q5_1 = {
    .name = "Q5_1",
    .ggml_id = 7,
    .block = 32,
    .block_bytes = BYTES,
    .has_min = 1,
    .bits = 6,
    .dequantize = dequantize,
    .quantize = quantize,
    .unpack = unpack,
    .order = order,
    .restore = restore,
};
