/* Attention with AVX2. Rows (heads of queries) go four at a time, so that what is loaded and converted serves four.
 *
 *   scores, f16     lanes are those of order.h rule 4: 8 sums of (row, position) pairs in registers, reduced together
 *   scores, int     positions are lanes: 4 columns of 8 positions are a register, exact integer sums
 *   weights         positions are lanes
 *   values          head dimensions are lanes, positions in order; sums of four rows in registers */
#include "kernels/avx2.h"

#include "kernels/attention.h"

enum { TOGETHER = 4 }; /* rows */

/* Rows of a call that go together next: 4, 2 or 1, so that each case has constants. */
INLINE int rows_next(int left) {
    return left >= TOGETHER ? TOGETHER : left >= 2 ? 2 : 1;
}

INLINE __m256 halves8(const void *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(p));
}

/* The first n < 8. */
INLINE __m256 halves_first(const uint8_t *p, int n) {
    uint16_t v[8] = {0};
    memcpy(v, p, (size_t)n * sizeof *v);
    return halves8(v);
}

/* Positions past the last repeat it. */
INLINE const uint8_t *row_at(const struct kv_rows *k, int j, int count) {
    return k->q + (size_t)(j < count ? j : count - 1) * (size_t)k->bytes;
}

/* Lanes 0-7 (first = 0) or 8-15 (first = 8) of 8 sums: 8 / n positions for each of n rows. */
INLINE void lanes_half(const struct attn_row *r, int n, const uint8_t *const k[8], int first, int dim, __m256 acc[8]) {
    int each = 8 / n, d = first;
    __m256 kv[8];
    for (int i = 0; i < 8; i++)
        acc[i] = _mm256_setzero_ps();
    for (; d + 8 <= dim; d += ORDER_LANES) {
        for (int p = 0; p < each; p++)
            kv[p] = halves8(k[p] + 2 * d);
        for (int i = 0; i < n; i++) {
            __m256 q = _mm256_loadu_ps(r[i].q + d);
            for (int p = 0; p < each; p++)
                acc[i * each + p] = _mm256_fmadd_ps(q, kv[p], acc[i * each + p]);
        }
    }
    if (d >= dim) return;
    __m256i mask = first_lanes(dim - d); /* lanes past the end stay as they are, to the sign of zero */
    for (int p = 0; p < each; p++)
        kv[p] = halves_first(k[p] + 2 * d, dim - d);
    for (int i = 0; i < 8; i++) {
        __m256 sum = _mm256_fmadd_ps(_mm256_maskload_ps(r[i / each].q + d, mask), kv[i % each], acc[i]);
        acc[i] = _mm256_blendv_ps(acc[i], sum, _mm256_castsi256_ps(mask));
    }
}

/* n rows, 8 / n positions from j on. */
INLINE void dot_half_tile(struct attn_row *r, int n, const struct kv_rows *k, int j, int dim, int count) {
    int each = 8 / n;
    const uint8_t *at[8];
    __m256 low[8], high[8];
    float sum[8];
    for (int p = 0; p < each; p++)
        at[p] = row_at(k, j + p, count);
    lanes_half(r, n, at, 0, dim, low);
    lanes_half(r, n, at, 8, dim, high);
    for (int i = 0; i < 8; i++)
        low[i] = _mm256_add_ps(low[i], high[i]);
    _mm256_storeu_ps(sum, reduce8(low));
    for (int i = 0; i < n; i++)
        memcpy(r[i].s + j, sum + i * each, (size_t)each * sizeof *sum);
}

static void dot_half(struct attn_row *r, int n, const struct kv_rows *k, int dim, int count) {
    for (int next; n; n -= next, r += next) {
        next = rows_next(n);
        for (int j = 0; j < count; j += 8 / next) {
            kv_ask(k, j, j + 8 / next);
            switch (next) {
            case 4: dot_half_tile(r, 4, k, j, dim, count); break;
            case 2: dot_half_tile(r, 2, k, j, dim, count); break;
            default: dot_half_tile(r, 1, k, j, dim, count);
            }
        }
    }
}

/* 4 x 4 words in each half: out[i] has word i of the four. */
INLINE void transpose4(const __m256i in[4], __m256i out[4]) {
    __m256i a = _mm256_unpacklo_epi32(in[0], in[1]), b = _mm256_unpacklo_epi32(in[2], in[3]);
    __m256i c = _mm256_unpackhi_epi32(in[0], in[1]), d = _mm256_unpackhi_epi32(in[2], in[3]);
    out[0] = _mm256_unpacklo_epi64(a, b), out[1] = _mm256_unpackhi_epi64(a, b);
    out[2] = _mm256_unpacklo_epi64(c, d), out[3] = _mm256_unpackhi_epi64(c, d);
}

/* 16 bytes at `at` of 8 positions: out[i] has word i of each. */
INLINE void words_of_positions(const uint8_t *const row[8], int at, __m256i out[4]) {
    __m256i in[4];
    for (int i = 0; i < 4; i++)
        in[i] = _mm256_set_m128i(_mm_loadu_si128((const __m128i *)(row[i + 4] + at)),
                                 _mm_loadu_si128((const __m128i *)(row[i] + at)));
    transpose4(in, out);
}

/* Group g of the keys of 8 positions, positions as lanes. Bytes: word i has columns 4i..4i+3. Nibbles: unsigned, words
 * of columns 8i, 8i+2, 8i+4, 8i+6, then of 8i+1, ... */
INLINE void load_keys(const uint8_t *const row[8], int nibbles, int g, int width, __m256i out[8]) {
    uint8_t buf[8][ORDER_GROUP];
    const uint8_t *padded[8];
    int at = g * (nibbles ? 16 : 32), bytes = nibbles ? (width + 1) / 2 : width;
    for (int i = 0; width < ORDER_GROUP && i < 8; i++) {
        memset(buf[i], 0, sizeof buf[i]);
        padded[i] = memcpy(buf[i], row[i] + at, (size_t)bytes);
    }
    if (width < ORDER_GROUP) row = padded, at = 0;
    if (!nibbles) {
        words_of_positions(row, at, out);
        words_of_positions(row, at + 16, out + 4);
        return;
    }
    __m256i two[4], mask = _mm256_set1_epi8(15);
    words_of_positions(row, at, two);
    for (int i = 0; i < 4; i++) {
        out[2 * i] = _mm256_and_si256(two[i], mask);
        out[2 * i + 1] = _mm256_and_si256(_mm256_srli_epi16(two[i], 4), mask);
    }
}

/* A group of a query in the order of load_keys. */
INLINE void load_query(const struct attn_row *r, int g, int nibbles, int8_t q[32]) {
    __m256i v = _mm256_loadu_si256((const __m256i *)r->q_int[g]);
    if (nibbles) {
        __m256i even_odd = _mm256_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15, 0, 2, 4, 6, 1, 3, 5,
                                            7, 8, 10, 12, 14, 9, 11, 13, 15);
        v = _mm256_shuffle_epi8(v, even_odd);
    }
    _mm256_storeu_si256((__m256i *)q, v);
}

/* Scores of group g move on: positions j..j+7 of one row. */
INLINE void score_step(struct attn_row *r, int j, int g, __m256i dot, const float *scale) {
    __m256 unit = _mm256_mul_ps(_mm256_loadu_ps(scale + j), _mm256_set1_ps(r->q_scale[g]));
    __m256 before = g ? _mm256_loadu_ps(r->s + j) : _mm256_setzero_ps();
    _mm256_storeu_ps(r->s + j, _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), unit, before));
}

/* n rows, 16 positions from j on. Pairs of products of nibbles stay below 2^15 when all 8 words are added:
 * 15 * 127 * 2 * 8 = 30480; those of bytes become 32 bits wide at once. */
INLINE void dot_int_tile(struct attn_row *r, int n, __m256i keys[2][8], int nibbles, int j, int g, const float *scale) {
    __m256i acc[TOGETHER][2], ones = _mm256_set1_epi16(1);
    int8_t q[TOGETHER][32];
    for (int i = 0; i < n; i++) {
        load_query(&r[i], g, nibbles, q[i]);
        acc[i][0] = acc[i][1] = _mm256_setzero_si256();
    }
    for (int w = 0; w < 8; w++) {
        __m256i k[2] = {keys[0][w], keys[1][w]};
        __m256i size[2] = {_mm256_abs_epi8(k[0]), _mm256_abs_epi8(k[1])};
        for (int i = 0; i < n; i++) {
            __m256i x = _mm256_set1_epi32((int)load_u32(q[i] + 4 * w));
            for (int p = 0; p < 2; p++) {
                if (nibbles) {
                    acc[i][p] = _mm256_add_epi16(acc[i][p], _mm256_maddubs_epi16(k[p], x));
                } else {
                    __m256i pairs = _mm256_maddubs_epi16(size[p], _mm256_sign_epi8(x, k[p]));
                    acc[i][p] = _mm256_add_epi32(acc[i][p], _mm256_madd_epi16(pairs, ones));
                }
            }
        }
    }
    for (int i = 0; i < n; i++)
        for (int p = 0; p < 2; p++) {
            __m256i dot = acc[i][p];
            if (nibbles) dot = _mm256_sub_epi32(_mm256_madd_epi16(dot, ones), _mm256_set1_epi32(8 * r[i].q_sum[g]));
            score_step(&r[i], j + 8 * p, g, dot, scale);
        }
}

/* Scales of group g, 32 of them: in place where so many are seen. */
INLINE const float *block_scales(const struct kv_rows *v, int g, int count, float buf[ORDER_KV_BLOCK]) {
    const float *scale = v->scale + (size_t)g * v->scale_stride;
    if (count == ORDER_KV_BLOCK) return scale;
    memset(buf, 0, ORDER_KV_BLOCK * sizeof *buf);
    memcpy(buf, scale, (size_t)count * sizeof *buf);
    return buf;
}

/* Group g of n rows, 16 positions from j on. */
INLINE void dot_int_group(struct attn_row *r, int n, const uint8_t *const row[16], int nibbles, int j, int g, int width,
                          const float *scale) {
    __m256i keys[2][8];
    load_keys(row, nibbles, g, width, keys[0]);
    load_keys(row + 8, nibbles, g, width, keys[1]);
    for (int next; n; n -= next, r += next) {
        next = rows_next(n);
        switch (next) {
        case 4: dot_int_tile(r, 4, keys, nibbles, j, g, scale); break;
        case 2: dot_int_tile(r, 2, keys, nibbles, j, g, scale); break;
        default: dot_int_tile(r, 1, keys, nibbles, j, g, scale);
        }
    }
}

INLINE void dot_int_block(struct attn_row *r, int n, const struct kv_rows *k, int nibbles, int dim, int count) {
    for (int j = 0; j < count; j += 16) {
        const uint8_t *row[16];
        for (int i = 0; i < 16; i++)
            row[i] = row_at(k, j + i, count);
        for (int g = 0; g < k->n_scales; g++) {
            float buf[ORDER_KV_BLOCK];
            const float *scale = block_scales(k, g, count, buf);
            kv_ask(k, j + 16 * g / k->n_scales, j + 16 * (g + 1) / k->n_scales);
            if (group_width(dim, g) == ORDER_GROUP)
                dot_int_group(r, n, row, nibbles, j, g, ORDER_GROUP, scale);
            else
                dot_int_group(r, n, row, nibbles, j, g, group_width(dim, g), scale);
        }
    }
}

static void dot_int(struct attn_row *r, int n, const struct kv_rows *k, int dim, int count) {
    if (k->nibbles)
        dot_int_block(r, n, k, 1, dim, count);
    else
        dot_int_block(r, n, k, 0, dim, count);
}

/* e^x as math_expf has it, operation by operation (mathf.c). */
INLINE __m256 exp8(__m256 x) {
    static const float c[] = {0x1p-1f,        0x1.555556p-3f,  0x1.5554e8p-5f,
                              0x1.1110e0p-7f, 0x1.6d43b0p-10f, 0x1.a1256cp-13f};
    __m256 round = _mm256_set1_ps(0x1.8p23f);
    x = _mm256_max_ps(_mm256_set1_ps(-104.0f), x); /* NaN stays */
    x = _mm256_min_ps(_mm256_set1_ps(89.0f), x);
    __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(0x1.715476p0f), round), n = _mm256_sub_ps(shifted, round);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e430p-1f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-0x1.05c610p-29f), r);
    __m256 y = _mm256_set1_ps(c[5]);
    for (int i = 4; i >= 0; i--)
        y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(c[i]));
    y = _mm256_add_ps(_mm256_fmadd_ps(_mm256_mul_ps(r, r), y, r), _mm256_set1_ps(1));
    __m256i k = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_castps_si256(round));
    __m256i half = _mm256_srai_epi32(k, 1), rest = _mm256_sub_epi32(k, half), bias = _mm256_set1_epi32(127);
    half = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    rest = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(y, _mm256_castsi256_ps(half)), _mm256_castsi256_ps(rest));
}

INLINE float largest(__m256 v) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/* Scores past the last are taken for -inf, their weights are 0, which changes no sum. A score that is no number is
 * never the largest. */
static void weigh(struct attn_row *r, float scale, int count) {
    __m256 s[4], low = _mm256_set1_ps(-INFINITY), m = _mm256_set1_ps(r->m);
    for (int i = 0; i < 4; i++) {
        __m256 seen = _mm256_castsi256_ps(first_lanes(count - 8 * i));
        s[i] = _mm256_blendv_ps(low, _mm256_mul_ps(_mm256_loadu_ps(r->s + 8 * i), _mm256_set1_ps(scale)), seen);
        m = _mm256_max_ps(s[i], m);
    }
    float top = largest(m);
    for (int i = 0; i < 4; i++) {
        __m256 seen = _mm256_castsi256_ps(first_lanes(count - 8 * i));
        s[i] = _mm256_and_ps(exp8(_mm256_sub_ps(s[i], _mm256_set1_ps(top))), seen);
        _mm256_storeu_ps(r->s + 8 * i, s[i]);
    }
    r->c = r->m > -INFINITY ? _mm256_cvtss_f32(exp8(_mm256_set1_ps(r->m - top))) : 0;
    r->l = fmaf(r->l, r->c, lanes_sum(_mm256_add_ps(s[0], s[2]), _mm256_add_ps(s[1], s[3])));
    r->m = top;
}

/* What values are converted from. */
enum source { HALVES, BYTES, NIBBLES, FLOATS };

/* Eight dimensions, the i-th of a group. Nibbles, 8 too large, go to the top of a word each: so high, 8 less is one bit
 * flipped. */
INLINE __m256 values8(enum source from, const uint8_t *group, int i) {
    switch (from) {
    case HALVES: return halves8(group + 16 * i);
    case FLOATS: return _mm256_loadu_ps((const float *)(const void *)group + 8 * i);
    case BYTES: return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(group + 8 * i))));
    default: break;
    }
    __m256i word = _mm256_xor_si256(_mm256_set1_epi32((int)load_u32(group + 4 * i)), _mm256_set1_epi8((char)0x88));
    word = _mm256_sllv_epi32(word, _mm256_setr_epi32(28, 24, 20, 16, 12, 8, 4, 0));
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(word, 28));
}

INLINE int source_bytes(enum source from, int dims) {
    return from == HALVES ? 2 * dims : from == FLOATS ? 4 * dims : from == BYTES ? dims : (dims + 1) / 2;
}

/* Values of a group: rows `stride` bytes apart. */
struct slab {
    const uint8_t *at;
    size_t stride;
};

/* 32 dimensions of some rows: sums so far, their factors, and weights of positions. */
struct sums {
    float *o[TOGETHER], c[TOGETHER];
    const float *w[TOGETHER];
};

/* Vectors [v0, v0 + vectors) of n rows, in registers over all positions. */
INLINE void add_vectors(const struct sums *t, int n, int v0, int vectors, enum source from, struct slab v, int count) {
    __m256 acc[TOGETHER][4], x[4];
    for (int i = 0; i < n; i++)
        for (int k = 0; k < vectors; k++)
            acc[i][k] = _mm256_mul_ps(_mm256_loadu_ps(t->o[i] + 8 * (v0 + k)), _mm256_set1_ps(t->c[i]));
    for (int j = 0; j < count; j++, v.at += v.stride) {
        for (int k = 0; k < vectors; k++)
            x[k] = values8(from, v.at, v0 + k);
        for (int i = 0; i < n; i++) {
            __m256 w = _mm256_set1_ps(t->w[i][j]);
            for (int k = 0; k < vectors; k++)
                acc[i][k] = _mm256_fmadd_ps(w, x[k], acc[i][k]);
        }
    }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < vectors; k++)
            _mm256_storeu_ps(t->o[i] + 8 * (v0 + k), acc[i][k]);
}

INLINE void add_sums(const struct sums *t, int n, enum source from, struct slab v, int count) {
    switch (n) {
    case 4:
        add_vectors(t, 4, 0, 2, from, v, count);
        add_vectors(t, 4, 2, 2, from, v, count);
        break;
    case 2: add_vectors(t, 2, 0, 4, from, v, count); break;
    default: add_vectors(t, 1, 0, 4, from, v, count);
    }
}

/* Group g of up to 4 rows. */
INLINE void add_rows(struct attn_row *r, int n, int g, int width, const float *scale, enum source from, struct slab v,
                     int count) {
    float w[TOGETHER][ORDER_KV_BLOCK], buf[TOGETHER][ORDER_GROUP];
    struct sums t;
    for (int i = 0; i < n; i++) {
        float *o = r[i].o + g * ORDER_GROUP;
        t.c[i] = r[i].c;
        t.o[i] = width == ORDER_GROUP ? o : memcpy(memset(buf[i], 0, sizeof buf[i]), o, (size_t)width * sizeof *o);
        t.w[i] = scale ? w[i] : r[i].s;
        for (int j = 0; scale && j < ORDER_KV_BLOCK; j += 8)
            _mm256_storeu_ps(w[i] + j, _mm256_mul_ps(_mm256_loadu_ps(r[i].s + j), _mm256_loadu_ps(scale + j)));
    }
    add_sums(&t, n, from, v, count);
    for (int i = 0; width < ORDER_GROUP && i < n; i++)
        memcpy(r[i].o + g * ORDER_GROUP, buf[i], (size_t)width * sizeof(float));
}

/* A group as floats, zeros past its width. */
INLINE void fill_slab(enum source from, struct slab v, int width, int count, float out[ORDER_KV_BLOCK][ORDER_GROUP]) {
    for (int j = 0; j < count; j++, v.at += v.stride) {
        uint8_t buf[2 * ORDER_GROUP] = {0};
        const uint8_t *at = v.at;
        if (width < ORDER_GROUP) at = memcpy(buf, at, (size_t)source_bytes(from, width));
        for (int i = 0; i < 4; i++)
            _mm256_storeu_ps(out[j] + 8 * i, values8(from, at, i));
    }
}

/* Many rows, and groups that are no whole number of vectors, go over a copy in floats. */
INLINE void add_group(struct attn_row *r, int n, const struct kv_rows *rows, enum source from, int g, int width,
                      int count) {
    float slab[ORDER_KV_BLOCK][ORDER_GROUP], buf[ORDER_KV_BLOCK];
    struct slab v = {rows->q + g * source_bytes(from, ORDER_GROUP), (size_t)rows->bytes};
    const float *scale = from == HALVES ? NULL : block_scales(rows, g, count, buf);
    if (n <= TOGETHER && width == ORDER_GROUP) {
        for (int next; n; n -= next, r += next)
            add_rows(r, next = rows_next(n), g, width, scale, from, v, count);
        return;
    }
    fill_slab(from, v, width, count, slab);
    v = (struct slab){(const uint8_t *)slab, sizeof slab[0]};
    for (int next; n; n -= next, r += next)
        add_rows(r, next = rows_next(n), g, width, scale, FLOATS, v, count);
}

/* Group g's share of the block that is wanted next. */
INLINE void ask_share(const struct kv_rows *v, int g, int dim) {
    int groups = (dim + ORDER_GROUP - 1) / ORDER_GROUP;
    kv_ask(v, ORDER_KV_BLOCK * g / groups, ORDER_KV_BLOCK * (g + 1) / groups);
}

INLINE void add_groups(struct attn_row *r, int n, const struct kv_rows *v, enum source from, int dim, int count) {
    for (int g = 0; g * ORDER_GROUP < dim; g++) {
        ask_share(v, g, dim);
        add_group(r, n, v, from, g, group_width(dim, g), count);
    }
}

static void add_half(struct attn_row *r, int n, const struct kv_rows *v, int dim, int count) {
    add_groups(r, n, v, HALVES, dim, count);
}

static void add_int(struct attn_row *r, int n, const struct kv_rows *v, int dim, int count) {
    if (v->nibbles)
        add_groups(r, n, v, NIBBLES, dim, count);
    else
        add_groups(r, n, v, BYTES, dim, count);
}

/* Weights with a static step are integers already, and values have one scale. */
INLINE void weights_static(const struct attn_row *r, const float *scale, __m256 w[4], float *step, float *inv) {
    for (int i = 0; i < 4; i++)
        w[i] = _mm256_loadu_ps(r->s + 8 * i);
    *step = scale[0];
    *inv = 1;
}

/* Weights times scales of the 32 positions of a row; returns the largest, at least 0. */
INLINE float weights_scaled(const struct attn_row *r, const float *scale, __m256 w[4]) {
    __m256 max = _mm256_setzero_ps();
    for (int i = 0; i < 4; i++) {
        w[i] = _mm256_mul_ps(_mm256_loadu_ps(r->s + 8 * i), _mm256_loadu_ps(scale + 8 * i));
        max = _mm256_max_ps(w[i], max);
    }
    return largest(max);
}

/* Integer weights 0..15 (round_small), 0 past the last position. */
INLINE void weights_round(const __m256 w[4], float inv, int count, uint8_t u[ORDER_KV_BLOCK]) {
    __m256 magic = _mm256_set1_ps(0x1.8p23f);
    __m256i v[4];
    for (int i = 0; i < 4; i++) {
        __m256 sum = _mm256_add_ps(_mm256_mul_ps(w[i], _mm256_set1_ps(inv)), magic);
        v[i] = _mm256_sub_epi32(_mm256_castps_si256(sum), _mm256_castps_si256(magic));
        v[i] = _mm256_min_epi32(_mm256_max_epi32(v[i], _mm256_setzero_si256()), _mm256_set1_epi32(15));
        v[i] = _mm256_and_si256(v[i], first_lanes(count - 8 * i));
    }
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)u, bytes);
}

/* Steps and inverses of four rows: quant_scale(max, 15). */
INLINE void weights_steps(const float max[4], float step[4], float inv[4]) {
    __m128 m = _mm_loadu_ps(max), top = _mm_set1_ps(15), up = _mm_div_ps(top, m);
    __m128 ok = _mm_and_ps(_mm_cmpgt_ps(m, _mm_setzero_ps()), _mm_cmplt_ps(up, _mm_set1_ps(INFINITY)));
    _mm_storeu_ps(step, _mm_and_ps(ok, _mm_div_ps(m, top)));
    _mm_storeu_ps(inv, _mm_and_ps(ok, up));
}

/* 16 bytes of two nibbles, low one first. */
INLINE __m256i nibbles_in_order(const uint8_t *p) {
    __m128i v = _mm_loadu_si128((const __m128i *)p), mask = _mm_set1_epi8(15);
    __m128i low = _mm_and_si128(v, mask), high = _mm_and_si128(_mm_srli_epi16(v, 4), mask);
    __m256i q = _mm256_set_m128i(_mm_unpackhi_epi8(low, high), _mm_unpacklo_epi8(low, high));
    return _mm256_sub_epi8(q, _mm256_set1_epi8(8));
}

/* The width <= 32 integers of a group. */
INLINE __m256i group_ints(const uint8_t *row, int nibbles, int width) {
    uint8_t buf[32] = {0};
    if (width < 32) row = memcpy(buf, row, (size_t)source_bytes(nibbles ? NIBBLES : BYTES, width));
    return nibbles ? nibbles_in_order(row) : _mm256_loadu_si256((const __m256i *)row);
}

/* Sums over 16 positions as 16-bit numbers, |u * v| <= 15 * 128, for columns 0-7, 16-23 and 8-15, 24-31. */
INLINE void add_pairs(const uint8_t (*u)[ORDER_KV_BLOCK], int n, const struct kv_rows *v, int g, int width, int first,
                      int count, __m256i sum[TOGETHER][2]) {
    __m256i acc[TOGETHER][2];
    for (int i = 0; i < n; i++)
        acc[i][0] = acc[i][1] = _mm256_setzero_si256();
    for (int j = first; j < first + 16 && j < count; j += 2) {
        int at = g * (v->nibbles ? 16 : 32);
        __m256i a = group_ints(row_at(v, j, count) + at, v->nibbles, width);
        __m256i b = group_ints(row_at(v, j + 1, count) + at, v->nibbles, width);
        __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
        for (int i = 0; i < n; i++) {
            __m256i w = _mm256_set1_epi16((short)load_u16(u[i] + j));
            acc[i][0] = _mm256_add_epi16(acc[i][0], _mm256_maddubs_epi16(w, low));
            acc[i][1] = _mm256_add_epi16(acc[i][1], _mm256_maddubs_epi16(w, high));
        }
    }
    memcpy(sum, acc, (size_t)n * sizeof *acc);
}

/* o moves on by the sums of both halves of the block. */
INLINE void add_int4_row(float *o, int width, float c, float step, const __m256i a[2], const __m256i b[2]) {
    __m256i ones = _mm256_set1_epi16(1), sum[4];
    float buf[ORDER_GROUP] = {0};
    for (int i = 0; i < 2; i++) {
        __m256i low = _mm256_madd_epi16(_mm256_unpacklo_epi16(a[i], b[i]), ones);
        __m256i high = _mm256_madd_epi16(_mm256_unpackhi_epi16(a[i], b[i]), ones);
        sum[i] = _mm256_permute2x128_si256(low, high, 0x20);
        sum[i + 2] = _mm256_permute2x128_si256(low, high, 0x31);
    }
    memcpy(buf, o, (size_t)width * sizeof *o);
    for (int i = 0; i < 4; i++) {
        __m256 before = _mm256_mul_ps(_mm256_loadu_ps(buf + 8 * i), _mm256_set1_ps(c));
        _mm256_storeu_ps(buf + 8 * i, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[i]), _mm256_set1_ps(step), before));
    }
    memcpy(o, buf, (size_t)width * sizeof *o);
}

INLINE void add_int4_rows(struct attn_row *r, int n, const struct kv_rows *v, int g, int width, int count) {
    uint8_t u[TOGETHER][ORDER_KV_BLOCK];
    float buf[ORDER_KV_BLOCK], max[TOGETHER] = {0}, step[TOGETHER], inv[TOGETHER];
    const float *scale = block_scales(v, g, count, buf);
    __m256 w[TOGETHER][4];
    __m256i a[TOGETHER][2], b[TOGETHER][2];
    for (int i = 0; i < n; i++)
        max[i] = weights_scaled(&r[i], scale, w[i]);
    weights_steps(max, step, inv);
    for (int i = 0; i < n; i++) {
        if (r[i].w_step != 0) weights_static(&r[i], scale, w[i], &step[i], &inv[i]);
        weights_round(w[i], inv[i], count, u[i]);
    }
    add_pairs(u, n, v, g, width, 0, count, a);
    add_pairs(u, n, v, g, width, 16, count, b);
    for (int i = 0; i < n; i++)
        add_int4_row(r[i].o + g * ORDER_GROUP, width, r[i].c, step[i], a[i], b[i]);
}

INLINE void add_int4_group(struct attn_row *r, int n, const struct kv_rows *v, int g, int width, int count) {
    for (int next; n; n -= next, r += next) {
        next = rows_next(n);
        switch (next) {
        case 4: add_int4_rows(r, 4, v, g, width, count); break;
        case 2: add_int4_rows(r, 2, v, g, width, count); break;
        default: add_int4_rows(r, 1, v, g, width, count);
        }
    }
}

static void add_int4(struct attn_row *r, int n, const struct kv_rows *v, int dim, int count) {
    for (int g = 0; g < v->n_scales; g++) {
        int width = group_width(dim, g);
        ask_share(v, g, dim);
        if (width == ORDER_GROUP)
            add_int4_group(r, n, v, g, ORDER_GROUP, count);
        else
            add_int4_group(r, n, v, g, width, count);
    }
}

void avx2_attention(const struct attn_args *a) {
    static const struct attn_loops loops = {dot_half, dot_int, weigh, add_half, add_int, add_int4};
    attention_walk(a, &loops);
}
