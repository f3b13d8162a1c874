/* kv.h - addresses in a key/value cache. */
#ifndef KERNELS_KV_H
#define KERNELS_KV_H

#include "kernels/clones.h"
#include "models/kernels.h"

/* Consecutive positions of one head of an integer cache. */
struct kv_rows {
    const uint8_t *q; /* [positions][bytes] */
    const float *scale; /* [positions][n_scales] */
    int bytes, n_scales, nibbles;
};

/* Bytes of a row, and scales of a row. */
INLINE int kv_row_bytes(enum kv_type type, int head_dim) {
    return type == KV_F16 ? 2 * head_dim : type == KV_I8 ? head_dim : (head_dim + 1) / 2;
}

INLINE int kv_row_scales(enum kv_type type, int head_dim) {
    return type == KV_F16 ? 0 : (head_dim + ORDER_GROUP - 1) / ORDER_GROUP;
}

INLINE size_t kv_row_index(const struct kv_cache *c, int head, int pos) {
    return (size_t)head * (size_t)c->n_ctx + (size_t)pos;
}

INLINE uint16_t *kv_half_row(const struct kv_cache *c, void *base, int head, int pos) {
    return (uint16_t *)base + kv_row_index(c, head, pos) * (size_t)c->head_dim;
}

INLINE struct kv_rows kv_int_rows(const struct kv_cache *c, const void *base, const float *scales, int head, int pos) {
    struct kv_rows r = {.bytes = kv_row_bytes(c->type, c->head_dim),
                        .n_scales = kv_row_scales(c->type, c->head_dim),
                        .nibbles = c->type == KV_I4};
    r.q = (const uint8_t *)base + kv_row_index(c, head, pos) * (size_t)r.bytes;
    r.scale = scales + kv_row_index(c, head, pos) * (size_t)r.n_scales;
    return r;
}

/* Element d of row j. */
INLINE int kv_int(const struct kv_rows *r, int j, int d) {
    const uint8_t *row = r->q + (size_t)j * (size_t)r->bytes;
    if (!r->nibbles) return (int8_t)row[d];
    return (row[d / 2] >> (d & 1 ? 4 : 0) & 15) - 8;
}

#endif
