#include "tp_forward.h"

#include <stdlib.h>
#include <string.h>

#include "coll_log.h"
#include "collectives/agree.h"
#include "dist/setup.h"

enum { TAG_ATTN = 1, TAG_FFN = 2, TAG_MERGE = 3, WAIT_LIMIT_S = 900 };

static int make_plan(struct tp_forward *f, const struct app *app, const struct model *m, int n_ctx, int max_tokens,
                     struct diag *d) {
    struct plan_opts o = {0};
    struct strategy st;
    char text[48];
    long kvp = app->spec.kvp ? app->spec.kvp : 1;
    snprintf(text, sizeof text, "tp%ldxkvp%ld", app->size > kvp ? app->size / kvp : 1, kvp);
    int rc = app_decoder_opts(&o.decoder, app, &m->shape, d);
    o.decoder.n_ctx = n_ctx;
    o.decoder.max_tokens = max_tokens;
    o.decoder.progress = NULL;
    if (!rc) rc = setup_reduces(&o, app, d);
    if (!rc) rc = strategy_parse(&st, text, d);
    return rc ? rc : plan_make(&f->plan, &m->shape, &st, app->size, &o, d);
}

static int allocate(struct tp_forward *f, const struct model *m, struct diag *d) {
    const struct decoder_opts *o = &f->plan->opts.decoder;
    size_t tokens = (size_t)o->max_tokens, vector = tokens * (size_t)m->shape.d_model, n = (size_t)f->world->size;
    const struct plan_rank *r = &f->plan->ranks[f->world->rank];
    for (int i = 0; i < f->world->size; i++) {
        const struct shard_spec *s = &f->plan->ranks[i].shard;
        if (s->vocab1 - s->vocab0 > f->rows) f->rows = s->vocab1 - s->vocab0;
    }
    int rc = decoder_open(&f->dec, &m->shape, m->file, &r->shard, o, d);
    if (rc) return rc;
    size_t rows = tokens * (size_t)f->rows, own_sums = f->dec->attn_nodes > 1 ? (size_t)f->dec->attn_nodes : 1;
    f->h = malloc((3 + own_sums) * vector * sizeof *f->h);
    f->mine = malloc((n + 1) * rows * sizeof *f->mine);
    if (!f->h || !f->mine) return diag_set(d, ERR_MEMORY, "no memory for the logits of %d tokens", o->max_tokens);
    f->own = f->h + vector;
    f->sum[1] = f->own + vector;
    f->sum[0] = f->sum[1] + vector;
    f->all = f->mine + rows;
    return 0;
}

static int open_reduce(const struct tp_forward *f, const struct app *app, struct link *link, enum step_kind kind,
                       int tag, struct coll **out, struct diag *d) {
    struct coll_spec spec;
    struct coll_info info;
    plan_coll(f->plan, f->world->rank, kind, &spec);
    spec.tag = tag;
    int rc = coll_init(out, link, &spec, d);
    if (rc) return rc;
    coll_info(*out, &info);
    coll_log(app, f->world, f->world->rank, &info, link->rank == 0);
    return 0;
}

int tp_forward_open(struct tp_forward *f, const struct app *app, const struct model *m, int n_ctx, int max_tokens,
                    struct diag *d) {
    memset(f, 0, sizeof *f);
    f->world = app->world;
    int rc = err_agree(f->world, make_plan(f, app, m, n_ctx, max_tokens, d), d);
    if (!rc) rc = agree_same(f->world, f->plan->hash, "the plan", d);
    if (!rc) rc = err_agree(f->world, allocate(f, m, d), d);
    if (rc || f->world->size == 1) return rc;
    int kvp = f->plan->strategy.kvp;
    rc = open_reduce(f, app, f->world, STEP_FFN_REDUCE, TAG_FFN, &f->ffn, d);
    if (!rc && plan_sync(f->plan, f->world->rank, 0) != SYNC_JOINED)
        rc = open_reduce(f, app, f->world, STEP_ATTN_REDUCE, TAG_ATTN, &f->attn, d);
    if (!rc && kvp > 1) {
        f->sharers = link_split(f->world, f->world->rank / kvp, f->world->rank);
        rc = open_reduce(f, app, f->sharers, STEP_ATTN_MERGE, TAG_MERGE, &f->merge, d);
        if (!rc && f->sharers->wait_limit_s > 0) f->sharers->wait_limit_s = WAIT_LIMIT_S;
    }
    if (f->world->wait_limit_s > 0) f->world->wait_limit_s = WAIT_LIMIT_S;
    return rc;
}

static float *product(struct tp_forward *f, struct coll *reduce, float *sum, int n) {
    return reduce ? coll_sendbuf(reduce, (size_t)n * (size_t)f->plan->shape.d_model) : sum;
}

static const float *root(struct coll *reduce, const float *sum) {
    if (!reduce) return sum;
    coll_start(reduce);
    return coll_wait(reduce);
}

static void run_attention(struct tp_forward *f, int layer, const struct token_batch *b, float *parts) {
    size_t elems = (size_t)b->n * (size_t)(f->dec->q_head1 - f->dec->q_head0);
    decoder_attn_norm(f->dec, layer, b->n, f->h);
    decoder_qkv(f->dec, layer, b->n);
    decoder_rope_store(f->dec, layer, b);
    decoder_attend(f->dec, layer, b, f->merge ? coll_sendbuf(f->merge, elems) : NULL);
    if (f->merge) decoder_merged(f->dec, b->n, root(f->merge, NULL));
    decoder_attn_out(f->dec, layer, b->n, parts);
}

/* One collective brings both sums, side by side. */
static void run_joined(struct tp_forward *f, int layer, const struct token_batch *b) {
    size_t n = (size_t)b->n * (size_t)f->plan->shape.d_model;
    float *parts = coll_sendbuf(f->ffn, 2 * n);
    run_attention(f, layer, b, parts);
    decoder_ffn(f->dec, layer, b, f->h, parts + n);
    const float *sums = root(f->ffn, NULL);
    decoder_attention_add(f->dec, layer, b->n, f->h, sums);
    decoder_ffn_add(f->dec, layer, b->n, f->h, sums + n);
}

static void run_dropped(struct tp_forward *f, int layer, const struct token_batch *b) {
    run_attention(f, layer, b, f->sum[0]);
    decoder_own_add(f->dec, layer, b->n, f->h, f->sum[0], f->own);
    float *parts = product(f, f->ffn, NULL, b->n);
    decoder_ffn(f->dec, layer, b, f->own, parts);
    decoder_own_carry(f->dec, b->n, f->sum[0], parts);
    decoder_ffn_add(f->dec, layer, b->n, f->h, root(f->ffn, NULL));
}

/* In a parallel block both products read the layer's input. */
static void run_each(struct tp_forward *f, int layer, const struct token_batch *b) {
    int parallel = f->plan->shape.parallel_block;
    run_attention(f, layer, b, product(f, f->attn, f->sum[0], b->n));
    const float *attn = root(f->attn, f->sum[0]);
    if (!parallel) decoder_attention_add(f->dec, layer, b->n, f->h, attn);
    float *parts = product(f, f->ffn, f->sum[1], b->n);
    decoder_ffn(f->dec, layer, b, f->h, parts);
    if (f->operand) f->operand(f->user, parts, (size_t)b->n * (size_t)f->plan->shape.d_model);
    const float *ffn = root(f->ffn, f->sum[1]);
    if (parallel) decoder_attention_add(f->dec, layer, b->n, f->h, attn);
    decoder_ffn_add(f->dec, layer, b->n, f->h, ffn);
}

static void run_layer(struct tp_forward *f, int layer, const struct token_batch *b) {
    switch (plan_sync(f->plan, f->world->rank, layer)) {
    case SYNC_JOINED: run_joined(f, layer, b); break;
    case SYNC_DROPPED: run_dropped(f, layer, b); break;
    default: run_each(f, layer, b); break;
    }
}

/* Each rank has columns of the logits: all go to everyone. */
static void join_logits(struct tp_forward *f, int n, float *logits) {
    size_t vocab = (size_t)f->plan->shape.n_vocab, rank_floats = (size_t)n * (size_t)f->rows;
    agree_allgather(f->world, f->mine, rank_floats * sizeof(float), f->all);
    for (int r = 0; r < f->world->size; r++) {
        const struct shard_spec *s = &f->plan->ranks[r].shard;
        size_t rows = (size_t)(s->vocab1 - s->vocab0);
        for (int t = 0; t < n; t++)
            memcpy(logits + (size_t)t * vocab + s->vocab0, f->all + (size_t)r * rank_floats + (size_t)t * rows,
                   rows * sizeof(float));
    }
}

void tp_forward_run(struct tp_forward *f, const struct token_batch *b, float *logits) {
    decoder_embed(f->dec, b, f->h);
    for (int l = 0; l < f->plan->shape.n_layers; l++)
        run_layer(f, l, b);
    decoder_out_norm(f->dec, b->n, f->h);
    decoder_head(f->dec, b->n, f->h, f->world->size == 1 ? logits : f->mine);
    if (f->world->size > 1) join_logits(f, b->n, logits);
}

static enum coll_label worse(enum coll_label worst, const struct coll *c) {
    struct coll_info info = {.label = COLL_BIT_EXACT};
    if (c) coll_info(c, &info);
    return info.label > worst ? info.label : worst;
}

enum coll_label tp_forward_label(const struct tp_forward *f) {
    const struct plan *p = f->plan;
    enum coll_label own = p->strategy.kvp > 1 ? COLL_ROUNDING : COLL_BIT_EXACT;
    for (int l = 0; l < p->shape.n_layers; l++)
        if (plan_sync(p, f->world->rank, l) == SYNC_DROPPED) own = COLL_APPROXIMATE;
    return worse(worse(own, f->attn), f->ffn);
}

void tp_forward_close(struct tp_forward *f) {
    coll_free(f->attn);
    coll_free(f->ffn);
    coll_free(f->merge);
    if (f->sharers) link_free(f->sharers);
    decoder_close(f->dec);
    plan_free(f->plan);
    free(f->h);
    free(f->mine);
    memset(f, 0, sizeof *f);
}
