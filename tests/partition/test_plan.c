/* Properties of plans over random models and strategies of 1 to 64 ranks: everything is held exactly once, messages are
 * those of the schedules, bytes are those of the shards. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "collectives/agree.h"
#include "random_shape.h"

enum { N_PLANS = 500 };

static const struct plan_rank *rank_of(const struct plan *p, int replica, int stage, int j) {
    return &p->ranks[replica * p->ranks_per_replica + p->stages[stage].first + j];
}

/* How often item i of [0, n) lies in the ranges that `range` gives for the ranks of a stage. */
enum held { HELD_HEADS, HELD_LEAVES, HELD_COLUMNS, HELD_VOCAB };

static void range_of(const struct plan_rank *r, enum held what, int *begin, int *end) {
    const int all[4][2] = {{r->shard.head0, r->shard.head1},
                           {r->shard.ffn_leaf0, r->shard.ffn_leaf1},
                           {r->ffn0, r->ffn1},
                           {r->shard.vocab0, r->shard.vocab1}};
    *begin = all[what][0];
    *end = all[what][1];
}

static void check_once(const struct plan *p, int replica, int stage, enum held what, int n) {
    int *times = calloc((size_t)n + 1, sizeof *times), wrong = 0;
    for (int j = 0; j < p->stages[stage].size; j++) {
        int begin, end;
        range_of(rank_of(p, replica, stage, j), what, &begin, &end);
        CHECK(0 <= begin && begin <= end && end <= n, "%s: range %d..%d of %d", p->strategy.text, begin, end, n);
        for (int i = begin; i < end; i++)
            times[i]++;
    }
    for (int i = 0; i < n; i++)
        wrong += times[i] != 1;
    CHECK(wrong == 0, "%s %s: %d of %d items of kind %d not held once in stage %d", p->shape.name, p->strategy.text,
          wrong, n, what, stage);
    free(times);
}

/* KV heads of a rank are exactly those that its query heads read, and those of the ranks that share its cache. */
static void check_kv(const struct plan *p, const struct plan_rank *r) {
    int share = p->shape.n_heads / p->shape.n_kv_heads, lowest = p->shape.n_kv_heads, highest = -1, head0, head1;
    shard_query_heads(&r->shard, &head0, &head1);
    for (int h = head0; h < head1; h++) {
        if (h / share < lowest) lowest = h / share;
        if (h / share > highest) highest = h / share;
    }
    if (highest < 0) lowest = 0;
    CHECK(r->kv_head0 == lowest && r->kv_head1 == highest + 1, "%s: heads %d..%d with KV %d..%d", p->strategy.text,
          r->shard.head0, r->shard.head1, r->kv_head0, r->kv_head1);
}

static void check_ownership(const struct plan *p) {
    const struct model_shape *s = &p->shape;
    int leaves = order_axis_runs(s->d_ffn).n_leaves;
    for (int replica = 0; replica < p->strategy.dp; replica++) {
        int layer = 0, last = p->n_stages - 1;
        for (int stage = 0; stage <= last; stage++) {
            const struct plan_stage *st = &p->stages[stage];
            CHECK(st->layer0 == layer && st->layer1 >= layer, "%s: stage %d starts at %d", p->strategy.text, stage,
                  st->layer0);
            layer = st->layer1;
            if (st->layer1 > st->layer0) {
                check_once(p, replica, stage, HELD_HEADS, s->n_heads);
                check_once(p, replica, stage, HELD_LEAVES, leaves);
                check_once(p, replica, stage, HELD_COLUMNS, s->d_ffn);
            }
            if (stage == last) check_once(p, replica, stage, HELD_VOCAB, s->causal ? s->n_vocab : 0);
            for (int j = 0; j < st->size; j++) {
                const struct plan_rank *r = rank_of(p, replica, stage, j);
                CHECK(r->replica == replica && r->stage == stage && r->tp_index == j, "%s: rank out of place",
                      p->strategy.text);
                CHECK(r->shard.layer0 == st->layer0 && r->shard.layer1 == st->layer1, "%s: layers of a rank",
                      p->strategy.text);
                CHECK(r->shard.embed == (stage == 0) && r->shard.final_norm == (stage == last && s->causal), "%s: ends",
                      p->strategy.text);
                CHECK((r->role == RANK_HOST) == (stage == 0 && p->strategy.host), "%s: role", p->strategy.text);
                if (stage != last)
                    CHECK(r->shard.vocab0 == r->shard.vocab1, "%s: vocabulary before the end", p->strategy.text);
                check_kv(p, r);
            }
        }
        CHECK(layer == s->n_layers, "%s: %d of %d layers", p->strategy.text, layer, s->n_layers);
    }
    for (int i = 0; i < p->n_stages; i++)
        if (p->strategy.stage_layers[i] >= 0)
            CHECK(p->stages[i].layer1 - p->stages[i].layer0 == p->strategy.stage_layers[i], "%s: stage %d",
                  p->strategy.text, i);
        else
            CHECK(p->stages[i].layer1 > p->stages[i].layer0, "%s: stage %d is empty", p->strategy.text, i);
}

/* ---- bytes ---- */

static int64_t whole_bytes(const struct model_shape *s, enum role role, int layer) {
    int rows, cols;
    shape_role_size(s, role, &rows, &cols);
    return rows ? (int64_t)shape_part_bytes(s, role, layer, 0, rows, 0, cols) : 0;
}

/* K and V of a layer for some KV heads, as a rank keeps them: in panels of 16 rows if quantized, steps of rows apart,
 * each in whole lines of 64 bytes. */
static int64_t kv_held(const struct model_shape *s, int layer, int heads) {
    int64_t n = 0;
    for (int r = ROLE_K; r <= ROLE_V; r++) {
        const struct tensor_type *type = shape_type(s, (enum role)r, layer);
        size_t rows = (size_t)(heads * s->head_dim), steps = type->per_channel ? rows * sizeof(float) : 0;
        size_t kept = type->is_float ? rows : (rows + 15) / 16 * 16;
        n += (int64_t)((kept * tensor_type_row_bytes(type, s->d_model) + 63) / 64 * 64 + (steps + 63) / 64 * 64);
    }
    return n;
}

/* Bytes that are held more than once, from first principles. */
static void check_replication(const struct plan *p) {
    const struct model_shape *s = &p->shape;
    struct plan_replication got;
    plan_replication(p, &got);
    int64_t tables =
        whole_bytes(s, ROLE_EMBED, 0) + whole_bytes(s, ROLE_POS_EMBED, 0) + whole_bytes(s, ROLE_TYPE_EMBED, 0);
    int64_t embedding = (p->stages[0].size - 1) * tables, kv = 0, held = 0;
    if (s->tied_head && p->n_stages > 1) embedding += whole_bytes(s, ROLE_HEAD, 0);
    for (int i = 0; i < p->ranks_per_replica; i++) {
        const struct plan_rank *r = &p->ranks[i];
        held += (int64_t)r->bytes.weights;
        for (int l = r->shard.layer0; l < r->shard.layer1; l++)
            kv += kv_held(s, l, r->kv_head1 - r->kv_head0);
    }
    for (int l = 0; l < s->n_layers; l++)
        kv -= kv_held(s, l, s->n_kv_heads);
    CHECK(got.held == held && got.held == got.model + got.embedding + got.kv_heads + got.other, "%s: parts",
          p->strategy.text);
    CHECK(got.embedding == embedding, "%s %s: embedding %lld, not %lld", s->name, p->strategy.text,
          (long long)got.embedding, (long long)embedding);
    CHECK(got.kv_heads == kv, "%s %s: KV heads %lld, not %lld", s->name, p->strategy.text, (long long)got.kv_heads,
          (long long)kv);
    CHECK(got.other >= 0, "%s %s: other %lld", s->name, p->strategy.text, (long long)got.other);
    if (p->ranks_per_replica == 1) CHECK(got.held == got.model && !got.other, "%s: one rank", p->strategy.text);
}

/* What one pass reads, over the ranks of a replica: the matrices once, replicated KV heads, vectors, an embedding row;
 * and the blocks of O and DOWN that a split leaves on two ranks. */
static void check_weights_read(const struct plan *p) {
    const struct model_shape *s = &p->shape;
    struct plan_pass pass = {.tokens = 1, .sampled = s->causal, .ctx_sum = 0};
    double got = 0, want = (double)whole_bytes(s, ROLE_HEAD, 0), row = 0;
    for (int l = 0; l < s->n_layers; l++)
        for (int r = ROLE_Q; r <= ROLE_UP; r++)
            if (r != ROLE_O && r != ROLE_K && r != ROLE_V)
                want += (r == ROLE_Q ? p->strategy.kvp : 1) * (double)whole_bytes(s, (enum role)r, l);
    for (int r = ROLE_EMBED; r <= ROLE_TYPE_EMBED; r++) {
        int rows, cols;
        shape_role_size(s, (enum role)r, &rows, &cols);
        row += rows ? (double)shape_part_bytes(s, (enum role)r, 0, 0, 1, 0, cols) : 0;
    }
    want += p->stages[0].size * row;
    for (int i = 0; i < p->ranks_per_replica; i++) {
        const struct plan_rank *r = &p->ranks[i];
        struct plan_totals t;
        plan_totals(p, i, &pass, &t);
        got += t.weight_bytes;
        int heads = (r->shard.head1 - r->shard.head0) * p->strategy.kvp, kv = r->kv_head1 - r->kv_head0, vectors = 0;
        for (int v = VEC_ATTN_NORM; v <= VEC_DOWN_B;
             v++) { /* per layer: whole ones, and the rank's part of row biases */
            int whole = shape_vec_size(s, (enum vec)v);
            if (v == VEC_Q_B)
                whole = whole ? heads * s->head_dim : 0;
            else if (v == VEC_K_B || v == VEC_V_B)
                whole = whole ? kv * s->head_dim : 0;
            else if (v == VEC_GATE_B || v == VEC_UP_B)
                whole = whole ? r->ffn1 - r->ffn0 : 0;
            else if (v == VEC_Q_NORM || v == VEC_K_NORM)
                whole = heads ? whole : 0;
            vectors += whole;
        }
        want += 4.0 * vectors * (r->shard.layer1 - r->shard.layer0);
        if (r->shard.embed) want += 4.0 * (shape_vec_size(s, VEC_EMBED_NORM) + shape_vec_size(s, VEC_EMBED_NORM_B));
        if (r->shard.final_norm) want += 4.0 * (shape_vec_size(s, VEC_OUT_NORM) + shape_vec_size(s, VEC_OUT_NORM_B));
        for (int l = r->shard.layer0; l < r->shard.layer1; l++) { /* its KV heads; column shards, as stored */
            want += (double)((whole_bytes(s, ROLE_K, l) + whole_bytes(s, ROLE_V, l)) / s->n_kv_heads * kv);
            want += (double)shape_part_bytes(s, ROLE_O, l, 0, s->d_model, r->shard.head0 * s->head_dim,
                                             r->shard.head1 * s->head_dim);
            want += (double)shape_part_bytes(s, ROLE_DOWN, l, 0, s->d_model, r->ffn0, r->ffn1);
        }
    }
    if (shape_vec_size(s, VEC_HEAD_B)) want += 4.0 * s->n_vocab;
    CHECK(got == want, "%s %s: reads %.0f, not %.0f", s->name, p->strategy.text, got, want);
}

/* Shards that are opened hold what the plan says. */
static void check_opened(const struct plan *p, int rank) {
    const struct plan_rank *r = &p->ranks[rank];
    struct decoder *dec;
    struct diag d = {0};
    int rc = decoder_open(&dec, &p->shape, NULL, &r->shard, &p->opts.decoder, &d);
    CHECK(rc == 0, "%s %s rank %d: %s", p->shape.name, p->strategy.text, rank, d.text);
    if (rc) return;
    CHECK(dec->weight_bytes == r->bytes.weights && dec->kv_bytes == r->bytes.kv && dec->work_bytes == r->bytes.work,
          "%s %s rank %d: %zu %zu %zu bytes opened", p->shape.name, p->strategy.text, rank, dec->weight_bytes,
          dec->kv_bytes, dec->work_bytes);
    CHECK(dec->kv_head0 == r->kv_head0 && dec->kv_head1 == r->kv_head1 && dec->ffn0 == r->ffn0 && dec->ffn1 == r->ffn1,
          "%s %s rank %d: ranges", p->shape.name, p->strategy.text, rank);
    struct sched attn = {0}, ffn = {0};
    plan_schedule(p, rank, STEP_ATTN_REDUCE, &attn, &d);
    plan_schedule(p, rank, STEP_FFN_REDUCE, &ffn, &d);
    if (r->shard.layer1 > r->shard.layer0)
        CHECK(dec->attn_nodes == attn.n_in && dec->ffn_nodes == ffn.n_in,
              "%s %s rank %d: %d and %d sums for %d and %d slots", p->shape.name, p->strategy.text, rank,
              dec->attn_nodes, dec->ffn_nodes, attn.n_in, ffn.n_in);
    sched_fini(&attn);
    sched_fini(&ffn);
    decoder_close(dec);
}

/* ---- messages ---- */

static const struct step_cost *find_step(const struct plan_block *b, enum step_kind kind) {
    for (int i = 0; i < b->n; i++)
        if (b->step[i].kind == kind) return &b->step[i].cost;
    return NULL;
}

static void check_reduce(const struct plan *p, int stage, enum step_kind kind) {
    const struct plan_stage *st = &p->stages[stage];
    struct sched *all = calloc((size_t)st->size, sizeof *all);
    struct diag d = {0};
    int attn = kind == STEP_ATTN_REDUCE;
    size_t n = (size_t)p->shape.d_model;
    if (!attn && plan_sync(p, st->first, st->layer0) == SYNC_JOINED) n *= 2;
    struct coll_shape shape = {st->size, attn ? p->shape.n_heads : order_axis_runs(p->shape.d_ffn).n_leaves,
                               attn ? st->head_begin : st->ffn_begin, NULL};
    for (int j = 0; j < st->size; j++) {
        const struct plan_rank *r = rank_of(p, 0, stage, j);
        CHECK(plan_schedule(p, (int)(r - p->ranks), kind, &all[j], &d) == 0, "%s: %s", p->strategy.text, d.text);
        struct coll_cost cost;
        sched_count(&all[j], n, 16, &cost);
        int64_t messages = (int64_t)cost.messages, sent = (int64_t)cost.sent, adds = (int64_t)cost.reduced;
        int64_t vectors = 0;
        for (int i = 0; i < all[j].n_steps; i++)
            vectors += all[j].steps[i].op == SCHED_SEND ? all[j].steps[i].count - 1 : 0;
        for (int l = 0; l < r->shard.layer1 - r->shard.layer0; l++) {
            const struct step_cost *c = find_step(r->layers[l], kind);
            int has = st->size > 1 && (!attn || plan_sync(p, st->first, st->layer0 + l) == SYNC_TWO);
            CHECK(!!c == has, "%s: an all-reduce among %d", p->strategy.text, st->size);
            if (!c) continue;
            CHECK(c->messages == messages && c->sent_bytes == 0, "%s: messages", p->strategy.text);
            CHECK(c->sent_bytes_per_tok == sent * 4, "%s: bytes", p->strategy.text);
            if (all[j].n_parts == 1)
                CHECK(c->extra_bytes_per_tok == vectors * 4 * (int64_t)n, "%s: extra", p->strategy.text);
            CHECK((c->extra_bytes_per_tok > 0) == (vectors > 0), "%s: extra", p->strategy.text);
            CHECK(c->ops_per_tok[PREC_F32] == adds, "%s: additions", p->strategy.text);
        }
    }
    enum coll_label label;
    CHECK(sched_check(all, COLL_ALLREDUCE, &shape, &label, &d) == 0 && label == COLL_BIT_EXACT, "%s: %s",
          p->strategy.text, d.text);
    for (int j = 0; j < st->size; j++)
        sched_fini(&all[j]);
    free(all);
}

/* Of a vector between stages. */
static size_t vector_bytes(const struct plan *p) {
    size_t d = (size_t)p->shape.d_model, groups = (d + 31) / 32;
    switch (p->opts.decoder.hidden) {
    case HIDDEN_F16: return groups * 64;
    case HIDDEN_I8: return groups * 34;
    case HIDDEN_I4: return groups * 18;
    default: return 4 * d;
    }
}

/* Every receiver's sender has it in its list, and lists hold nobody else. */
static void check_pipe(const struct plan *p) {
    int loop = p->n_stages > 1 && p->shape.causal, hidden = 0, tokens = 0;
    for (int i = 0; i < p->n_ranks; i++) {
        const struct plan_rank *r = &p->ranks[i];
        int from = r->replica * p->ranks_per_replica;
        CHECK((r->recv_from >= 0) == (r->stage > 0) && (r->token_from >= 0) == (loop && r->stage == 0), "%s: ends",
              p->strategy.text);
        for (int k = 0; k < r->n_send_to; k++) {
            const struct plan_rank *to = &p->ranks[r->send_to_first + k * r->send_to_step];
            CHECK(to->recv_from == i && to->stage == r->stage + 1 && to->replica == r->replica, "%s: %d sends",
                  p->strategy.text, i);
        }
        for (int k = 0; k < r->n_token_to; k++) {
            const struct plan_rank *to = &p->ranks[r->token_to_first + k * r->token_to_step];
            CHECK(to->token_from == i && to->stage == 0 && to->replica == r->replica, "%s: %d sends tokens",
                  p->strategy.text, i);
        }
        if (r->recv_from >= 0)
            CHECK(r->recv_from == from + p->stages[r->stage - 1].first + r->tp_index % p->stages[r->stage - 1].size,
                  "%s: %d", p->strategy.text, i);
        hidden += r->n_send_to - (r->recv_from >= 0);
        tokens += r->n_token_to - (r->token_from >= 0);
        const struct step_cost *send = find_step(r->epilogue, STEP_SEND_HIDDEN),
                               *token = find_step(r->epilogue, STEP_SEND_TOKEN);
        CHECK((send ? send->messages : 0) == r->n_send_to && (token ? token->messages : 0) == r->n_token_to,
              "%s: steps of %d", p->strategy.text, i);
        if (send)
            CHECK(send->sent_bytes == 24 * r->n_send_to &&
                      send->sent_bytes_per_tok == (16 + (int64_t)vector_bytes(p)) * r->n_send_to,
                  "%s: bytes of %d", p->strategy.text, i);
        if (token)
            CHECK(token->sent_bytes == 16 * r->n_token_to && token->sent_bytes_per_tok == 24 * r->n_token_to, "%s",
                  p->strategy.text);
    }
    CHECK(hidden == 0 && tokens == 0, "%s: %d hidden and %d token messages over", p->strategy.text, hidden, tokens);
}

/* ---- steps, totals, layout ---- */

static void check_steps(const struct plan *p) {
    static const enum step_kind serial[] = {
        STEP_ATTN_NORM, STEP_QKV,    STEP_ROPE,    STEP_ATTENTION, STEP_ATTN_OUT,   STEP_ATTN_REDUCE, STEP_ATTN_ADD,
        STEP_FFN_NORM,  STEP_FFN_UP, STEP_FFN_ACT, STEP_FFN_DOWN,  STEP_FFN_REDUCE, STEP_FFN_ADD};
    static const enum step_kind parallel[] = {
        STEP_ATTN_NORM, STEP_QKV,    STEP_ROPE,    STEP_ATTENTION, STEP_ATTN_OUT,   STEP_FFN_NORM, STEP_ATTN_REDUCE,
        STEP_ATTN_ADD,  STEP_FFN_UP, STEP_FFN_ACT, STEP_FFN_DOWN,  STEP_FFN_REDUCE, STEP_FFN_ADD};
    static const enum step_kind joined[] = {STEP_ATTN_NORM, STEP_QKV,        STEP_ROPE,     STEP_ATTENTION,
                                            STEP_ATTN_OUT,  STEP_FFN_NORM,   STEP_FFN_UP,   STEP_FFN_ACT,
                                            STEP_FFN_DOWN,  STEP_FFN_REDUCE, STEP_ATTN_ADD, STEP_FFN_ADD};
    for (int i = 0; i < p->n_ranks; i++) {
        const struct plan_rank *r = &p->ranks[i];
        int single = p->stages[r->stage].size == 1, merges = p->strategy.kvp > 1;
        for (int l = 0; l < r->shard.layer1 - r->shard.layer0; l++) {
            int at = 0;
            enum plan_sync sync = plan_sync(p, i, r->shard.layer0 + l);
            CHECK(sync != SYNC_TWO || single || !p->drop_sync[r->shard.layer0 + l], "%s: a sync", p->strategy.text);
            for (int k = 0; k < (sync == SYNC_JOINED ? 12 : 13); k++) {
                enum step_kind kind = sync == SYNC_JOINED       ? joined[k]
                                      : p->shape.parallel_block ? parallel[k]
                                                                : serial[k];
                if (single && (kind == STEP_ATTN_REDUCE || kind == STEP_FFN_REDUCE)) continue;
                if (sync == SYNC_DROPPED && kind == STEP_ATTN_REDUCE) continue;
                if (kind == STEP_ATTN_OUT && merges)
                    CHECK(r->layers[l]->step[at++].kind == STEP_ATTN_MERGE, "%s: no merge", p->strategy.text);
                CHECK(at < r->layers[l]->n && r->layers[l]->step[at].kind == kind, "%s: step %d of a layer",
                      p->strategy.text, at);
                at++;
            }
            CHECK(at == r->layers[l]->n, "%s: %d steps", p->strategy.text, r->layers[l]->n);
        }
    }
}

static double total_of(const struct plan_totals *t) {
    return t->weight_bytes + 3 * t->kv_bytes + 5 * t->ops[0] + 7 * t->ops[1] + 11 * t->ops[2] + 13 * t->messages +
           17 * t->sent_bytes + 19 * t->extra_bytes;
}

static void check_totals(const struct plan *p) {
    struct plan_pass pass = {.tokens = 5, .sampled = 2, .ctx_sum = 31};
    struct plan_totals all, one;
    double sum = 0;
    for (int i = 0; i < p->n_ranks; i++) {
        plan_totals(p, i, &pass, &one);
        sum += total_of(&one);
    }
    plan_totals(p, -1, &pass, &all);
    CHECK(sum == total_of(&all), "%s: totals", p->strategy.text);
    pass.sampled = 0;
    for (int i = 0; i < p->n_ranks; i++) {
        plan_totals(p, i, &pass, &one);
        int body = p->ranks[i].shard.layer1 > p->ranks[i].shard.layer0 || p->ranks[i].stage == 0;
        if (!body && !p->ranks[i].n_send_to)
            CHECK(total_of(&one) == 0, "%s: an output stage without samples works", p->strategy.text);
    }
}

static size_t padded(size_t n) {
    return (n + 63) / 64 * 64;
}

static void check_layout(const struct plan *p, int rank) {
    const struct plan_rank *r = &p->ranks[rank];
    struct plan_layout l;
    plan_layout(p, rank, &l);
    size_t vectors = 4ul * (size_t)p->opts.decoder.max_tokens * (size_t)p->shape.d_model,
           logits = (size_t)p->opts.max_logits;
    for (int i = 0; i < PLAN_PART_COUNT; i++)
        CHECK(l.at[i] <= l.at[i + 1] && l.at[i] % 64 == 0, "%s: part %d", p->strategy.text, i);
#define PART(x) (l.at[PLAN_PART_##x + 1] - l.at[PLAN_PART_##x])
    CHECK(l.at[0] == 0 && PART(HIDDEN) == padded(vectors), "%s: hidden", p->strategy.text);
    int layers = r->shard.layer1 > r->shard.layer0, alone = p->stages[r->stage].size == 1;
    size_t colls = 0, bytes, joined = layers && plan_sync(p, rank, r->shard.layer0) == SYNC_JOINED;
    for (int i = (int)joined; i < 2 && layers && !alone; i++) {
        struct coll_spec spec;
        plan_coll(p, rank, i ? STEP_FFN_REDUCE : STEP_ATTN_REDUCE, &spec);
        CHECK(spec.n_max == vectors / 4 * (joined + 1) && spec.shape.size == p->stages[r->stage].size,
              "%s: %zu elements", p->strategy.text, spec.n_max);
        CHECK(coll_bytes(&spec, r->tp_index, &bytes, NULL) == 0 && bytes > vectors, "%s: a collective of %zu bytes",
              p->strategy.text, bytes);
        colls += bytes;
    }
    size_t sums = layers && alone;
    for (int k = r->shard.layer0; k < r->shard.layer1; k++) {
        struct pairtree_node nodes[PAIRTREE_MAX_NODES];
        if (plan_sync(p, rank, k) != SYNC_DROPPED) continue;
        size_t own = (size_t)pairtree_cover(p->shape.n_heads, r->shard.head0, r->shard.head1, nodes);
        sums = 1 + (own ? own : 1);
    }
    CHECK(PART(SUM) == padded(sums * vectors), "%s: sum", p->strategy.text);
    CHECK(PART(LOGITS) == padded(4 * logits * (size_t)(r->shard.vocab1 - r->shard.vocab0)), "%s: logits",
          p->strategy.text);
    size_t hidden = 24 + (vector_bytes(p) + 16) * (size_t)p->opts.decoder.max_tokens, sampled = 16 + 24 * logits;
    CHECK(l.recv_bytes == (r->stage ? hidden : r->token_from >= 0 ? sampled : 0), "%s: recv", p->strategy.text);
    if (r->n_send_to) CHECK(l.send_stride >= hidden, "%s: send", p->strategy.text);
    if (r->n_token_to) CHECK(l.send_stride >= sampled, "%s: send", p->strategy.text);
    CHECK(l.n_send == (r->n_send_to || r->n_token_to ? p->opts.n_micro + 1 : 0), "%s: ring", p->strategy.text);
    CHECK(PART(SEND) == (size_t)l.n_send * l.send_stride, "%s: ring bytes", p->strategy.text);
    CHECK(plan_engine_bytes(p, rank) == l.at[PLAN_PART_COUNT] + colls && r->engine_bytes == plan_engine_bytes(p, rank),
          "%s: total", p->strategy.text);
#undef PART
}

/* No rank can offer more candidates than it has rows. */
static void check_candidates(const struct plan *p, int asked) {
    int most = 0, last = p->n_stages - 1;
    for (int j = 0; j < p->stages[last].size; j++) {
        const struct shard_spec *s = &rank_of(p, 0, last, j)->shard;
        most = s->vocab1 - s->vocab0 > most ? s->vocab1 - s->vocab0 : most;
    }
    int want = asked && asked < most ? asked : most;
    CHECK(p->opts.top_candidates == want, "%s: %d candidates, not %d", p->strategy.text, p->opts.top_candidates, want);
}

/* ---- many plans ---- */

struct known {
    uint64_t hash;
    char what[400];
};

static void check_hash(const struct plan *p, struct known *known, int n) {
    struct plan *again;
    CHECK(plan_make(&again, &p->shape, &p->strategy, p->n_ranks, &p->opts, NULL) == 0 && again->hash == p->hash,
          "%s: hash", p->strategy.text);
    plan_free(again);
    known[n].hash = p->hash;
    snprintf(known[n].what, sizeof known[n].what, "%s %s", p->shape.name, p->strategy.text);
    for (int i = 0; i < n; i++)
        CHECK(known[i].hash != p->hash || !strcmp(known[i].what, known[n].what), "%s and %s have one hash",
              known[i].what, known[n].what);
}

static void test_random_plans(void) {
    static struct known known[N_PLANS];
    static uint64_t speed[64];
    int opened = 0, several_types = 0, n_joined = 0, n_dropped = 0;
    for (int i = 0; i < N_PLANS; i++) {
        struct dice dice = {(uint64_t)(1000 + i), 0};
        struct model_shape s;
        struct strategy st;
        struct plan_opts o;
        struct plan *p = NULL;
        struct diag d = {0};
        random_shape(&dice, &s);
        random_strategy(&dice, &s, &st);
        random_opts(&dice, &o);
        for (int k = 0; k < 64; k++)
            speed[k] = 200000 * (1 + rng_u64((uint64_t)i, (uint64_t)k) % 10);
        if (s.parallel_block && i % 2) strategy_parse(&st, i % 4 == 1 ? "tp2" : "dp2xtp4", NULL); /* joined */
        int may_drop = !s.parallel_block && !s.post_norm && st.tp <= order_axis_runs(s.d_ffn).n_leaves;
        if (i % 2 && may_drop) o.drop_sync = "0";
        if (i % 3 == 2 && !o.drop_sync) o.speed = speed;
        int rc = plan_make(&p, &s, &st, strategy_ranks(&st), &o, &d);
        CHECK(rc == 0, "seed %d, %s: %s", i, st.text, d.text);
        if (rc) continue;
        check_ownership(p);
        check_replication(p);
        check_weights_read(p);
        for (int stage = 0; stage < p->n_stages; stage++) {
            check_reduce(p, stage, STEP_ATTN_REDUCE);
            check_reduce(p, stage, STEP_FFN_REDUCE);
        }
        check_pipe(p);
        check_candidates(p, o.top_candidates);
        check_steps(p);
        check_totals(p);
        for (int r = 0; r < p->n_ranks; r++)
            check_layout(p, r);
        check_hash(p, known, i);
        int first = st.host; /* stage with layer 0 */
        n_joined += plan_sync(p, p->stages[first].first, 0) == SYNC_JOINED;
        n_dropped += plan_sync(p, p->stages[first].first, 0) == SYNC_DROPPED;
        several_types += p->ranks[0].shard.layer1 > 3 && p->ranks[0].layers[0] != p->ranks[0].layers[1];
        if (i % 8 == 0) check_opened(p, roll(&dice, p->n_ranks)), opened++;
        plan_free(p);
    }
    CHECK(n_joined > 5 && n_dropped > 20, "%d joined, %d dropped", n_joined, n_dropped);
    CHECK(opened > 50 && several_types > 20, "%d opened, %d mixed", opened, several_types);
}

/* Options that change what ranks do change the hash. */
static void test_hash_of_options(void) {
    struct dice dice = {5, 0};
    struct model_shape s;
    struct strategy st;
    struct plan_opts base, o;
    uint64_t hash[16];
    preset_shape(&s, "gpt2", NULL, 0, NULL);
    strategy_parse(&st, "tp2xpp2", NULL);
    random_opts(&dice, &base);
    base.n_micro = base.max_logits = base.top_candidates = 1;
    for (int i = 0; i < 15; i++) {
        o = base;
        switch (i) {
        case 1: o.decoder.n_ctx++; break;
        case 2: o.decoder.n_seqs++; break;
        case 3: o.decoder.max_tokens++; break;
        case 4: o.decoder.seed++; break;
        case 5: o.decoder.kv = (o.decoder.kv + 1) % 3; break;
        case 6: o.decoder.linear_bits = o.decoder.linear_bits == ACT_I8 ? ACT_I4 : ACT_I8; break;
        case 7: o.decoder.head_bits = o.decoder.head_bits == ACT_I8 ? ACT_I4 : ACT_I8; break;
        case 8: o.decoder.silu_bits = 8; break;
        case 9: o.n_micro++; break;
        case 10: o.top_candidates++; break;
        case 11: o.max_logits++; break;
        case 12: o.drop_sync = "1,3-4"; break;
        case 13: o.drop_sync = "all"; break;
        case 14: o.decoder.hidden = (o.decoder.hidden + 1) % HIDDEN_FORMS; break;
        default: break;
        }
        struct plan *p = NULL;
        CHECK(plan_make(&p, &s, &st, 4, &o, NULL) == 0, "option %d", i);
        hash[i] = p->hash;
        plan_free(p);
        for (int k = 0; k < i; k++)
            CHECK(hash[k] != hash[i], "options %d and %d have one hash", k, i);
    }
}

/* Lists of layers whose sync is dropped: equal ones have one hash, and what cannot be is refused in words. */
static void test_drop_sync(void) {
    static const struct {
        const char *model, *strategy, *list;
        int rc;
        const char *says;
    } cases[] = {{"gpt2", "tp2", "0,1-11", 0, ""},
                 {"gpt2", "tp2", "all", 0, ""},
                 {"gpt2", "pp2", "0-11", 0, ""},
                 {"gpt2", "tp2", "12", ERR_USAGE, "has 0 to 11"},
                 {"gpt2", "tp2", "3-1", ERR_USAGE, "at '3-1'"},
                 {"gpt2", "tp2", "1,-2", ERR_USAGE, "at '-2'"},
                 {"gpt2", "tp2", "1 ", ERR_USAGE, "at '1 '"},
                 {"gpt2", "tp2", "", ERR_USAGE, "expected none, all"},
                 {"gpt2", "tp2", "99999999999999999999", ERR_USAGE, "has 0 to 11"},
                 {"bert-base", "tp2", "none", 0, ""},
                 {"bert-base", "tp2", "1", ERR_UNSUPPORTED, "whole sum"},
                 {"pythia-410m", "tp2", "1", ERR_UNSUPPORTED, "none to drop"},
                 {"gpt2-xl", "tp20", "0", ERR_PLAN, "no FFN columns"}};
    uint64_t hash[2] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dice dice = {5, 0};
        struct model_shape s;
        struct strategy st;
        struct plan_opts o;
        struct plan *p = NULL;
        struct diag d = {0};
        preset_shape(&s, cases[i].model, NULL, 0, NULL);
        strategy_parse(&st, cases[i].strategy, NULL);
        random_opts(&dice, &o);
        o.drop_sync = cases[i].list;
        int rc = plan_make(&p, &s, &st, strategy_ranks(&st), &o, &d);
        CHECK(rc == cases[i].rc && strstr(d.text, cases[i].says), "'%s': %d %s", cases[i].list, rc, d.text);
        if (p && i < 2) hash[i] = p->hash;
        int drops = st.tp > 1 && strcmp(cases[i].list, "none") != 0;
        if (p) CHECK(plan_label(p) == (drops ? COLL_APPROXIMATE : COLL_BIT_EXACT), "'%s'", cases[i].list);
        plan_free(p);
    }
    CHECK(hash[0] && hash[0] == hash[1], "two spellings of all layers have two hashes");
}

/* ---- layers over stages ---- */

static int64_t cost_of(const struct model_shape *s, const struct strategy *st, int stage, int a, int b) {
    int64_t n = stage == st->n_stages - 1 ? whole_bytes(s, ROLE_HEAD, 0) : 0;
    for (int l = a; l < b; l++)
        for (int r = ROLE_Q; r <= ROLE_DOWN; r++)
            n += whole_bytes(s, (enum role)r, l);
    return n / st->stage_size[stage];
}

/* Least possible cost of the slowest stage, by trying every split. */
static int64_t least_max(const struct model_shape *s, const struct strategy *st, int stage, int layer) {
    if (stage == st->n_stages) return layer == s->n_layers ? 0 : INT64_MAX;
    int64_t best = INT64_MAX;
    int fixed = st->stage_layers[stage], min = fixed >= 0 ? fixed : 1, max = fixed >= 0 ? fixed : s->n_layers - layer;
    for (int n = min; n <= max && layer + n <= s->n_layers; n++) {
        int64_t rest = least_max(s, st, stage + 1, layer + n), here = cost_of(s, st, stage, layer, layer + n);
        if (rest < here) rest = here;
        if (rest < best) best = rest;
    }
    return best;
}

static void test_balance(void) {
    for (int i = 0; i < 150; i++) {
        struct dice dice = {(uint64_t)(9000 + i), 0};
        struct model_shape s;
        struct plan_opts o;
        struct strategy st;
        char text[64] = "stages:";
        random_shape(&dice, &s);
        random_opts(&dice, &o);
        if (s.n_layers > 9) continue;
        int n = 1 + roll(&dice, s.n_layers < 5 ? s.n_layers : 5);
        for (int k = 0; k < n; k++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", k ? "," : "", 1 + roll(&dice, 3));
        struct plan *p = NULL;
        struct diag d = {0};
        CHECK(!strategy_parse(&st, text, &d) && !plan_make(&p, &s, &st, strategy_ranks(&st), &o, &d), "%s: %s", text,
              d.text);
        int64_t slowest = 0;
        for (int k = 0; k < n; k++) {
            int64_t c = cost_of(&s, &st, k, p->stages[k].layer0, p->stages[k].layer1);
            if (c > slowest) slowest = c;
        }
        int64_t least = least_max(&s, &st, 0, 0);
        CHECK(slowest == least, "%s %s: slowest stage %lld, possible %lld", s.name, text, (long long)slowest,
              (long long)least);
        plan_free(p);
    }
}

/* Equal layers and a light output: the split is as even as counting, and no stage waits for a crowded one. */
static void test_even(void) {
    struct model_shape s;
    preset_shape(&s, "llama3-70b", NULL, 0, NULL);
    struct plan_opts o;
    struct dice dice = {1, 0};
    random_opts(&dice, &o);
    for (int n = 1; n <= 80; n++) {
        struct strategy st;
        struct plan *p = NULL;
        char text[16];
        snprintf(text, sizeof text, "pp%d", n);
        CHECK(!strategy_parse(&st, text, NULL) && !plan_make(&p, &s, &st, n, &o, NULL), "pp%d", n);
        int least = 80, most = 0; /* of the stages without the output layer */
        for (int k = 0; k < n - 1; k++) {
            int layers = p->stages[k].layer1 - p->stages[k].layer0;
            least = layers < least ? layers : least;
            most = layers > most ? layers : most;
        }
        CHECK(n == 1 || most - least <= 1, "pp%d: stages of %d to %d layers", n, least, most);
        CHECK(p->stages[n - 1].layer1 - p->stages[n - 1].layer0 <= (most ? most : 80),
              "pp%d: the last stage is the longest", n);
        plan_free(p);
    }
}

/* Heads: whole KV groups unless single ones relieve the heaviest rank; past the number of KV heads no rank is idle. */
static void test_heads(void) {
    static const struct {
        int heads, kv, size, begin[6];
    } cases[] = {
        {32, 8, 4, {0, 8, 16, 24, 32}}, {32, 8, 5, {0, 4, 12, 16, 24, 32}}, {32, 4, 3, {0, 10, 21, 32}},
        {32, 8, 3, {0, 8, 20, 32}},     {8, 4, 5, {0, 2, 4, 6, 7, 8}},      {2, 1, 4, {0, 0, 1, 1, 2}},
        {9, 3, 2, {0, 4, 9}},           {12, 12, 5, {0, 2, 4, 7, 9, 12}},   {14, 2, 5, {0, 3, 7, 9, 11, 14}},
        {14, 2, 3, {0, 7, 10, 14}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_shape s;
        struct strategy st;
        struct plan *p = NULL;
        struct plan_opts o;
        struct dice dice = {3, 0};
        char text[16];
        random_shape(&dice, &s);
        random_opts(&dice, &o);
        s.n_heads = cases[i].heads;
        s.n_kv_heads = cases[i].kv;
        shape_set_types(&s, tensor_type_find("F32"), NULL);
        snprintf(text, sizeof text, "tp%d", cases[i].size);
        CHECK(!strategy_parse(&st, text, NULL) && !plan_make(&p, &s, &st, cases[i].size, &o, NULL), "%s", text);
        for (int j = 0; j <= cases[i].size; j++)
            CHECK(p->stages[0].head_begin[j] == cases[i].begin[j], "%d heads, %d KV, %d ranks: head_begin[%d] = %d",
                  cases[i].heads, cases[i].kv, cases[i].size, j, p->stages[0].head_begin[j]);
        plan_free(p);
    }
}

/* ---- a cache shared by position ---- */

/* The ranks of a shard hold its cache once in all, and read it and compute with it as one rank of `whole` does. */
static void check_shared(const char *preset, const char *text, const char *whole, int n_ctx) {
    struct model_shape s;
    struct strategy st, st1;
    struct plan *p = NULL, *w = NULL;
    struct plan_opts o = {.decoder = {.n_seqs = 2, .n_ctx = n_ctx, .max_tokens = 4, .threads = 1}};
    struct diag d = {0};
    preset_shape(&s, preset, NULL, 0, NULL);
    CHECK(!strategy_parse(&st, text, &d) && !strategy_parse(&st1, whole, &d) && !strcmp(st.text, text), "%s", d.text);
    CHECK(!plan_make(&w, &s, &st1, strategy_ranks(&st1), &o, &d), "%s: %s", whole, d.text);
    CHECK(!plan_make(&p, &s, &st, strategy_ranks(&st), &o, &d), "%s: %s", text, d.text);
    check_ownership(p);
    check_pipe(p);
    check_steps(p);
    check_totals(p);
    check_weights_read(p);
    CHECK(plan_label(p) == COLL_ROUNDING && plan_label(w) == COLL_BIT_EXACT && p->hash != w->hash, "%s: label", text);
    for (int i = 0; i < w->ranks_per_replica; i++) {
        const struct plan_rank *r = &p->ranks[i * st.kvp];
        const struct step_cost *one = find_step(w->ranks[i].layers[0], STEP_ATTENTION),
                               *mine = find_step(r->layers[0], STEP_ATTENTION),
                               *merge = find_step(r->layers[0], STEP_ATTN_MERGE);
        size_t kv = 0;
        for (int k = 0; k < st.kvp; k++)
            kv += r[k].bytes.kv;
        CHECK(kv == w->ranks[i].bytes.kv, "%s: %zu bytes of cache, not %zu", text, kv, w->ranks[i].bytes.kv);
        CHECK(mine->kv_bytes_per_ctx * st.kvp == one->kv_bytes_per_ctx, "%s: bytes a position", text);
        CHECK(mine->ops_per_ctx[PREC_F32] * st.kvp == one->ops_per_ctx[PREC_F32], "%s: operations", text);
        CHECK(merge->messages == st.kvp - 1, "%s: %d messages", text, (int)merge->messages);
        CHECK(merge->sent_bytes_per_tok == (st.kvp - 1) * 4ll * (s.head_dim + 2) * (r->shard.head1 - r->shard.head0),
              "%s: %d bytes", text, (int)merge->sent_bytes_per_tok);
    }
    plan_free(p);
    plan_free(w);
}

static void test_shared(void) {
    check_shared("tinyllama-1.1b", "kvp2", "1", 100);
    check_shared("tinyllama-1.1b", "tp2xkvp4", "tp2", 1000);
    check_shared("llama3-70b", "tp8xkvp4xpp2", "tp8xpp2", 100);
    check_shared("gpt2", "dp2xtp2xkvp3", "dp2xtp2", 20);
}

/* ---- the offers' all-gather: what the plan counts is what the link counts ---- */

struct gather {
    struct link *link;
    char *out;
    size_t bytes;
};

static void *run_gather(void *arg) {
    struct gather *g = arg;
    char *mine = calloc(1, g->bytes);
    agree_allgather(g->link, mine, g->bytes, g->out);
    free(mine);
    return NULL;
}

static void check_gather(int size, int top, int sampled) {
    struct model_shape s;
    struct strategy st;
    struct plan_opts o = {.decoder = {.n_seqs = 8, .n_ctx = 8, .max_tokens = 8, .threads = 1}, .top_candidates = top};
    struct plan *p = NULL;
    char text[16];
    snprintf(text, sizeof text, "tp%d", size);
    preset_shape(&s, "gpt2", NULL, 0, NULL);
    CHECK(!strategy_parse(&st, text, NULL) && !plan_make(&p, &s, &st, size, &o, NULL), "%s", text);
    size_t bytes = 8 + (size_t)sampled * (8 + (size_t)p->opts.top_candidates * 8);
    struct link *links[16];
    struct gather g[16];
    pthread_t thread[16];
    CHECK(link_threads_new(size, links) == 0, "links");
    for (int j = 0; j < size; j++) {
        g[j] = (struct gather){links[j], malloc(bytes * (size_t)size), bytes};
        pthread_create(&thread[j], NULL, run_gather, &g[j]);
    }
    for (int j = 0; j < size; j++)
        pthread_join(thread[j], NULL);
    for (int j = 0; j < size; j++) {
        const struct step_cost *c = find_step(p->ranks[j].epilogue, STEP_SAMPLE);
        CHECK((int64_t)links[j]->counts.messages == c->messages, "%d of %d: %lld messages, planned %lld", j, size,
              (long long)links[j]->counts.messages, (long long)c->messages);
        CHECK((int64_t)links[j]->counts.bytes == c->sent_bytes + sampled * c->sent_bytes_per_tok,
              "%d of %d: %lld bytes", j, size, (long long)links[j]->counts.bytes);
    }
    for (int j = 0; j < size; j++) {
        free(g[j].out);
        link_free(links[j]);
    }
    plan_free(p);
}

static void test_gather(void) {
    for (int size = 1; size <= 16; size++) {
        check_gather(size, 1, 1);
        check_gather(size, 40, 3);
    }
    check_gather(7, 0, 2);
}

/* ---- refusals ---- */

static void refuse(const char *text, int n_ranks, const struct plan_opts *o, int code, const char *says) {
    struct model_shape s;
    struct strategy st;
    struct plan *p = (void *)&s;
    struct diag d = {0};
    preset_shape(&s, "granite-3b-northpole", NULL, 0, NULL);
    CHECK(strategy_parse(&st, text, &d) == 0, "%s: %s", text, d.text);
    CHECK(plan_make(&p, &s, &st, n_ranks, o, &d) == code && p == NULL, "%s over %d", text, n_ranks);
    CHECK(strstr(d.text, says), "%s over %d says: %s", text, n_ranks, d.text);
}

static void test_refusals(void) {
    struct plan_opts ok = {.decoder = {.n_seqs = 1, .n_ctx = 2048, .max_tokens = 16, .threads = 1}}, o = ok;
    refuse("tp2xpp2", 6, &ok, ERR_PLAN, "strategy tp2xpp2 needs 4 ranks (2 stages of 2), but there are 6");
    refuse("dp2xtp3", 1, &ok, ERR_PLAN,
           "strategy dp2xtp3 needs 6 ranks (3 in a group = 3, in 2 replicas), but there is 1");
    refuse("pp15", 15, &ok, ERR_PLAN, "15 stages need a layer each, but granite-3b-northpole has 14: use at most pp14");
    refuse("tp2xkvp3", 6, &ok, ERR_PLAN,
           "tp 2 deals the 32 heads of granite-3b-northpole to shards that are no multiples of 3");
    refuse("stages:1*13/1", 13, &ok, ERR_PLAN, "gives its stages 13 layers in all, but granite-3b-northpole has 14");
    refuse("stages:1*14/1,1", 15, &ok, ERR_PLAN, "14 layers are given and 1 more stage needs at least one");
    refuse("stages:1*13/1,1,1", 15, &ok, ERR_PLAN, "13 layers are given and 2 more stages need at least one");
    o.decoder.n_ctx = 0;
    refuse("1", 1, &o, ERR_RANGE, "0 positions");
    o = ok;
    o.n_micro = -1;
    refuse("1", 1, &o, ERR_RANGE, "negative");
    struct model_shape s;
    struct strategy st;
    struct plan *p = NULL;
    struct diag d = {0};
    preset_shape(&s, "gpt2", NULL, 0, NULL);
    strategy_parse(&st, "1", NULL);
    CHECK(plan_make(&p, &s, &st, 1, &ok, &d) == ERR_RANGE && strstr(d.text, "at most 1024"), "%s", d.text);
    plan_free(NULL);
}

static size_t held(const struct plan_rank *r) {
    return r->bytes.weights + r->bytes.kv + r->bytes.work + r->engine_bytes;
}

/* The limit is exact to the byte, and the refusal names the first rank above it with a sum that adds up. */
static void test_memory(void) {
    struct model_shape s;
    struct strategy st;
    struct plan *p = NULL, *q = NULL;
    struct plan_opts o = {.decoder = {.n_seqs = 2, .n_ctx = 2048, .max_tokens = 64, .threads = 1}};
    preset_shape(&s, "tinyllama-1.1b", NULL, 0, NULL);
    strategy_parse(&st, "stages:2/2,2/20", NULL);
    CHECK(plan_make(&p, &s, &st, 4, &o, NULL) == 0, "plan");
    size_t most = 0;
    int first = -1;
    for (int i = 0; i < 4; i++)
        if (held(&p->ranks[i]) > most) most = held(&p->ranks[i]), first = i;
    CHECK(first == 2, "rank %d holds most", first);
    struct diag d = {0};
    o.mem_bytes = most;
    CHECK(plan_make(&q, &s, &st, 4, &o, &d) == 0, "%s", d.text);
    plan_free(q);
    o.mem_bytes = most - 1;
    CHECK(plan_make(&q, &s, &st, 4, &o, &d) == ERR_PLAN && !q, "not refused");
    int rank, stage, tp;
    double need, weights, kv, work, may;
    int n = sscanf(d.text,
                   "rank %d (stage %d, tp %d) needs %lf MiB = weights %lf + KV cache %lf + workspace %lf, but a rank "
                   "may use %lf MiB",
                   &rank, &stage, &tp, &need, &weights, &kv, &work, &may);
    CHECK(n == 8 && rank == 2 && stage == 1 && tp == 0, "%d fields of: %s", n, d.text);
    const struct plan_rank *r = &p->ranks[2];
    CHECK(fabs(need - weights - kv - work) < 0.0201 && fabs(may - need) < 0.0101, "%s", d.text);
    CHECK(fabs(weights - (double)r->bytes.weights / 1048576) < 0.0051, "%s", d.text);
    CHECK(fabs(kv - (double)r->bytes.kv / 1048576) < 0.0051, "%s", d.text);
    CHECK(fabs(work - (double)(r->bytes.work + r->engine_bytes) / 1048576) < 0.0051, "%s", d.text);
    CHECK(strstr(d.text, "use more ranks, a shorter --ctx or a smaller --kv type"), "%s", d.text);
    plan_free(p);
}

/* ---- the plan of the NorthPole appliance ---- */

static void test_northpole(void) {
    struct model_shape s;
    struct strategy st;
    struct plan *p = NULL;
    struct diag d = {0};
    struct plan_opts o = {.decoder = {.linear_bits = ACT_I4,
                                      .head_bits = ACT_I8,
                                      .silu_bits = 8,
                                      .kv = KV_I8,
                                      .n_seqs = 28,
                                      .n_ctx = 2048,
                                      .max_tokens = 1,
                                      .threads = 1},
                          .n_micro = 28,
                          .top_candidates = 1};
    preset_shape(&s, "granite-3b-northpole", NULL, 0, NULL);
    CHECK(!strategy_parse(&st, "stages:1*14/1,2/0", &d) && !plan_make(&p, &s, &st, 16, &o, &d), "%s", d.text);
    CHECK(p->n_stages == 15 && p->ranks_per_replica == 16, "%d stages", p->n_stages);
    for (int i = 0; i < 14; i++) {
        CHECK(p->ranks[i].shard.layer0 == i && p->ranks[i].shard.layer1 == i + 1 && p->ranks[i].shard.head1 == 32,
              "card %d", i);
        CHECK(p->ranks[i].layers[0] == p->ranks[0].layers[0], "card %d has a block of its own", i);
        CHECK(p->ranks[i].n_send_to == (i < 13 ? 1 : 2), "card %d sends to %d", i, p->ranks[i].n_send_to);
    }
    CHECK(p->ranks[14].shard.vocab1 == 24576 && p->ranks[15].shard.vocab0 == 24576 &&
              p->ranks[15].shard.vocab1 == 49152,
          "output");
    CHECK(p->ranks[14].bytes.kv == 0 && p->ranks[14].shard.head1 == 0 && p->ranks[14].shard.ffn_leaf1 == 0,
          "output cards hold layers");
    CHECK(p->ranks[14].n_token_to == 1 && p->ranks[15].n_token_to == 0 && p->ranks[0].token_from == 14, "loop-back");
    /* a layer: (2 * 4096 + 2 * 1024 + 3 * 14336) * 4096 weights of half a byte = 109051904 bytes, steps apart */
    struct plan_totals t;
    struct plan_pass pass = {.tokens = 1, .sampled = 1, .ctx_sum = 0};
    plan_totals(p, 1, &pass, &t);
    double steps = 4 * (4096 + 2 * 1024 + 4096 + 2 * 14336 + 4096), norms = 2 * 4 * 4096;
    CHECK(t.weight_bytes == 109051904 + steps + norms, "a card reads %.0f", t.weight_bytes);
    CHECK(t.ops[PREC_I4] == 2.0 * 2 * 109051904 && t.ops[PREC_I8] == 0, "%.0f int4 operations", t.ops[PREC_I4]);
    CHECK(t.messages == 1 && t.sent_bytes == 24 + 16 + 4 * 4096, "%.0f messages, %.0f bytes", t.messages, t.sent_bytes);
    plan_totals(p, 14, &pass, &t);
    CHECK(t.ops[PREC_I8] == 2.0 * 24576 * 4096 && t.ops[PREC_I4] == 0, "%.0f int8 operations", t.ops[PREC_I8]);
    plan_free(p);

    CHECK(!strategy_parse(&st, "stages:host,1*14/1,2/0", &d) && !plan_make(&p, &s, &st, 17, &o, &d), "%s", d.text);
    CHECK(p->ranks[0].role == RANK_HOST && p->ranks[0].shard.embed && p->ranks[0].shard.layer1 == 0, "host");
    CHECK(!p->ranks[1].shard.embed && p->ranks[1].role == RANK_CARD && p->ranks[1].shard.layer1 == 1, "first card");
    plan_free(p);
}

int main(void) {
    test_random_plans();
    test_hash_of_options();
    test_drop_sync();
    test_balance();
    test_even();
    test_heads();
    test_shared();
    test_gather();
    test_refusals();
    test_memory();
    test_northpole();
    return check_report("partition-plan");
}
