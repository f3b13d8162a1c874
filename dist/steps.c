/* One function for each kind of plan step. */
#include <string.h>

#include "base/hash.h"
#include "collectives/agree.h"
#include "engine_priv.h"

static size_t d_model(const struct engine *e) {
    return (size_t)e->plan->shape.d_model;
}

/* Elements of the hidden states of a pass. */
static size_t hidden(const struct engine *e) {
    return (size_t)e->head.n * d_model(e);
}

/* How a vector of them travels. */
static enum hidden_form form(const struct engine *e) {
    return e->plan->opts.decoder.hidden;
}

static size_t vector_bytes(const struct engine *e) {
    return hidden_bytes(form(e), e->plan->shape.d_model);
}

static struct token_batch batch(const struct engine *e) {
    return (struct token_batch){.n = e->head.n, .id = e->id, .seq = e->slot, .pos = e->pos};
}

/* The tokens of a pass as the decoder wants them, counted into the hash that all ranks of the replica must share. */
static void spread_tokens(struct engine *e) {
    for (int i = 0; i < e->head.n; i++) {
        const struct pass_token *t = &e->tok[i];
        e->id[i] = t->id;
        e->slot[i] = t->slot;
        e->pos[i] = t->pos;
        e->fed_hash += hash_mix(((uint64_t)(uint32_t)t->slot << 32 | (uint32_t)t->pos) ^ hash_mix((uint64_t)t->id + 1));
    }
}

/* One message a pass: header, token entries, hidden states. Its length says how many tokens it holds. */
static void run_recv_hidden(struct engine *e, int layer) {
    (void)layer;
    int peer = e->me->recv_from - e->replica_first;
    emulation_received(e, link_recv_upto(e->replica, peer, TAG_HIDDEN, e->recv_bytes, e->message_cap));
    const char *at = e->recv_bytes;
    memcpy(&e->head, at, sizeof e->head);
    at += sizeof e->head;
    memcpy(e->tok, at, (size_t)e->head.n * sizeof *e->tok);
    at += (size_t)e->head.n * sizeof *e->tok;
    for (int i = 0; i < e->head.n; i++, at += vector_bytes(e))
        hidden_decode(form(e), at, (int)d_model(e), e->h + (size_t)i * d_model(e));
    spread_tokens(e);
}

static struct send_buffer *next_buffer(struct engine *e) {
    struct send_buffer *b = &e->ring[e->ring_at];
    e->ring_at = (e->ring_at + 1) % e->n_ring;
    for (int i = 0; i < b->n_req; i++)
        link_wait(e->replica, &b->req[i]);
    b->n_req = 0;
    return b;
}

static void run_send_hidden(struct engine *e, int layer) {
    (void)layer;
    if (!e->me->n_send_to) return; /* a smaller stage follows, and others of this one serve it */
    struct send_buffer *b = next_buffer(e);
    size_t tokens = (size_t)e->head.n * sizeof *e->tok;
    char *at = b->bytes + sizeof e->head + tokens;
    memcpy(b->bytes, &e->head, sizeof e->head);
    memcpy(b->bytes + sizeof e->head, e->tok, tokens);
    for (int i = 0; i < e->head.n; i++, at += vector_bytes(e))
        hidden_encode(form(e), e->h + (size_t)i * d_model(e), (int)d_model(e), at);
    for (int i = 0; i < e->me->n_send_to; i++) {
        int peer = e->me->send_to_first + i * e->me->send_to_step - e->replica_first;
        emulation_room(e, i, (size_t)(at - b->bytes));
        link_isend(e->replica, peer, TAG_HIDDEN, b->bytes, (size_t)(at - b->bytes), &b->req[b->n_req++]);
    }
}

static void run_embed(struct engine *e, int layer) {
    (void)layer;
    spread_tokens(e);
    struct token_batch b = batch(e);
    decoder_embed(e->dec, &b, e->h);
}

static void run_attn_norm(struct engine *e, int layer) {
    decoder_attn_norm(e->dec, layer, e->head.n, e->h);
}

static void run_qkv(struct engine *e, int layer) {
    decoder_qkv(e->dec, layer, e->head.n);
}

static void run_rope(struct engine *e, int layer) {
    struct token_batch b = batch(e);
    decoder_rope_store(e->dec, layer, &b);
}

static void run_attention(struct engine *e, int layer) {
    struct token_batch b = batch(e);
    size_t elems = (size_t)b.n * (size_t)(e->dec->q_head1 - e->dec->q_head0);
    decoder_attend(e->dec, layer, &b, e->attn_merge ? coll_sendbuf(e->attn_merge, elems) : NULL);
    if (e->attn_merge) coll_start(e->attn_merge);
}

static void run_attn_merge(struct engine *e, int layer) {
    (void)layer;
    decoder_merged(e->dec, e->head.n, coll_wait(e->attn_merge));
}

/* Where a row-parallel product writes its sums: the other ranks of the stage read them there. */
static float *product(struct engine *e, struct coll *reduce) {
    e->root = e->sum;
    return reduce ? coll_sendbuf(reduce, hidden(e)) : e->sum;
}

static enum plan_sync sync_of(const struct engine *e, int layer) {
    return plan_sync(e->plan, e->world->rank, layer);
}

static float *attn_product(struct engine *e, enum plan_sync sync) {
    switch (sync) {
    case SYNC_JOINED: return coll_sendbuf(e->ffn_reduce, 2 * hidden(e));
    case SYNC_DROPPED: return e->sum + (size_t)e->plan->opts.decoder.max_tokens * d_model(e);
    default: return product(e, e->attn_reduce);
    }
}

static void run_attn_out(struct engine *e, int layer) {
    enum plan_sync sync = sync_of(e, layer);
    e->attn = attn_product(e, sync);
    decoder_attn_out(e->dec, layer, e->head.n, e->attn);
    if (sync == SYNC_TWO && e->attn_reduce) coll_start(e->attn_reduce);
}

static void run_attn_reduce(struct engine *e, int layer) {
    (void)layer;
    e->root = coll_wait(e->attn_reduce);
}

static void run_attn_add(struct engine *e, int layer) {
    if (sync_of(e, layer) == SYNC_DROPPED)
        decoder_own_add(e->dec, layer, e->head.n, e->h, e->attn, e->sum);
    else
        decoder_attention_add(e->dec, layer, e->head.n, e->h, e->root);
}

static void run_ffn_norm(struct engine *e, int layer) {
    decoder_ffn_norm(e->dec, layer, e->head.n, sync_of(e, layer) == SYNC_DROPPED ? e->sum : e->h);
}

static void run_ffn_up(struct engine *e, int layer) {
    decoder_ffn_up(e->dec, layer, e->head.n);
}

static void run_ffn_act(struct engine *e, int layer) {
    decoder_ffn_act(e->dec, layer, e->head.n);
}

static void run_ffn_down(struct engine *e, int layer) {
    enum plan_sync sync = sync_of(e, layer);
    float *parts = sync == SYNC_JOINED ? e->attn + hidden(e) : product(e, e->ffn_reduce);
    decoder_ffn_down(e->dec, layer, e->head.n, parts);
    if (sync == SYNC_DROPPED) decoder_own_carry(e->dec, e->head.n, e->attn, parts);
    if (e->ffn_reduce) coll_start(e->ffn_reduce);
}

static void run_ffn_reduce(struct engine *e, int layer) {
    (void)layer;
    e->root = coll_wait(e->ffn_reduce);
}

static void run_ffn_add(struct engine *e, int layer) {
    const float *root = sync_of(e, layer) == SYNC_JOINED ? e->root + hidden(e) : e->root;
    decoder_ffn_add(e->dec, layer, e->head.n, e->h, root);
}

/* The output layer sees only the tokens whose logits are wanted. */
static void run_out_norm(struct engine *e, int layer) {
    (void)layer;
    int n = 0;
    for (int i = 0; i < e->head.n; i++)
        if (e->tok[i].want)
            memcpy(e->wanted + (size_t)n++ * d_model(e), e->h + (size_t)i * d_model(e), d_model(e) * sizeof(float));
    if (n) decoder_out_norm(e->dec, n, e->wanted);
}

static void run_head(struct engine *e, int layer) {
    (void)layer;
    if (e->head.n_want) decoder_head(e->dec, e->head.n_want, e->wanted, e->logits);
}

/* What a rank of the last stage tells the others of its group about one wanted token: hash of its logits, then its
 * candidates. */
static size_t offer_bytes(const struct engine *e) {
    return sizeof(uint64_t) + (size_t)e->plan->opts.top_candidates * sizeof(struct candidate);
}

/* Returns the reason to stop, if there is one. */
static int64_t write_offers(struct engine *e) {
    int rows = e->me->shard.vocab1 - e->me->shard.vocab0, numbers = 1;
    for (int w = 0; w < e->head.n_want; w++) {
        const float *logits = e->logits + (size_t)w * (size_t)rows;
        char *at = e->gather_mine + sizeof(int64_t) + (size_t)w * offer_bytes(e);
        uint64_t hash = hash_floats(logits, (size_t)rows, (uint64_t)e->me->shard.vocab0);
        memcpy(at, &hash, sizeof hash);
        sampler_best(logits, rows, e->me->shard.vocab0, (struct candidate *)(at + sizeof hash),
                     e->plan->opts.top_candidates);
        for (int i = 0; i < rows; i++)
            numbers &= logits[i] == logits[i];
    }
    return (e->job->stop && *e->job->stop ? STOP_ASKED : 0) | (numbers ? 0 : STOP_NAN);
}

/* Hash and draw of wanted token w from the offers of all ranks of the group. */
static void read_offers(struct engine *e, int w, size_t bytes, struct token_entry *out) {
    int k = e->plan->opts.top_candidates, m = 0;
    out->logit_hash = 0;
    for (int r = 0; r < e->group->size; r++) {
        const char *at = e->gather_all + (size_t)r * bytes + sizeof(int64_t) + (size_t)w * offer_bytes(e);
        uint64_t hash;
        memcpy(&hash, at, sizeof hash);
        out->logit_hash += hash;
        memcpy(e->pool + m, at + sizeof hash, (size_t)k * sizeof *e->pool);
        m += k;
    }
    out->id = sampler_draw(&e->job->sampling, e->pool, m, engine_seq_of_slot(e, out->slot), out->pos);
}

static uint64_t entry_hash(const struct token_entry *t) {
    return hash_mix(hash_mix((uint64_t)(uint32_t)t->slot << 32 | (uint32_t)t->pos) + (uint64_t)t->id + 1) ^
           t->logit_hash;
}

/* Token i + 1 of the pass is a draft of what was sampled after token i, and is right. */
static int draft_holds(const struct engine *e, int i, int id) {
    const struct pass_token *t = &e->tok[i], *next = t + 1;
    return i + 1 < e->head.n && next->want && next->slot == t->slot && next->id == id;
}

/* Draws after each wanted token whose sequence has come that far: not after drafts that follow a wrong one. */
static void draw_wanted(struct engine *e, size_t bytes) {
    int w = 0, refused = -1; /* sequence whose drafts are over; its tokens lie together */
    for (int i = 0; i < e->head.n; i++) {
        const struct pass_token *p = &e->tok[i];
        if (!p->want) continue;
        int at = w++;
        if (p->slot == refused) continue;
        struct token_entry *t = &e->sampled[e->sampled_head.n++];
        *t = (struct token_entry){.slot = p->slot, .pos = p->pos};
        read_offers(e, at, bytes, t);
        e->sampled_hash[e->head.micro] += entry_hash(t);
        if (!draft_holds(e, i, t->id)) refused = p->slot;
    }
}

static void run_sample(struct engine *e, int layer) {
    (void)layer;
    if (!e->head.n_want) return;
    size_t bytes = sizeof(int64_t) + (size_t)e->head.n_want * offer_bytes(e);
    int64_t stop = write_offers(e);
    memcpy(e->gather_mine, &stop, sizeof stop);
    agree_allgather(e->group, e->gather_mine, bytes, e->gather_all);

    e->sampled_head = (struct token_header){.micro = e->head.micro};
    for (int r = 0; r < e->group->size; r++) {
        memcpy(&stop, e->gather_all + (size_t)r * bytes, sizeof stop);
        e->sampled_head.stop |= (int32_t)stop;
    }
    draw_wanted(e, bytes);
}

static void run_send_token(struct engine *e, int layer) {
    (void)layer;
    if (!e->head.n_want || !e->me->n_token_to) return;
    struct send_buffer *b = next_buffer(e);
    size_t entries = (size_t)e->sampled_head.n * sizeof *e->sampled;
    memcpy(b->bytes, &e->sampled_head, sizeof e->sampled_head);
    memcpy(b->bytes + sizeof e->sampled_head, e->sampled, entries);
    for (int i = 0; i < e->me->n_token_to; i++) {
        int peer = e->me->token_to_first + i * e->me->token_to_step - e->replica_first;
        link_isend(e->replica, peer, TAG_TOKEN, b->bytes, sizeof e->sampled_head + entries, &b->req[b->n_req++]);
    }
}

static void run_recv_token(struct engine *e, int layer) {
    (void)layer;
    link_recv_upto(e->replica, e->me->token_from - e->replica_first, TAG_TOKEN, e->recv_bytes, e->message_cap);
    memcpy(&e->sampled_head, e->recv_bytes, sizeof e->sampled_head);
    memcpy(e->sampled, e->recv_bytes + sizeof e->sampled_head, (size_t)e->sampled_head.n * sizeof *e->sampled);
    for (int i = 0; i < e->sampled_head.n; i++)
        e->sampled_hash[e->sampled_head.micro] += entry_hash(&e->sampled[i]);
}

void (*const step_run[STEP_COUNT])(struct engine *e, int layer) = {
    [STEP_RECV_HIDDEN] = run_recv_hidden,
    [STEP_EMBED] = run_embed,
    [STEP_ATTN_NORM] = run_attn_norm,
    [STEP_QKV] = run_qkv,
    [STEP_ROPE] = run_rope,
    [STEP_ATTENTION] = run_attention,
    [STEP_ATTN_MERGE] = run_attn_merge,
    [STEP_ATTN_OUT] = run_attn_out,
    [STEP_ATTN_REDUCE] = run_attn_reduce,
    [STEP_ATTN_ADD] = run_attn_add,
    [STEP_FFN_NORM] = run_ffn_norm,
    [STEP_FFN_UP] = run_ffn_up,
    [STEP_FFN_ACT] = run_ffn_act,
    [STEP_FFN_DOWN] = run_ffn_down,
    [STEP_FFN_REDUCE] = run_ffn_reduce,
    [STEP_FFN_ADD] = run_ffn_add,
    [STEP_SEND_HIDDEN] = run_send_hidden,
    [STEP_OUT_NORM] = run_out_norm,
    [STEP_HEAD] = run_head,
    [STEP_SAMPLE] = run_sample,
    [STEP_SEND_TOKEN] = run_send_token,
    [STEP_RECV_TOKEN] = run_recv_token,
};
