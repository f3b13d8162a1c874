/* open.c - checks, memory and lifetime of a shard. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/mathf.h"
#include "priv.h"

static int range_ok(int begin, int end, int max) {
    return begin >= 0 && begin <= end && end <= max;
}

static int check_spec(const struct model_shape *s, const struct shard_spec *spec, struct diag *d) {
    int q0, q1;
    shard_query_heads(spec, &q0, &q1);
    const struct {
        int begin, end, max;
        const char *what;
    } ranges[] = {
        {spec->layer0, spec->layer1, s->n_layers, "layers"},
        {spec->head0, spec->head1, s->n_heads, "heads"},
        {spec->kv_shard, spec->kv_shard + 1, spec->kv_shards > 1 && s->causal ? spec->kv_shards : 1, "cache shards"},
        {q0, q1, s->n_heads, "heads that share a cache"},
        {spec->ffn_leaf0, spec->ffn_leaf1, order_axis_runs(s->d_ffn).n_leaves, "FFN leaves"},
        {spec->vocab0, spec->vocab1, s->causal ? s->n_vocab : 0, "vocabulary rows"},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (!range_ok(ranges[i].begin, ranges[i].end, ranges[i].max))
            return diag_set(d, ERR_RANGE, "shard: %s %d to %d of %d", ranges[i].what, ranges[i].begin, ranges[i].end,
                            ranges[i].max);
    return 0;
}

static int bits_ok(enum act_bits bits) {
    return bits == ACT_F32 || bits == ACT_I8 || bits == ACT_I4;
}

static int check_opts(const struct model_shape *s, const struct decoder_opts *o, struct diag *d) {
    if (!bits_ok(o->linear_bits) || !bits_ok(o->head_bits) || (o->silu_bits != 0 && o->silu_bits != 8))
        return diag_set(d, ERR_RANGE,
                        "activations of %d and %d bits, SiLU of %d: 0 (float), 8 and 4 exist, SiLU 0 and 8",
                        (int)o->linear_bits, (int)o->head_bits, o->silu_bits);
    if (o->kv != KV_F16 && o->kv != KV_I8 && o->kv != KV_I4)
        return diag_set(d, ERR_RANGE, "cache type %d is unknown", (int)o->kv);
    if ((unsigned)o->hidden >= HIDDEN_FORMS)
        return diag_set(d, ERR_RANGE, "form %d of hidden states is unknown", (int)o->hidden);
    if (o->n_seqs < 1 || o->n_ctx < 1 || o->max_tokens < 1 || o->threads < 1 || o->n_seqs > 1 << 20 ||
        o->n_ctx > 1 << 30)
        return diag_set(d, ERR_RANGE,
                        "%d sequences of %d positions, %d tokens a call, %d threads: all must be at least 1", o->n_seqs,
                        o->n_ctx, o->max_tokens, o->threads);
    if (s->ctx_limit && o->n_ctx > s->ctx_limit)
        return diag_set(d, ERR_RANGE, "a context of %d is longer than %d, the %s of %s", o->n_ctx, s->ctx_limit,
                        s->n_positions ? "position table" : "attention window", s->name);
    return 0;
}

/* cos and sin of pos * base^(-2i/rope_dim) / factor; factors divide the frequencies one by one (Llama 3.1). */
static void rope_tables(struct decoder *dec) {
    const struct model_shape *s = &dec->shape;
    struct decoder_priv *p = dec->priv;
    int half = s->rope_dim / 2, n_ctx = p->heads.n ? dec->opts.n_ctx : 0;
    const float *factors = p->vec[VEC_ROPE_FACTORS];
    double log_base = half ? math_log(s->rope_base) : 0;
#pragma omp parallel for num_threads(dec->opts.threads) schedule(static)
    for (int i = 0; i < half; i++) {
        double freq = math_exp(-(2.0 * i / s->rope_dim) * log_base) / s->rope_factor;
        if (factors) freq /= (double)factors[i];
        for (int pos = 0; pos < n_ctx; pos++) {
            p->cos[(size_t)pos * (size_t)half + (size_t)i] = (float)math_cos(pos * freq);
            p->sin[(size_t)pos * (size_t)half + (size_t)i] = (float)math_sin(pos * freq);
        }
    }
}

static int check_factors(const struct decoder *dec, struct diag *d) {
    const float *factors = dec->priv->vec[VEC_ROPE_FACTORS];
    for (int i = 0; factors && i < dec->shape.rope_dim / 2; i++)
        if (!(factors[i] > 0) || !isfinite(factors[i]))
            return diag_set(d, ERR_FORMAT, "%s: rope_freqs.weight holds %g; factors are finite and above 0",
                            dec->shape.name, (double)factors[i]);
    return 0;
}

static int open_memory(struct decoder *dec, struct diag *d) {
    struct decoder_priv *p = dec->priv;
    int rc = memory_reserve(&p->work_mem, dec->work_bytes, 0, "activations", d);
    if (!rc) rc = memory_reserve(&p->kv_mem, dec->kv_bytes, 0, "the key/value cache", d);
    if (rc) return rc;
    struct arena work = {.base = p->work_mem.at}, kv = {.base = p->kv_mem.at};
    work_carve(dec, p, &work);
    kv_carve(dec, p, &kv);
    return 0;
}

static void count_nodes(struct decoder *dec) {
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    struct order_axis ffn = order_axis_runs(dec->shape.d_ffn);
    dec->attn_nodes = pairtree_cover(dec->shape.n_heads, dec->spec.head0, dec->spec.head1, nodes);
    dec->ffn_nodes = pairtree_cover(ffn.n_leaves, dec->spec.ffn_leaf0, dec->spec.ffn_leaf1, nodes);
}

/* Static steps of keys and values are those of mode a4 on an int4 cache. */
static void use_steps(struct decoder *dec) {
    struct decoder_priv *p = dec->priv;
    int n_layers = dec->kv_head1 > dec->kv_head0 ? dec->spec.layer1 - dec->spec.layer0 : 0;
    if (!(dec->shape.has_vec & VEC_BIT(K_STEP)) || dec->opts.linear_bits != ACT_I4 || dec->opts.kv != KV_I4) return;
    for (int i = 0; i < n_layers * dec->opts.n_seqs; i++) {
        const struct decoder_layer *L = &p->layers[i / dec->opts.n_seqs];
        struct kv_cache *c = &L->kv[i % dec->opts.n_seqs];
        c->k_step = L->vec[VEC_K_STEP] + dec->kv_head0;
        c->v_step = L->vec[VEC_V_STEP] + dec->kv_head0;
    }
}

static int open_all(struct decoder *dec, const struct gguf *g, struct diag *d) {
    struct shard_bytes bytes;
    shard_bytes(&dec->shape, &dec->spec, &dec->opts, &bytes);
    dec->weight_bytes = bytes.weights;
    dec->kv_bytes = bytes.kv;
    dec->work_bytes = bytes.work;
    shard_query_heads(&dec->spec, &dec->q_head0, &dec->q_head1);
    shard_ranges(&dec->shape, &dec->spec, &dec->kv_head0, &dec->kv_head1, &dec->ffn0, &dec->ffn1);
    count_nodes(dec);
    int rc = open_memory(dec, d);
    if (!rc) rc = weights_load(dec, g, d);
    if (!rc) use_steps(dec);
    if (!rc) rc = check_factors(dec, d);
    if (!rc) rope_tables(dec);
    return rc;
}

int decoder_open(struct decoder **out, const struct model_shape *s, const struct gguf *g, const struct shard_spec *spec,
                 const struct decoder_opts *o, struct diag *d) {
    *out = NULL;
    struct shard_spec normal = shard_normal(spec);
    int rc = shape_check(s, d);
    if (!rc) rc = check_spec(s, &normal, d);
    if (!rc) rc = check_opts(s, o, d);
    if (rc) return rc;
    struct decoder *dec = calloc(1, sizeof *dec);
    struct decoder_priv *p = calloc(1, sizeof *p);
    if (!dec || !p) {
        free(dec);
        free(p);
        return diag_set(d, ERR_MEMORY, "no memory for a decoder");
    }
    *dec = (struct decoder){.shape = *s, .spec = normal, .opts = *o, .priv = p};
    rc = open_all(dec, g, d);
    if (rc)
        decoder_close(dec);
    else
        *out = dec;
    return rc;
}

void decoder_close(struct decoder *dec) {
    if (!dec) return;
    memory_release(&dec->priv->weights_mem);
    memory_release(&dec->priv->kv_mem);
    memory_release(&dec->priv->work_mem);
    free(dec->priv);
    free(dec);
}

void decoder_settle(struct decoder *dec, const volatile int *stop) {
    memory_settle(&dec->priv->weights_mem, stop);
}

void decoder_memory(const struct decoder *dec, struct decoder_memory *out) {
    size_t huge = memory_huge_bytes(&dec->priv->weights_mem), packed = dec->priv->packed_bytes;
    *out = (struct decoder_memory){packed, huge < packed ? huge : packed, dec->cache == CACHE_READ ? packed : 0};
}

static int check_token(const struct decoder *dec, const struct token_batch *b, int i, struct diag *d) {
    if (b->id[i] < 0 || b->id[i] >= dec->shape.n_vocab)
        return diag_set(d, ERR_RANGE, "token id %d is not in the vocabulary of %d", b->id[i], dec->shape.n_vocab);
    if (b->seq[i] < 0 || b->seq[i] >= dec->opts.n_seqs)
        return diag_set(d, ERR_RANGE, "sequence %d of %d", b->seq[i], dec->opts.n_seqs);
    if (b->pos[i] < 0 || b->pos[i] >= dec->opts.n_ctx)
        return diag_set(d, ERR_RANGE,
                        "position %d does not fit a context of %d: ask for a longer one or shorten the text", b->pos[i],
                        dec->opts.n_ctx);
    for (int j = i - 1; j >= 0; j--) {
        if (b->seq[j] != b->seq[i]) continue;
        if (b->pos[j] + 1 == b->pos[i]) return 0;
        return diag_set(d, ERR_RANGE, "sequence %d: position %d follows %d", b->seq[i], b->pos[i], b->pos[j]);
    }
    if (!dec->shape.causal && b->pos[i] != 0)
        return diag_set(d, ERR_RANGE, "sequence %d starts at position %d: an encoder needs it whole", b->seq[i],
                        b->pos[i]);
    return 0;
}

int decoder_check_batch(const struct decoder *dec, const struct token_batch *b, struct diag *d) {
    if (b->n < 0 || b->n > dec->opts.max_tokens)
        return diag_set(d, ERR_RANGE, "%d tokens in one call, at most %d were planned", b->n, dec->opts.max_tokens);
    for (int i = 0; i < b->n; i++) {
        int rc = check_token(dec, b, i, d);
        if (rc) return rc;
    }
    return 0;
}
