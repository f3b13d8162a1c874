/* The kernels that define the bits (order.h), in plain C. */
#include <math.h>

#include "kernels/attention.h"
#include "kernels/types/types.h"
#include "kernels/walk.h"

enum { CHUNK = 256 }; /* columns of a row that are turned into floats at a time: a multiple of ORDER_LANES */

/* One row of a shard on its way through a tile of tokens. */
struct row_job {
    const struct mat *w;
    const struct act *x;
    int row, tile0, nt; /* first token and number of tokens of the tile */
    float step; /* of the row, per-channel types */
    const uint8_t *joins; /* shard_joins */
};

INLINE void unpack_at(const struct row_job *job, int col, struct weight_piece *p) {
    const struct tensor_type *type = job->w->type;
    uint8_t buf[BLOCK_MAX_BYTES];
    type->unpack(block_at(job->w, job->row, col, buf), (col - job->w->first_col) % type->block / ORDER_GROUP, job->step,
                 p);
}

INLINE void piece_dots(const struct weight_piece *p, const int8_t q[32], int32_t dot[2]) {
    for (int h = 0; h < 2; h++) {
        int32_t sum = 0;
        for (int j = 16 * h; j < 16 * h + 16; j++)
            sum += p->q[j] * q[j];
        dot[h] = sum;
    }
}

/* One group for all tokens of the tile: acc[t] moves on by the formula of tensor_type.h. */
INLINE void group_step(const struct row_job *job, int g, float *acc) {
    const struct act *x = job->x;
    size_t at = (size_t)job->tile0 * (size_t)x->n_groups + (size_t)g * (size_t)job->nt;
    struct weight_piece p;
    unpack_at(job, x->groups[g].begin, &p);
    for (int t = 0; t < job->nt; t++) {
        int32_t dot[2];
        float xs = x->scale[at + (size_t)t];
        piece_dots(&p, x->q[at + (size_t)t], dot);
        acc[t] = fmaf((float)(p.scale[0] * dot[0] + p.scale[1] * dot[1]), p.d * xs, acc[t]);
        if (!job->w->type->has_min) continue;
        const int32_t *sum = x->sum[at + (size_t)t];
        acc[t] = fmaf((float)(p.min * (sum[0] + sum[1])), p.m * xs, acc[t]);
    }
}

INLINE void group_step_static(const struct row_job *job, int g, int32_t *sum) {
    const struct act *x = job->x;
    size_t at = (size_t)job->tile0 * (size_t)x->n_groups + (size_t)g * (size_t)job->nt;
    struct weight_piece p;
    unpack_at(job, x->groups[g].begin, &p);
    for (int t = 0; t < job->nt; t++) {
        int32_t dot[2];
        piece_dots(&p, x->q[at + (size_t)t], dot);
        sum[t] += dot[0] + dot[1];
    }
}

/* Groups [g, ...) of one leaf with integer activations; returns the first group of the next leaf. */
INLINE int leaf_int(const struct row_job *job, int g, float *acc) {
    int leaf = job->x->groups[g].leaf, is_static = uses_static_step(job->w, job->x);
    int32_t sum[ACT_TILE] = {0};
    for (int t = 0; t < job->nt; t++)
        acc[t] = 0;
    for (; g < job->x->n_groups && job->x->groups[g].leaf == leaf; g++) {
        if (is_static)
            group_step_static(job, g, sum);
        else
            group_step(job, g, acc);
    }
    if (is_static)
        for (int t = 0; t < job->nt; t++)
            acc[t] = (float)sum[t] * (job->step * job->x->act_step);
    return g;
}

/* Canonical floats of columns [begin, end) of a row. */
INLINE void row_floats(const struct row_job *job, int begin, int end, float *dst) {
    if (job->w->type->is_float) {
        job->w->type->dequantize(block_at(job->w, job->row, begin, NULL), 1, dst, end - begin);
        return;
    }
    for (int c = begin, next; c < end; c = next) {
        struct weight_piece p;
        float v[ORDER_GROUP];
        next = (c / ORDER_GROUP + 1) * ORDER_GROUP;
        if (next > end) next = end;
        unpack_at(job, c, &p);
        piece_values(&p, job->w->type->has_min, v);
        memcpy(dst + (c - begin), v + c % ORDER_GROUP, (size_t)(next - c) * sizeof *v);
    }
}

/* n weights and activations into 16 lanes; n is a multiple of 16 but at the end of a leaf. */
INLINE void lanes_step(float lane[ORDER_LANES], const float *w, const float *x, int n) {
    int i = 0;
    for (; i + ORDER_LANES <= n; i += ORDER_LANES)
        for (int j = 0; j < ORDER_LANES; j++)
            lane[j] = fmaf(w[i + j], x[i + j], lane[j]);
    for (int j = 0; i + j < n; j++)
        lane[j] = fmaf(w[i + j], x[i + j], lane[j]);
}

INLINE void leaf_float(const struct row_job *job, int leaf, float *acc) {
    const struct mat *w = job->w;
    float lane[ACT_TILE][ORDER_LANES] = {{0}}, buf[CHUNK];
    int first = order_leaf_begin(&w->axis, w->leaf0), end = order_leaf_begin(&w->axis, leaf + 1);
    for (int c = order_leaf_begin(&w->axis, leaf); c < end; c += CHUNK) {
        int n = end - c < CHUNK ? end - c : CHUNK;
        row_floats(job, c, c + n, buf);
        for (int t = 0; t < job->nt; t++)
            lanes_step(lane[t], buf, job->x->x + (size_t)(job->tile0 + t) * job->x->ldx + (c - first), n);
    }
    for (int t = 0; t < job->nt; t++)
        acc[t] = order_lanes_sum(lane[t]);
}

INLINE void row_tile(const struct row_job *job, float *y, size_t ldy, size_t ldnode) {
    const struct mat *w = job->w;
    float sums[PAIRTREE_MAX_NODES * ACT_TILE];
    struct sum_stack stack = {0, ACT_TILE, sums};
    for (int leaf = w->leaf0, g = 0; leaf < w->leaf1; leaf++) {
        float *acc = stack_slot(&stack);
        if (uses_floats(w, job->x))
            leaf_float(job, leaf, acc);
        else
            g = leaf_int(job, g, acc);
        for (int t = job->nt; t < ACT_TILE; t++)
            acc[t] = 0;
        stack_push(&stack, job->joins[leaf - w->leaf0]);
    }
    for (int node = 0; node < stack.top; node++)
        for (int t = 0; t < job->nt; t++)
            y[(size_t)node * ldnode + (size_t)(job->tile0 + t) * ldy + (size_t)job->row] = sums[node * ACT_TILE + t];
}

static void mat_mul_portable(const struct mat *w, const struct act *x, int row0, int row1, float *y, size_t ldy,
                             size_t ldnode);
CLONED(void, mat_mul_portable,
       (const struct mat *w, const struct act *x, int row0, int row1, float *y, size_t ldy, size_t ldnode),
       (w, x, row0, row1, y, ldy, ldnode)) {
    uint8_t joins[MAT_MAX_LEAVES];
    shard_joins(w, joins);
    for (int row = row0; row < row1; row++)
        for (int t = 0; t < x->n_tokens; t += ACT_TILE) {
            int nt = x->n_tokens - t < ACT_TILE ? x->n_tokens - t : ACT_TILE;
            struct row_job job = {w, x, row, t, nt, w->row_step ? w->row_step[row] : 1, joins};
            row_tile(&job, y, ldy, ldnode);
        }
}

INLINE float dot_half_one(const struct attn_row *r, const struct kv_rows *k, int j, int head_dim) {
    float lane[ORDER_LANES] = {0};
    for (int d = 0; d < head_dim; d++)
        lane[d % ORDER_LANES] = fmaf(r->q[d], kv_half(k, j, d), lane[d % ORDER_LANES]);
    return order_lanes_sum(lane);
}

INLINE void dot_half(struct attn_row *r, int n, const struct kv_rows *k, int head_dim, int count) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < count; j++)
            r[i].s[j] = dot_half_one(&r[i], k, j, head_dim);
}

INLINE float dot_int_one(const struct attn_row *r, const struct kv_rows *k, int j, int head_dim) {
    float acc = 0;
    for (int g = 0; g < k->n_scales; g++) {
        int32_t dot = 0;
        for (int d = g * ORDER_GROUP; d < head_dim && d < (g + 1) * ORDER_GROUP; d++)
            dot += kv_int(k, j, d) * r->q_int[g][d % ORDER_GROUP];
        acc = fmaf((float)dot, kv_scale(k, j, g) * r->q_scale[g], acc);
    }
    return acc;
}

INLINE void dot_int(struct attn_row *r, int n, const struct kv_rows *k, int head_dim, int count) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < count; j++)
            r[i].s[j] = dot_int_one(&r[i], k, j, head_dim);
}

INLINE void weigh(struct attn_row *r, float scale, int count) {
    float m = r->m, lane[ORDER_LANES] = {0}, *s = r->s;
    for (int j = 0; j < count; j++)
        s[j] *= scale;
    for (int j = 0; j < count; j++)
        m = s[j] > m ? s[j] : m;
    r->c = r->m > -INFINITY ? math_expf(r->m - m) : 0;
    for (int j = 0; j < count; j++)
        s[j] -= m;
    math_exp_vec(s, s, count);
    for (int j = 0; j < count; j++)
        lane[j % ORDER_LANES] += s[j];
    r->l = fmaf(r->l, r->c, order_lanes_sum(lane));
    r->m = m;
}

INLINE void add_half(struct attn_row *r, int n, const struct kv_rows *v, int head_dim, int count) {
    for (int i = 0; i < n; i++) {
        float *o = r[i].o;
        for (int d = 0; d < head_dim; d++)
            o[d] *= r[i].c;
        for (int j = 0; j < count; j++)
            for (int d = 0; d < head_dim; d++)
                o[d] = fmaf(r[i].s[j], kv_half(v, j, d), o[d]);
    }
}

/* w[j] = weight times scale of the value in group g. */
INLINE void scaled_weights(const struct attn_row *r, const struct kv_rows *v, int g, int count, float *w) {
    for (int j = 0; j < count; j++)
        w[j] = r->s[j] * kv_scale(v, j, g);
}

INLINE void add_int_group(struct attn_row *r, const struct kv_rows *v, int g, int width, int count) {
    float w[ORDER_KV_BLOCK], *o = r->o + g * ORDER_GROUP;
    scaled_weights(r, v, g, count, w);
    for (int d = 0; d < width; d++)
        o[d] *= r->c;
    for (int j = 0; j < count; j++)
        for (int d = 0; d < width; d++)
            o[d] = fmaf(w[j], (float)kv_int(v, j, g * ORDER_GROUP + d), o[d]);
}

INLINE void add_int(struct attn_row *r, int n, const struct kv_rows *v, int head_dim, int count) {
    for (int i = 0; i < n; i++)
        for (int g = 0; g < v->n_scales; g++)
            add_int_group(&r[i], v, g, group_width(head_dim, g), count);
}

/* Integer weights 0..15 of mode a4; returns their step. */
INLINE float weights_int4(const float *w, int count, int32_t *u) {
    float max = 0, step, inv;
    for (int j = 0; j < count; j++)
        max = w[j] > max ? w[j] : max;
    quant_scale(max, 15, &step, &inv);
    for (int j = 0; j < count; j++) {
        int32_t v = round_small(w[j] * inv);
        u[j] = v < 0 ? 0 : v > 15 ? 15 : v;
    }
    return step;
}

INLINE void add_int4_group(struct attn_row *r, const struct kv_rows *v, int g, int width, int count) {
    float w[ORDER_KV_BLOCK], step, *o = r->o + g * ORDER_GROUP;
    int32_t u[ORDER_KV_BLOCK];
    if (r->w_step != 0) {
        for (int j = 0; j < count; j++)
            u[j] = (int32_t)r->s[j];
        step = kv_scale(v, 0, g);
    } else {
        scaled_weights(r, v, g, count, w);
        step = weights_int4(w, count, u);
    }
    for (int d = 0; d < width; d++) {
        int32_t sum = 0;
        for (int j = 0; j < count; j++)
            sum += u[j] * kv_int(v, j, g * ORDER_GROUP + d);
        o[d] = fmaf((float)sum, step, o[d] * r->c);
    }
}

INLINE void add_int4(struct attn_row *r, int n, const struct kv_rows *v, int head_dim, int count) {
    for (int i = 0; i < n; i++)
        for (int g = 0; g < v->n_scales; g++)
            add_int4_group(&r[i], v, g, group_width(head_dim, g), count);
}

static void attention_portable(const struct attn_args *a);
CLONED(void, attention_portable, (const struct attn_args *a), (a)) {
    static const struct attn_loops loops = {dot_half, dot_int, weigh, add_half, add_int, add_int4};
    attention_walk(a, &loops);
}

static int always(void) {
    return 1;
}

const struct kernel_set kernel_set_portable = {
    .name = "portable",
    .available = always,
    .mat_mul = mat_mul_portable,
    .attention = attention_portable,
};
