/* gen.h - deterministic random numbers and matrices for the kernel tests. */
#ifndef TESTS_KERNELS_GEN_H
#define TESTS_KERNELS_GEN_H

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "models/kernels.h"

static uint64_t gen_key = 1, gen_count;

static inline void gen_seed(uint64_t key) {
    gen_key = key;
    gen_count = 0;
}

/* 0..n-1 */
static inline int gen_int(int n) {
    return (int)(rng_u64(gen_key, gen_count++) % (uint64_t)n);
}

/* -1..1 */
static inline float gen_float(void) {
    return 2 * rng_unit(gen_key, gen_count++) - 1;
}

static inline void *gen_alloc(size_t n) {
    void *p = aligned_alloc(64, (n + 127) & ~(size_t)63);
    if (!p) abort();
    return p;
}

static inline float *gen_floats(size_t n, float scale) {
    float *x = gen_alloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = scale * gen_float();
    return x;
}

/* Makes scales of a block of random bytes finite and moderate: exponent bits of binary16 at a byte offset. */
static inline void gen_tame(uint8_t *half) {
    half[1] = (uint8_t)((half[1] & 0x83) | 0x20 | (half[1] & 0x0c));
}

/* A row of random bits (any integers a file may hold, scales tamed), at any alignment. */
static inline void gen_row_bits(const struct tensor_type *type, uint8_t *row, int cols) {
    size_t n = tensor_type_row_bytes(type, cols);
    for (size_t i = 0; i < n; i++)
        row[i] = (uint8_t)gen_int(256);
    if (type->per_channel) return;
    for (int b = 0; b < cols / type->block; b++, row += type->block_bytes) {
        if (type->block == 256 && !type->has_min)
            gen_tame(row + 208);
        else
            gen_tame(row);
        if (type->has_min) gen_tame(row + 2);
    }
}

/* A whole matrix, and activations for it. */
struct gen_matrix {
    const struct tensor_type *type;
    struct order_axis axis;
    int rows, tokens;
    uint8_t *store, *data; /* data: store at an odd offset */
    size_t stride, ldx;
    float *step, act_step, *x;
};

static inline struct gen_matrix gen_matrix(const struct tensor_type *type, struct order_axis axis, int rows, int tokens,
                                           int is_static) {
    struct gen_matrix m = {.type = type, .axis = axis, .rows = rows, .tokens = tokens};
    int padded = (axis.cols + type->block - 1) / type->block * type->block;
    m.stride = tensor_type_row_bytes(type, padded) + (size_t)gen_int(3);
    m.store = gen_alloc(m.stride * (size_t)rows + 8);
    m.data = m.store + gen_int(4);
    m.step = gen_floats((size_t)rows, 0.1f);
    float *row = gen_floats((size_t)padded, 1);
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < padded; c++)
            row[c] = gen_float();
        if (type->per_channel) m.step[r] = tensor_type_row_step(type, row, padded);
        if (!type->is_float && gen_int(2))
            gen_row_bits(type, m.data + (size_t)r * m.stride, padded);
        else
            type->quantize(row, m.step[r], m.data + (size_t)r * m.stride, padded);
    }
    free(row);
    m.ldx = (size_t)(axis.cols + gen_int(4));
    m.x = gen_floats(m.ldx * (size_t)tokens, 3);
    m.act_step = is_static ? 0.02f : 0;
    return m;
}

static inline void gen_matrix_free(struct gen_matrix *m) {
    free(m->store), free(m->step), free(m->x);
}

/* The shard of leaves [leaf0, leaf1) as a view. */
static inline struct mat gen_shard(const struct gen_matrix *m, int leaf0, int leaf1) {
    int first = order_leaf_begin(&m->axis, leaf0) / m->type->block * m->type->block;
    struct mat w = {.type = m->type,
                    .rows = m->rows,
                    .stride = m->stride,
                    .first_col = first,
                    .axis = m->axis,
                    .leaf0 = leaf0,
                    .leaf1 = leaf1,
                    .act_step = m->act_step};
    w.data = m->data + tensor_type_row_bytes(m->type, first);
    w.row_step = m->type->per_channel ? m->step : NULL;
    if (mat_prepare(&w)) abort();
    return w;
}

/* The same shard in panels, its bytes in *mem (to be freed). Float types stay rows. */
static inline struct mat gen_panels(const struct mat *rows, uint8_t **mem) {
    struct mat w = *rows;
    *mem = NULL;
    if (w.type->is_float) return w;
    int block = w.type->block;
    int cols = (order_leaf_begin(&w.axis, w.leaf1) - w.first_col + block - 1) / block * block;
    w.in_panels = 1;
    w.stride = MAT_PANEL * tensor_type_row_bytes(w.type, cols);
    w.data = *mem = gen_alloc(mat_panels_bytes(w.type, w.rows, cols));
    int middle = gen_int(w.rows / MAT_PANEL + 1) * MAT_PANEL;
    mat_pack(w.type, rows->data, rows->stride, middle, cols, *mem);
    mat_pack(w.type, rows->data + (size_t)middle * rows->stride, rows->stride, w.rows - middle, cols,
             *mem + (size_t)(middle / MAT_PANEL) * w.stride);
    if (mat_prepare(&w)) abort();
    return w;
}

/* Product of a shard: [nodes][tokens][rows], to be freed. */
static inline float *gen_product(const struct gen_matrix *m, const struct mat *w, enum act_bits bits) {
    int n = order_group_count(&w->axis, w->leaf0, w->leaf1);
    struct order_group *groups = gen_alloc((size_t)n * sizeof *groups);
    size_t ldnode = (size_t)m->tokens * (size_t)m->rows;
    float *y = gen_alloc((size_t)w->n_nodes * ldnode * sizeof *y);
    void *buf = gen_alloc(act_bytes(bits, m->tokens, n));
    struct act a;
    order_groups(&w->axis, w->leaf0, w->leaf1, groups);
    act_init(&a, bits, m->act_step, groups, n, m->x + order_leaf_begin(&w->axis, w->leaf0), m->ldx, m->tokens, buf);
    int middle = gen_int(m->rows + 1) / MAT_PANEL * MAT_PANEL;
    mat_mul(w, &a, 0, middle, y, (size_t)m->rows, ldnode);
    mat_mul(w, &a, middle, m->rows, y, (size_t)m->rows, ldnode);
    free(groups), free(buf);
    return y;
}

/* A random axis that fits a type: one of the three cuts. */
static inline struct order_axis gen_axis(const struct tensor_type *type, int cut) {
    static const int dims[] = {8, 32, 64, 80, 96, 128};
    int block = type->block, unit = block == 1 ? 1 + gen_int(40) : block;
    if (cut == ORDER_WHOLE) return order_axis_whole(unit * (1 + gen_int(block == 256 ? 4 : 12)));
    if (cut == ORDER_RUNS_CUT) return order_axis_runs(unit * (1 + gen_int(block == 256 ? 6 : 45)));
    int dim = dims[gen_int(6)], heads = 1 + gen_int(block == 256 ? 20 : 9);
    while (heads * dim % block)
        heads++;
    return order_axis_heads(heads, dim);
}

#endif
