/* hash.c - one number for all that the ranks of a plan must agree on. Addresses stay out of it. */
#include <string.h>

#include "base/hash.h"
#include "parts.h"

static void mix(uint64_t *h, const int64_t *values, size_t n) {
    *h = hash_bytes(values, n * sizeof *values, *h);
}
#define MIX(h, ...) mix((h), (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void mix_opts(uint64_t *h, const struct plan_opts *o) {
    const struct decoder_opts *c = &o->decoder;
    MIX(h, c->linear_bits, c->head_bits, c->silu_bits, c->kv, c->hidden, c->n_seqs, c->n_ctx, c->max_tokens, c->threads,
        (int64_t)c->seed);
    MIX(h, (int64_t)o->mem_bytes, o->n_micro, o->top_candidates, o->max_logits, o->transport, o->domain_ranks);
    if (o->wire) *h = hash_bytes(o->wire->name, strlen(o->wire->name), *h);
}

static void mix_stage(uint64_t *h, const struct plan_stage *stage) {
    MIX(h, stage->first, stage->size, stage->layer0, stage->layer1);
    for (int i = 0; i <= stage->size; i++)
        MIX(h, stage->head_begin[i], stage->ffn_begin[i], stage->vocab_begin[i]);
}

static void mix_group(uint64_t *h, const struct plan_group *g) {
    *h = hash_bytes(g->attn_algo.name, strlen(g->attn_algo.name), *h);
    *h = hash_bytes(g->ffn_algo.name, strlen(g->ffn_algo.name), *h);
}

static void mix_block(uint64_t *h, const struct plan_block *b) {
    for (int i = 0; i < b->n; i++) {
        const struct step_cost *c = &b->step[i].cost;
        MIX(h, b->step[i].kind, c->weight_bytes, c->row_bytes_per_tok, c->kv_bytes_per_tok, c->kv_bytes_per_ctx);
        mix(h, c->ops_per_tok, PREC_COUNT);
        mix(h, c->ops_per_ctx, PREC_COUNT);
        MIX(h, c->messages, c->sent_bytes, c->sent_bytes_per_tok, c->extra_bytes_per_tok);
    }
}

static void mix_rank(uint64_t *h, const struct plan *p, const struct plan_rank *r) {
    const struct shard_spec *s = &r->shard;
    MIX(h, r->role, r->replica, r->stage, r->tp_index, s->layer0, s->layer1, s->head0, s->head1, s->ffn_leaf0,
        s->ffn_leaf1, s->vocab0, s->vocab1, s->embed, s->final_norm);
    MIX(h, (int64_t)r->bytes.weights, (int64_t)r->bytes.kv, (int64_t)r->bytes.work, (int64_t)r->engine_bytes);
    MIX(h, r->recv_from, r->send_to_first, r->send_to_step, r->n_send_to, r->token_from, r->token_to_first,
        r->token_to_step, r->n_token_to);
    MIX(h, plan_block_index(p, r->prologue), plan_block_index(p, r->epilogue));
    for (int l = 0; l < s->layer1 - s->layer0; l++)
        MIX(h, plan_block_index(p, r->layers[l]));
}

uint64_t plan_hash(const struct plan *p) {
    uint64_t h = hash_bytes(&p->shape, sizeof p->shape, 0);
    h = hash_bytes(p->strategy.text, strlen(p->strategy.text), h);
    mix_opts(&h, &p->opts);
    h = hash_bytes(p->drop_sync, sizeof p->drop_sync, h);
    MIX(&h, p->n_ranks, p->ranks_per_replica, p->n_stages, p->store->n_blocks);
    for (int i = 0; i < p->n_stages; i++)
        mix_stage(&h, &p->stages[i]);
    for (int i = 0; i < p->store->n_groups; i++)
        mix_group(&h, p->store->groups[i]);
    for (int i = 0; i < p->store->n_blocks; i++)
        mix_block(&h, p->store->blocks[i]);
    for (int i = 0; i < p->n_ranks; i++)
        mix_rank(&h, p, &p->ranks[i]);
    return h;
}
