/* attention.h - the walk over the cache of order.h rule 8, shared by the kernel sets: they bring the loops over
 * positions and dimensions.
 *
 *   query heads that read one cache head go together:   for each block of 32 positions
 *                                                           for each of these heads: scores, weights, values
 *   so a block is read from memory once. */
#ifndef KERNELS_ATTENTION_H
#define KERNELS_ATTENTION_H

#include <math.h>

#include "kernels/clones.h"
#include "kernels/kv.h"
#include "kernels/round.h"
#include "models/mathf.h"

enum { ATTN_HEADS = 8, ATTN_GROUPS = ATTN_MAX_HEAD_DIM / ORDER_GROUP };

/* One query head on its way through the cache. */
struct attn_head {
    const float *q;
    float *o;
    float m, l;
    float q_scale[ATTN_GROUPS];
    int8_t q_int[ATTN_GROUPS][32]; /* zeros past head_dim */
};

/* The loops of a kernel set. All positions are `count` <= 32 consecutive rows from `first`. */
struct attn_loops {
    /* s[j] = dot(q, k_j): 16 lanes over head_dim */
    void (*dot_half)(const struct attn_head *h, const uint16_t *k, int head_dim, int count, float *s);
    /* s[j] = chain over groups of 32 */
    void (*dot_int)(const struct attn_head *h, const struct kv_rows *k, int head_dim, int count, float *s);
    /* o_d = o_d * c, then o_d = fmaf(p[j], v_jd, o_d) in order */
    void (*add_half)(float *o, const uint16_t *v, const float *p, float c, int head_dim, int count);
    /* the same for the n <= 32 dimensions of group g, w[j] = p[j] * scale of row j there */
    void (*add_int)(float *o, const struct kv_rows *v, int g, const float *w, float c, int n, int count);
    /* o_d = fmaf((float)(sum of u[j] * v_jd), step, o_d * c) */
    void (*add_int4)(float *o, const struct kv_rows *v, int g, const int8_t *u, float step, float c, int n, int count);
};

INLINE void head_init(struct attn_head *h, const struct attn_args *a, int index) {
    int dim = a->cache->head_dim;
    h->q = a->q + (size_t)index * (size_t)dim;
    h->o = a->out + (size_t)index * (size_t)dim;
    h->m = -INFINITY;
    h->l = 0;
    for (int d = 0; d < dim; d++)
        h->o[d] = 0;
    if (a->cache->type == KV_F16) return;
    for (int g = 0; g * ORDER_GROUP < dim; g++) {
        int n = dim - g * ORDER_GROUP < ORDER_GROUP ? dim - g * ORDER_GROUP : ORDER_GROUP;
        memset(h->q_int[g], 0, sizeof h->q_int[g]);
        h->q_scale[g] = quant_group(h->q + g * ORDER_GROUP, n, a->bits == ACT_I4 ? 7 : 127, h->q_int[g]);
    }
}

/* Turns scores into weights p; m and l move on; returns the factor of what was summed before. */
INLINE float head_weights(struct attn_head *h, float scale, int count, float *s) {
    float m = h->m, lane[ORDER_LANES] = {0};
    for (int j = 0; j < count; j++)
        s[j] *= scale;
    for (int j = 0; j < count; j++)
        m = s[j] > m ? s[j] : m;
    float c = h->m > -INFINITY ? math_expf(h->m - m) : 0;
    for (int j = 0; j < count; j++)
        s[j] -= m;
    math_exp_vec(s, s, count);
    for (int j = 0; j < count; j++)
        lane[j % ORDER_LANES] += s[j];
    h->l = fmaf(h->l, c, order_lanes_sum(lane));
    h->m = m;
    return c;
}

/* Integer weights 0..15 of mode a4; returns their step. */
INLINE float weights_int4(const float *w, int count, int8_t *u) {
    float max = 0, step, inv;
    for (int j = 0; j < count; j++)
        max = w[j] > max ? w[j] : max;
    quant_scale(max, 15, &step, &inv);
    for (int j = 0; j < count; j++) {
        int32_t v = round_small(w[j] * inv);
        u[j] = (int8_t)(v < 0 ? 0 : v > 15 ? 15 : v);
    }
    return step;
}

INLINE void head_values_int(struct attn_head *h, const struct attn_args *a, const struct kv_rows *v, int count,
                            const float *p, float c, const struct attn_loops *loops) {
    int dim = a->cache->head_dim;
    for (int g = 0; g * ORDER_GROUP < dim; g++) {
        int n = dim - g * ORDER_GROUP < ORDER_GROUP ? dim - g * ORDER_GROUP : ORDER_GROUP;
        float w[ORDER_KV_BLOCK];
        for (int j = 0; j < count; j++)
            w[j] = p[j] * v->scale[(size_t)j * (size_t)v->n_scales + (size_t)g];
        if (a->bits == ACT_I4) {
            int8_t u[ORDER_KV_BLOCK] = {0};
            float step = weights_int4(w, count, u);
            loops->add_int4(h->o + g * ORDER_GROUP, v, g, u, step, c, n, count);
        } else {
            loops->add_int(h->o + g * ORDER_GROUP, v, g, w, c, n, count);
        }
    }
}

INLINE void head_block(struct attn_head *h, const struct attn_args *a, int kv_head, int first, int count,
                       const struct attn_loops *loops) {
    const struct kv_cache *cache = a->cache;
    float s[ORDER_KV_BLOCK];
    if (cache->type == KV_F16) {
        loops->dot_half(h, kv_half_row(cache, cache->k, kv_head, first), cache->head_dim, count, s);
        float c = head_weights(h, a->scale, count, s);
        loops->add_half(h->o, kv_half_row(cache, cache->v, kv_head, first), s, c, cache->head_dim, count);
    } else {
        struct kv_rows k = kv_int_rows(cache, cache->k, cache->k_scale, kv_head, first);
        struct kv_rows v = kv_int_rows(cache, cache->v, cache->v_scale, kv_head, first);
        loops->dot_int(h, &k, cache->head_dim, count, s);
        float c = head_weights(h, a->scale, count, s);
        head_values_int(h, a, &v, count, s, c, loops);
    }
}

INLINE void attention_walk(const struct attn_args *a, const struct attn_loops *loops) {
    struct attn_head heads[ATTN_HEADS];
    for (int h0 = 0, n; h0 < a->n_heads; h0 += n) {
        n = 1;
        while (n < ATTN_HEADS && h0 + n < a->n_heads && a->kv_of[h0 + n] == a->kv_of[h0])
            n++;
        for (int i = 0; i < n; i++)
            head_init(&heads[i], a, h0 + i);
        for (int first = 0; first < a->n_visible; first += ORDER_KV_BLOCK) {
            int count = a->n_visible - first < ORDER_KV_BLOCK ? a->n_visible - first : ORDER_KV_BLOCK;
            for (int i = 0; i < n; i++)
                head_block(&heads[i], a, a->kv_of[h0], first, count, loops);
        }
        for (int i = 0; i < n; i++)
            for (int d = 0; d < a->cache->head_dim; d++)
                heads[i].o[d] /= heads[i].l;
    }
}

#endif
