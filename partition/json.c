/* json.c - the plan as JSON: blocks once, ranks refer to them by number; units stand in the key names. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "parts.h"

static void set_int(json_t *o, const char *key, int64_t v) {
    json_object_set_new(o, key, json_integer(v));
}

static void set_text(json_t *o, const char *key, const char *v) {
    json_t *text = json_string(v); /* NULL where a name of a file is no UTF-8 */
    json_object_set_new(o, key, text ? text : json_string("?"));
}

static void set_range(json_t *o, const char *key, int begin, int end) {
    json_object_set_new(o, key, begin < end ? json_pack("[ii]", begin, end) : json_array());
}

static json_t *int_array(const int *v, int n) {
    json_t *a = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(a, json_integer(v[i]));
    return a;
}

static void set_ops(json_t *o, const char *const key[PREC_COUNT], const int64_t ops[PREC_COUNT]) {
    for (int k = 0; k < PREC_COUNT; k++)
        set_int(o, key[k], ops[k]);
}

static json_t *step_json(const struct plan_step *step) {
    static const char *const per_tok[PREC_COUNT] = {"f32_ops_per_tok", "i8_ops_per_tok", "i4_ops_per_tok"};
    static const char *const per_ctx[PREC_COUNT] = {"f32_ops_per_position", "i8_ops_per_position",
                                                    "i4_ops_per_position"};
    const struct step_cost *c = &step->cost;
    json_t *o = json_object();
    set_text(o, "step", step_name(step->kind));
    set_text(o, "class", step_class(step->kind));
    json_object_set_new(o, "per_sampled_token", json_boolean(step_is_sampled(step->kind)));
    set_int(o, "weight_bytes", c->weight_bytes);
    set_int(o, "embedding_bytes_per_tok", c->row_bytes_per_tok);
    set_int(o, "kv_written_bytes_per_tok", c->kv_bytes_per_tok);
    set_int(o, "kv_read_bytes_per_position", c->kv_bytes_per_ctx);
    set_ops(o, per_tok, c->ops_per_tok);
    set_ops(o, per_ctx, c->ops_per_ctx);
    set_int(o, "messages", c->messages);
    set_int(o, "sent_bytes", c->sent_bytes);
    set_int(o, "sent_bytes_per_tok", c->sent_bytes_per_tok);
    set_int(o, "extra_bytes_per_tok", c->extra_bytes_per_tok);
    return o;
}

static json_t *blocks_json(const struct plan *p) {
    json_t *blocks = json_array();
    for (int i = 0; i < p->store->n_blocks; i++) {
        json_t *steps = json_array();
        for (int k = 0; k < p->store->blocks[i]->n; k++)
            json_array_append_new(steps, step_json(&p->store->blocks[i]->step[k]));
        json_array_append_new(blocks, steps);
    }
    return blocks;
}

static json_t *stages_json(const struct plan *p) {
    json_t *stages = json_array();
    for (int i = 0; i < p->n_stages; i++) {
        const struct plan_stage *s = &p->stages[i];
        json_t *o = json_object();
        set_int(o, "ranks", s->size);
        set_range(o, "layers", s->layer0, s->layer1);
        json_object_set_new(o, "head_begin", int_array(s->head_begin, s->size + 1));
        json_object_set_new(o, "ffn_leaf_begin", int_array(s->ffn_begin, s->size + 1));
        json_object_set_new(o, "vocab_begin", int_array(s->vocab_begin, s->size + 1));
        const struct plan_group *g = plan_group_of(p, i);
        json_object_set_new(o, "attn_reduce", s->size > 1 ? json_string(g->attn_algo.name) : json_null());
        json_object_set_new(o, "ffn_reduce", s->size > 1 ? json_string(g->ffn_algo.name) : json_null());
        json_object_set_new(o, "wire", s->size > 1 && p->opts.wire ? json_string(p->opts.wire->name) : json_null());
        json_array_append_new(stages, o);
    }
    return stages;
}

static json_t *receivers_json(int first, int step, int n) {
    json_t *a = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(a, json_integer(first + (json_int_t)i * step));
    return a;
}

static void set_memory(json_t *o, const struct plan_rank *r) {
    set_int(o, "weight_bytes", (int64_t)r->bytes.weights);
    set_int(o, "kv_cache_bytes", (int64_t)r->bytes.kv);
    set_int(o, "decoder_workspace_bytes", (int64_t)r->bytes.work);
    set_int(o, "engine_workspace_bytes", (int64_t)r->engine_bytes);
    set_int(o, "total_bytes", plan_rank_bytes(r));
}

static json_t *rank_json(const struct plan *p, int rank) {
    const struct plan_rank *r = &p->ranks[rank];
    json_t *o = json_object(), *layers = json_array();
    set_int(o, "rank", rank);
    set_text(o, "role", r->role == RANK_HOST ? "host" : "card");
    set_int(o, "replica", r->replica);
    set_int(o, "stage", r->stage);
    set_int(o, "tp_index", r->tp_index);
    set_range(o, "layers", r->shard.layer0, r->shard.layer1);
    set_range(o, "heads", r->shard.head0, r->shard.head1);
    set_range(o, "kv_heads", r->kv_head0, r->kv_head1);
    set_range(o, "ffn_columns", r->ffn0, r->ffn1);
    set_range(o, "vocab_rows", r->shard.vocab0, r->shard.vocab1);
    set_memory(o, r);
    json_object_set_new(o, "hidden_from_rank", r->recv_from >= 0 ? json_integer(r->recv_from) : json_null());
    json_object_set_new(o, "hidden_to_ranks", receivers_json(r->send_to_first, r->send_to_step, r->n_send_to));
    json_object_set_new(o, "token_from_rank", r->token_from >= 0 ? json_integer(r->token_from) : json_null());
    json_object_set_new(o, "token_to_ranks", receivers_json(r->token_to_first, r->token_to_step, r->n_token_to));
    for (int i = 0; i < r->shard.layer1 - r->shard.layer0; i++)
        json_array_append_new(layers, json_integer(plan_block_index(p, r->layers[i])));
    set_int(o, "prologue_block", plan_block_index(p, r->prologue));
    json_object_set_new(o, "layer_blocks", layers);
    set_int(o, "epilogue_block", plan_block_index(p, r->epilogue));
    return o;
}

static json_t *token_json(const struct plan *p) {
    struct plan_totals all;
    plan_token_totals(p, &all, NULL);
    json_t *o = json_object();
    set_int(o, "position", p->opts.decoder.n_ctx);
    set_int(o, "weight_bytes", (int64_t)all.weight_bytes);
    set_int(o, "kv_cache_bytes", (int64_t)all.kv_bytes);
    set_int(o, "f32_ops", (int64_t)all.ops[PREC_F32]);
    set_int(o, "i8_ops", (int64_t)all.ops[PREC_I8]);
    set_int(o, "i4_ops", (int64_t)all.ops[PREC_I4]);
    set_int(o, "comm_messages_per_tok", (int64_t)all.messages);
    set_int(o, "comm_bytes_per_tok", (int64_t)all.sent_bytes);
    set_int(o, "comm_extra_bytes_per_tok", (int64_t)all.extra_bytes);
    return o;
}

static json_t *replication_json(const struct plan *p) {
    struct plan_replication r;
    plan_replication(p, &r);
    json_t *o = json_object();
    set_int(o, "one_copy_bytes", r.model);
    set_int(o, "held_in_a_replica_bytes", r.held);
    set_int(o, "embedding_bytes", r.embedding);
    set_int(o, "kv_heads_bytes", r.kv_heads);
    set_int(o, "other_bytes", r.other);
    return o;
}

static json_t *kinds_json(const struct strategy *st) {
    json_t *a = json_array();
    for (int i = 0; strategy_kinds[i]; i++)
        if (strategy_kinds[i]->matches(st)) json_array_append_new(a, json_string(strategy_kinds[i]->name));
    return a;
}

char *plan_json(const struct plan *p) {
    char hash[20];
    snprintf(hash, sizeof hash, "%016" PRIx64, p->hash);
    json_t *o = json_object(), *ranks = json_array();
    set_text(o, "model", p->shape.name);
    set_text(o, "strategy", p->strategy.text);
    json_object_set_new(o, "kinds", kinds_json(&p->strategy));
    set_int(o, "ranks_total", p->n_ranks);
    set_int(o, "replicas", p->strategy.dp);
    set_int(o, "ranks_per_replica", p->ranks_per_replica);
    set_text(o, "plan_hash", hash);
    set_int(o, "mem_limit_bytes", (int64_t)p->opts.mem_bytes);
    set_int(o, "max_tokens_per_pass", p->opts.decoder.max_tokens);
    set_int(o, "sequences", p->opts.decoder.n_seqs);
    set_int(o, "context_positions", p->opts.decoder.n_ctx);
    set_int(o, "micro_batches", p->opts.n_micro);
    json_object_set_new(o, "stages", stages_json(p));
    for (int i = 0; i < p->n_ranks; i++)
        json_array_append_new(ranks, rank_json(p, i));
    json_object_set_new(o, "ranks", ranks);
    json_object_set_new(o, "replication", replication_json(p));
    json_object_set_new(o, "blocks", blocks_json(p));
    json_object_set_new(o, "decode_token", token_json(p));
    char *text = json_dumps(o, JSON_INDENT(2));
    json_decref(o);
    return text;
}
