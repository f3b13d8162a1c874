/* kv.h - addresses in a key/value cache. */
#ifndef KERNELS_KV_H
#define KERNELS_KV_H

#include "kernels/clones.h"
#include "kernels/half.h"
#include "models/kernels.h"

/* Consecutive positions of one head. */
struct kv_rows {
    const uint8_t *q; /* [positions][bytes]: as stored */
    const float *scale; /* [n_scales][scale_stride]: positions lie together; integer caches */
    size_t scale_stride;
    const uint8_t *ahead; /* the block that is wanted next, to be asked for while this one is worked on */
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

/* Scale of group g at position pos, counted from the first head's array. */
INLINE size_t kv_scale_index(const struct kv_cache *c, int head, int g, int pos) {
    return ((size_t)head * (size_t)kv_row_scales(c->type, c->head_dim) + (size_t)g) * (size_t)c->n_ctx + (size_t)pos;
}

/* Keys, or values, from position pos on. */
INLINE struct kv_rows kv_rows_at(const struct kv_cache *c, int is_v, int head, int pos) {
    struct kv_rows r = {.scale_stride = (size_t)c->n_ctx,
                        .bytes = kv_row_bytes(c->type, c->head_dim),
                        .n_scales = kv_row_scales(c->type, c->head_dim),
                        .nibbles = c->type == KV_I4};
    r.q = (const uint8_t *)(is_v ? c->v : c->k) + kv_row_index(c, head, pos) * (size_t)r.bytes;
    if (r.n_scales) r.scale = (is_v ? c->v_scale : c->k_scale) + kv_scale_index(c, head, 0, pos);
    return r;
}

/* Asks for rows [j0, j1) of the block that is wanted next. */
INLINE void kv_ask(const struct kv_rows *r, int j0, int j1) {
    const uint8_t *end = r->ahead + (size_t)j1 * (size_t)r->bytes;
    for (const uint8_t *at = r->ahead + (size_t)j0 * (size_t)r->bytes; at < end; at += 64)
        __builtin_prefetch(at);
}

/* Element d of row j. */
INLINE float kv_half(const struct kv_rows *r, int j, int d) {
    return load_half(r->q + (size_t)j * (size_t)r->bytes + 2 * (size_t)d);
}

INLINE int kv_int(const struct kv_rows *r, int j, int d) {
    const uint8_t *row = r->q + (size_t)j * (size_t)r->bytes;
    if (!r->nibbles) return (int8_t)row[d];
    return (row[d / 2] >> (d & 1 ? 4 : 0) & 15) - 8;
}

/* Of group g at row j. */
INLINE float kv_scale(const struct kv_rows *r, int j, int g) {
    return r->scale[(size_t)g * r->scale_stride + (size_t)j];
}

#endif
