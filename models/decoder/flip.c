/* flip.c - one wrong bit in one weight, to show that the verification notices. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "priv.h"

/* Matrices whose every weight reaches the logits; in this order of preference none is skipped by attention's softmax.
 */
static struct mat *pick(struct decoder *dec, uint64_t which) {
    static const enum role roles[] = {ROLE_DOWN, ROLE_UP, ROLE_O, ROLE_V};
    int n_layers = dec->spec.layer1 - dec->spec.layer0;
    for (int i = 0; i < 4 && n_layers; i++) {
        int layer = dec->spec.layer0 + (int)(which % (uint64_t)n_layers);
        struct mat *m = decoder_mat(dec, roles[(i + which / (uint64_t)n_layers) % 4], layer);
        if (m->rows && m->leaf1 > m->leaf0) return m;
    }
    return dec->spec.vocab1 > dec->spec.vocab0 ? &dec->priv->head : NULL;
}

/* Columns of the stored row that the shard uses, from its first stored column. */
static void used_cols(const struct mat *m, int *begin, int *end) {
    *begin = order_leaf_begin(&m->axis, m->leaf0) - m->first_col;
    *end = order_leaf_begin(&m->axis, m->leaf1) - m->first_col;
}

/* By how much `bit` of `byte` changes the one used weight that it belongs to. 0 if it changes none or several (a
 * scale), or makes one larger than twice the largest of the block: the error should pass as a weight. */
static float change(const struct mat *m, float step, const uint8_t *block, int byte, int bit, int col) {
    uint8_t flipped[256];
    float before[256], after[256], largest = 0;
    int begin, end, count = 0, where = 0;
    memcpy(flipped, block, (size_t)m->type->block_bytes);
    flipped[byte] ^= (uint8_t)(1 << bit);
    m->type->dequantize(block, step, before, m->type->block);
    m->type->dequantize(flipped, step, after, m->type->block);
    for (int i = 0; i < m->type->block; i++) {
        largest = fmaxf(largest, fabsf(before[i]));
        if (before[i] == after[i]) continue;
        count++;
        where = i;
    }
    used_cols(m, &begin, &end);
    if (count != 1 || col + where < begin || col + where >= end || !(fabsf(after[where]) <= 2 * largest)) return 0;
    return fabsf(after[where] - before[where]);
}

/* Flips the bit of the block that changes a weight most. */
static int flip_in_block(const struct mat *m, float step, uint8_t *block, int col) {
    int best_byte = 0, best_bit = 0;
    float best = 0;
    for (int byte = 0; byte < m->type->block_bytes; byte++)
        for (int bit = 0; bit < 8; bit++) {
            float by = change(m, step, block, byte, bit, col);
            if (by <= best) continue;
            best = by;
            best_byte = byte;
            best_bit = bit;
        }
    block[best_byte] ^= (uint8_t)(best > 0 ? 1 << best_bit : 0);
    return best > 0 ? 0 : -1;
}

int decoder_flip_weight(struct decoder *dec, uint64_t which) {
    struct mat *m = pick(dec, which);
    if (!m) return -1;
    int begin, end, block = m->type->block;
    used_cols(m, &begin, &end);
    for (uint64_t attempt = 0; attempt < 64; attempt++) {
        uint64_t r = rng_u64(which, attempt);
        int row = (int)(r % (uint64_t)m->rows), col = begin + (int)((r >> 32) % (uint64_t)(end - begin));
        uint8_t stored[256];
        col = col / block * block;
        mat_block_get(m, row, col, stored);
        if (flip_in_block(m, m->row_step ? m->row_step[row] : 1, stored, col)) continue;
        mat_block_put(m, row, col, stored); /* matrices lie in memory of the decoder's own */
        return 0;
    }
    return -1;
}
