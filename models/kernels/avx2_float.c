/* Float weights, as rows (order.h rule 4). One token: 4 rows, their 16 virtual lanes in 8 registers, weights widened on
 * the way. More tokens: a piece of the rows is widened in a buffer (floats are copied: rows a power of 2 apart would
 * share few places of the cache), then lanes 0-7 and lanes 8-15 are passes of their own, so that the 8 registers are
 * the sums of 4 rows and 2 tokens and each load serves several of them. */
#include "kernels/avx2.h"

enum { ROWS = 4, TOKENS = 2, QUADS = 4, CHUNK = 256 }; /* QUADS: fours of rows that share what is read of tokens */

typedef __m256 floats_load(const uint8_t *p);

INLINE __m256 load_f32(const uint8_t *p) {
    return _mm256_loadu_ps((const float *)(const void *)p);
}

INLINE __m256 load_f16(const uint8_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

INLINE __m256 load_bf16(const uint8_t *p) {
    __m256i v = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(v, 16));
}

/* The first n <= 8 numbers, zeros behind. */
INLINE __m256 load_first(const uint8_t *p, int n, int bytes, floats_load *load) {
    uint8_t buf[32] = {0};
    if (n >= 8) return load(p);
    memcpy(buf, p, (size_t)(n * bytes));
    return load(buf);
}

/* lane = fmaf(w, x, lane) in the lanes of the mask: the others stay as they are, to the sign of zero. */
INLINE __m256 masked_step(__m256 w, __m256 x, __m256 lane, __m256i mask) {
    return _mm256_blendv_ps(lane, _mm256_fmadd_ps(w, x, lane), _mm256_castsi256_ps(mask));
}

/* Sums of a leaf for one token. */
INLINE void leaf_one(const uint8_t *const w[ROWS], const float *x, int n, int bytes, floats_load *load, float *out) {
    __m256 acc[2][ROWS], t[8];
    int c = 0;
    for (int r = 0; r < ROWS; r++)
        acc[0][r] = acc[1][r] = _mm256_setzero_ps();
    for (; c + ORDER_LANES <= n; c += ORDER_LANES)
        for (int half = 0; half < 2; half++) {
            __m256 v = _mm256_loadu_ps(x + c + 8 * half);
            for (int r = 0; r < ROWS; r++)
                acc[half][r] = _mm256_fmadd_ps(load(w[r] + (size_t)(c + 8 * half) * (size_t)bytes), v, acc[half][r]);
        }
    for (int half = 0; c < n; half++, c += 8) {
        __m256i mask = first_lanes(n - c);
        for (int r = 0; r < ROWS; r++)
            acc[half][r] = masked_step(load_first(w[r] + (size_t)c * (size_t)bytes, n - c, bytes, load),
                                       _mm256_maskload_ps(x + c, mask), acc[half][r], mask);
    }
    for (int r = 0; r < ROWS; r++)
        t[r] = t[r + ROWS] = _mm256_add_ps(acc[0][r], acc[1][r]);
    _mm_storeu_ps(out, _mm256_castps256_ps128(reduce8(t)));
}

/* Lanes 0-7 (first = 0) or 8-15 (first = 8) of the sums of 4 rows and 2 tokens move on over n columns. */
INLINE void lanes_half(const float *const w[ROWS], const float *const x[TOKENS], int first, int n,
                       __m256 lane[TOKENS * ROWS]) {
    __m256 acc[TOKENS * ROWS];
    int c = first;
    memcpy(acc, lane, sizeof acc);
    for (; c + 8 <= n; c += ORDER_LANES) {
        __m256 v[TOKENS] = {_mm256_loadu_ps(x[0] + c), _mm256_loadu_ps(x[1] + c)};
        for (int r = 0; r < ROWS; r++) {
            __m256 weights = _mm256_loadu_ps(w[r] + c);
            __asm__("" : "+x"(weights)); /* loaded once, not as an operand of both products */
            for (int t = 0; t < TOKENS; t++)
                acc[ROWS * t + r] = _mm256_fmadd_ps(weights, v[t], acc[ROWS * t + r]);
        }
    }
    if (c < n) {
        __m256i mask = first_lanes(n - c);
        for (int i = 0; i < TOKENS * ROWS; i++)
            acc[i] = masked_step(_mm256_maskload_ps(w[i % ROWS] + c, mask), _mm256_maskload_ps(x[i / ROWS] + c, mask),
                                 acc[i], mask);
    }
    memcpy(lane, acc, sizeof acc);
}

/* n numbers of a row as floats. */
INLINE void widen_row(const uint8_t *src, int n, int bytes, floats_load *load, float *dst) {
    int c = 0;
    for (; c + 8 <= n; c += 8)
        _mm256_storeu_ps(dst + c, load(src + (size_t)c * (size_t)bytes));
    if (c < n) _mm256_storeu_ps(dst + c, load_first(src + (size_t)c * (size_t)bytes, n - c, bytes, load));
}

/* A leaf of n columns: rows in fours, the tile's tokens. x: of the first token, at the leaf's first column. */
struct leaf {
    const uint8_t *w[QUADS * ROWS];
    const float *x;
    size_t ldx;
    int quads, nt, n;
};

/* Both passes over m columns from c on, for the pair of tokens from t on (a last odd token is its own pair). */
INLINE void pair_step(const struct leaf *l, const float *const row[QUADS * ROWS], int t, int c, int m,
                      __m256 lane[QUADS][2][TOKENS * ROWS]) {
    const float *x = l->x + (size_t)t * l->ldx + c, *const two[TOKENS] = {x, t + 1 < l->nt ? x + l->ldx : x};
    for (int quad = 0; quad < l->quads; quad++) {
        lanes_half(row + ROWS * quad, two, 0, m, lane[quad][0]);
        lanes_half(row + ROWS * quad, two, 8, m, lane[quad][1]);
    }
}

/* The one reduction; out [nt][quads * ROWS]. */
INLINE void pair_sums(const struct leaf *l, int t, __m256 lane[QUADS][2][TOKENS * ROWS], float *out) {
    for (int quad = 0; quad < l->quads; quad++) {
        __m256 sum[TOKENS * ROWS];
        float v[TOKENS * ROWS];
        for (int i = 0; i < TOKENS * ROWS; i++)
            sum[i] = _mm256_add_ps(lane[quad][0][i], lane[quad][1][i]);
        _mm256_storeu_ps(v, reduce8(sum));
        for (int i = 0; i < TOKENS && t + i < l->nt; i++)
            memcpy(out + (size_t)((t + i) * l->quads + quad) * ROWS, v + ROWS * i, ROWS * sizeof *v);
    }
}

INLINE void leaf_tokens(const struct leaf *l, int bytes, floats_load *load, float *out) {
    __m256 lane[ACT_TILE / TOKENS][QUADS][2][TOKENS * ROWS];
    _Alignas(64) float buf[QUADS * ROWS][CHUNK];
    memset(lane, 0, (size_t)(l->nt + 1) / TOKENS * sizeof lane[0]);
    for (int c = 0; c < l->n; c += CHUNK) {
        int m = l->n - c < CHUNK ? l->n - c : CHUNK;
        const float *row[QUADS * ROWS];
        for (int r = 0; r < ROWS * l->quads; r++) {
            const uint8_t *at = l->w[r] + (size_t)c * (size_t)bytes;
            widen_row(at, m, bytes, load, buf[r]);
            row[r] = buf[r];
        }
        for (int t = 0; t < l->nt; t += TOKENS)
            pair_step(l, row, t, c, m, lane[t / TOKENS]);
    }
    for (int t = 0; t < l->nt; t += TOKENS)
        pair_sums(l, t, lane[t / TOKENS], out);
}

INLINE void leaf_float(const struct panel_job *job, int leaf, int quads, int bytes, floats_load *load, float *out) {
    const struct mat *w = job->w;
    int first = order_leaf_begin(&w->axis, w->leaf0), begin = order_leaf_begin(&w->axis, leaf);
    struct leaf l = {.x = job->x->x + (size_t)job->tile0 * job->x->ldx + (begin - first),
                     .ldx = job->x->ldx,
                     .quads = quads,
                     .nt = job->nt,
                     .n = order_leaf_begin(&w->axis, leaf + 1) - begin};
    for (int r = 0; r < ROWS * quads; r++) {
        int i = job->row + (r < job->rows ? r : job->rows - 1);
        l.w[r] = w->data + (size_t)i * w->stride + (size_t)(begin - w->first_col) * (size_t)bytes;
    }
    if (job->nt == 1)
        leaf_one(l.w, l.x, l.n, bytes, load, out);
    else
        leaf_tokens(&l, bytes, load, out);
}

INLINE int float_tile(const struct panel_job *job, int bytes, floats_load *load) {
    const struct mat *w = job->w;
    float sums[PAIRTREE_MAX_NODES * ACT_TILE * QUADS * ROWS];
    int quads = job->nt == 1 || job->rows <= ROWS ? 1
                : job->rows < QUADS * ROWS        ? (job->rows + ROWS - 1) / ROWS
                                                  : QUADS;
    int rows = ROWS * quads;
    struct sum_stack stack = {0, rows * job->nt, sums};
    for (int leaf = w->leaf0; leaf < w->leaf1; leaf++) {
        leaf_float(job, leaf, quads, bytes, load, stack_slot(&stack));
        stack_push(&stack, job->joins[leaf - w->leaf0]);
    }
    for (int node = 0; node < stack.top; node++)
        for (int t = 0; t < job->nt; t++)
            for (int r = 0; r < rows && r < job->rows; r++)
                job->y[(size_t)node * job->ldnode + (size_t)(job->tile0 + t) * job->ldy + (size_t)(job->row + r)] =
                    sums[node * stack.width + rows * t + r];
    return rows;
}

static int tile_f32(const struct panel_job *job) {
    return float_tile(job, 4, load_f32);
}

static int tile_f16(const struct panel_job *job) {
    return float_tile(job, 2, load_f16);
}

static int tile_bf16(const struct panel_job *job) {
    return float_tile(job, 2, load_bf16);
}

extern const struct tensor_type tensor_type_f32, tensor_type_f16, tensor_type_bf16;

panel_kernel *avx2_float_kernel(const struct tensor_type *type) {
    return type == &tensor_type_f32    ? tile_f32
           : type == &tensor_type_f16  ? tile_f16
           : type == &tensor_type_bf16 ? tile_bf16
                                       : NULL;
}
