/* What Q4_K and Q5_K share: 256 columns in 8 pieces, each with a six-bit scale and minimum of its own.
 *
 *   scales[12]   byte j < 4:   scale j     in bits 0-5, bits 4-5 of scale j+4   in bits 6-7
 *                byte 4 + j:   minimum j   in bits 0-5, bits 4-5 of minimum j+4 in bits 6-7
 *                byte 8 + j:   bits 0-3 of scale j+4 (low nibble) and of minimum j+4 (high nibble) */
#include "kernels/types/types.h"

void scale6_pack(const uint8_t scale[8], const uint8_t min[8], uint8_t scales[12]) {
    for (int j = 0; j < 4; j++) {
        scales[j] = (uint8_t)(scale[j] | scale[4 + j] >> 4 << 6);
        scales[4 + j] = (uint8_t)(min[j] | min[4 + j] >> 4 << 6);
        scales[8 + j] = (uint8_t)((scale[4 + j] & 15) | (min[4 + j] & 15) << 4);
    }
}

/* Float scales and minima of the 8 pieces. Values count by their size and the root mean square of the piece. */
static void search_pieces(const float *x, int top, float first, int steps, float scale[8], float low[8],
                          uint8_t level[256]) {
    for (int j = 0; j < 8; j++) {
        const float *piece = x + 32 * j;
        float weight[32], square = 0;
        for (int i = 0; i < 32; i++)
            square += piece[i] * piece[i];
        for (int i = 0; i < 32; i++)
            weight[i] = sqrtf(square / 32) + fabsf(piece[i]);
        scale[j] = search_affine(piece, weight, 32, top, first, steps, &low[j], level + 32 * j);
    }
}

/* Six-bit integers for 8 non-negative numbers; returns the binary16 unit. */
static uint16_t round6(const float v[8], uint8_t out[8]) {
    float max = 0;
    for (int j = 0; j < 8; j++)
        if (v[j] > max) max = v[j];
    float inv = max > 0 ? 63 / max : 0;
    if (!(inv <= 0x1.fffffep127f)) inv = 0;
    for (int j = 0; j < 8; j++) {
        uint8_t rounded = (uint8_t)nearest(inv * v[j]);
        out[j] = rounded < 63 ? rounded : 63;
    }
    return float_to_half(max / 63);
}

void affine_super_quantize(const float *x, int top, float first, int steps, struct affine_super *out) {
    float scale[8], low[8];
    uint8_t scale6[8], low6[8];
    search_pieces(x, top, first, steps, scale, low, out->level);
    out->d = round6(scale, scale6);
    out->dmin = round6(low, low6);
    scale6_pack(scale6, low6, out->scales);
    for (int j = 0; j < 8; j++) {
        float d = half_to_float(out->d) * (float)scale6[j], m = half_to_float(out->dmin) * (float)low6[j];
        if (d == 0) continue; /* levels of the search stay, as in ggml */
        for (int i = 32 * j; i < 32 * j + 32; i++)
            out->level[i] = (uint8_t)nearest(clamp_float((x[i] + m) / d, 0, (float)top));
    }
}
