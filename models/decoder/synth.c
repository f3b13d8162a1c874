/* synth.c - the numbers of synthetic weights. Each is a hash of (seed, tensor name, row, column): 32 bits a column
 * under a 64-bit key a row, so that any piece can be made alone and eight columns go at a time. The hash is the
 * two-round multiply and xor-shift mixer of hash prospecting (C. Wellons), the key added between the rounds. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "priv.h"

static uint64_t row_key(uint64_t seed, const char *tensor, int64_t row) {
    return rng_u64(hash_bytes(tensor, strlen(tensor), 0) ^ hash_mix(seed), (uint64_t)row);
}

/* Uniform in [-1, 1) * scale * 2^23: 24 bits, one rounding. */
static inline __attribute__((always_inline)) void fill(float *dst, uint64_t key, float scale, int col0, int n) {
    uint32_t low = (uint32_t)key, high = (uint32_t)(key >> 32);
    for (int i = 0; i < n; i++) {
        uint32_t x = (uint32_t)(col0 + i) * 0x9e3779b9u + low;
        x ^= x >> 16;
        x = x * 0x21f0aaadu + high;
        x ^= x >> 15;
        x *= 0x735a2d97u;
        x ^= x >> 15;
        dst[i] = (float)((int32_t)x >> 8) * scale;
    }
}

#if defined(__x86_64__)
static __attribute__((target("avx2"))) void fill_avx2(float *dst, uint64_t key, float scale, int col0, int n) {
    fill(dst, key, scale, col0, n);
}
#endif

static void fill_any(float *dst, uint64_t key, float scale, int col0, int n) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        fill_avx2(dst, key, scale, col0, n);
        return;
    }
#endif
    fill(dst, key, scale, col0, n);
}

/* A uniform number of standard deviation 1/sqrt(cols) keeps the products of normed inputs near 1. */
void synth_row(float *dst, uint64_t seed, const char *tensor, int64_t row, int cols, int col0, int col1) {
    float scale = (float)(sqrt(3.0 / cols) * 0x1p-23);
    fill_any(dst, row_key(seed, tensor, row), scale, col0, col1 - col0);
}

static int is_norm(enum vec vec) {
    return vec == VEC_EMBED_NORM || vec == VEC_ATTN_NORM || vec == VEC_Q_NORM || vec == VEC_K_NORM ||
           vec == VEC_FFN_NORM || vec == VEC_OUT_NORM;
}

/* Norm weights in [0.75, 1.25), rope factors in [1, 8), steps in [0.02, 0.22), biases in [-0.1, 0.1). */
void synth_vector(float *dst, uint64_t seed, enum vec vec, const char *tensor, int64_t first, int n) {
    float middle = is_norm(vec) ? 1 : vec == VEC_ROPE_FACTORS ? 4.5f : vec_is_step(vec) ? 0.12f : 0;
    float width = is_norm(vec) ? 0.25f : vec == VEC_ROPE_FACTORS ? 3.5f : 0.1f;
    fill_any(dst, row_key(seed, tensor, 0), width * 0x1p-23f, (int)first, n);
    for (int i = 0; i < n; i++)
        dst[i] = middle + dst[i];
}

float synth_store(const struct synth_piece *p, int row, uint8_t *dst, float *scratch) {
    int whole = p->type->per_channel; /* the step of a row depends on all of it */
    int begin = whole ? 0 : p->col0, end = whole ? p->cols : p->col1;
    float step = 1;
    synth_row(scratch, p->seed, p->tensor, p->row0 + row, p->cols, begin, end);
    if (whole) step = tensor_type_row_step(p->type, scratch, p->cols);
    if (p->steps) p->steps[row] = step;
    p->type->quantize(scratch + (p->col0 - begin), step, dst, p->col1 - p->col0);
    return step;
}
