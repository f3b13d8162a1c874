/* shard.c - which part of a model a shard is, and how many bytes that takes. No weights are touched here. */
#include <string.h>

#include "priv.h"

size_t round_up64(size_t n) {
    return (n + 63) / 64 * 64;
}

void *arena_take(struct arena *a, size_t bytes) {
    void *at = a->base ? a->base + a->used : NULL;
    a->used += round_up64(bytes);
    return at;
}

void shard_whole(const struct model_shape *s, struct shard_spec *spec) {
    *spec = (struct shard_spec){
        .layer1 = s->n_layers,
        .head1 = s->n_heads,
        .ffn_leaf1 = order_axis_runs(s->d_ffn).n_leaves,
        .vocab1 = s->causal ? s->n_vocab : 0,
        .embed = 1,
        .final_norm = s->causal,
    };
}

int shard_is_whole(const struct model_shape *s, const struct shard_spec *spec) {
    struct shard_spec whole;
    shard_whole(s, &whole);
    return memcmp(&whole, spec, sizeof whole) == 0;
}

struct shard_spec shard_normal(const struct shard_spec *spec) {
    struct shard_spec n = *spec;
    if (n.layer0 >= n.layer1) n.layer0 = n.layer1 = n.head0 = n.head1 = n.ffn_leaf0 = n.ffn_leaf1 = 0;
    if (n.head0 >= n.head1) n.head0 = n.head1 = n.kv_shard = n.kv_shards = 0;
    if (n.ffn_leaf0 >= n.ffn_leaf1) n.ffn_leaf0 = n.ffn_leaf1 = 0;
    if (n.vocab0 >= n.vocab1) n.vocab0 = n.vocab1 = 0;
    return n;
}

void shard_query_heads(const struct shard_spec *spec, int *head0, int *head1) {
    int own = spec->head1 - spec->head0, shards = spec->kv_shards > 1 ? spec->kv_shards : 1;
    *head0 = spec->head0 - spec->kv_shard * own;
    *head1 = *head0 + shards * own;
}

int shard_kv_count(const struct shard_spec *spec, int n) {
    if (spec->kv_shards < 2) return n;
    int turn = spec->kv_shards * ORDER_KV_BLOCK, last = n % turn - spec->kv_shard * ORDER_KV_BLOCK;
    if (last > ORDER_KV_BLOCK) last = ORDER_KV_BLOCK;
    return n / turn * ORDER_KV_BLOCK + (last > 0 ? last : 0);
}

void shard_ranges(const struct model_shape *s, const struct shard_spec *spec, int *kv_head0, int *kv_head1, int *ffn0,
                  int *ffn1) {
    int share = s->n_heads / s->n_kv_heads;
    struct order_axis ffn = order_axis_runs(s->d_ffn);
    int head0, head1, heads = spec->head1 > spec->head0, leaves = spec->ffn_leaf1 > spec->ffn_leaf0;
    shard_query_heads(spec, &head0, &head1);
    *kv_head0 = heads ? head0 / share : 0;
    *kv_head1 = heads ? (head1 - 1) / share + 1 : 0;
    *ffn0 = leaves ? order_leaf_begin(&ffn, spec->ffn_leaf0) : 0;
    *ffn1 = leaves ? order_leaf_begin(&ffn, spec->ffn_leaf1) : 0;
}

/* A part with rows [row0, row1) and the whole of its columns, in one leaf. */
static void whole_rows(struct shard_part *p, int row0, int row1, int cols) {
    *p = (struct shard_part){.row0 = row0, .row1 = row1, .col1 = cols, .axis = order_axis_whole(cols), .leaf1 = 1};
}

/* A part with all rows and the columns of leaves [leaf0, leaf1). */
static void whole_cols(struct shard_part *p, int rows, struct order_axis axis, int leaf0, int leaf1) {
    *p = (struct shard_part){.row1 = rows, .axis = axis, .leaf0 = leaf0, .leaf1 = leaf1};
    if (leaf0 >= leaf1) return;
    p->col0 = order_leaf_begin(&axis, leaf0);
    p->col1 = order_leaf_begin(&axis, leaf1);
}

int shard_part(const struct model_shape *s, const struct shard_spec *spec, enum role role, int layer,
               struct shard_part *p) {
    int rows, cols, q0, q1, kv0, kv1, ffn0, ffn1, dim = s->head_dim;
    *p = (struct shard_part){0};
    shape_role_size(s, role, &rows, &cols);
    if (!rows || (role_in_layer(role) && (layer < spec->layer0 || layer >= spec->layer1))) return 0;
    shard_ranges(s, spec, &kv0, &kv1, &ffn0, &ffn1);
    shard_query_heads(spec, &q0, &q1);
    switch (role) {
    case ROLE_EMBED:
    case ROLE_POS_EMBED:
    case ROLE_TYPE_EMBED: whole_rows(p, 0, spec->embed ? rows : 0, cols); break;
    case ROLE_Q: whole_rows(p, q0 * dim, q1 * dim, cols); break;
    case ROLE_K:
    case ROLE_V: whole_rows(p, kv0 * dim, kv1 * dim, cols); break;
    case ROLE_O: whole_cols(p, rows, order_axis_heads(s->n_heads, dim), spec->head0, spec->head1); break;
    case ROLE_GATE:
    case ROLE_UP: whole_rows(p, ffn0, ffn1, cols); break;
    case ROLE_DOWN: whole_cols(p, rows, order_axis_runs(cols), spec->ffn_leaf0, spec->ffn_leaf1); break;
    default: whole_rows(p, spec->vocab0, spec->vocab1, cols); break;
    }
    return p->row1 > p->row0 && p->col1 > p->col0;
}

void part_stored_cols(const struct model_shape *s, enum role role, int layer, const struct shard_part *p, int *col0,
                      int *col1) {
    int rows, cols, block = shape_type(s, role, layer)->block, piece = block > ORDER_GROUP ? block : ORDER_GROUP;
    shape_role_size(s, role, &rows, &cols);
    int64_t end = ((int64_t)p->col1 + piece - 1) / piece * piece;
    *col0 = p->col0 / piece * piece;
    *col1 = end < cols ? (int)end : cols;
}

int role_is_table(enum role role) {
    return role == ROLE_EMBED || role == ROLE_POS_EMBED || role == ROLE_TYPE_EMBED;
}

size_t mat_bytes(const struct tensor_type *type, int rows, int cols) {
    return type->is_float ? (size_t)rows * tensor_type_row_bytes(type, cols) : mat_panels_bytes(type, rows, cols);
}

int shard_has_vec(const struct model_shape *s, const struct shard_spec *spec, enum vec vec) {
    if (!shape_vec_size(s, vec)) return 0;
    switch (vec) {
    case VEC_EMBED_NORM:
    case VEC_EMBED_NORM_B: return spec->embed;
    case VEC_OUT_NORM:
    case VEC_OUT_NORM_B: return spec->final_norm;
    case VEC_HEAD_B: return spec->vocab1 > spec->vocab0;
    default: return spec->layer1 > spec->layer0;
    }
}

static size_t vec_bytes(const struct model_shape *s, const struct shard_spec *spec) {
    size_t n = 0;
    for (int v = 0; v < VEC_COUNT; v++) {
        int copies = vec_in_layer((enum vec)v) ? spec->layer1 - spec->layer0 : 1;
        if (shard_has_vec(s, spec, (enum vec)v))
            n += (size_t)copies * round_up64((size_t)shape_vec_size(s, (enum vec)v) * sizeof(float));
    }
    return n;
}

size_t shard_part_bytes(const struct model_shape *s, const struct shard_spec *spec, enum role role, int layer) {
    struct shard_part p;
    if (!shard_part(s, spec, role, layer, &p)) return 0;
    const struct tensor_type *type = shape_type(s, role, layer);
    int col0, col1, rows = p.row1 - p.row0;
    part_stored_cols(s, role, layer, &p, &col0, &col1);
    if (role == ROLE_EMBED && s->tied_head) rows -= spec->vocab1 - spec->vocab0; /* counted as the output layer's */
    size_t bytes = role_is_table(role) ? (size_t)rows * tensor_type_row_bytes(type, col1 - col0)
                                       : mat_bytes(type, rows, col1 - col0);
    return round_up64(bytes) + round_up64(type->per_channel ? (size_t)rows * sizeof(float) : 0);
}

static size_t weight_bytes(const struct model_shape *s, const struct shard_spec *spec) {
    size_t n = vec_bytes(s, spec);
    for (int r = 0; r < ROLE_COUNT; r++) {
        if (!role_in_layer((enum role)r)) {
            n += shard_part_bytes(s, spec, (enum role)r, 0);
            continue;
        }
        size_t bytes = 0;
        const struct tensor_type *type = NULL; /* layers of one type are equally large */
        for (int l = spec->layer0; l < spec->layer1; l++, n += bytes) {
            if (shape_type(s, (enum role)r, l) == type) continue;
            type = shape_type(s, (enum role)r, l);
            bytes = shard_part_bytes(s, spec, (enum role)r, l);
        }
    }
    return n;
}

void kv_carve(struct decoder *dec, struct decoder_priv *p, struct arena *a) {
    const struct model_shape *s = &dec->shape;
    const struct decoder_opts *o = &dec->opts;
    int n_kv = dec->kv_head1 - dec->kv_head0, n_layers = dec->spec.layer1 - dec->spec.layer0;
    if (!n_kv || n_layers <= 0) return;
    int n_sets = s->causal ? n_layers : 1;
    int n_ctx = shard_kv_count(&dec->spec, o->n_ctx);
    size_t bytes = kv_cache_bytes(o->kv, n_kv, s->head_dim, n_ctx);
    for (int i = 0; i < n_sets * o->n_seqs; i++) {
        void *at = arena_take(a, bytes);
        if (!at) continue;
        struct kv_cache *c = &p->layers[i / o->n_seqs].kv[i % o->n_seqs];
        *c = (struct kv_cache){.type = o->kv, .n_kv_heads = n_kv, .head_dim = s->head_dim, .n_ctx = n_ctx};
        kv_cache_place(c, at);
    }
}

static void groups_carve(struct group_list *list, struct order_axis axis, int leaf0, int leaf1, struct arena *a) {
    list->n = leaf0 < leaf1 ? order_group_count(&axis, leaf0, leaf1) : 0;
    list->g = arena_take(a, (size_t)list->n * sizeof *list->g);
    if (list->g && list->n) order_groups(&axis, leaf0, leaf1, list->g);
}

static void tables_carve(struct decoder *dec, struct decoder_priv *p, struct arena *a) {
    const struct model_shape *s = &dec->shape;
    const struct shard_spec *spec = &dec->spec;
    int n_layers = spec->layer1 - spec->layer0, sets = s->causal ? n_layers : n_layers > 0;
    p->layers = arena_take(a, (size_t)n_layers * sizeof *p->layers);
    struct kv_cache *kv = arena_take(a, (size_t)(sets * dec->opts.n_seqs) * sizeof *kv);
    for (int l = 0; l < n_layers && p->layers; l++) {
        memset(&p->layers[l], 0, sizeof p->layers[l]);
        p->layers[l].kv = kv + (s->causal ? l * dec->opts.n_seqs : 0);
    }
    groups_carve(&p->model, order_axis_whole(s->d_model), 0, 1, a);
    groups_carve(&p->heads, order_axis_heads(s->n_heads, s->head_dim), spec->head0, spec->head1, a);
    groups_carve(&p->ffn, order_axis_runs(s->d_ffn), spec->ffn_leaf0, spec->ffn_leaf1, a);
    int n_heads = dec->q_head1 - dec->q_head0, share = s->n_heads / s->n_kv_heads;
    p->kv_of = arena_take(a, (size_t)n_heads * sizeof *p->kv_of);
    for (int h = 0; h < n_heads && p->kv_of; h++)
        p->kv_of[h] = (dec->q_head0 + h) / share - dec->kv_head0;
    p->visible = arena_take(a, (size_t)dec->opts.max_tokens * sizeof *p->visible);
    p->seq_len = arena_take(a, (size_t)dec->opts.n_seqs * sizeof *p->seq_len);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Room for the largest input of a product that the shard makes. */
static size_t act_room(const struct decoder *dec, const struct decoder_priv *p) {
    const struct shard_spec *spec = &dec->spec;
    const struct decoder_opts *o = &dec->opts;
    size_t n = 0;
    if (spec->layer1 > spec->layer0 && (p->heads.n || p->ffn.n))
        n = act_bytes(o->linear_bits, o->max_tokens, p->model.n);
    if (p->heads.n) n = larger(n, act_bytes(o->linear_bits, o->max_tokens, p->heads.n));
    if (p->ffn.n) n = larger(n, act_bytes(o->linear_bits, o->max_tokens, p->ffn.n));
    if (spec->vocab1 > spec->vocab0) n = larger(n, act_bytes(o->head_bits, o->max_tokens, p->model.n));
    return n;
}

void work_carve(struct decoder *dec, struct decoder_priv *p, struct arena *a) {
    const struct model_shape *s = &dec->shape;
    const struct shard_spec *spec = &dec->spec;
    size_t row = (size_t)dec->opts.max_tokens * sizeof(float), model = row * (size_t)s->d_model;
    size_t q = row * (size_t)((dec->q_head1 - dec->q_head0) * s->head_dim);
    size_t o = row * (size_t)((spec->head1 - spec->head0) * s->head_dim);
    size_t kv = row * (size_t)((dec->kv_head1 - dec->kv_head0) * s->head_dim),
           ffn = row * (size_t)(dec->ffn1 - dec->ffn0);
    tables_carve(dec, p, a);
    p->x = arena_take(a, model);
    struct arena attention = *a, forward = *a; /* the two halves of a layer use the same memory */
    p->q = arena_take(&attention, q);
    p->k = arena_take(&attention, kv);
    p->v = arena_take(&attention, kv);
    p->o = arena_take(&attention, o);
    p->gate = arena_take(&forward, s->ffn_gated ? ffn : 0);
    p->up = arena_take(&forward, ffn);
    a->used = larger(attention.used, forward.used);
    p->act = arena_take(a, act_room(dec, p));
    size_t table = p->heads.n ? (size_t)dec->opts.n_ctx * (size_t)(s->rope_dim / 2) * sizeof(float) : 0;
    p->cos = arena_take(a, table);
    p->sin = arena_take(a, table);
    p->row = arena_take(a, spec->embed ? (size_t)s->d_model * sizeof(float) : 0);
    p->stored_row = arena_take(a, spec->embed ? (size_t)s->d_model * sizeof(float) : 0);
    size_t whole = shard_is_whole(s, spec) ? model : 0;
    p->h = arena_take(a, whole);
    p->part[0] = arena_take(a, whole);
    p->part[1] = arena_take(a, s->parallel_block ? whole : 0);
}

void shard_bytes(const struct model_shape *s, const struct shard_spec *spec, const struct decoder_opts *o,
                 struct shard_bytes *out) {
    struct decoder dec = {.shape = *s, .spec = shard_normal(spec), .opts = *o};
    struct decoder_priv p = {0};
    struct arena kv = {0}, work = {0};
    shard_query_heads(&dec.spec, &dec.q_head0, &dec.q_head1);
    shard_ranges(s, &dec.spec, &dec.kv_head0, &dec.kv_head1, &dec.ffn0, &dec.ffn1);
    kv_carve(&dec, &p, &kv);
    work_carve(&dec, &p, &work);
    *out = (struct shard_bytes){.weights = weight_bytes(s, &dec.spec), .kv = kv.used, .work = work.used};
}
