/* The float rule (order.h rule 4): 16 virtual lanes are two registers for each row, 4 rows at a time. Weights become
 * floats in a small buffer that serves all tokens of a tile. */
#include "kernels/avx2.h"
#include "kernels/types/types.h"

enum { ROWS = 4, CHUNK = 256, BUFFER = CHUNK + 2 * ORDER_GROUP };

/* 32 integers of a row and what they are multiplied with: w = unit[half] * q + low (with has_min). */
struct piece {
    __m256i q;
    float unit[2], low;
};

typedef void piece_load(struct piece *p, const uint8_t *block, int index, float step);

INLINE __m256i nibbles16(const uint8_t *p) {
    __m128i v = _mm_loadu_si128((const __m128i *)p), mask = _mm_set1_epi8(15);
    return _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(v, 4), mask), _mm_and_si128(v, mask));
}

INLINE __m256i minus(__m256i q, int offset) {
    return _mm256_sub_epi8(q, _mm256_set1_epi8((char)offset));
}

/* 16 in the bytes whose bit is set. */
INLINE __m256i fifth_bits(uint32_t bits) {
    __m256i mask = _mm256_set1_epi64x((long long)0x8040201008040201u);
    __m256i bytes =
        _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits),
                            _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(bytes, mask), mask), _mm256_set1_epi8(16));
}

INLINE float half_at(const uint8_t *p) {
    return _cvtsh_ss(load_u16(p));
}

INLINE void one_unit(struct piece *p, float d) {
    p->unit[0] = p->unit[1] = d;
}

INLINE void load_q4_0(struct piece *p, const uint8_t *block, int index, float step) {
    (void)index, (void)step;
    one_unit(p, half_at(block));
    p->q = minus(nibbles16(block + 2), 8);
}

INLINE void load_q4_1(struct piece *p, const uint8_t *block, int index, float step) {
    (void)index, (void)step;
    one_unit(p, half_at(block));
    p->low = half_at(block + 2);
    p->q = nibbles16(block + 4);
}

INLINE void load_q5_0(struct piece *p, const uint8_t *block, int index, float step) {
    (void)index, (void)step;
    one_unit(p, half_at(block));
    p->q = minus(_mm256_or_si256(nibbles16(block + 6), fifth_bits(load_u32(block + 2))), 16);
}

INLINE void load_q5_1(struct piece *p, const uint8_t *block, int index, float step) {
    (void)index, (void)step;
    one_unit(p, half_at(block));
    p->low = half_at(block + 2);
    p->q = _mm256_or_si256(nibbles16(block + 8), fifth_bits(load_u32(block + 4)));
}

INLINE void load_q8_0(struct piece *p, const uint8_t *block, int index, float step) {
    (void)index, (void)step;
    one_unit(p, half_at(block));
    p->q = _mm256_loadu_si256((const __m256i *)(block + 2));
}

INLINE void load_i4(struct piece *p, const uint8_t *block, int index, float step) {
    (void)index;
    one_unit(p, step);
    p->q = minus(nibbles16(block), 8);
}

INLINE void load_i8(struct piece *p, const uint8_t *block, int index, float step) {
    (void)index;
    one_unit(p, step);
    p->q = _mm256_loadu_si256((const __m256i *)block);
}

/* Bits [shift, shift + width of mask) of 32 bytes. */
INLINE __m256i bits_at(const uint8_t *bytes, int shift, int mask) {
    __m256i v = _mm256_loadu_si256((const __m256i *)bytes);
    return _mm256_and_si256(_mm256_srl_epi16(v, _mm_cvtsi32_si128(shift)), _mm256_set1_epi8((char)mask));
}

INLINE void load_scale6(struct piece *p, const uint8_t *block, int index) {
    int scale, min;
    scale6_get(block + 4, index, &scale, &min);
    one_unit(p, half_at(block) * (float)scale);
    p->low = -half_at(block + 2) * (float)min;
}

INLINE void load_q4_k(struct piece *p, const uint8_t *block, int index, float step) {
    (void)step;
    load_scale6(p, block, index);
    p->q = bits_at(block + 16 + 32 * (index / 2), 4 * (index & 1), 15);
}

INLINE void load_q5_k(struct piece *p, const uint8_t *block, int index, float step) {
    (void)step;
    load_scale6(p, block, index);
    __m256i high = _mm256_slli_epi16(bits_at(block + 16, index, 1), 4);
    p->q = _mm256_or_si256(bits_at(block + 48 + 32 * (index / 2), 4 * (index & 1), 15), high);
}

INLINE void load_q6_k(struct piece *p, const uint8_t *block, int index, float step) {
    int half = index / 4, part = index % 4;
    float d = half_at(block + 208);
    (void)step;
    for (int h = 0; h < 2; h++)
        p->unit[h] = d * (float)(int8_t)block[192 + 2 * index + h];
    __m256i high = _mm256_slli_epi16(bits_at(block + 128 + 32 * half, 2 * part, 3), 4);
    p->q = minus(_mm256_or_si256(bits_at(block + 64 * half + 32 * (part % 2), part / 2 * 4, 15), high), 32);
}

INLINE void piece_store(const struct piece *p, int has_min, float *out) {
    __m256 low = _mm256_set1_ps(p->low);
    __m128i half[2] = {_mm256_castsi256_si128(p->q), _mm256_extracti128_si256(p->q, 1)};
    for (int i = 0; i < 4; i++) {
        __m128i eight = i & 1 ? _mm_srli_si128(half[i / 2], 8) : half[i / 2];
        __m256 v = _mm256_mul_ps(_mm256_set1_ps(p->unit[i / 2]), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight)));
        _mm256_storeu_ps(out + 8 * i, has_min ? _mm256_add_ps(v, low) : v);
    }
}

/* n floats of a float type. */
INLINE void f16_floats(const uint8_t *src, int n, float *out) {
    int i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(src + 2 * i))));
    for (; i < n; i++)
        out[i] = half_at(src + 2 * i);
}

INLINE void bf16_floats(const uint8_t *src, int n, float *out) {
    int i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i v = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(src + 2 * i)));
        _mm256_storeu_ps(out + i, _mm256_castsi256_ps(_mm256_slli_epi32(v, 16)));
    }
    for (; i < n; i++)
        out[i] = bfloat_to_float(load_u16(src + 2 * i));
}

/* How columns of a row become floats: constants of each instance of the kernel. */
struct form {
    int block, block_bytes, has_min;
    piece_load *load;
};

/* Floats of columns [begin, end) of a row whose bytes start at column first_col; returns where they lie. */
INLINE const float *row_floats(const uint8_t *row, int first_col, int begin, int end, float step, const struct form *f,
                               float *buf) {
    const uint8_t *at = row + (size_t)(begin - first_col) * (size_t)f->block_bytes; /* float types */
    if (f->block == 1 && f->block_bytes == 4) return (const float *)(const void *)at;
    if (f->block == 1) {
        f->has_min ? bf16_floats(at, end - begin, buf) : f16_floats(at, end - begin, buf);
        return buf;
    }
    int start = begin / ORDER_GROUP * ORDER_GROUP;
    for (int c = start; c < end; c += ORDER_GROUP) {
        struct piece p = {.low = 0};
        int col = c - first_col;
        f->load(&p, row + (size_t)(col / f->block) * (size_t)f->block_bytes, col % f->block / ORDER_GROUP, step);
        piece_store(&p, f->has_min, buf + (c - start));
    }
    return buf + (begin - start);
}

/* n columns of 4 rows times one token into the lanes; n is a multiple of 16 but at the end of a leaf. */
INLINE void lanes_step(__m256 lane[ROWS][2], const float *const w[ROWS], const float *x, int n) {
    __m256 acc[ROWS][2];
    int i = 0;
    memcpy(acc, lane, sizeof acc);
    for (; i + ORDER_LANES <= n; i += ORDER_LANES) {
        __m256 x0 = _mm256_loadu_ps(x + i), x1 = _mm256_loadu_ps(x + i + 8);
        for (int r = 0; r < ROWS; r++) {
            acc[r][0] = _mm256_fmadd_ps(_mm256_loadu_ps(w[r] + i), x0, acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(_mm256_loadu_ps(w[r] + i + 8), x1, acc[r][1]);
        }
    }
    for (int h = 0; i < n; h++, i += 8) { /* lanes past the end stay as they are, to the sign of zero */
        __m256i mask = first_lanes(n - i);
        __m256 v = _mm256_maskload_ps(x + i, mask);
        for (int r = 0; r < ROWS; r++) {
            __m256 sum = _mm256_fmadd_ps(_mm256_maskload_ps(w[r] + i, mask), v, acc[r][h]);
            acc[r][h] = _mm256_blendv_ps(acc[r][h], sum, _mm256_castsi256_ps(mask));
        }
    }
    memcpy(lane, acc, sizeof acc);
}

INLINE void leaf_float(const struct avx2_job *job, int leaf, const struct form *f, float *out) {
    const struct mat *w = job->w;
    __m256 lane[ACT_TILE][ROWS][2];
    _Alignas(64) float buf[ROWS][BUFFER];
    int first = order_leaf_begin(&w->axis, w->leaf0), end = order_leaf_begin(&w->axis, leaf + 1);
    for (int t = 0; t < job->nt; t++)
        for (int i = 0; i < 2 * ROWS; i++)
            lane[t][i / 2][i % 2] = _mm256_setzero_ps();
    for (int c = order_leaf_begin(&w->axis, leaf); c < end; c += CHUNK) {
        int n = end - c < CHUNK ? end - c : CHUNK;
        const float *row[ROWS];
        for (int r = 0; r < ROWS; r++) {
            int i = job->row + (r < job->n_rows ? r : job->n_rows - 1);
            row[r] = row_floats(w->data + (size_t)i * w->stride, w->first_col, c, c + n,
                                w->row_step ? w->row_step[i] : 1, f, buf[r]);
        }
        for (int t = 0; t < job->nt; t++)
            lanes_step(lane[t], row, job->x->x + (size_t)(job->tile0 + t) * job->x->ldx + (c - first), n);
    }
    for (int t = 0; t < job->nt; t++)
        for (int r = 0; r < ROWS; r++)
            out[ROWS * t + r] = lanes_sum(lane[t][r][0], lane[t][r][1]);
}

INLINE void float_tile(const struct avx2_job *job, const struct form *f) {
    const struct mat *w = job->w;
    float sums[PAIRTREE_MAX_NODES * ACT_TILE * ROWS];
    struct sum_stack stack = {0, ROWS * job->nt, sums};
    for (int leaf = w->leaf0; leaf < w->leaf1; leaf++) {
        leaf_float(job, leaf, f, stack_slot(&stack));
        stack_push(&stack, job->joins[leaf - w->leaf0]);
    }
    for (int node = 0; node < stack.top; node++)
        for (int t = 0; t < job->nt; t++)
            for (int r = 0; r < job->n_rows; r++)
                job->y[(size_t)node * job->ldnode + (size_t)(job->tile0 + t) * job->ldy + (size_t)(job->row + r)] =
                    sums[node * stack.width + ROWS * t + r];
}

/* type, struct form; for the 16-bit float types has_min tells bfloat16 */
#define FORMS(X)                                                                                                       \
    X(f32, {1, 4, 0, NULL})                                                                                            \
    X(f16, {1, 2, 0, NULL})                                                                                            \
    X(bf16, {1, 2, 1, NULL})                                                                                           \
    X(q4_0, {32, 18, 0, load_q4_0})                                                                                    \
    X(q4_1, {32, 20, 1, load_q4_1})                                                                                    \
    X(q5_0, {32, 22, 0, load_q5_0})                                                                                    \
    X(q5_1, {32, 24, 1, load_q5_1})                                                                                    \
    X(q8_0, {32, 34, 0, load_q8_0})                                                                                    \
    X(q4_k, {256, 144, 1, load_q4_k})                                                                                  \
    X(q5_k, {256, 176, 1, load_q5_k})                                                                                  \
    X(q6_k, {256, 210, 0, load_q6_k})                                                                                  \
    X(i4, {32, 16, 0, load_i4})                                                                                        \
    X(i8, {32, 32, 0, load_i8})

#define X(type, ...)                                                                                                   \
    extern const struct tensor_type tensor_type_##type;                                                                \
    static void tile_##type(const struct avx2_job *job) {                                                              \
        static const struct form f = __VA_ARGS__;                                                                      \
        float_tile(job, &f);                                                                                           \
    }
FORMS(X)
#undef X

avx2_kernel *avx2_float_kernel(const struct tensor_type *type) {
#define X(row, ...) {&tensor_type_##row, tile_##row},
    static const struct {
        const struct tensor_type *type;
        avx2_kernel *kernel;
    } table[] = {FORMS(X)};
#undef X
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].type == type) return table[i].kernel;
    return NULL;
}
