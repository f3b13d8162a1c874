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

/* In panels: the first four words, then for each pair of pieces two words of fifth bits and its eight of nibbles. Bit
 * 2i + e of byte b of word w is that of column 16w + 4i + b of piece e. */
enum { PAIR_WORDS = 10 };

static void order(const uint32_t (*in)[TYPE_ROWS], uint32_t (*out)[TYPE_ROWS]) {
    memcpy(out, in, HIGH * sizeof *in / 4);
    for (int pair = 0; pair < 4; pair++) {
        uint32_t(*to)[TYPE_ROWS] = out + HIGH / 4 + PAIR_WORDS * pair;
        for (int w = 0; w < 2; w++)
            for (int r = 0; r < TYPE_ROWS; r++) {
                uint32_t v = 0;
                for (int i = 0; i < 4; i++)
                    v |= bit_field(in[HIGH / 4 + 4 * w + i][r], 2 * pair, 3, 2 * i);
                to[w][r] = v;
            }
        memcpy(to + 2, in + QUANTS / 4 + 8 * pair, 8 * sizeof *in);
    }
}

static void restore(const uint32_t *in, uint32_t *out) {
    memcpy(out, in, HIGH);
    memset(out + HIGH / 4, 0, 32);
    for (int pair = 0; pair < 4; pair++) {
        const uint32_t *from = in + HIGH / 4 + PAIR_WORDS * pair;
        for (int i = 0; i < 8; i++)
            out[HIGH / 4 + i] |= bit_field(from[i / 4], i % 4 * 2, 3, 2 * pair);
        memcpy(out + QUANTS / 4 + 8 * pair, from + 2, 32);
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
    .order = order,
    .restore = restore,
};
