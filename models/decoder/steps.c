/* steps.c - the steps of a forward pass on one shard, in the canonical order (order.h).
 *
 *   embed -> h                                     h [n][d_model], the residual stream
 *   each layer:  norm -> q k v -> rope -> cache -> attention -> O product -> parts   (sums of this shard's subtrees)
 *                h += root of the parts of all shards
 *                norm -> gate, up -> act(gate)*up -> down product -> parts
 *                h += root                       rounded to opts.hidden, as the embedding is
 *   final norm -> output rows -> logits
 *
 * Post-norm models (bert) norm after the sums instead of before the products. */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "models/mathf.h"
#include "priv.h"

static struct decoder_layer *layer_of(struct decoder *dec, int layer) {
    return &dec->priv->layers[layer - dec->spec.layer0];
}

static void norm_row(const struct model_shape *s, float *y, const float *x, const float *weight, const float *bias,
                     int n) {
    if (s->norm == NORM_RMS)
        norm_rms(y, x, weight, n, s->norm_eps);
    else
        norm_layer(y, x, weight, bias, n, s->norm_eps);
}

static void norm_rows(struct decoder *dec, float *y, const float *x, const float *weight, const float *bias, int n) {
    size_t d = (size_t)dec->shape.d_model;
#pragma omp parallel for num_threads(dec->opts.threads) schedule(static) if (n > 1 && dec->opts.threads > 1)
    for (int t = 0; t < n; t++)
        norm_row(&dec->shape, y + (size_t)t * d, x + (size_t)t * d, weight, bias, (int)d);
}

/* Input of a sublayer: normed into x, or h itself where the norm follows the sum. */
static const float *sublayer_input(struct decoder *dec, int n, const float *h, const float *weight, const float *bias) {
    if (dec->shape.post_norm) return h;
    norm_rows(dec, dec->priv->x, h, weight, bias, n);
    return dec->priv->x;
}

/* A row of a table: from the file, or made anew. */
static void read_row(const struct decoder *dec, enum role role, const struct mat *m, int row, float *dst) {
    float step = m->row_step ? m->row_step[row] : 1;
    const uint8_t *src = m->data ? m->data + (size_t)row * m->stride : NULL;
    if (!src) {
        char name[SHAPE_NAME_LEN];
        int row0 = shape_role_tensor(&dec->shape, role, 0, name), cols = m->axis.cols;
        struct synth_piece p = {
            .type = m->type, .tensor = name, .seed = dec->opts.seed, .row0 = row0, .cols = cols, .col1 = cols};
        src = (const uint8_t *)dec->priv->stored_row;
        step = synth_store(&p, row, (uint8_t *)dec->priv->stored_row, dst);
    }
    m->type->dequantize(src, step, dst, m->axis.cols);
}

static void add_row(float *h, const float *row, int n) {
    for (int i = 0; i < n; i++)
        h[i] = h[i] + row[i];
}

void decoder_embed(struct decoder *dec, const struct token_batch *b, float *h) {
    const struct model_shape *s = &dec->shape;
    struct decoder_priv *p = dec->priv;
    for (int t = 0; t < b->n; t++, h += s->d_model) {
        read_row(dec, ROLE_EMBED, &p->embed, b->id[t], h);
        for (int i = 0; i < s->d_model && s->embed_scale != 1; i++)
            h[i] = h[i] * s->embed_scale;
        if (p->type_embed.rows) {
            read_row(dec, ROLE_TYPE_EMBED, &p->type_embed, 0, p->row);
            add_row(h, p->row, s->d_model);
        }
        if (p->pos_embed.rows) {
            read_row(dec, ROLE_POS_EMBED, &p->pos_embed, b->pos[t], p->row);
            add_row(h, p->row, s->d_model);
        }
        if (p->vec[VEC_EMBED_NORM]) norm_row(s, h, h, p->vec[VEC_EMBED_NORM], p->vec[VEC_EMBED_NORM_B], s->d_model);
        hidden_round(dec->opts.hidden, h, s->d_model);
    }
}

/* bias and qk-norm of one token's heads; `first` is the first head of the shard in the bias. */
static void finish_heads(const struct model_shape *s, float *x, int n_heads, int first, const float *bias,
                         const float *norm) {
    if (bias) add_row(x, bias + (size_t)first * (size_t)s->head_dim, n_heads * s->head_dim);
    for (int h = 0; h < n_heads && norm; h++)
        norm_rms(x + (size_t)h * (size_t)s->head_dim, x + (size_t)h * (size_t)s->head_dim, norm, s->head_dim,
                 s->norm_eps);
}

/* Biases and head norms of token t, rope, the cache. */
static void finish_token(struct decoder *dec, struct decoder_layer *L, const struct token_batch *b, int t) {
    const struct model_shape *s = &dec->shape;
    struct decoder_priv *p = dec->priv;
    int n_q = dec->q_head1 - dec->q_head0, n_kv = dec->kv_head1 - dec->kv_head0;
    int at = shard_kv_count(&dec->spec, b->pos[t]), mine = shard_kv_count(&dec->spec, b->pos[t] + 1) > at;
    size_t q_len = (size_t)(n_q * s->head_dim), kv_len = (size_t)(n_kv * s->head_dim), half = (size_t)(s->rope_dim / 2);
    float *q = p->q + (size_t)t * q_len, *k = p->k + (size_t)t * kv_len, *v = p->v + (size_t)t * kv_len;
    finish_heads(s, q, n_q, dec->q_head0, L->vec[VEC_Q_B], L->vec[VEC_Q_NORM]);
    finish_heads(s, k, n_kv, dec->kv_head0, L->vec[VEC_K_B], L->vec[VEC_K_NORM]);
    finish_heads(s, v, n_kv, dec->kv_head0, L->vec[VEC_V_B], NULL);
    if (half) {
        const float *cs = p->cos + (size_t)b->pos[t] * half, *sn = p->sin + (size_t)b->pos[t] * half;
        rope_apply(q, n_q, s->head_dim, s->rope_dim, s->pos == POS_ROPE_PAIRS, cs, sn);
        rope_apply(k, n_kv, s->head_dim, s->rope_dim, s->pos == POS_ROPE_PAIRS, cs, sn);
    }
    if (mine) kv_cache_put(&L->kv[b->seq[t]], at, k, v);
}

/* Positions of the shard's cache that each token sees: those up to its own, or in an encoder its whole sequence. */
static void set_visible(struct decoder *dec, const struct token_batch *b) {
    struct decoder_priv *p = dec->priv;
    for (int t = 0; t < b->n; t++)
        p->seq_len[b->seq[t]] = b->pos[t] + 1;
    for (int t = 0; t < b->n; t++)
        p->visible[t] = shard_kv_count(&dec->spec, dec->shape.causal ? b->pos[t] + 1 : p->seq_len[b->seq[t]]);
}

enum { ATTEND_TOKENS = 16 }; /* consecutive tokens of one sequence that read the cache together */

/* Whether a tile of tokens starts at t: at a multiple of its size, and where the sequence changes. */
static int tile_starts(const struct token_batch *b, int t) {
    return t % ATTEND_TOKENS == 0 || b->seq[t] != b->seq[t - 1];
}

/* Attention of the tile from token t on, for the query heads that read KV head j of this shard. */
static void attend(struct decoder *dec, struct decoder_layer *L, const struct token_batch *b, int t, int j,
                   float *partial) {
    const struct model_shape *s = &dec->shape;
    struct decoder_priv *p = dec->priv;
    int share = s->n_heads / s->n_kv_heads, kv = dec->kv_head0 + j, head0 = dec->q_head0, head1 = dec->q_head1;
    int first = kv * share > head0 ? kv * share : head0, last = (kv + 1) * share < head1 ? (kv + 1) * share : head1;
    int end = t + 1;
    while (end < b->n && !tile_starts(b, end))
        end++;
    size_t ld = (size_t)(head1 - head0) * (size_t)s->head_dim;
    size_t at = (size_t)t * ld + (size_t)(first - head0) * (size_t)s->head_dim;
    struct attn_args args = {.cache = &L->kv[b->seq[t]],
                             .q = p->q + at,
                             .out = p->o + at,
                             .ld = ld,
                             .n_queries = end - t,
                             .n_heads = last - first,
                             .kv_of = p->kv_of + (first - head0),
                             .n_visible = p->visible + t,
                             .scale = s->attn_scale,
                             .bits = dec->opts.linear_bits,
                             .partial_ld = (size_t)b->n};
    if (partial)
        args.partial = partial + ((size_t)(first - head0) * args.partial_ld + (size_t)t) * (size_t)(s->head_dim + 2);
    if (L->kv->v_step) {
        args.q_step = L->vec[VEC_Q_STEP] + first;
        args.w_step = L->vec[VEC_WEIGHT_STEP] + first;
    }
    attention(&args);
}

void decoder_rope_store(struct decoder *dec, int layer, const struct token_batch *b) {
    if (!dec->attn_nodes) return;
    struct decoder_layer *L = layer_of(dec, layer);
#pragma omp parallel for num_threads(dec->opts.threads) schedule(static) if (b->n > 1 && dec->opts.threads > 1)
    for (int t = 0; t < b->n; t++)
        finish_token(dec, L, b, t);
}

void decoder_attend(struct decoder *dec, int layer, const struct token_batch *b, float *partial) {
    if (!dec->attn_nodes) return;
    struct decoder_layer *L = layer_of(dec, layer);
    int n_kv = dec->kv_head1 - dec->kv_head0;
    set_visible(dec, b);
#pragma omp parallel for num_threads(dec->opts.threads) schedule(dynamic) if (dec->opts.threads > 1)
    for (int i = 0; i < b->n * n_kv; i++)
        if (tile_starts(b, i / n_kv)) attend(dec, L, b, i / n_kv, i % n_kv, partial);
}

void decoder_merged(struct decoder *dec, int n, const float *merged) {
    int n_heads = dec->spec.head1 - dec->spec.head0, dim = dec->shape.head_dim, first = dec->spec.head0 - dec->q_head0;
    float *o = dec->priv->o;
    for (int t = 0; t < n; t++)
        for (int h = 0; h < n_heads; h++, o += dim) {
            const float *e = merged + ((size_t)(first + h) * (size_t)n + (size_t)t) * (size_t)(dim + 2);
            for (int d = 0; d < dim; d++)
                o[d] = e[2 + d] / e[1];
        }
}

/* A row-parallel product: parts [nodes][n][d_model]. */
static void product_to_parts(struct decoder *dec, const struct mat *w, const struct group_list *groups, const float *x,
                             size_t ldx, int n, float *parts) {
    size_t d = (size_t)dec->shape.d_model;
    struct product_input in = {.bits = dec->opts.linear_bits, .groups = groups, .x = x, .ldx = ldx, .n_tokens = n};
    struct product out = {.w = w, .y = parts, .ldy = d, .ldnode = (size_t)n * d};
    products_run(dec, &in, &out, 1);
}

void decoder_attn_norm(struct decoder *dec, int layer, int n, const float *h) {
    const struct decoder_layer *L = layer_of(dec, layer);
    dec->priv->in = sublayer_input(dec, n, h, L->vec[VEC_ATTN_NORM], L->vec[VEC_ATTN_NORM_B]);
}

/* The input of the q, k, v (or gate, up) products, as the norm left it. */
static struct product_input normed(const struct decoder *dec, int n) {
    return (struct product_input){.bits = dec->opts.linear_bits,
                                  .groups = &dec->priv->model,
                                  .x = dec->priv->in,
                                  .ldx = (size_t)dec->shape.d_model,
                                  .n_tokens = n};
}

void decoder_qkv(struct decoder *dec, int layer, int n) {
    struct decoder_priv *p = dec->priv;
    if (!dec->attn_nodes || !n) return;
    struct decoder_layer *L = layer_of(dec, layer);
    size_t q_len = (size_t)((dec->q_head1 - dec->q_head0) * dec->shape.head_dim);
    size_t kv_len = (size_t)((dec->kv_head1 - dec->kv_head0) * dec->shape.head_dim);
    struct product_input in = normed(dec, n);
    const struct product qkv[] = {
        {.w = &L->mat[ROLE_Q - ROLE_Q], .y = p->q, .ldy = q_len},
        {.w = &L->mat[ROLE_K - ROLE_Q], .y = p->k, .ldy = kv_len},
        {.w = &L->mat[ROLE_V - ROLE_Q], .y = p->v, .ldy = kv_len},
    };
    products_run(dec, &in, qkv, 3);
}

void decoder_attn_out(struct decoder *dec, int layer, int n, float *parts) {
    if (!dec->attn_nodes || !n) return;
    size_t q_len = (size_t)((dec->spec.head1 - dec->spec.head0) * dec->shape.head_dim);
    product_to_parts(dec, &layer_of(dec, layer)->mat[ROLE_O - ROLE_Q], &dec->priv->heads, dec->priv->o, q_len, n,
                     parts);
}

void decoder_attention(struct decoder *dec, int layer, const struct token_batch *b, const float *h, float *parts) {
    decoder_attn_norm(dec, layer, b->n, h);
    decoder_qkv(dec, layer, b->n);
    decoder_rope_store(dec, layer, b);
    decoder_attend(dec, layer, b, NULL);
    decoder_attn_out(dec, layer, b->n, parts);
}

static void activate(const struct model_shape *s, float *x, int n) {
    switch (s->act) {
    case FN_SILU: math_silu_vec(x, x, n); break;
    case FN_GELU_TANH: math_gelu_tanh_vec(x, x, n); break;
    default: math_gelu_erf_vec(x, x, n); break;
    }
}

/* Rounds to int8 (rule 6 of order.h) and back, with a static step if there is one, else each group of 32 columns by
 * itself. x starts at a group. */
static void round_to_int8(float *x, int n, const float *step) {
    for (int i = 0; step && i < n; i++) {
        float v = x[i] / *step;
        x[i] = x[i] == x[i] ? rintf(v < -128 ? -128 : v > 127 ? 127 : v) * *step : 0;
    }
    if (step) return;
    for (int begin = 0; begin < n; begin += ORDER_GROUP) {
        int end = begin + ORDER_GROUP < n ? begin + ORDER_GROUP : n;
        float amax = 0;
        for (int i = begin; i < end; i++)
            if (fabsf(x[i]) > amax) amax = fabsf(x[i]);
        float scale = amax / 127, inv = amax > 0 ? 127 / amax : 0;
        if (!isfinite(inv)) inv = 0;
        for (int i = begin; i < end; i++)
            x[i] = rintf(x[i] * inv) * scale;
    }
}

/* up = act(gate) * up, or act(up), with biases, for columns [col0, col1) of one token; col0 starts a group. */
static void finish_ffn(struct decoder *dec, const struct decoder_layer *L, int t, int col0, int col1) {
    const struct model_shape *s = &dec->shape;
    size_t at = (size_t)t * (size_t)(dec->ffn1 - dec->ffn0) + (size_t)col0;
    float *up = dec->priv->up + at, *gate = dec->priv->gate + at;
    int n = col1 - col0;
    if (L->vec[VEC_UP_B]) add_row(up, L->vec[VEC_UP_B] + dec->ffn0 + col0, n);
    if (!s->ffn_gated) {
        activate(s, up, n);
        return;
    }
    if (L->vec[VEC_GATE_B]) add_row(gate, L->vec[VEC_GATE_B] + dec->ffn0 + col0, n);
    activate(s, gate, n);
    if (dec->opts.silu_bits == 8) round_to_int8(gate, n, L->vec[VEC_SILU_STEP]);
    for (int i = 0; i < n; i++)
        up[i] = gate[i] * up[i];
}

void decoder_ffn_norm(struct decoder *dec, int layer, int n, const float *h) {
    const struct decoder_layer *L = layer_of(dec, layer);
    dec->priv->in = sublayer_input(dec, n, h, L->vec[VEC_FFN_NORM], L->vec[VEC_FFN_NORM_B]);
}

void decoder_ffn_up(struct decoder *dec, int layer, int n) {
    struct decoder_priv *p = dec->priv;
    if (!dec->ffn_nodes || !n) return;
    struct decoder_layer *L = layer_of(dec, layer);
    size_t cols = (size_t)(dec->ffn1 - dec->ffn0);
    struct product_input in = normed(dec, n);
    const struct product up_gate[] = {
        {.w = &L->mat[ROLE_UP - ROLE_Q], .y = p->up, .ldy = cols},
        {.w = &L->mat[ROLE_GATE - ROLE_Q], .y = p->gate, .ldy = cols},
    };
    products_run(dec, &in, up_gate, dec->shape.ffn_gated ? 2 : 1);
}

enum { ACT_PIECE = 32 * ORDER_GROUP }; /* columns of one token that a thread takes at a time */

void decoder_ffn_act(struct decoder *dec, int layer, int n) {
    if (!dec->ffn_nodes) return;
    const struct decoder_layer *L = layer_of(dec, layer);
    int cols = dec->ffn1 - dec->ffn0, pieces = (cols + ACT_PIECE - 1) / ACT_PIECE;
#pragma omp parallel for num_threads(dec->opts.threads) schedule(static) if (n * pieces > 1 && dec->opts.threads > 1)
    for (int i = 0; i < n * pieces; i++) {
        int col0 = i % pieces * ACT_PIECE, col1 = col0 + ACT_PIECE < cols ? col0 + ACT_PIECE : cols;
        finish_ffn(dec, L, i / pieces, col0, col1);
    }
}

void decoder_ffn_down(struct decoder *dec, int layer, int n, float *parts) {
    if (!dec->ffn_nodes || !n) return;
    size_t cols = (size_t)(dec->ffn1 - dec->ffn0);
    product_to_parts(dec, &layer_of(dec, layer)->mat[ROLE_DOWN - ROLE_Q], &dec->priv->ffn, dec->priv->up, cols, n,
                     parts);
}

void decoder_ffn(struct decoder *dec, int layer, const struct token_batch *b, const float *h, float *parts) {
    decoder_ffn_norm(dec, layer, b->n, h);
    decoder_ffn_up(dec, layer, b->n);
    decoder_ffn_act(dec, layer, b->n);
    decoder_ffn_down(dec, layer, b->n, parts);
}

/* h += (root + bias) * residual multiplier, then the norm of post-norm models; rounded to a form. */
static void add_root(struct decoder *dec, int n, float *h, const float *root, const float *bias, const float *norm,
                     const float *norm_bias, enum hidden_form form) {
    const struct model_shape *s = &dec->shape;
    int d = s->d_model;
#pragma omp parallel for num_threads(dec->opts.threads) schedule(static) if (n > 1 && dec->opts.threads > 1)
    for (int t = 0; t < n; t++) {
        float *to = h + (size_t)t * (size_t)d;
        const float *from = root + (size_t)t * (size_t)d;
        for (int i = 0; i < d; i++) {
            float y = bias ? from[i] + bias[i] : from[i];
            to[i] = to[i] + (s->residual_scale != 1 ? y * s->residual_scale : y);
        }
        if (s->post_norm) norm_row(s, to, to, norm, norm_bias, d);
        hidden_round(form, to, d);
    }
}

void decoder_attention_add(struct decoder *dec, int layer, int n, float *h, const float *root) {
    const struct decoder_layer *L = layer_of(dec, layer);
    add_root(dec, n, h, root, L->vec[VEC_O_B], L->vec[VEC_ATTN_NORM], L->vec[VEC_ATTN_NORM_B], HIDDEN_F32);
}

void decoder_own_add(struct decoder *dec, int layer, int n, const float *h, float *parts, float *own) {
    const float *bias = layer_of(dec, layer)->vec[VEC_O_B];
    int d = dec->shape.d_model, len = n * d;
    if (!dec->attn_nodes) memset(parts, 0, (size_t)len * sizeof *parts);
    for (int k = 1; k < dec->attn_nodes; k++)
        add_row(parts, parts + (size_t)k * (size_t)len, len);
    memcpy(own, h, (size_t)len * sizeof *own);
    decoder_attention_add(dec, layer, n, own, parts);
    for (int t = 0; t < n && bias && dec->attn_nodes && dec->spec.head0 == 0; t++)
        add_row(parts + (size_t)t * (size_t)d, bias, d);
}

void decoder_own_carry(const struct decoder *dec, int n, const float *own_sum, float *ffn_parts) {
    if (dec->ffn_nodes) add_row(ffn_parts, own_sum, n * dec->shape.d_model);
}

void decoder_ffn_add(struct decoder *dec, int layer, int n, float *h, const float *root) {
    const struct decoder_layer *L = layer_of(dec, layer);
    add_root(dec, n, h, root, L->vec[VEC_DOWN_B], L->vec[VEC_FFN_NORM], L->vec[VEC_FFN_NORM_B], dec->opts.hidden);
}

void decoder_out_norm(struct decoder *dec, int n, float *h) {
    struct decoder_priv *p = dec->priv;
    if (p->vec[VEC_OUT_NORM]) norm_rows(dec, h, h, p->vec[VEC_OUT_NORM], p->vec[VEC_OUT_NORM_B], n);
}

void decoder_head(struct decoder *dec, int n, const float *x, float *logits) {
    const struct model_shape *s = &dec->shape;
    struct decoder_priv *p = dec->priv;
    int rows = dec->spec.vocab1 - dec->spec.vocab0;
    const float *bias = p->vec[VEC_HEAD_B];
    if (!rows || !n) return;
    struct product_input in = {
        .bits = dec->opts.head_bits, .groups = &p->model, .x = x, .ldx = (size_t)s->d_model, .n_tokens = n};
    struct product out = {.w = &p->head, .y = logits, .ldy = (size_t)rows};
    products_run(dec, &in, &out, 1);
    for (int t = 0; t < n && (bias || s->logit_scale != 1); t++) {
        float *y = logits + (size_t)t * (size_t)rows;
        if (bias) add_row(y, bias + dec->spec.vocab0, rows);
        for (int i = 0; i < rows; i++)
            y[i] = y[i] * s->logit_scale;
    }
}
