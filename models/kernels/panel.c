/* Rows in panels (kernels.h): packing, and reading single rows again. */
#include "kernels/types/types.h"
#include "kernels/walk.h"

/* Bytes before the words in a block of a panel. */
static int halves_bytes(const struct tensor_type *type) {
    return type->block_bytes % 4 ? 2 * MAT_PANEL : 0;
}

size_t mat_panels_bytes(const struct tensor_type *type, int rows, int cols) {
    size_t padded = ((size_t)rows + MAT_PANEL - 1) / MAT_PANEL * MAT_PANEL;
    return padded * tensor_type_row_bytes(type, cols);
}

typedef uint32_t words4 __attribute__((vector_size(16)));

static inline words4 words_load(const uint8_t *at) {
    words4 v;
    memcpy(&v, at, sizeof v);
    return v;
}

/* Four words of four rows: word i of them all goes to dst + i * stride. Any CPU with vectors of 16 bytes does this in
 * registers. */
INLINE void transpose_words(const uint8_t *const row[4], size_t at, uint8_t *dst, size_t stride) {
    words4 a = words_load(row[0] + at), b = words_load(row[1] + at);
    words4 c = words_load(row[2] + at), d = words_load(row[3] + at);
    words4 ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    words4 cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    words4 out[4] = {__builtin_shufflevector(ab0, cd0, 0, 1, 4, 5), __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7),
                     __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5), __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7)};
    for (size_t i = 0; i < 4; i++)
        memcpy(dst + i * stride, &out[i], sizeof out[i]);
}

/* One block of 16 rows; all the sizes are constants where this is inlined. A half stands before all words or behind
 * them. */
INLINE void pack_words(const uint8_t *const row[MAT_PANEL], size_t at, int words, uint8_t *dst) {
    int word = 0;
    for (; word + 4 <= words; word += 4, at += 16, dst += 16 * MAT_PANEL)
        for (int r = 0; r < MAT_PANEL; r += 4)
            transpose_words(row + r, at, dst + 4 * r, 4 * MAT_PANEL);
    for (; word < words; word++, at += 4, dst += 4 * MAT_PANEL)
        for (int r = 0; r < MAT_PANEL; r++)
            memcpy(dst + 4 * r, row[r] + at, 4);
}

INLINE void pack_block(const struct tensor_type *type, const uint8_t *const row[MAT_PANEL], size_t at, int bytes,
                       int half_at, uint8_t *dst) {
    int half = bytes % 4;
    for (int r = 0; half && r < MAT_PANEL; r++)
        memcpy(dst + 2 * r, row[r] + at + half_at, 2);
    dst += half ? 2 * MAT_PANEL : 0;
    at += half && !half_at ? 2 : 0;
    if (!type->order) {
        pack_words(row, at, bytes / 4, dst);
        return;
    }
    uint32_t stored[BLOCK_MAX_BYTES / 4][MAT_PANEL], ordered[BLOCK_MAX_BYTES / 4][MAT_PANEL];
    pack_words(row, at, bytes / 4, (uint8_t *)stored);
    type->order((const uint32_t(*)[MAT_PANEL])stored, ordered);
    memcpy(dst, ordered, (size_t)(bytes / 4) * sizeof *ordered);
}

INLINE void pack_panel(const struct tensor_type *type, const uint8_t *const row[MAT_PANEL], size_t n_blocks, int bytes,
                       int half_at, uint8_t *dst) {
    for (size_t b = 0; b < n_blocks; b++, dst += (size_t)bytes * MAT_PANEL)
        pack_block(type, row, b * (size_t)bytes, bytes, half_at, dst);
}

/* Fewer rows than a panel has, with zeros for the rest. */
static void pack_last(const struct tensor_type *type, const uint8_t *src, size_t stride, int n_rows, size_t n_blocks,
                      uint8_t *dst) {
    static const uint8_t zeros[BLOCK_MAX_BYTES];
    size_t bytes = (size_t)type->block_bytes;
    for (size_t b = 0; b < n_blocks; b++, dst += bytes * MAT_PANEL) {
        const uint8_t *row[MAT_PANEL];
        for (int r = 0; r < MAT_PANEL; r++)
            row[r] = r < n_rows ? src + (size_t)r * stride + b * bytes : zeros;
        pack_block(type, row, 0, type->block_bytes, type->half_at, dst);
    }
}

void mat_pack(const struct tensor_type *type, const uint8_t *src, size_t stride, int n_rows, int cols, uint8_t *dst) {
    size_t n_blocks = (size_t)(cols / type->block), panel = n_blocks * (size_t)type->block_bytes * MAT_PANEL;
    for (; n_rows >= MAT_PANEL; n_rows -= MAT_PANEL, src += MAT_PANEL * stride, dst += panel) {
        const uint8_t *row[MAT_PANEL];
        for (int r = 0; r < MAT_PANEL; r++)
            row[r] = src + (size_t)r * stride;
        switch (type->block_bytes) { /* the same, with constants */
        case 18: pack_panel(type, row, n_blocks, 18, 0, dst); break;
        case 34: pack_panel(type, row, n_blocks, 34, 0, dst); break;
        case 144: pack_panel(type, row, n_blocks, 144, 0, dst); break;
        case 176: pack_panel(type, row, n_blocks, 176, 0, dst); break;
        case 210: pack_panel(type, row, n_blocks, 210, 208, dst); break;
        default: pack_panel(type, row, n_blocks, type->block_bytes, type->half_at, dst);
        }
    }
    if (n_rows) pack_last(type, src, stride, n_rows, n_blocks, dst);
}

void block_gather(const struct mat *w, int row, size_t index, uint8_t *out) {
    const struct tensor_type *type = w->type;
    size_t bytes = (size_t)type->block_bytes, lane = (size_t)row % MAT_PANEL, half = bytes % 4;
    const uint8_t *block = w->data + (size_t)row / MAT_PANEL * w->stride + index * bytes * MAT_PANEL;
    uint32_t words[BLOCK_MAX_BYTES / 4], stored[BLOCK_MAX_BYTES / 4];
    for (size_t word = 0; word < bytes / 4; word++)
        memcpy(words + word, block + halves_bytes(type) + 4 * MAT_PANEL * word + 4 * lane, 4);
    if (type->restore) type->restore(words, stored);
    memcpy(out + (half && !type->half_at ? 2 : 0), type->restore ? stored : words, bytes - half);
    if (half) memcpy(out + type->half_at, block + 2 * lane, 2);
}

void mat_block_get(const struct mat *w, int row, int col, uint8_t *out) {
    size_t index = (size_t)(col / w->type->block), bytes = (size_t)w->type->block_bytes;
    if (w->in_panels)
        block_gather(w, row, index, out);
    else
        memcpy(out, w->data + (size_t)row * w->stride + index * bytes, bytes);
}

void mat_block_put(const struct mat *w, int row, int col, const uint8_t *block) {
    size_t index = (size_t)(col / w->type->block), bytes = (size_t)w->type->block_bytes;
    uint8_t *data = (uint8_t *)(uintptr_t)w->data; /* the caller's own memory */
    if (!w->in_panels) {
        memcpy(data + (size_t)row * w->stride + index * bytes, block, bytes);
        return;
    }
    uint8_t rows[MAT_PANEL][BLOCK_MAX_BYTES];
    const uint8_t *at[MAT_PANEL];
    for (int r = 0; r < MAT_PANEL; r++) {
        block_gather(w, row / MAT_PANEL * MAT_PANEL + r, index, rows[r]);
        at[r] = rows[r];
    }
    memcpy(rows[row % MAT_PANEL], block, bytes);
    pack_block(w->type, at, 0, w->type->block_bytes, w->type->half_at,
               data + (size_t)row / MAT_PANEL * w->stride + index * bytes * MAT_PANEL);
}

void mat_row_floats(const struct mat *w, int row, int n, float *dst) {
    float step = w->row_step ? w->row_step[row] : 1;
    if (!w->in_panels) {
        w->type->dequantize(w->data + (size_t)row * w->stride, step, dst, n);
        return;
    }
    for (int c = 0; c < n; c += w->type->block) {
        uint8_t block[BLOCK_MAX_BYTES];
        block_gather(w, row, (size_t)(c / w->type->block), block);
        w->type->dequantize(block, step, dst + c, w->type->block);
    }
}
