/* panel_mat.h - products with weights in panels, written once over the few vector operations that a kernel set brings.
 *
 * The vectors have rows as lanes: LANES of the 16 rows of a panel. 32 columns of them are 8 registers,
 *
 *      q[0]   r0 c0..c3 | r1 c0..c3 | r2 c0..c3 ...
 *      q[1]   r0 c4..c7 | r1 c4..c7 | ...
 *
 * Four activations are one broadcast word, the products of four columns of a row meet in that row's 32 bits, and the
 * fused chain over groups (order.h rule 4) runs on all lanes with no horizontal step. The registers serve all tokens of
 * a tile. Sums inside a group are exact integers, so their order is free.
 *
 * A set defines before it includes this:
 *   LANES, DECODE_VECTORS    rows of a vector; vectors that one token's pass takes together
 *   vi, vf                   LANES 32-bit integers, floats
 *   vi_load vi_set vi_and vi_or vi_sub vi_add vi_mul vi_sll vi_srl vi_sra    words; shifts by a number
 *   vf_load vf_store vf_set vf_add vf_mul vf_fma vf_int (from vi) vf_neg
 *   vf_halves(p)             LANES binary16 numbers at p; vf_low_half(vi), vf_high_half(vi): of each word
 *   dot_unsigned(q, x, k0, k1, range)   sums of columns [4 k0, 4 k1): stored bytes, at most as wide as range says,
 * times signed bytes |x| <= 127 dot_signed(q, x, is_static)         of all 32 columns: signed bytes; is_static: x may
 * be -128 */
#ifndef KERNELS_PANEL_MAT_H
#define KERNELS_PANEL_MAT_H

#include "kernels/panel_job.h"

enum { VECTORS = MAT_PANEL / LANES }; /* of a panel */

/* 32 columns of LANES rows. d, m, scale, min: tensor_type.h's numbers for each row, the integers as floats. */
struct tile {
    vi q[8];
    vf d, m, scale[2], min;
};

/* Where a vector of rows lies in a block of its panel. */
struct place {
    const uint8_t *halves, *words;
    int index; /* piece of the block */
};

INLINE vi word_at(const struct place *p, int word) {
    return vi_load(p->words + 4 * MAT_PANEL * word);
}

INLINE vi low_nibbles(vi v) {
    return vi_and(v, vi_set(0x0f0f0f0f));
}

INLINE vi high_nibbles(vi v) {
    return low_nibbles(vi_srl(v, 4));
}

/* Four words of nibbles from `word` on: low ones columns 0-15, high ones columns 16-31. */
INLINE void load_nibbles(struct tile *t, const struct place *p, int word) {
    for (int k = 0; k < 4; k++) {
        vi v = word_at(p, word + k);
        t->q[k] = low_nibbles(v);
        t->q[k + 4] = high_nibbles(v);
    }
}

INLINE void load_bytes(struct tile *t, const struct place *p, int word) {
    for (int k = 0; k < 8; k++)
        t->q[k] = word_at(p, word + k);
}

/* Adds 16 to the columns whose bit is set: column c has bit c. The product puts bits 0-3 at bits 0, 8, 16, 24. */
INLINE void add_fifth_bits(struct tile *t, vi bits) {
    for (int k = 0; k < 8; k++) {
        vi spread = vi_mul(vi_and(vi_srl(bits, 4 * k), vi_set(15)), vi_set(0x00204081));
        t->q[k] = vi_or(t->q[k], vi_sll(vi_and(spread, vi_set(0x01010101)), 4));
    }
}

typedef void tile_load(struct tile *t, const struct place *p);

INLINE void load_q4_0(struct tile *t, const struct place *p) {
    t->d = vf_halves(p->halves);
    load_nibbles(t, p, 0);
}

INLINE void load_q4_1(struct tile *t, const struct place *p) {
    t->d = vf_low_half(word_at(p, 0));
    t->m = vf_high_half(word_at(p, 0));
    load_nibbles(t, p, 1);
}

INLINE void load_q5_0(struct tile *t, const struct place *p) {
    t->d = vf_halves(p->halves);
    load_nibbles(t, p, 1);
    add_fifth_bits(t, word_at(p, 0));
}

INLINE void load_q5_1(struct tile *t, const struct place *p) {
    t->d = vf_low_half(word_at(p, 0));
    t->m = vf_high_half(word_at(p, 0));
    load_nibbles(t, p, 2);
    add_fifth_bits(t, word_at(p, 1));
}

INLINE void load_q8_0(struct tile *t, const struct place *p) {
    t->d = vf_halves(p->halves);
    load_bytes(t, p, 0);
}

INLINE void load_i4(struct tile *t, const struct place *p) {
    load_nibbles(t, p, 0);
}

INLINE void load_i8(struct tile *t, const struct place *p) {
    load_bytes(t, p, 0);
}

/* Q4_K and Q5_K: units of the superblock, and the six-bit scale and minimum of the piece (types/super.c). */
INLINE void load_scale6(struct tile *t, const struct place *p) {
    int shift = 8 * (p->index & 3);
    vi scale = vi_srl(word_at(p, 1), shift), min = vi_srl(word_at(p, 2), shift);
    t->d = vf_low_half(word_at(p, 0));
    t->m = vf_neg(vf_high_half(word_at(p, 0)));
    if (p->index < 4) {
        scale = vi_and(scale, vi_set(63));
        min = vi_and(min, vi_set(63));
    } else {
        vi low = vi_srl(word_at(p, 3), shift), high = vi_set(0x30), nibble = vi_set(15);
        scale = vi_or(vi_and(vi_srl(scale, 2), high), vi_and(low, nibble));
        min = vi_or(vi_and(vi_srl(min, 2), high), vi_and(vi_srl(low, 4), nibble));
    }
    t->scale[0] = vf_int(scale);
    t->min = vf_int(min);
}

/* Nibbles of 32 consecutive bytes from `word` on. */
INLINE void load_nibbles_k(struct tile *t, const struct place *p, int word, int high) {
    for (int k = 0; k < 8; k++)
        t->q[k] = low_nibbles(vi_srl(word_at(p, word + k), 4 * high));
}

/* Bits [shift, shift + width of mask) of 32 consecutive bytes become bits 4 and up. */
INLINE void add_high_bits(struct tile *t, const struct place *p, int word, int shift, uint32_t mask) {
    for (int k = 0; k < 8; k++) {
        vi bits = vi_and(vi_srl(word_at(p, word + k), shift), vi_set(mask * 0x01010101u));
        t->q[k] = vi_or(t->q[k], vi_sll(bits, 4));
    }
}

INLINE void load_q4_k(struct tile *t, const struct place *p) {
    load_scale6(t, p);
    load_nibbles_k(t, p, 4 + 8 * (p->index / 2), p->index & 1);
}

INLINE void load_q5_k(struct tile *t, const struct place *p) {
    load_scale6(t, p);
    load_nibbles_k(t, p, 12 + 8 * (p->index / 2), p->index & 1);
    add_high_bits(t, p, 4, p->index, 1);
}

/* Signed byte `index` of words, as floats. */
INLINE vf signed_byte(vi words, int index) {
    return vf_int(vi_sra(vi_sll(words, 24 - 8 * index), 24));
}

INLINE void load_q6_k(struct tile *t, const struct place *p) {
    int half = p->index / 4, part = p->index % 4;
    t->d = vf_halves(p->halves);
    t->scale[0] = signed_byte(word_at(p, 48 + p->index / 2), 2 * (p->index & 1));
    t->scale[1] = signed_byte(word_at(p, 48 + p->index / 2), 2 * (p->index & 1) + 1);
    load_nibbles_k(t, p, 16 * half + 8 * (part % 2), part / 2);
    add_high_bits(t, p, 32 + 8 * half, 2 * part, 3);
}

/* What a format's formula has beside d: constants of each instance of the kernel. */
struct form {
    tile_load *load;
    int is_signed, bits; /* stored bytes: signed, or unsigned with so many bits */
    int offset; /* stored integers are q + 2^offset; 0: they are q */
    int scaled; /* an integer scale for the piece; 2: one for each half of 16 columns */
    int has_min;
    int is_static;
    int block, block_bytes, half_bytes;
};

INLINE vi without_offset(vi dot, int32_t sum, const struct form *f) {
    return f->offset ? vi_sub(dot, vi_sll(vi_set((uint32_t)sum), f->offset)) : dot;
}

INLINE vi dot32(const struct tile *w, const struct act *x, size_t at, const struct form *f) {
    if (f->is_signed) return dot_signed(w->q, x->q[at], x->total[at], f->is_static);
    return without_offset(dot_unsigned(w->q, x->q[at], 0, 8, f->bits), x->total[at], f);
}

/* The integer part of the formula as a float: at most 2^24, so each operation is exact. */
INLINE vf scaled_dot(const struct tile *w, const struct act *x, size_t at, const struct form *f) {
    if (f->scaled < 2) {
        vf dot = vf_int(dot32(w, x, at, f));
        return f->scaled ? vf_mul(dot, w->scale[0]) : dot;
    }
    vi low = without_offset(dot_unsigned(w->q, x->q[at], 0, 4, f->bits), x->sum[at][0], f);
    vi high = without_offset(dot_unsigned(w->q, x->q[at], 4, 8, f->bits), x->sum[at][1], f);
    return vf_fma(vf_int(low), w->scale[0], vf_mul(vf_int(high), w->scale[1]));
}

INLINE vf chain_step(const struct tile *w, const struct act *x, size_t at, vf acc, const struct form *f) {
    vf xs = vf_set(x->scale[at]);
    acc = vf_fma(scaled_dot(w, x, at, f), vf_mul(w->d, xs), acc);
    if (!f->has_min) return acc;
    vf total = vf_set((float)x->total[at]);
    if (f->scaled) total = vf_mul(total, w->min);
    return vf_fma(total, vf_mul(w->m, xs), acc);
}

/* Vectors of consecutive rows on their way through a leaf. */
struct rows {
    const uint8_t *at[DECODE_VECTORS]; /* first block of the vector's panel */
    int lane[DECODE_VECTORS]; /* its first row there */
    vf step[DECODE_VECTORS]; /* per-channel types */
};

INLINE void rows_begin(const struct panel_job *job, int vectors, struct rows *r) {
    const struct mat *w = job->w;
    for (int v = 0; v < vectors; v++) {
        int row = job->row + v * LANES;
        float step[LANES] = {0};
        r->at[v] = w->data + (size_t)(row / MAT_PANEL) * w->stride;
        r->lane[v] = row % MAT_PANEL;
        for (int i = 0; i < LANES; i++)
            step[i] = !w->row_step ? 1 : row + i < w->rows ? w->row_step[row + i] : 0;
        r->step[v] = vf_load(step);
    }
}

INLINE void tile_at(struct tile *t, const struct rows *r, int v, int col, const struct form *f) {
    const uint8_t *block = r->at[v] + (size_t)(col / f->block) * (size_t)(f->block_bytes * MAT_PANEL);
    struct place p = {block + 2 * r->lane[v], block + f->half_bytes + 4 * r->lane[v], col % f->block / ORDER_GROUP};
    t->d = r->step[v];
    f->load(t, &p);
}

/* Groups [g, end) of one leaf for nt tokens: sums [nt][vectors * LANES]. */
INLINE void leaf_int(const struct panel_job *job, const struct rows *r, int vectors, int nt, int g, int end,
                     const struct form *f, float *out) {
    const struct act *x = job->x;
    vf acc[DECODE_VECTORS][ACT_TILE];
    vi sum[DECODE_VECTORS][ACT_TILE];
    for (int v = 0; v < vectors; v++)
        for (int t = 0; t < nt; t++)
            acc[v][t] = vf_set(0), sum[v][t] = vi_set(0);
    for (; g < end; g++) {
        int col = x->groups[g].begin - job->w->first_col;
        size_t at = (size_t)job->tile0 * (size_t)x->n_groups + (size_t)g * (size_t)nt;
        for (int v = 0; v < vectors; v++) {
            struct tile w;
            tile_at(&w, r, v, col, f);
            for (int t = 0; t < nt; t++) {
                if (f->is_static)
                    sum[v][t] = vi_add(sum[v][t], dot32(&w, x, at + (size_t)t, f));
                else
                    acc[v][t] = chain_step(&w, x, at + (size_t)t, acc[v][t], f);
            }
        }
    }
    for (int v = 0; v < vectors; v++)
        for (int t = 0; t < nt; t++) {
            if (f->is_static) acc[v][t] = vf_mul(vf_int(sum[v][t]), vf_mul(r->step[v], vf_set(x->act_step)));
            vf_store(out + (t * vectors + v) * LANES, acc[v][t]);
        }
}

/* Canonical values of the 32 columns (tensor_type.h). */
INLINE void tile_floats(const struct tile *t, const struct form *f, vf out[ORDER_GROUP]) {
    for (int c = 0; c < ORDER_GROUP; c++) {
        vi v = t->q[c / 4];
        int shift = 8 * (c % 4);
        vf q = vf_int(f->is_signed ? vi_sra(vi_sll(v, 24 - shift), 24) : vi_and(vi_srl(v, shift), vi_set(255)));
        if (f->offset) q = vf_add(q, vf_set(-(float)(1 << f->offset)));
        vf unit = f->scaled ? vf_mul(t->d, t->scale[f->scaled == 2 ? c / 16 : 0]) : t->d;
        out[c] = vf_mul(unit, q);
        if (f->has_min) out[c] = vf_add(out[c], f->scaled ? vf_mul(t->m, t->min) : t->m);
    }
}

/* Columns of a leaf that become floats together. */
enum { CHUNK = 8 * ORDER_GROUP };

/* The 16 lanes of rule 4 are 16 vectors here, and their one reduction has no horizontal step either. */
INLINE void lanes_step(const vf *w, const float *x, int n, int first_lane, int nt, size_t ldx,
                       vf acc[ORDER_LANES][ACT_TILE]) {
    for (int i = 0; i < ORDER_LANES && i < n; i++)
        for (int t = 0; t < nt; t++) {
            vf a = acc[(first_lane + i) % ORDER_LANES][t];
            for (int c = i; c < n; c += ORDER_LANES)
                a = vf_fma(w[c], vf_set(x[(size_t)t * ldx + (size_t)c]), a);
            acc[(first_lane + i) % ORDER_LANES][t] = a;
        }
}

INLINE vf lanes_reduce(vf acc[ORDER_LANES][ACT_TILE], int t) {
    vf sum[ORDER_LANES];
    for (int j = 0; j < ORDER_LANES; j++)
        sum[j] = acc[j][t];
    for (int half = ORDER_LANES / 2; half; half /= 2)
        for (int j = 0; j < half; j++)
            sum[j] = vf_add(sum[j], sum[j + half]);
    return sum[0];
}

/* The float rule for one leaf and one vector of rows: sums [nt][LANES]. */
INLINE void leaf_float(const struct panel_job *job, const struct rows *r, int leaf, const struct form *f, float *out) {
    const struct mat *w = job->w;
    vf acc[ORDER_LANES][ACT_TILE], buf[CHUNK + 2 * ORDER_GROUP];
    int first = order_leaf_begin(&w->axis, w->leaf0);
    int begin = order_leaf_begin(&w->axis, leaf), end = order_leaf_begin(&w->axis, leaf + 1);
    for (int j = 0; j < ORDER_LANES; j++)
        for (int t = 0; t < job->nt; t++)
            acc[j][t] = vf_set(0);
    for (int c = begin, next; c < end; c = next) {
        int start = c / ORDER_GROUP * ORDER_GROUP;
        next = end - start <= CHUNK ? end : start + CHUNK;
        for (int col = start; col < next; col += ORDER_GROUP) {
            struct tile tile;
            tile_at(&tile, r, 0, col - w->first_col, f);
            tile_floats(&tile, f, buf + (col - start));
        }
        lanes_step(buf + (c - start), job->x->x + (size_t)job->tile0 * job->x->ldx + (c - first), next - c,
                   (c - begin) % ORDER_LANES, job->nt, job->x->ldx, acc);
    }
    for (int t = 0; t < job->nt; t++)
        vf_store(out + t * LANES, lanes_reduce(acc, t));
}

INLINE void store_rows(const struct panel_job *job, const struct sum_stack *stack, int width, int nt) {
    int rows = job->rows < width ? job->rows : width;
    for (int node = 0; node < stack->top; node++)
        for (int t = 0; t < nt; t++)
            memcpy(job->y + (size_t)node * job->ldnode + (size_t)(job->tile0 + t) * job->ldy + (size_t)job->row,
                   stack->v + (size_t)node * (size_t)stack->width + width * t, (size_t)rows * sizeof(float));
}

/* `vectors` and, when it is 1, nt are constants where this is inlined. */
INLINE int tile_run(const struct panel_job *job, int vectors, int nt, int floats, const struct form *f) {
    const struct mat *w = job->w;
    const struct act *x = job->x;
    float sums[PAIRTREE_MAX_NODES * ACT_TILE * LANES]; /* DECODE_VECTORS are fewer than ACT_TILE */
    struct sum_stack stack = {0, vectors * LANES * nt, sums};
    struct rows r;
    rows_begin(job, vectors, &r);
    for (int leaf = w->leaf0, g = 0, end; leaf < w->leaf1; leaf++, g = end) {
        for (end = g; end < x->n_groups && x->groups[end].leaf == leaf;)
            end++;
        if (floats)
            leaf_float(job, &r, leaf, f, stack_slot(&stack));
        else
            leaf_int(job, &r, vectors, nt, g, end, f, stack_slot(&stack));
        stack_push(&stack, job->joins[leaf - w->leaf0]);
    }
    store_rows(job, &stack, vectors * LANES, nt);
    return vectors * LANES;
}

INLINE int tile_int(const struct panel_job *job, const struct form *f) {
    if (job->nt > 1) return tile_run(job, 1, job->nt, 0, f);
    if (job->rows > (DECODE_VECTORS - 1) * LANES) return tile_run(job, DECODE_VECTORS, 1, 0, f);
    return tile_run(job, 1, 1, 0, f);
}

/* name, tensor type, static, {load, signed, bits, offset, scaled, has_min, static, block, bytes, bytes of halves} */
#define FORMS(X)                                                                                                       \
    X(q4_0, q4_0, 0, {load_q4_0, 0, 4, 3, 0, 0, 0, 32, 18, 32})                                                        \
    X(q4_1, q4_1, 0, {load_q4_1, 0, 4, 0, 0, 1, 0, 32, 20, 0})                                                         \
    X(q5_0, q5_0, 0, {load_q5_0, 0, 5, 4, 0, 0, 0, 32, 22, 32})                                                        \
    X(q5_1, q5_1, 0, {load_q5_1, 0, 5, 0, 0, 1, 0, 32, 24, 0})                                                         \
    X(q8_0, q8_0, 0, {load_q8_0, 1, 8, 0, 0, 0, 0, 32, 34, 32})                                                        \
    X(q4_k, q4_k, 0, {load_q4_k, 0, 4, 0, 1, 1, 0, 256, 144, 0})                                                       \
    X(q5_k, q5_k, 0, {load_q5_k, 0, 5, 0, 1, 1, 0, 256, 176, 0})                                                       \
    X(q6_k, q6_k, 0, {load_q6_k, 0, 6, 5, 2, 0, 0, 256, 210, 32})                                                      \
    X(i4, i4, 0, {load_i4, 0, 4, 3, 0, 0, 0, 32, 16, 0})                                                               \
    X(i8, i8, 0, {load_i8, 1, 8, 0, 0, 0, 0, 32, 32, 0})                                                               \
    X(i4_static, i4, 1, {load_i4, 0, 4, 3, 0, 0, 1, 32, 16, 0})                                                        \
    X(i8_static, i8, 1, {load_i8, 1, 8, 0, 0, 0, 1, 32, 32, 0})

#define X(name, type, fixed, ...)                                                                                      \
    extern const struct tensor_type tensor_type_##type;                                                                \
    static int int_##name(const struct panel_job *job) {                                                               \
        static const struct form f = __VA_ARGS__;                                                                      \
        return tile_int(job, &f);                                                                                      \
    }                                                                                                                  \
    static int float_##name(const struct panel_job *job) {                                                             \
        static const struct form f = __VA_ARGS__;                                                                      \
        return tile_run(job, 1, job->nt, 1, &f);                                                                       \
    }
FORMS(X)
#undef X

INLINE panel_kernel *find_kernel(const struct tensor_type *type, int floats, int is_static) {
#define X(name, row, fixed, ...) {&tensor_type_##row, fixed, int_##name, float_##name},
    static const struct {
        const struct tensor_type *type;
        int is_static;
        panel_kernel *int_kernel, *float_kernel;
    } table[] = {FORMS(X)};
#undef X
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].type == type && (floats || table[i].is_static == is_static))
            return floats ? table[i].float_kernel : table[i].int_kernel;
    return NULL;
}

#endif
