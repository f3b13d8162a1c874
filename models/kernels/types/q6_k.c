#include "kernels/types/types.h"

/* 210 bytes: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed scales (one for 16 columns), d (binary16).
 * Each half of 128 columns has 64 bytes of nibbles and 32 of pairs; of its pieces 0..3,
 *   column j of piece p:   nibble p/2 of byte 32 (p%2) + j, bit pair p of byte j; q + 32 */
enum { BYTES = 210, HIGH = 128, SCALES = 192, UNIT = 208 };

static void unpack(const uint8_t *block, int index, float step, struct weight_piece *p) {
    const int8_t *scale = (const int8_t *)block + SCALES + 2 * index;
    int half = index / 4, part = index % 4;
    const uint8_t *low = block + 64 * half + 32 * (part % 2), *high = block + HIGH + 32 * half;
    (void)step;
    *p = (struct weight_piece){.scale = {scale[0], scale[1]}, .d = load_half(block + UNIT)};
    for (int j = 0; j < 32; j++)
        p->q[j] = (int8_t)(((low[j] >> (part / 2 * 4) & 15) | (high[j] >> (2 * part) & 3) << 4) - 32);
}

static void dequantize(const void *src, float step, float *dst, int64_t n) {
    pieces_dequantize(unpack, 256, BYTES, 0, src, step, dst, n);
}

/* Rounds the scales of the 16 groups to signed bytes, the largest to -128; 0 if the block is one of zeros. */
static int round_scales(const float *x, uint8_t *block, uint8_t level[256]) {
    float scale[16];
    for (int g = 0; g < 16; g++)
        scale[g] = search_symmetric(x + 16 * g, 16, 32, level + 16 * g);
    float max = max_magnitude(scale, 16);
    if (fabsf(max) < 1e-15f) return 0;
    float inv = -128 / max;
    store_u16(block + UNIT, float_to_half(1 / inv));
    for (int g = 0; g < 16; g++) {
        int rounded = nearest(inv * scale[g]);
        block[SCALES + g] = (uint8_t)(rounded < 127 ? rounded : 127);
    }
    return 1;
}

static void quantize_block(const float *x, uint8_t *block) {
    uint8_t level[256];
    memset(block, 0, BYTES);
    if (!round_scales(x, block, level)) return;
    float d = load_half(block + UNIT);
    for (int c = 0; c < 256; c++) {
        int half = c / 128, part = c / 32 % 4, j = c % 32;
        float step = d * (float)(int8_t)block[SCALES + c / 16];
        if (step != 0) level[c] = (uint8_t)(32 + nearest(clamp_float(x[c] / step, -32, 31)));
        block[64 * half + 32 * (part % 2) + j] |= (uint8_t)((level[c] & 15) << (part / 2 * 4));
        block[HIGH + 32 * half + j] |= (uint8_t)(level[c] >> 4 << (2 * part));
    }
}

static void quantize(const float *src, float step, void *dst, int64_t n) {
    uint8_t *out = dst;
    (void)step;
    for (int64_t i = 0; i < n; i += 256, out += BYTES)
        quantize_block(src + i, out);
}

/* In panels: for each pair of pieces its four scales, four words of bit pairs, eight of nibbles, the low ones the first
 * piece. Byte b of word w of the bits: bits 0 and 2 on are those of column 4w + b of the two, bits 4 and 6 on those of
 * column 16 + 4w + b. */
enum { PAIR_WORDS = 13 };

static void order(const uint32_t (*in)[TYPE_ROWS], uint32_t (*out)[TYPE_ROWS]) {
    for (int pair = 0; pair < 4; pair++, out += PAIR_WORDS) {
        const uint32_t(*low)[TYPE_ROWS] = in + pair / 2 * 16, (*high)[TYPE_ROWS] = in + HIGH / 4 + pair / 2 * 8;
        int from = pair % 2 * 4;
        memcpy(out, in + SCALES / 4 + pair, sizeof *in);
        for (int w = 0; w < 4; w++)
            for (int r = 0; r < TYPE_ROWS; r++)
                out[1 + w][r] = bit_field(high[w][r], from, 15, 0) | bit_field(high[4 + w][r], from, 15, 4);
        for (int w = 0; w < 8; w++)
            for (int r = 0; r < TYPE_ROWS; r++)
                out[5 + w][r] = bit_field(low[w][r], from, 15, 0) | bit_field(low[8 + w][r], from, 15, 4);
    }
}

static void restore(const uint32_t *in, uint32_t *out) {
    for (int half = 0; half < 2; half++) {
        const uint32_t *one = in + 2 * PAIR_WORDS * half, *two = one + PAIR_WORDS;
        out[SCALES / 4 + 2 * half] = one[0];
        out[SCALES / 4 + 2 * half + 1] = two[0];
        for (int w = 0; w < 8; w++)
            out[HIGH / 4 + 8 * half + w] =
                bit_field(one[1 + w % 4], w / 4 * 4, 15, 0) | bit_field(two[1 + w % 4], w / 4 * 4, 15, 4);
        for (int w = 0; w < 16; w++)
            out[16 * half + w] =
                bit_field(one[5 + w % 8], w / 8 * 4, 15, 0) | bit_field(two[5 + w % 8], w / 8 * 4, 15, 4);
    }
}

const struct tensor_type tensor_type_q6_k = {
    .name = "Q6_K",
    .ggml_id = 14,
    .block = 256,
    .block_bytes = BYTES,
    .half_at = 208,
    .bits = 6.5625,
    .dequantize = dequantize,
    .quantize = quantize,
    .unpack = unpack,
    .order = order,
    .restore = restore,
};
