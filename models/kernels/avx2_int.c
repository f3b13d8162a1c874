/* Quantized weights times integer activations, 8 rows at a time.
 *
 * A group of 32 columns of 8 rows is brought into 8 registers, so that everything that follows has rows as lanes:
 *
 *      row 0   c0..c3  c4..c7  ...  c28..c31           q[0]   r0 c0..c3 | r1 c0..c3 | ... | r7 c0..c3
 *      row 1   c0..c3  ...                     ->      q[1]   r0 c4..c7 | r1 c4..c7 | ...
 *      ...                                             ...
 *      row 7                                           q[7]
 *
 * Four activations are then one broadcast word, the products of four columns of a row meet in that row's 32 bits, and
 * the fused chain over groups (order.h rule 4) runs on 8 rows with no horizontal step. The registers serve all tokens
 * of a tile. Sums inside a group are exact integers, so their order is free. */
#include "kernels/avx2.h"

enum { ROWS = 8 };

/* 32 columns of 8 rows. d, m, scale, min: tensor_type.h's numbers for each row, the integers as floats. */
struct tile {
    __m256i q[8];
    __m256 d, m, scale[2], min;
    /* K formats: what lasts for more than one piece, and the byte of the rows it was read at */
    size_t block, low_at, high_at;
    __m256i words[4], low[8], high[8];
};

/* How wide the stored integers are: how many products may be added in 16 bits. */
enum range { BITS4, BITS5, BITS6, SIGNED8 };

/* 16 bytes at byte `at` of 8 rows, transposed as 32-bit words: row r is lane r. */
INLINE void load_words(const uint8_t *const row[ROWS], size_t at, __m256i out[4]) {
    __m256i a[4];
    for (int r = 0; r < 4; r++) {
        __m128i low = _mm_loadu_si128((const __m128i *)(row[r] + at));
        __m128i high = _mm_loadu_si128((const __m128i *)(row[r + 4] + at));
        a[r] = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    }
    __m256i ab = _mm256_unpacklo_epi32(a[0], a[1]), cd = _mm256_unpacklo_epi32(a[2], a[3]);
    out[0] = _mm256_unpacklo_epi64(ab, cd);
    out[1] = _mm256_unpackhi_epi64(ab, cd);
    ab = _mm256_unpackhi_epi32(a[0], a[1]), cd = _mm256_unpackhi_epi32(a[2], a[3]);
    out[2] = _mm256_unpacklo_epi64(ab, cd);
    out[3] = _mm256_unpackhi_epi64(ab, cd);
}

INLINE __m256i load_word(const uint8_t *const row[ROWS], size_t at) {
    return _mm256_setr_epi32((int)load_u32(row[0] + at), (int)load_u32(row[1] + at), (int)load_u32(row[2] + at),
                             (int)load_u32(row[3] + at), (int)load_u32(row[4] + at), (int)load_u32(row[5] + at),
                             (int)load_u32(row[6] + at), (int)load_u32(row[7] + at));
}

INLINE __m256 load_halves(const uint8_t *const row[ROWS], size_t at) {
    return _mm256_cvtph_ps(_mm_setr_epi16((short)load_u16(row[0] + at), (short)load_u16(row[1] + at),
                                          (short)load_u16(row[2] + at), (short)load_u16(row[3] + at),
                                          (short)load_u16(row[4] + at), (short)load_u16(row[5] + at),
                                          (short)load_u16(row[6] + at), (short)load_u16(row[7] + at)));
}

/* Two binary16 numbers in each word. */
INLINE void split_halves(__m256i words, __m256 *low, __m256 *high) {
    __m256i packed =
        _mm256_packus_epi32(_mm256_and_si256(words, _mm256_set1_epi32(0xffff)), _mm256_srli_epi32(words, 16));
    packed = _mm256_permute4x64_epi64(packed, 0xd8);
    *low = _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
    *high = _mm256_cvtph_ps(_mm256_extracti128_si256(packed, 1));
}

INLINE __m256i low_nibbles(__m256i v) {
    return _mm256_and_si256(v, _mm256_set1_epi8(15));
}

INLINE __m256i high_nibbles(__m256i v) {
    return low_nibbles(_mm256_srli_epi16(v, 4));
}

/* v >> n in each 32-bit lane. */
INLINE __m256i shift_right(__m256i v, int n) {
    return _mm256_srl_epi32(v, _mm_cvtsi32_si128(n));
}

/* 16 bytes of nibbles, low ones columns 0-15, high ones columns 16-31. */
INLINE void load_nibbles(const uint8_t *const row[ROWS], size_t at, __m256i q[8]) {
    __m256i words[4];
    load_words(row, at, words);
    for (int k = 0; k < 4; k++) {
        q[k] = low_nibbles(words[k]);
        q[k + 4] = high_nibbles(words[k]);
    }
}

INLINE void load_bytes(const uint8_t *const row[ROWS], size_t at, __m256i q[8]) {
    load_words(row, at, q);
    load_words(row, at + 16, q + 4);
}

/* Adds 16 to the columns whose bit is set: column c has bit c of its row's word. */
INLINE void add_fifth_bits(__m256i bits, __m256i q[8]) {
    for (int k = 0; k < 8; k++) {
        __m256i byte = _mm256_shuffle_epi8(
            bits, _mm256_add_epi8(_mm256_set1_epi8((char)(k / 2)),
                                  _mm256_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12, 0, 0, 0, 0, 4, 4,
                                                   4, 4, 8, 8, 8, 8, 12, 12, 12, 12)));
        __m256i mask = _mm256_set1_epi32(k & 1 ? (int)0x80402010 : 0x08040201);
        __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(byte, mask), mask);
        q[k] = _mm256_or_si256(q[k], _mm256_and_si256(set, _mm256_set1_epi8(16)));
    }
}

typedef void tile_load(struct tile *t, const uint8_t *const row[ROWS], size_t block, int index);

INLINE void load_q4_0(struct tile *t, const uint8_t *const row[ROWS], size_t block, int index) {
    (void)index;
    t->d = load_halves(row, block);
    load_nibbles(row, block + 2, t->q);
}

INLINE void load_q4_1(struct tile *t, const uint8_t *const row[ROWS], size_t block, int index) {
    (void)index;
    split_halves(load_word(row, block), &t->d, &t->m);
    load_nibbles(row, block + 4, t->q);
}

INLINE void load_q5_0(struct tile *t, const uint8_t *const row[ROWS], size_t block, int index) {
    (void)index;
    t->d = load_halves(row, block);
    load_nibbles(row, block + 6, t->q);
    add_fifth_bits(load_word(row, block + 2), t->q);
}

INLINE void load_q5_1(struct tile *t, const uint8_t *const row[ROWS], size_t block, int index) {
    (void)index;
    split_halves(load_word(row, block), &t->d, &t->m);
    load_nibbles(row, block + 8, t->q);
    add_fifth_bits(load_word(row, block + 4), t->q);
}

INLINE void load_q8_0(struct tile *t, const uint8_t *const row[ROWS], size_t block, int index) {
    (void)index;
    t->d = load_halves(row, block);
    load_bytes(row, block + 2, t->q);
}

INLINE void load_i4(struct tile *t, const uint8_t *const row[ROWS], size_t block, int index) {
    (void)index;
    load_nibbles(row, block, t->q);
}

INLINE void load_i8(struct tile *t, const uint8_t *const row[ROWS], size_t block, int index) {
    (void)index;
    load_bytes(row, block, t->q);
}

/* Q4_K and Q5_K: units of the superblock, and the six-bit scale and minimum of piece `index` (types/super.c). */
INLINE void load_scale6(struct tile *t, const uint8_t *const row[ROWS], size_t block, int index) {
    if (t->block != block) {
        load_words(row, block, t->words);
        split_halves(t->words[0], &t->d, &t->m);
        t->m = _mm256_xor_ps(t->m, _mm256_set1_ps(-0.0f));
        t->block = block;
    }
    int shift = 8 * (index & 3);
    __m256i scale = shift_right(t->words[1], shift), min = shift_right(t->words[2], shift);
    if (index < 4) {
        scale = _mm256_and_si256(scale, _mm256_set1_epi32(63));
        min = _mm256_and_si256(min, _mm256_set1_epi32(63));
    } else {
        __m256i low = shift_right(t->words[3], shift), high = _mm256_set1_epi32(0x30), nibble = _mm256_set1_epi32(15);
        scale = _mm256_and_si256(_mm256_srli_epi32(scale, 2), high);
        min = _mm256_and_si256(_mm256_srli_epi32(min, 2), high);
        scale = _mm256_or_si256(scale, _mm256_and_si256(low, nibble));
        min = _mm256_or_si256(min, _mm256_and_si256(_mm256_srli_epi32(low, 4), nibble));
    }
    t->scale[0] = _mm256_cvtepi32_ps(scale);
    t->min = _mm256_cvtepi32_ps(min);
}

/* 32 bytes that several pieces share. */
INLINE void load_shared(const uint8_t *const row[ROWS], size_t at, size_t *have, __m256i bytes[8]) {
    if (*have != at) load_bytes(row, at, bytes);
    *have = at;
}

INLINE void load_nibbles_k(struct tile *t, const uint8_t *const row[ROWS], size_t at, int high) {
    load_shared(row, at, &t->low_at, t->low);
    for (int k = 0; k < 8; k++)
        t->q[k] = high ? high_nibbles(t->low[k]) : low_nibbles(t->low[k]);
}

/* Bits [shift, shift + width of mask) of the shared bytes become bits 4 and up. */
INLINE void add_high_bits(struct tile *t, const uint8_t *const row[ROWS], size_t at, int shift, int mask) {
    load_shared(row, at, &t->high_at, t->high);
    for (int k = 0; k < 8; k++) {
        __m256i bits = _mm256_and_si256(shift_right(t->high[k], shift), _mm256_set1_epi8((char)mask));
        t->q[k] = _mm256_or_si256(t->q[k], _mm256_slli_epi16(bits, 4));
    }
}

INLINE void load_q4_k(struct tile *t, const uint8_t *const row[ROWS], size_t block, int index) {
    load_scale6(t, row, block, index);
    load_nibbles_k(t, row, block + 16 + 32 * (size_t)(index / 2), index & 1);
}

INLINE void load_q5_k(struct tile *t, const uint8_t *const row[ROWS], size_t block, int index) {
    load_scale6(t, row, block, index);
    load_nibbles_k(t, row, block + 48 + 32 * (size_t)(index / 2), index & 1);
    add_high_bits(t, row, block + 16, index, 1);
}

/* Signed byte `index` of words, as floats. */
INLINE __m256 signed_byte(__m256i words, int index) {
    __m256i top = _mm256_sll_epi32(words, _mm_cvtsi32_si128(24 - 8 * index));
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(top, 24));
}

INLINE void load_q6_k(struct tile *t, const uint8_t *const row[ROWS], size_t block, int index) {
    size_t half = (size_t)index / 4;
    int part = index % 4;
    if (t->block != block) {
        load_words(row, block + 192, t->words);
        t->d = load_halves(row, block + 208);
        t->block = block;
    }
    t->scale[0] = signed_byte(t->words[index / 2], 2 * (index & 1));
    t->scale[1] = signed_byte(t->words[index / 2], 2 * (index & 1) + 1);
    load_nibbles_k(t, row, block + 64 * half + (part % 2 ? 32 : 0), part / 2);
    add_high_bits(t, row, block + 128 + 32 * half, 2 * part, 3);
}

INLINE __m256i broadcast4(const int8_t *x) {
    return _mm256_set1_epi32((int)load_u32(x));
}

/* Dot products of columns [4 k0, 4 k1) of 8 rows with x. Pairs of products of 4, 5, 6 bits with 7 bits stay below 2^15
 * when 8, 4, 2 of them are added: 15 * 127 * 16 = 30480, 31 * 127 * 8 = 31496, 63 * 127 * 4 = 32004. */
INLINE __m256i dot_unsigned(const __m256i q[8], const int8_t *x, int k0, int k1, int run) {
    __m256i sum = _mm256_setzero_si256();
    for (int k = k0; k < k1; k += run) {
        __m256i part = _mm256_maddubs_epi16(q[k], broadcast4(x + 4 * k));
        for (int i = k + 1; i < k + run; i++)
            part = _mm256_add_epi16(part, _mm256_maddubs_epi16(q[i], broadcast4(x + 4 * i)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(part, _mm256_set1_epi16(1)));
    }
    return sum;
}

/* |q| <= 128 times x with q's sign, |x| <= 127: pairs stay below 2^15. */
INLINE __m256i dot_signed(const __m256i q[8], const int8_t *x) {
    __m256i sum = _mm256_setzero_si256();
    for (int k = 0; k < 8; k++) {
        __m256i part = _mm256_maddubs_epi16(_mm256_abs_epi8(q[k]), _mm256_sign_epi8(broadcast4(x + 4 * k), q[k]));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(part, _mm256_set1_epi16(1)));
    }
    return sum;
}

/* The same for any signed bytes, -128 among x too: even and odd columns as 16-bit numbers. */
INLINE __m256i dot_wide(const __m256i q[8], const int8_t *x) {
    __m256i sum = _mm256_setzero_si256();
    for (int k = 0; k < 8; k++) {
        __m256i v = broadcast4(x + 4 * k);
        __m256i even = _mm256_madd_epi16(_mm256_srai_epi16(_mm256_slli_epi16(q[k], 8), 8),
                                         _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8));
        __m256i odd = _mm256_madd_epi16(_mm256_srai_epi16(q[k], 8), _mm256_srai_epi16(v, 8));
        sum = _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
    }
    return sum;
}

/* What a format's formula has beside d: constants of each instance of the kernel. */
struct form {
    enum range range;
    int offset; /* stored integers are q + 2^offset; 0: they are q */
    int scaled; /* an integer scale for the piece; 2: one for each half of 16 columns */
    int has_min;
    int is_static;
    int block, block_bytes;
};

INLINE __m256i dot32(const struct tile *w, const int8_t *x, const struct form *f) {
    if (f->range == SIGNED8) return f->is_static ? dot_wide(w->q, x) : dot_signed(w->q, x);
    return dot_unsigned(w->q, x, 0, 8, f->range == BITS4 ? 8 : f->range == BITS5 ? 4 : 2);
}

/* Takes the offset of the stored integers off a dot product. */
INLINE __m256i without_offset(__m256i dot, int32_t sum, const struct form *f) {
    return f->offset ? _mm256_sub_epi32(dot, _mm256_set1_epi32(sum * (1 << f->offset))) : dot;
}

/* The integer part of the formula as a float: at most 2^24, so each operation is exact. */
INLINE __m256 scaled_dot(const struct tile *w, const int8_t *x, const int32_t sum[2], const struct form *f) {
    if (f->scaled < 2) {
        __m256 dot = _mm256_cvtepi32_ps(without_offset(dot32(w, x, f), sum[0] + sum[1], f));
        return f->scaled ? _mm256_mul_ps(dot, w->scale[0]) : dot;
    }
    __m256i low = without_offset(dot_unsigned(w->q, x, 0, 4, 2), sum[0], f);
    __m256i high = without_offset(dot_unsigned(w->q, x, 4, 8, 2), sum[1], f);
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(low), w->scale[0], _mm256_mul_ps(_mm256_cvtepi32_ps(high), w->scale[1]));
}

INLINE __m256 chain_step(const struct tile *w, const int8_t *x, const int32_t sum[2], float scale, __m256 acc,
                         const struct form *f) {
    __m256 xs = _mm256_set1_ps(scale);
    acc = _mm256_fmadd_ps(scaled_dot(w, x, sum, f), _mm256_mul_ps(w->d, xs), acc);
    if (!f->has_min) return acc;
    __m256 total = _mm256_set1_ps((float)(sum[0] + sum[1]));
    if (f->scaled) total = _mm256_mul_ps(total, w->min);
    return _mm256_fmadd_ps(total, _mm256_mul_ps(w->m, xs), acc);
}

/* Groups [g, end) of one leaf, for nt tokens (a constant 1, or a variable): sums [nt][8] of the leaf. */
INLINE void leaf_int(const struct avx2_job *job, const uint8_t *const row[ROWS], __m256 step, int g, int end, int nt,
                     tile_load *load, const struct form *f, float *out) {
    const struct act *x = job->x;
    struct tile w = {.d = step, .block = SIZE_MAX, .low_at = SIZE_MAX, .high_at = SIZE_MAX};
    __m256 acc[ACT_TILE];
    __m256i sum[ACT_TILE];
    for (int t = 0; t < nt; t++)
        acc[t] = _mm256_setzero_ps(), sum[t] = _mm256_setzero_si256();
    for (; g < end; g++) {
        int col = x->groups[g].begin - job->w->first_col;
        size_t at = (size_t)job->tile0 * (size_t)x->n_groups + (size_t)g * (size_t)nt;
        load(&w, row, (size_t)(col / f->block) * (size_t)f->block_bytes, col % f->block / ORDER_GROUP);
        for (int t = 0; t < nt; t++, at++) {
            if (f->is_static)
                sum[t] =
                    _mm256_add_epi32(sum[t], without_offset(dot32(&w, x->q[at], f), x->sum[at][0] + x->sum[at][1], f));
            else
                acc[t] = chain_step(&w, x->q[at], x->sum[at], x->scale[at], acc[t], f);
        }
    }
    __m256 unit = _mm256_mul_ps(step, _mm256_set1_ps(x->act_step));
    for (int t = 0; t < nt; t++) {
        if (f->is_static) acc[t] = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[t]), unit);
        _mm256_storeu_ps(out + ROWS * t, acc[t]);
    }
}

INLINE void store_rows(const struct avx2_job *job, const struct sum_stack *stack) {
    for (int node = 0; node < stack->top; node++)
        for (int t = 0; t < job->nt; t++) {
            float *y = job->y + (size_t)node * job->ldnode + (size_t)(job->tile0 + t) * job->ldy + (size_t)job->row;
            memcpy(y, stack->v + (size_t)node * (size_t)stack->width + ROWS * t, (size_t)job->n_rows * sizeof *y);
        }
}

/* Rows past the last are its copies. */
INLINE __m256 rows_begin(const struct avx2_job *job, const uint8_t *row[ROWS]) {
    float step[ROWS];
    for (int r = 0; r < ROWS; r++) {
        int i = job->row + (r < job->n_rows ? r : job->n_rows - 1);
        row[r] = job->w->data + (size_t)i * job->w->stride;
        step[r] = job->w->row_step ? job->w->row_step[i] : 1;
    }
    return _mm256_loadu_ps(step);
}

INLINE void int_tile(const struct avx2_job *job, tile_load *load, const struct form *f) {
    const struct mat *w = job->w;
    const struct act *x = job->x;
    const uint8_t *row[ROWS];
    float sums[PAIRTREE_MAX_NODES * ACT_TILE * ROWS];
    struct sum_stack stack = {0, ROWS * job->nt, sums};
    __m256 step = rows_begin(job, row);
    for (int leaf = w->leaf0, g = 0, end; leaf < w->leaf1; leaf++, g = end) {
        for (end = g; end < x->n_groups && x->groups[end].leaf == leaf;)
            end++;
        if (job->nt == 1)
            leaf_int(job, row, step, g, end, 1, load, f, stack_slot(&stack));
        else
            leaf_int(job, row, step, g, end, job->nt, load, f, stack_slot(&stack));
        stack_push(&stack, job->joins[leaf - w->leaf0]);
    }
    store_rows(job, &stack);
}

/* name, tensor type, loader, static: the formats and their numbers in struct form's order */
#define FORMS(X)                                                                                                       \
    X(q4_0, q4_0, load_q4_0, 0, {BITS4, 3, 0, 0, 0, 32, 18})                                                           \
    X(q4_1, q4_1, load_q4_1, 0, {BITS4, 0, 0, 1, 0, 32, 20})                                                           \
    X(q5_0, q5_0, load_q5_0, 0, {BITS5, 4, 0, 0, 0, 32, 22})                                                           \
    X(q5_1, q5_1, load_q5_1, 0, {BITS5, 0, 0, 1, 0, 32, 24})                                                           \
    X(q8_0, q8_0, load_q8_0, 0, {SIGNED8, 0, 0, 0, 0, 32, 34})                                                         \
    X(q4_k, q4_k, load_q4_k, 0, {BITS4, 0, 1, 1, 0, 256, 144})                                                         \
    X(q5_k, q5_k, load_q5_k, 0, {BITS5, 0, 1, 1, 0, 256, 176})                                                         \
    X(q6_k, q6_k, load_q6_k, 0, {BITS6, 5, 2, 0, 0, 256, 210})                                                         \
    X(i4, i4, load_i4, 0, {BITS4, 3, 0, 0, 0, 32, 16})                                                                 \
    X(i8, i8, load_i8, 0, {SIGNED8, 0, 0, 0, 0, 32, 32})                                                               \
    X(i4_static, i4, load_i4, 1, {BITS4, 3, 0, 0, 1, 32, 16})                                                          \
    X(i8_static, i8, load_i8, 1, {SIGNED8, 0, 0, 0, 1, 32, 32})

#define X(name, type, load, fixed, ...)                                                                                \
    extern const struct tensor_type tensor_type_##type;                                                                \
    static void tile_##name(const struct avx2_job *job) {                                                              \
        static const struct form f = __VA_ARGS__;                                                                      \
        int_tile(job, load, &f);                                                                                       \
    }
FORMS(X)
#undef X

avx2_kernel *avx2_int_kernel(const struct tensor_type *type, int is_static) {
#define X(name, row, load, fixed, ...) {&tensor_type_##row, fixed, tile_##name},
    static const struct {
        const struct tensor_type *type;
        int is_static;
        avx2_kernel *kernel;
    } table[] = {FORMS(X)};
#undef X
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].type == type && table[i].is_static == is_static) return table[i].kernel;
    return NULL;
}
