/* Float weights, as rows (order.h rule 4): 16 virtual lanes are two registers for each row, 4 rows at a time. 16-bit
 * floats are widened in a small buffer that serves all tokens of a tile. */
#include "kernels/avx2.h"

enum { ROWS = 4, CHUNK = 256 };

/* n floats of a float type. */
INLINE void f16_floats(const uint8_t *src, int n, float *out) {
    int i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(src + 2 * i))));
    for (; i < n; i++)
        out[i] = _cvtsh_ss(load_u16(src + 2 * i));
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

typedef void floats_read(const uint8_t *src, int n, float *out);

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

/* bytes: of a number. read: widens; NULL where they are floats already. */
INLINE void leaf_float(const struct panel_job *job, int leaf, int bytes, floats_read *read, float *out) {
    const struct mat *w = job->w;
    __m256 lane[ACT_TILE][ROWS][2];
    _Alignas(64) float buf[ROWS][CHUNK];
    int first = order_leaf_begin(&w->axis, w->leaf0), end = order_leaf_begin(&w->axis, leaf + 1);
    for (int t = 0; t < job->nt; t++)
        for (int i = 0; i < 2 * ROWS; i++)
            lane[t][i / 2][i % 2] = _mm256_setzero_ps();
    for (int c = order_leaf_begin(&w->axis, leaf); c < end; c += CHUNK) {
        int n = end - c < CHUNK ? end - c : CHUNK;
        const float *row[ROWS];
        for (int r = 0; r < ROWS; r++) {
            int i = job->row + (r < job->rows ? r : job->rows - 1);
            const uint8_t *at = w->data + (size_t)i * w->stride + (size_t)(c - w->first_col) * (size_t)bytes;
            row[r] = read ? buf[r] : (const float *)(const void *)at;
            if (read) read(at, n, buf[r]);
        }
        for (int t = 0; t < job->nt; t++)
            lanes_step(lane[t], row, job->x->x + (size_t)(job->tile0 + t) * job->x->ldx + (c - first), n);
    }
    for (int t = 0; t < job->nt; t++)
        for (int r = 0; r < ROWS; r++)
            out[ROWS * t + r] = lanes_sum(lane[t][r][0], lane[t][r][1]);
}

INLINE int float_tile(const struct panel_job *job, int bytes, floats_read *read) {
    const struct mat *w = job->w;
    float sums[PAIRTREE_MAX_NODES * ACT_TILE * ROWS];
    struct sum_stack stack = {0, ROWS * job->nt, sums};
    for (int leaf = w->leaf0; leaf < w->leaf1; leaf++) {
        leaf_float(job, leaf, bytes, read, stack_slot(&stack));
        stack_push(&stack, job->joins[leaf - w->leaf0]);
    }
    for (int node = 0; node < stack.top; node++)
        for (int t = 0; t < job->nt; t++)
            for (int r = 0; r < ROWS && r < job->rows; r++)
                job->y[(size_t)node * job->ldnode + (size_t)(job->tile0 + t) * job->ldy + (size_t)(job->row + r)] =
                    sums[node * stack.width + ROWS * t + r];
    return ROWS;
}

static int tile_f32(const struct panel_job *job) {
    return float_tile(job, 4, NULL);
}

static int tile_f16(const struct panel_job *job) {
    return float_tile(job, 2, f16_floats);
}

static int tile_bf16(const struct panel_job *job) {
    return float_tile(job, 2, bf16_floats);
}

extern const struct tensor_type tensor_type_f32, tensor_type_f16, tensor_type_bf16;

panel_kernel *avx2_float_kernel(const struct tensor_type *type) {
    return type == &tensor_type_f32    ? tile_f32
           : type == &tensor_type_f16  ? tile_f16
           : type == &tensor_type_bf16 ? tile_bf16
                                       : NULL;
}
