/* shape.c - shapes as numbers: types, bytes, parameters, and whether they fit together. */
#include "archs.h"
#include "models/kernels.h"

#include <string.h>
#include <strings.h>

const struct arch *arch_find(const char *name) {
    for (int i = 0; archs[i]; i++)
        if (strcmp(archs[i]->name, name) == 0) return archs[i];
    return NULL;
}

void shape_init(struct model_shape *s, const struct arch *arch) {
    memset(s, 0, sizeof *s);
    strncpy(s->arch, arch->name, sizeof s->arch - 1);
    s->norm = arch->norm;
    s->act = arch->act;
    s->pos = arch->pos;
    s->ffn_gated = arch->ffn_gated;
    s->causal = arch->causal;
    s->post_norm = arch->post_norm;
    s->fused_qkv = arch->fused_qkv;
    s->parallel_block = arch->parallel_block;
    s->has_vec = arch->vecs;
    s->qk_norm = (arch->vecs & VEC_BIT(Q_NORM)) != 0;
    s->embed_scale = s->residual_scale = s->logit_scale = 1;
    s->rope_base = 10000;
    s->rope_factor = 1;
    for (int r = 0; r < ROLE_COUNT; r++)
        s->role_type[r] = -1;
    memset(s->layer_type, -1, sizeof s->layer_type);
}

const struct tensor_type *shape_type(const struct model_shape *s, enum role role, int layer) {
    int i = s->layer_type[role_in_layer(role) ? layer : 0][role];
    return i < 0 ? NULL : tensor_types[i];
}

size_t shape_part_bytes(const struct model_shape *s, enum role role, int layer, int row0, int row1, int col0,
                        int col1) {
    const struct tensor_type *type = shape_type(s, role, layer);
    if (!type || row0 >= row1 || col0 >= col1) return 0;
    int rows, cols, piece = type->block > 32 ? type->block : 32;
    shape_role_size(s, role, &rows, &cols);
    int64_t begin = col0 / piece * (int64_t)piece, end = (col1 + (int64_t)piece - 1) / piece * piece;
    if (end > cols) end = cols;
    size_t row_bytes = tensor_type_row_bytes(type, end - begin) + (type->per_channel ? sizeof(float) : 0);
    return (size_t)(row1 - row0) * row_bytes;
}

const struct tensor_type *tensor_type_for_cols(const struct tensor_type *type, int64_t cols) {
    static const char *const stand_in[][2] = {{"Q4_K", "Q5_0"}, {"Q5_K", "Q5_1"}, {"Q6_K", "Q8_0"}};
    if (cols % type->block == 0) return type;
    for (int i = 0; i < 3 && cols % 32 == 0; i++)
        if (strcasecmp(type->name, stand_in[i][0]) == 0) return tensor_type_find(stand_in[i][1]);
    return tensor_type_find("F16");
}

int tensor_type_index(const struct tensor_type *type) {
    for (int i = 0; tensor_types[i]; i++)
        if (tensor_types[i] == type) return i;
    return -1;
}

/* role_type and role_bytes follow from layer_type. */
void shape_sum_bytes(struct model_shape *s) {
    for (int r = 0; r < ROLE_COUNT; r++) {
        int rows, cols, n = role_in_layer((enum role)r) ? s->n_layers : 1;
        shape_role_size(s, (enum role)r, &rows, &cols);
        s->role_type[r] = s->layer_type[0][r];
        s->role_bytes[r] = 0;
        for (int l = 0; l < n && rows; l++)
            s->role_bytes[r] += (int64_t)shape_part_bytes(s, (enum role)r, l, 0, rows, 0, cols);
    }
}

void shape_set_types(struct model_shape *s, const struct tensor_type *quant, const struct tensor_type *head_quant) {
    memset(s->layer_type, -1, sizeof s->layer_type);
    for (int r = 0; r < ROLE_COUNT; r++) {
        int rows, cols;
        shape_role_size(s, (enum role)r, &rows, &cols);
        if (!rows) continue;
        int in_layer = role_in_layer((enum role)r);
        const struct tensor_type *type = in_layer || !head_quant ? quant : head_quant;
        int table = r == ROLE_POS_EMBED || r == ROLE_TYPE_EMBED; /* added to, not multiplied: left at 16 bits */
        type = table && !type->is_float ? tensor_type_find("F16") : tensor_type_for_cols(type, cols);
        for (int l = 0; l < (in_layer ? s->n_layers : 1); l++)
            s->layer_type[l][r] = (int8_t)tensor_type_index(type);
    }
    shape_sum_bytes(s);
}

int64_t shape_params(const struct model_shape *s) {
    int64_t n = 0;
    for (int r = 0; r < ROLE_COUNT; r++) {
        int rows, cols;
        shape_role_size(s, (enum role)r, &rows, &cols);
        if (r == ROLE_HEAD && s->tied_head) continue;
        n += (int64_t)rows * cols * (role_in_layer((enum role)r) ? s->n_layers : 1);
    }
    for (int v = 0; v < VEC_COUNT; v++)
        if (v != VEC_ROPE_FACTORS)
            n += (int64_t)shape_vec_size(s, (enum vec)v) * (vec_in_layer((enum vec)v) ? s->n_layers : 1);
    return n;
}

/* A count within bounds that keep products of two of them, as rows and columns, far from overflow. */
static int check_count(int32_t v, int32_t max, const char *what, struct diag *d) {
    if (v >= 1 && v <= max) return 0;
    return diag_set(d, ERR_UNSUPPORTED, "model: %s is %d; from 1 to %d is supported", what, v, max);
}

static int check_heads(const struct model_shape *s, struct diag *d) {
    if (s->n_heads % s->n_kv_heads != 0)
        return diag_set(d, ERR_UNSUPPORTED, "model: %d heads do not divide into %d key/value heads (head_count_kv)",
                        s->n_heads, s->n_kv_heads);
    if ((int64_t)s->n_heads * s->head_dim > 1 << 20)
        return diag_set(d, ERR_UNSUPPORTED, "model: %d heads of %d (head_count, key_length) are too many columns",
                        s->n_heads, s->head_dim);
    int rope = s->pos == POS_ROPE_PAIRS || s->pos == POS_ROPE_HALVES;
    if (rope && (s->rope_dim < 2 || s->rope_dim % 2 || s->rope_dim > s->head_dim))
        return diag_set(d, ERR_UNSUPPORTED, "model: rope.dimension_count %d must be even and at most head_dim %d",
                        s->rope_dim, s->head_dim);
    if (rope && (!(s->rope_base > 1) || !(s->rope_factor > 0)))
        return diag_set(d, ERR_UNSUPPORTED, "model: rope.freq_base must be above 1 and rope.scaling.factor above 0");
    return 0;
}

int shape_check(const struct model_shape *s, struct diag *d) {
    const struct {
        int32_t v, max;
        const char *what;
    } counts[] = {
        {s->n_layers, SHAPE_MAX_LAYERS, "block_count"},
        {s->d_model, 1 << 16, "embedding_length"},
        {s->n_heads, 1 << 12, "attention.head_count"},
        {s->n_kv_heads, 1 << 12, "attention.head_count_kv"},
        {s->head_dim, ATTN_MAX_HEAD_DIM, "attention.key_length"},
        {s->d_ffn, 1 << 20, "feed_forward_length"},
        {s->n_vocab, 1 << 24, "vocab_size"},
        {s->n_ctx, 1 << 30, "context_length"},
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int rc = check_count(counts[i].v, counts[i].max, counts[i].what, d);
        if (rc) return rc;
    }
    if (!(s->norm_eps >= 0 && s->norm_eps < 1))
        return diag_set(d, ERR_FORMAT, "model: layer_norm_epsilon %g is not in [0, 1)", (double)s->norm_eps);
    if (s->pos == POS_LEARNED && s->n_positions < 1)
        return diag_set(d, ERR_FORMAT, "model: learned positions without a position table");
    return check_heads(s, d);
}
