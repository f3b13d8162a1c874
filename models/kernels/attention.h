/* attention.h - the walk over the cache of order.h rule 8, shared by the kernel sets: they bring the loops over
 * positions and dimensions.
 *
 *   query heads that read one cache head, of           for each block of 32 positions
 *   several queries, are rows that go together:            scores, weights, values of all rows that see the block
 *
 * so a block is read from memory once for all of them. Rows that see as many of its positions go into one call. */
#ifndef KERNELS_ATTENTION_H
#define KERNELS_ATTENTION_H

#include <math.h>

#include "kernels/clones.h"
#include "kernels/kv.h"
#include "kernels/round.h"
#include "models/mathf.h"

enum { ATTN_ROWS = 32, ATTN_GROUPS = ATTN_MAX_HEAD_DIM / ORDER_GROUP };

/* One head of one query on its way through the cache. */
struct attn_row {
    float s[ORDER_KV_BLOCK]; /* of the block: scores, then weights; only those of seen positions mean anything */
    const float *q;
    float *o;
    int visible;
    float m, l, c; /* c: factor of what was summed before the block */
    float w_step; /* static step of weights, or 0: then s has integers after the block was weighed */
    float q_scale[ATTN_GROUPS];
    int32_t q_sum[ATTN_GROUPS];
    int8_t q_int[ATTN_GROUPS][32]; /* zeros past head_dim */
};

/* The loops of a kernel set: n rows and `count` <= 32 positions. */
struct attn_loops {
    void (*dot_half)(struct attn_row *r, int n, const struct kv_rows *k, int head_dim, int count); /* -> s */
    void (*dot_int)(struct attn_row *r, int n, const struct kv_rows *k, int head_dim, int count);
    /* s, m, l -> s, m, l, c: one row */
    void (*weigh)(struct attn_row *r, float scale, int count);
    void (*add_half)(struct attn_row *r, int n, const struct kv_rows *v, int head_dim, int count); /* s, c -> o */
    void (*add_int)(struct attn_row *r, int n, const struct kv_rows *v, int head_dim, int count);
    void (*add_int4)(struct attn_row *r, int n, const struct kv_rows *v, int head_dim, int count); /* mode a4 */
};

/* Dimensions of group g. */
INLINE int group_width(int head_dim, int g) {
    return head_dim - g * ORDER_GROUP < ORDER_GROUP ? head_dim - g * ORDER_GROUP : ORDER_GROUP;
}

INLINE void row_init(struct attn_row *r, const struct attn_args *a, int query, int head) {
    int dim = a->cache->head_dim;
    size_t at = (size_t)query * a->ld + (size_t)head * (size_t)dim;
    r->q = a->q + at;
    if (a->partial)
        r->o = a->partial + ((size_t)head * a->partial_ld + (size_t)query) * (size_t)(dim + 2) + 2;
    else
        r->o = a->out + at;
    r->visible = a->n_visible[query];
    r->m = -INFINITY;
    r->l = 0;
    r->w_step = a->w_step ? a->w_step[head] : 0;
    for (int d = 0; d < dim; d++)
        r->o[d] = 0;
    if (a->cache->type == KV_F16) return;
    for (int g = 0; g * ORDER_GROUP < dim; g++) {
        memset(r->q_int[g], 0, sizeof r->q_int[g]);
        const float *x = r->q + g * ORDER_GROUP;
        int width = group_width(dim, g);
        r->q_scale[g] = a->q_step ? static_group(x, width, a->q_step[head], -8, 7, r->q_int[g])
                                  : quant_group(x, width, a->bits == ACT_I4 ? 7 : 127, r->q_int[g]);
        r->q_sum[g] = 0;
        for (int i = 0; i < ORDER_GROUP; i++)
            r->q_sum[g] += r->q_int[g][i];
    }
}

/* Weights with a static step: s and l become integers 0..15 and their sum; l: before the block. */
INLINE void round_weights(struct attn_row *r, float l, int count) {
    int32_t sum = 0;
    for (int j = 0; j < count; j++) {
        float v = r->s[j] / r->w_step;
        v = v > 0 ? v : 0; /* NaN too */
        int32_t u = round_small(v < 15 ? v : 15);
        r->s[j] = (float)u;
        sum += u;
    }
    r->l = fmaf(l, r->c, (float)sum);
}

INLINE void rows_block(struct attn_row *r, int n, const struct attn_args *a, int kv_head, int first, int count,
                       const struct attn_loops *loops) {
    const struct kv_cache *c = a->cache;
    struct kv_rows k = kv_rows_at(c, 0, kv_head, first), v = kv_rows_at(c, 1, kv_head, first);
    k.ahead = v.q;
    v.ahead = k.q + ORDER_KV_BLOCK * k.bytes;
    if (c->type == KV_F16)
        loops->dot_half(r, n, &k, c->head_dim, count);
    else
        loops->dot_int(r, n, &k, c->head_dim, count);
    for (int i = 0; i < n; i++) {
        float l = r[i].l;
        loops->weigh(&r[i], a->scale, count);
        if (r[i].w_step != 0) round_weights(&r[i], l, count);
    }
    if (c->type == KV_F16)
        loops->add_half(r, n, &v, c->head_dim, count);
    else if (a->bits == ACT_I4)
        loops->add_int4(r, n, &v, c->head_dim, count);
    else
        loops->add_int(r, n, &v, c->head_dim, count);
}

/* Positions of the block from `first` on that a row sees. */
INLINE int row_count(const struct attn_row *r, int first) {
    int left = r->visible - first;
    return left < 0 ? 0 : left < ORDER_KV_BLOCK ? left : ORDER_KV_BLOCK;
}

/* A partial row keeps its sums, with m and l in front. */
INLINE void row_end(struct attn_row *r, const struct attn_args *a) {
    if (a->partial) {
        r->o[-2] = r->m;
        r->o[-1] = r->l;
        return;
    }
    for (int d = 0; d < a->cache->head_dim; d++)
        r->o[d] /= r->l;
}

INLINE void rows_walk(struct attn_row *r, int n, const struct attn_args *a, int kv_head,
                      const struct attn_loops *loops) {
    int visible = 0;
    for (int i = 0; i < n; i++)
        visible = r[i].visible > visible ? r[i].visible : visible;
    for (int first = 0; first < visible; first += ORDER_KV_BLOCK)
        for (int i = 0, end; i < n; i = end) {
            int count = row_count(&r[i], first);
            for (end = i + 1; end < n && row_count(&r[end], first) == count;)
                end++;
            if (count) rows_block(r + i, end - i, a, kv_head, first, count, loops);
        }
    for (int i = 0; i < n; i++)
        row_end(&r[i], a);
}

INLINE void attention_walk(const struct attn_args *a, const struct attn_loops *loops) {
    struct attn_row rows[ATTN_ROWS];
    for (int h0 = 0, heads; h0 < a->n_heads; h0 += heads) {
        for (heads = 1; heads < ATTN_ROWS && h0 + heads < a->n_heads && a->kv_of[h0 + heads] == a->kv_of[h0];)
            heads++;
        for (int t = 0, n; t < a->n_queries;) {
            for (n = 0; t < a->n_queries && n + heads <= ATTN_ROWS; t++)
                for (int h = 0; h < heads; h++)
                    row_init(&rows[n++], a, t, h0 + h);
            rows_walk(rows, n, a, a->kv_of[h0], loops);
        }
    }
}

#endif
