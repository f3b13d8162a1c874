#include "kernels/kv.h"

#include "kernels/round.h"

static size_t align64(size_t n) {
    return (n + 63) & ~(size_t)63;
}

static size_t values_bytes(enum kv_type type, int n_kv_heads, int head_dim, int n_ctx) {
    return align64((size_t)n_kv_heads * (size_t)n_ctx * (size_t)kv_row_bytes(type, head_dim));
}

static size_t scales_bytes(enum kv_type type, int n_kv_heads, int head_dim, int n_ctx) {
    return align64((size_t)n_kv_heads * (size_t)n_ctx * (size_t)kv_row_scales(type, head_dim) * sizeof(float));
}

size_t kv_cache_bytes(enum kv_type type, int n_kv_heads, int head_dim, int n_ctx) {
    return 2 * (values_bytes(type, n_kv_heads, head_dim, n_ctx) + scales_bytes(type, n_kv_heads, head_dim, n_ctx));
}

void kv_cache_place(struct kv_cache *c, void *buf) {
    uint8_t *at = buf;
    size_t values = values_bytes(c->type, c->n_kv_heads, c->head_dim, c->n_ctx);
    c->k = at;
    c->v = at + values;
    c->k_scale = (float *)(at + 2 * values);
    c->v_scale = (float *)(at + 2 * values + scales_bytes(c->type, c->n_kv_heads, c->head_dim, c->n_ctx));
}

static void put_half(const struct kv_cache *c, void *base, int head, int pos, const float *x) {
    uint16_t *row = (uint16_t *)base + kv_row_index(c, head, pos) * (size_t)c->head_dim;
    for (int i = 0; i < c->head_dim; i++)
        row[i] = float_to_half(x[i]);
}

static void put_nibbles(uint8_t *row, const int8_t *q, int n) {
    for (int i = 0; i < n; i += 2)
        row[i / 2] = (uint8_t)((q[i] + 8) | (i + 1 < n ? q[i + 1] + 8 : 8) << 4);
}

/* Rounds a head's vector group by group (order.h rule 6), with the heads' static steps if there are any. */
static void put_int(const struct kv_cache *c, void *base, float *scales, const float *steps, int head, int pos,
                    const float *x) {
    uint8_t *dst = (uint8_t *)base + kv_row_index(c, head, pos) * (size_t)kv_row_bytes(c->type, c->head_dim);
    for (int d = 0; d < c->head_dim; d += ORDER_GROUP) {
        int8_t q[ORDER_GROUP];
        int n = c->head_dim - d < ORDER_GROUP ? c->head_dim - d : ORDER_GROUP;
        scales[kv_scale_index(c, head, d / ORDER_GROUP, pos)] =
            steps ? static_group(x + d, n, steps[head], -8, 7, q)
                  : quant_group(x + d, n, c->type == KV_I8 ? 127 : 7, q);
        if (c->type == KV_I8)
            memcpy(dst + d, q, (size_t)n);
        else
            put_nibbles(dst + d / 2, q, n);
    }
}

void kv_cache_put(struct kv_cache *c, int pos, const float *k, const float *v) {
    for (int head = 0; head < c->n_kv_heads; head++) {
        const float *kh = k + (size_t)head * (size_t)c->head_dim, *vh = v + (size_t)head * (size_t)c->head_dim;
        if (c->type == KV_F16) {
            put_half(c, c->k, head, pos, kh);
            put_half(c, c->v, head, pos, vh);
        } else {
            put_int(c, c->k, c->k_scale, c->k_step, head, pos, kh);
            put_int(c, c->v, c->v_scale, c->v_step, head, pos, vh);
        }
    }
}
