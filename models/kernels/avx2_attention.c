/* Attention with AVX2: positions are reduced as order_lanes_sum does, values have head dimensions as lanes. */
#include "kernels/avx2.h"

#include "kernels/attention.h"

INLINE __m256 halves8(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

/* The first n < 8. */
INLINE __m256 halves_first(const uint16_t *p, int n) {
    uint16_t v[8] = {0};
    memcpy(v, p, (size_t)n * sizeof *p);
    return halves8(v);
}

/* The last three steps of order_lanes_sum for 8 vectors of 8 lanes: result i is the sum of t[i]. */
INLINE __m256 reduce8(const __m256 t[8]) {
    __m256 four[4], two[2];
    for (int i = 0; i < 4; i++) /* [t0 lanes 0-3 | t1 lanes 0-3] + lanes 4-7 */
        four[i] = _mm256_add_ps(_mm256_permute2f128_ps(t[2 * i], t[2 * i + 1], 0x20),
                                _mm256_permute2f128_ps(t[2 * i], t[2 * i + 1], 0x31));
    for (int i = 0; i < 2; i++) /* [t0 t2 | t1 t3], two lanes of each */
        two[i] = _mm256_add_ps(_mm256_shuffle_ps(four[2 * i], four[2 * i + 1], 0x44),
                               _mm256_shuffle_ps(four[2 * i], four[2 * i + 1], 0xee));
    __m256 one = _mm256_add_ps(_mm256_shuffle_ps(two[0], two[1], 0x88), _mm256_shuffle_ps(two[0], two[1], 0xdd));
    return _mm256_permutevar8x32_ps(one, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)); /* from [0 2 4 6 | 1 3 5 7] */
}

/* Lanes j and j + 8 added, the first step. */
INLINE __m256 dot_half_row(const float *q, const uint16_t *k, int n) {
    __m256 acc[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    int d = 0;
    for (; d + ORDER_LANES <= n; d += ORDER_LANES) {
        acc[0] = _mm256_fmadd_ps(_mm256_loadu_ps(q + d), halves8(k + d), acc[0]);
        acc[1] = _mm256_fmadd_ps(_mm256_loadu_ps(q + d + 8), halves8(k + d + 8), acc[1]);
    }
    for (int h = 0; d < n; h++, d += 8) { /* lanes past the end stay as they are, to the sign of zero */
        int left = n - d < 8 ? n - d : 8;
        __m256i mask = first_lanes(left);
        __m256 sum = _mm256_fmadd_ps(_mm256_maskload_ps(q + d, mask), halves_first(k + d, left), acc[h]);
        acc[h] = _mm256_blendv_ps(acc[h], sum, _mm256_castsi256_ps(mask));
    }
    return _mm256_add_ps(acc[0], acc[1]);
}

/* Eight positions together; past the last they repeat it. */
INLINE int position(int j, int i, int count) {
    return j + i < count ? j + i : count - 1;
}

INLINE void store_first(float *s, __m256 v, int n) {
    _mm256_maskstore_ps(s, first_lanes(n), v);
}

INLINE void dot_half(const struct attn_head *h, const uint16_t *k, int head_dim, int count, float *s) {
    for (int j = 0; j < count; j += 8) {
        __m256 t[8];
        for (int i = 0; i < 8; i++)
            t[i] = dot_half_row(h->q, k + (size_t)position(j, i, count) * (size_t)head_dim, head_dim);
        store_first(s + j, reduce8(t), count - j);
    }
}

/* 16 bytes of two nibbles, low one first. */
INLINE __m256i nibbles_in_order(const uint8_t *p) {
    __m128i v = _mm_loadu_si128((const __m128i *)p), mask = _mm_set1_epi8(15);
    __m128i low = _mm_and_si128(v, mask), high = _mm_and_si128(_mm_srli_epi16(v, 4), mask);
    __m256i q = _mm256_set_m128i(_mm_unpackhi_epi8(low, high), _mm_unpacklo_epi8(low, high));
    return _mm256_sub_epi8(q, _mm256_set1_epi8(8));
}

/* n <= 32 integers of a cache row from dimension d (a multiple of 32) on, zeros behind. */
INLINE __m256i row_ints(const struct kv_rows *r, const uint8_t *row, int d, int n) {
    uint8_t buf[32];
    if (n == 32) return r->nibbles ? nibbles_in_order(row + d / 2) : _mm256_loadu_si256((const __m256i *)(row + d));
    memset(buf, r->nibbles ? 0x88 : 0, sizeof buf);
    memcpy(buf, row + (r->nibbles ? d / 2 : d), (size_t)(r->nibbles ? (n + 1) / 2 : n));
    return r->nibbles ? nibbles_in_order(buf) : _mm256_loadu_si256((const __m256i *)buf);
}

/* Eight 32-bit sums of products of signed bytes, |b| <= 127. */
INLINE __m256i byte_products(__m256i a, __m256i b) {
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* Sum of the lanes of each of 8 vectors. */
INLINE __m256i reduce8_int(const __m256i t[8]) {
    __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(t[0], t[1]), _mm256_hadd_epi32(t[2], t[3]));
    __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(t[4], t[5]), _mm256_hadd_epi32(t[6], t[7]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

INLINE void dot_int(const struct attn_head *h, const struct kv_rows *k, int head_dim, int count, float *s) {
    for (int j = 0; j < count; j += 8) {
        __m256 acc = _mm256_setzero_ps();
        for (int g = 0; g < k->n_scales; g++) {
            int d = g * ORDER_GROUP, n = head_dim - d < ORDER_GROUP ? head_dim - d : ORDER_GROUP;
            __m256i q = _mm256_loadu_si256((const __m256i *)h->q_int[g]), t[8];
            float scale[8];
            for (int i = 0; i < 8; i++) {
                size_t row = (size_t)position(j, i, count);
                t[i] = byte_products(row_ints(k, k->q + row * (size_t)k->bytes, d, n), q);
                scale[i] = k->scale[row * (size_t)k->n_scales + (size_t)g];
            }
            __m256 unit = _mm256_mul_ps(_mm256_loadu_ps(scale), _mm256_set1_ps(h->q_scale[g]));
            acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(reduce8_int(t)), unit, acc);
        }
        store_first(s + j, acc, count - j);
    }
}

/* 8 * n dimensions from o on, in registers over all positions; row is the distance of v's rows. */
INLINE void add_half_block(float *o, const uint16_t *v, int row, const float *p, float c, int count, int n) {
    __m256 acc[8];
    for (int i = 0; i < n; i++)
        acc[i] = _mm256_mul_ps(_mm256_loadu_ps(o + 8 * i), _mm256_set1_ps(c));
    for (int j = 0; j < count; j++, v += row) {
        __m256 w = _mm256_set1_ps(p[j]);
        for (int i = 0; i < n; i++)
            acc[i] = _mm256_fmadd_ps(w, halves8(v + 8 * i), acc[i]);
    }
    for (int i = 0; i < n; i++)
        _mm256_storeu_ps(o + 8 * i, acc[i]);
}

INLINE void add_half_tail(float *o, const uint16_t *v, int row, const float *p, float c, int count, int n) {
    for (int d = 0; d < n; d++) {
        float acc = o[d] * c;
        for (int j = 0; j < count; j++)
            acc = fmaf(p[j], half_to_float(v[(size_t)j * (size_t)row + (size_t)d]), acc);
        o[d] = acc;
    }
}

INLINE void add_half(float *o, const uint16_t *v, const float *p, float c, int head_dim, int count) {
    int d = 0;
    for (; d + 64 <= head_dim; d += 64)
        add_half_block(o + d, v + d, head_dim, p, c, count, 8);
    for (; d + 16 <= head_dim; d += 16)
        add_half_block(o + d, v + d, head_dim, p, c, count, 2);
    for (; d + 8 <= head_dim; d += 8)
        add_half_block(o + d, v + d, head_dim, p, c, count, 1);
    add_half_tail(o + d, v + d, head_dim, p, c, count, head_dim - d);
}

/* The 32 integers as four registers of 8 lanes. */
INLINE void widen(__m256i q, __m256i out[4]) {
    __m128i low = _mm256_castsi256_si128(q), high = _mm256_extracti128_si256(q, 1);
    out[0] = _mm256_cvtepi8_epi32(low);
    out[1] = _mm256_cvtepi8_epi32(_mm_srli_si128(low, 8));
    out[2] = _mm256_cvtepi8_epi32(high);
    out[3] = _mm256_cvtepi8_epi32(_mm_srli_si128(high, 8));
}

INLINE void load_dims(float buf[32], const float *o, int n, float c, __m256 acc[4]) {
    memset(buf, 0, 32 * sizeof *buf);
    memcpy(buf, o, (size_t)n * sizeof *o);
    for (int i = 0; i < 4; i++)
        acc[i] = _mm256_mul_ps(_mm256_loadu_ps(buf + 8 * i), _mm256_set1_ps(c));
}

INLINE void store_dims(float buf[32], float *o, int n, const __m256 acc[4]) {
    for (int i = 0; i < 4; i++)
        _mm256_storeu_ps(buf + 8 * i, acc[i]);
    memcpy(o, buf, (size_t)n * sizeof *o);
}

INLINE void add_int(float *o, const struct kv_rows *v, int g, const float *w, float c, int n, int count) {
    float buf[32];
    __m256 acc[4];
    __m256i q[4];
    const uint8_t *row = v->q;
    load_dims(buf, o, n, c, acc);
    for (int j = 0; j < count; j++, row += v->bytes) {
        widen(row_ints(v, row, g * ORDER_GROUP, n), q);
        for (int i = 0; i < 4; i++)
            acc[i] = _mm256_fmadd_ps(_mm256_set1_ps(w[j]), _mm256_cvtepi32_ps(q[i]), acc[i]);
    }
    store_dims(buf, o, n, acc);
}

INLINE void add_int4(float *o, const struct kv_rows *v, int g, const int8_t *u, float step, float c, int n, int count) {
    float buf[32];
    __m256 acc[4];
    __m256i q[4],
        sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    const uint8_t *row = v->q;
    for (int j = 0; j < count; j++, row += v->bytes) {
        widen(row_ints(v, row, g * ORDER_GROUP, n), q);
        for (int i = 0; i < 4; i++)
            sum[i] = _mm256_add_epi32(sum[i], _mm256_mullo_epi32(_mm256_set1_epi32(u[j]), q[i]));
    }
    load_dims(buf, o, n, c, acc);
    for (int i = 0; i < 4; i++)
        acc[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[i]), _mm256_set1_ps(step), acc[i]);
    store_dims(buf, o, n, acc);
}

void avx2_attention(const struct attn_args *a) {
    static const struct attn_loops loops = {dot_half, dot_int, add_half, add_int, add_int4};
    attention_walk(a, &loops);
}
