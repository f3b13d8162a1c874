/* cost.c - the steps of a rank and what each costs.
 *
 * Bytes of weights are those of the shard as stored, block scales and row steps included, and the vectors (norms,
 * biases) that the step reads, 4 bytes a value. A weight format's block that a column split leaves on both sides is
 * read by both.
 *
 * Operations are counted for the arithmetic as order.h defines it. Products: 2 for a multiply and its add, by the wider
 * of the two operands: integers of 4 or 8 bits, or F32 with float weights or float activations. Elementwise, all
 * F32, an exp, tanh, erf, division or root being one:
 *   norm        RMS: 4 a value (square, add, scale, weight); layer norm: 7 (mean, subtract, bias beside them)
 *   rope        3 a rotated value: two products and an add or subtract for each of a pair
 *   attention   4 a position and head beside the two products: maximum, subtract, exp, sum
 *   activation  SiLU 4, GELU 9 (tanh) or 5 (erf), and 1 for the product with `up` in gated models
 *   residual    1 a value, 1 more each for a bias and a multiplier
 *   rounding    of hidden states after the embedding and each layer: fp16 1 a value; int8, int4 4 (magnitude, product,
 *               nearest, product). Messages carry these codes: sending and receiving them counts no more
 *   allreduce   the schedule's additions
 *   sample      1 comparison a vocabulary row
 * Not counted: rounding activations to integers, applying block scales, the rescaling of an attention sum once in 32
 * positions. They are proportional to what is counted and far below it. */
#include <string.h>

#include "parts.h"

struct costing {
    const struct model_shape *s;
    const struct decoder_opts *o;
    const struct plan_rank *r;
    int layer;
    struct plan_block *b;
};

/* Query heads that a rank computes, and ranks that share its cache. */
static int64_t query_heads(const struct costing *c) {
    int head0, head1;
    shard_query_heads(&c->r->shard, &head0, &head1);
    return head1 - head0;
}

static int cache_shards(const struct costing *c) {
    return c->r->shard.kv_shards > 1 ? c->r->shard.kv_shards : 1;
}

static struct step_cost *add_step(struct costing *c, enum step_kind kind) {
    struct plan_step *step = &c->b->step[c->b->n++];
    step->kind = kind;
    return &step->cost;
}

int step_is_sampled(enum step_kind kind) {
    return (kind >= STEP_OUT_NORM && kind <= STEP_SEND_TOKEN) || kind == STEP_RECV_TOKEN;
}

/* ---- products ---- */

static enum precision product_precision(const struct tensor_type *type, enum act_bits bits) {
    if (type->is_float || bits == ACT_F32) return PREC_F32;
    int narrow = type->bits <= 5; /* Q4_1 has 4-bit integers and 5 bits a weight with its scales; Q5_0 has 5.5 */
    return bits == ACT_I4 && narrow ? PREC_I4 : PREC_I8;
}

int64_t shard_role_bytes(const struct model_shape *s, const struct shard_spec *spec, enum role role, int layer) {
    struct shard_part p;
    if (!shard_part(s, spec, role, layer, &p)) return 0;
    return (int64_t)shape_part_bytes(s, role, layer, p.row0, p.row1, p.col0, p.col1);
}

static void add_product(const struct costing *c, struct step_cost *cost, enum role role, enum act_bits bits) {
    struct shard_part p;
    if (!shard_part(c->s, &c->r->shard, role, c->layer, &p)) return;
    int64_t size = (int64_t)(p.row1 - p.row0) * (p.col1 - p.col0);
    cost->weight_bytes += shard_role_bytes(c->s, &c->r->shard, role, c->layer);
    cost->ops_per_tok[product_precision(shape_type(c->s, role, c->layer), bits)] += 2 * size;
}

/* Reads n values of a vector that the model may have; one operation each if it is a bias. */
static void add_vec(const struct costing *c, struct step_cost *cost, enum vec vec, int64_t n, int ops) {
    if (!shape_vec_size(c->s, vec)) return;
    cost->weight_bytes += 4 * n;
    cost->ops_per_tok[PREC_F32] += ops * n;
}

static void add_norm(const struct costing *c, struct step_cost *cost, enum vec weight, enum vec bias) {
    if (!shape_vec_size(c->s, weight)) return;
    add_vec(c, cost, weight, c->s->d_model, c->s->norm == NORM_RMS ? 4 : 6);
    add_vec(c, cost, bias, c->s->d_model, 1);
}

/* ---- attention ---- */

int64_t kv_position_bytes(const struct model_shape *s, enum kv_type type, int n_kv) {
    int64_t scales = 4 * ((s->head_dim + 31) / 32), dim = s->head_dim;
    int64_t head = type == KV_F16 ? 2 * dim : (type == KV_I8 ? dim : (dim + 1) / 2) + scales;
    return 2 * n_kv * head;
}

static void add_qkv(struct costing *c) {
    struct step_cost *cost = add_step(c, STEP_QKV);
    int64_t dim = c->s->head_dim, q = query_heads(c) * dim, kv = (c->r->kv_head1 - c->r->kv_head0) * dim;
    if (!q) return;
    for (int r = ROLE_Q; r <= ROLE_V; r++)
        add_product(c, cost, (enum role)r, c->o->linear_bits);
    add_vec(c, cost, VEC_Q_B, q, 1);
    add_vec(c, cost, VEC_K_B, kv, 1);
    add_vec(c, cost, VEC_V_B, kv, 1);
    if (!c->s->qk_norm) return;
    cost->weight_bytes += 4 * 2 * dim;
    cost->ops_per_tok[PREC_F32] += 4 * (q + kv);
}

static void add_rope(struct costing *c) {
    struct step_cost *cost = add_step(c, STEP_ROPE);
    int n_kv = c->r->kv_head1 - c->r->kv_head0, heads = (int)query_heads(c) + n_kv;
    int rotated = c->s->pos == POS_ROPE_PAIRS || c->s->pos == POS_ROPE_HALVES;
    cost->ops_per_tok[PREC_F32] += rotated ? 3 * (int64_t)heads * c->s->rope_dim : 0;
    cost->kv_bytes_per_tok += kv_position_bytes(c->s, c->o->kv, n_kv) / cache_shards(c);
}

/* Of a cache shared by position, 1/kvp of the positions with kvp times the heads: as many operations.
 * order.h rule 8: an integer cache meets queries of 8 bits (4 in mode a4); only mode a4 rounds the probabilities. */
static void add_attention(struct costing *c) {
    struct step_cost *cost = add_step(c, STEP_ATTENTION);
    int64_t heads = c->r->shard.head1 - c->r->shard.head0, product = 2 * heads * c->s->head_dim;
    int a4 = c->o->linear_bits == ACT_I4, integer = c->o->kv != KV_F16;
    enum precision narrow = a4 && c->o->kv == KV_I4 ? PREC_I4 : PREC_I8;
    cost->kv_bytes_per_ctx += kv_position_bytes(c->s, c->o->kv, c->r->kv_head1 - c->r->kv_head0) / cache_shards(c);
    cost->ops_per_ctx[integer ? narrow : PREC_F32] += product;
    cost->ops_per_ctx[integer && a4 ? narrow : PREC_F32] += product;
    cost->ops_per_ctx[PREC_F32] += 4 * heads;
}

/* ---- reductions and sums ---- */

/* A merge: two products and a sum for each value; then o / l of the rank's heads. */
static void add_merge(struct costing *c, const struct plan_reduce *count) {
    if (cache_shards(c) == 1) return;
    struct step_cost *cost = add_step(c, STEP_ATTN_MERGE);
    cost->messages = count->messages;
    cost->sent_bytes_per_tok = count->sent_bytes;
    cost->ops_per_tok[PREC_F32] =
        3 * count->adds * (c->s->head_dim + 1) + (int64_t)(c->r->shard.head1 - c->r->shard.head0) * c->s->head_dim;
}

static void add_reduce(struct costing *c, enum step_kind kind, const struct plan_reduce *count, int size) {
    if (size == 1) return;
    struct step_cost *cost = add_step(c, kind);
    cost->messages = count->messages;
    cost->sent_bytes_per_tok = count->sent_bytes;
    cost->extra_bytes_per_tok = count->extra_bytes;
    cost->ops_per_tok[PREC_F32] = count->adds;
}

static void add_residual(struct costing *c, enum step_kind kind, enum vec bias, enum vec norm, enum vec norm_bias) {
    struct step_cost *cost = add_step(c, kind);
    cost->ops_per_tok[PREC_F32] += c->s->d_model * (c->s->residual_scale != 1 ? 2 : 1);
    add_vec(c, cost, bias, c->s->d_model, 1);
    if (c->s->post_norm) add_norm(c, cost, norm, norm_bias);
}

/* Of the last step's result. */
static void add_rounding(struct costing *c) {
    static const int ops[HIDDEN_FORMS] = {[HIDDEN_F16] = 1, [HIDDEN_I8] = 4, [HIDDEN_I4] = 4};
    c->b->step[c->b->n - 1].cost.ops_per_tok[PREC_F32] += ops[c->o->hidden] * (int64_t)c->s->d_model;
}

static void add_pre_norm(struct costing *c, enum step_kind kind, enum vec norm, enum vec bias) {
    struct step_cost *cost = add_step(c, kind);
    if (!c->s->post_norm) add_norm(c, cost, norm, bias);
}

/* ---- FFN ---- */

static void add_ffn_up(struct costing *c) {
    struct step_cost *cost = add_step(c, STEP_FFN_UP);
    int64_t cols = c->r->ffn1 - c->r->ffn0;
    add_product(c, cost, ROLE_GATE, c->o->linear_bits);
    add_product(c, cost, ROLE_UP, c->o->linear_bits);
    add_vec(c, cost, VEC_GATE_B, cols, 1);
    add_vec(c, cost, VEC_UP_B, cols, 1);
}

static void add_ffn_act(struct costing *c) {
    static const int ops[] = {[FN_SILU] = 4, [FN_GELU_TANH] = 9, [FN_GELU_ERF] = 5};
    add_step(c, STEP_FFN_ACT)->ops_per_tok[PREC_F32] =
        (int64_t)(c->r->ffn1 - c->r->ffn0) * (ops[c->s->act] + c->s->ffn_gated);
}

/* A parallel block norms the layer's input for the FFN before the attention's sum changes it. Where the sync between is
 * dropped, a rank adds up its own sums of the attention, and adds them to the FFN's. */
void cost_layer(struct plan_block *b, const struct plan *p, const struct plan_rank *r, int layer,
                const struct plan_group *g) {
    struct costing c = {&p->shape, &p->opts.decoder, r, layer, b};
    int parallel = p->shape.parallel_block;
    enum plan_sync sync = sync_of(p, g, layer);
    add_pre_norm(&c, STEP_ATTN_NORM, VEC_ATTN_NORM, VEC_ATTN_NORM_B);
    add_qkv(&c);
    add_rope(&c);
    add_attention(&c);
    add_merge(&c, &g->merge[r->tp_index]);
    add_product(&c, add_step(&c, STEP_ATTN_OUT), ROLE_O, c.o->linear_bits);
    if (parallel) add_pre_norm(&c, STEP_FFN_NORM, VEC_FFN_NORM, VEC_FFN_NORM_B);
    if (sync == SYNC_TWO) add_reduce(&c, STEP_ATTN_REDUCE, &g->attn[r->tp_index], g->size);
    if (sync != SYNC_JOINED) add_residual(&c, STEP_ATTN_ADD, VEC_O_B, VEC_ATTN_NORM, VEC_ATTN_NORM_B);
    if (sync == SYNC_DROPPED) b->step[b->n - 1].cost.ops_per_tok[PREC_F32] += sync_own_sums(p, r) * p->shape.d_model;
    if (!parallel) add_pre_norm(&c, STEP_FFN_NORM, VEC_FFN_NORM, VEC_FFN_NORM_B);
    add_ffn_up(&c);
    add_ffn_act(&c);
    add_product(&c, add_step(&c, STEP_FFN_DOWN), ROLE_DOWN, c.o->linear_bits);
    add_reduce(&c, STEP_FFN_REDUCE, &g->ffn[r->tp_index], g->size);
    if (sync == SYNC_JOINED) add_residual(&c, STEP_ATTN_ADD, VEC_O_B, VEC_ATTN_NORM, VEC_ATTN_NORM_B);
    add_residual(&c, STEP_FFN_ADD, VEC_DOWN_B, VEC_FFN_NORM, VEC_FFN_NORM_B);
    add_rounding(&c);
}

/* ---- both ends of a rank's pass ---- */

static int64_t table_row_bytes(const struct model_shape *s, enum role role) {
    int rows, cols;
    shape_role_size(s, role, &rows, &cols);
    return rows ? (int64_t)shape_part_bytes(s, role, 0, 0, 1, 0, cols) : 0;
}

static void add_embed(struct costing *c) {
    struct step_cost *cost = add_step(c, STEP_EMBED);
    const struct model_shape *s = c->s;
    for (int r = ROLE_EMBED; r <= ROLE_TYPE_EMBED; r++)
        cost->row_bytes_per_tok += table_row_bytes(s, (enum role)r);
    cost->ops_per_tok[PREC_F32] =
        (int64_t)s->d_model * ((s->n_positions > 0) + (s->n_types > 0) + (s->embed_scale != 1));
    add_norm(c, cost, VEC_EMBED_NORM, VEC_EMBED_NORM_B);
    add_rounding(c);
}

void cost_prologue(struct plan_block *b, const struct plan *p, const struct plan_rank *r) {
    struct costing c = {&p->shape, &p->opts.decoder, r, 0, b};
    if (r->token_from >= 0) add_step(&c, STEP_RECV_TOKEN);
    if (r->recv_from >= 0) add_step(&c, STEP_RECV_HIDDEN);
    if (r->stage == 0) add_embed(&c);
}

static void add_messages(struct costing *c, enum step_kind kind, int n, int64_t header, int64_t per_token) {
    if (!n) return;
    struct step_cost *cost = add_step(c, kind);
    cost->messages = n;
    cost->sent_bytes = n * header;
    cost->sent_bytes_per_tok = n * per_token;
}

/* The all-gather of offers (Bruck et al. 1997): the distance doubles, a rank passes on the blocks it has, in two
 * messages where they pass the end of the array. collectives/agree.h is what runs. */
static void add_sample(struct costing *c, const struct plan *p) {
    struct step_cost *cost = add_step(c, STEP_SAMPLE);
    int size = p->stages[c->r->stage].size;
    for (int have = 1; have < size; have *= 2) {
        int blocks = have < size - have ? have : size - have;
        cost->messages += blocks > size - c->r->tp_index ? 2 : 1;
    }
    cost->sent_bytes = (size - 1) * (int64_t)PLAN_OFFER_HEADER_BYTES;
    cost->sent_bytes_per_tok = (size - 1) * (PLAN_OFFER_BYTES + (int64_t)p->opts.top_candidates * PLAN_CANDIDATE_BYTES);
    cost->ops_per_tok[PREC_F32] = c->r->shard.vocab1 - c->r->shard.vocab0;
}

static void add_head(struct costing *c) {
    add_norm(c, add_step(c, STEP_OUT_NORM), VEC_OUT_NORM, VEC_OUT_NORM_B);
    struct step_cost *cost = add_step(c, STEP_HEAD);
    int64_t rows = c->r->shard.vocab1 - c->r->shard.vocab0;
    add_product(c, cost, ROLE_HEAD, c->o->head_bits);
    add_vec(c, cost, VEC_HEAD_B, rows, 1);
    if (c->s->logit_scale != 1) cost->ops_per_tok[PREC_F32] += rows;
}

void cost_epilogue(struct plan_block *b, const struct plan *p, const struct plan_rank *r) {
    struct costing c = {&p->shape, &p->opts.decoder, r, 0, b};
    int64_t header = plan_hidden_bytes(p, 0);
    add_messages(&c, STEP_SEND_HIDDEN, r->n_send_to, header, plan_hidden_bytes(p, 1) - header);
    if (!r->shard.final_norm) return;
    add_head(&c);
    add_sample(&c, p);
    add_messages(&c, STEP_SEND_TOKEN, r->n_token_to, PLAN_SAMPLED_HEADER_BYTES, PLAN_SAMPLED_BYTES);
}
