#include "kernels/types/types.h"

/* 22 bytes: d (binary16), 32 fifth bits (bit j of column j), low four bits as nibbles in Q4_0's order; q + 16. */
enum { BYTES = 22 };

static void unpack(const uint8_t *block, int index, float step, struct weight_piece *p) {
    (void)index, (void)step;
    *p = (struct weight_piece){.scale = {1, 1}, .d = load_half(block)};
    bits5_unpack(block + 2, 16, p->q);
}

static void dequantize(const void *src, float step, float *dst, int64_t n) {
    pieces_dequantize(unpack, 32, BYTES, 0, src, step, dst, n);
}

static void quantize(const float *src, float step, void *dst, int64_t n) {
    uint8_t *out = dst, level[32];
    (void)step;
    for (int64_t i = 0; i < n; i += 32, out += BYTES) {
        store_u16(out, float_to_half(levels_symmetric(src + i, 16, level)));
        bits5_pack(level, out + 2);
    }
}

/* In panels. */
enum { WORDS = BYTES / 4, FIFTH = 0 };

static void order(const uint32_t (*in)[TYPE_ROWS], uint32_t (*out)[TYPE_ROWS]) {
    bits5_order(WORDS, FIFTH, in, out);
}

static void restore(const uint32_t *in, uint32_t *out) {
    bits5_restore(WORDS, FIFTH, in, out);
}

const struct tensor_type tensor_type_q5_0 = {
    .name = "Q5_0",
    .ggml_id = 6,
    .block = 32,
    .block_bytes = BYTES,
    .bits = 5.5,
    .dequantize = dequantize,
    .quantize = quantize,
    .unpack = unpack,
    .order = order,
    .restore = restore,
};
