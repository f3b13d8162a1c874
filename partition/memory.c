/* memory.c - what a rank holds: the decoder's shard, the engine's workspace, and what that is more than one copy. */
#include <string.h>

#include "collectives/link.h"
#include "parts.h"

/* A rank's collectives: none in a stage without layers or of one rank. */
static size_t coll_sizes(const struct plan *p, const struct plan_rank *r) {
    const struct plan_stage *stage = &p->stages[r->stage];
    if (stage->layer1 == stage->layer0 || stage->size == 1) return 0;
    const struct plan_group *g = plan_group_of(p, r->stage);
    return g->attn[r->tp_index].bytes + g->ffn[r->tp_index].bytes + g->merge[r->tp_index].bytes;
}

/* The parts of the output layer and the sampling: ranks of the last stage of a model that has one. */
static void head_sizes(const struct plan *p, const struct plan_rank *r, size_t size[PLAN_PART_COUNT]) {
    size_t wanted = (size_t)p->opts.max_logits, top = (size_t)p->opts.top_candidates;
    size_t ranks = (size_t)p->stages[r->stage].size, rows = (size_t)(r->shard.vocab1 - r->shard.vocab0);
    size_t offer = PLAN_OFFER_HEADER_BYTES + wanted * (PLAN_OFFER_BYTES + top * PLAN_CANDIDATE_BYTES);
    size[PLAN_PART_WANTED] = wanted * (size_t)p->shape.d_model * sizeof(float);
    size[PLAN_PART_LOGITS] = wanted * rows * sizeof(float);
    size[PLAN_PART_OFFER] = offer;
    size[PLAN_PART_OFFERS] = ranks * offer;
    size[PLAN_PART_POOL] = ranks * top * PLAN_CANDIDATE_BYTES;
}

int64_t plan_hidden_bytes(const struct plan *p, int64_t tokens) {
    int64_t vector = (int64_t)hidden_bytes(p->opts.decoder.hidden, p->shape.d_model);
    return PLAN_HEADER_BYTES + tokens * (PLAN_TOKEN_BYTES + vector);
}

/* Messages of a pipeline. The last stage sends tokens where the others send hidden states, and stage 0 receives them.
 */
static void message_sizes(const struct plan *p, const struct plan_rank *r, size_t size[PLAN_PART_COUNT],
                          struct plan_layout *out) {
    size_t hidden = (size_t)plan_hidden_bytes(p, p->opts.decoder.max_tokens);
    size_t sampled = PLAN_SAMPLED_HEADER_BYTES + (size_t)p->opts.max_logits * PLAN_SAMPLED_BYTES;
    int receivers = r->n_send_to + r->n_token_to; /* one of them is 0 */
    out->n_send = receivers ? p->opts.n_micro + 1 : 0;
    out->send_stride = ((r->n_send_to ? hidden : sampled) + 63) / 64 * 64;
    out->recv_bytes = r->recv_from >= 0 ? hidden : r->token_from >= 0 ? sampled : 0;
    size[PLAN_PART_SEND] = (size_t)out->n_send * out->send_stride;
    size[PLAN_PART_REQUESTS] = (size_t)out->n_send * (size_t)receivers * sizeof(struct link_request);
    size[PLAN_PART_RECV] = out->recv_bytes;
}

void plan_layout(const struct plan *p, int rank, struct plan_layout *out) {
    const struct plan_rank *r = &p->ranks[rank];
    const struct plan_stage *stage = &p->stages[r->stage];
    size_t tokens = (size_t)p->opts.decoder.max_tokens, vectors = tokens * (size_t)p->shape.d_model * sizeof(float);
    size_t alone = stage->layer1 > stage->layer0 && stage->size == 1, dropped = sync_drops(p, stage) > 0;
    size_t size[PLAN_PART_COUNT] = {
        [PLAN_PART_HIDDEN] = vectors,
        [PLAN_PART_SUM] = (alone + dropped * (1 + (size_t)sync_own_sums(p, r))) * vectors,
        [PLAN_PART_TOKENS] = tokens * PLAN_TOKEN_BYTES,
        [PLAN_PART_IDS] = 3 * tokens * sizeof(int),
        [PLAN_PART_SAMPLED] = (size_t)p->opts.max_logits * PLAN_SAMPLED_BYTES,
        [PLAN_PART_BOOKS] = PLAN_BOOK_BYTES * ((size_t)p->opts.decoder.n_seqs + (size_t)p->opts.n_micro),
    };
    memset(out, 0, sizeof *out);
    if (r->shard.final_norm) head_sizes(p, r, size);
    message_sizes(p, r, size, out);
    for (int i = 0; i < PLAN_PART_COUNT; i++)
        out->at[i + 1] = out->at[i] + (size[i] + 63) / 64 * 64;
}

size_t plan_engine_bytes(const struct plan *p, int rank) {
    struct plan_layout layout;
    plan_layout(p, rank, &layout);
    return layout.at[PLAN_PART_COUNT] + coll_sizes(p, &p->ranks[rank]);
}

int64_t plan_rank_bytes(const struct plan_rank *r) {
    return (int64_t)(r->bytes.weights + r->bytes.kv + r->bytes.work + r->engine_bytes);
}

/* One unit for all numbers of the sum, so that it can be checked by eye. */
static int refuse(const struct plan *p, int rank, struct diag *d) {
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    const struct plan_rank *r = &p->ranks[rank];
    double need = (double)plan_rank_bytes(r), scale = 1;
    int u = 0;
    while (need / scale >= 1024 && u < 4)
        scale *= 1024, u++;
    int digits = u ? 2 : 0;
    return diag_set(
        d, ERR_PLAN,
        "rank %d (stage %d, tp %d) needs %.*f %s = weights %.*f + KV cache %.*f + workspace %.*f, but a rank may use "
        "%.*f %s: use more ranks, a shorter --ctx or a smaller --kv type",
        rank, r->stage, r->tp_index, digits, need / scale, unit[u], digits, (double)r->bytes.weights / scale, digits,
        (double)r->bytes.kv / scale, digits, (double)(r->bytes.work + r->engine_bytes) / scale, digits,
        (double)p->opts.mem_bytes / scale, unit[u]);
}

int plan_check_memory(const struct plan *p, struct diag *d) {
    if (!p->opts.mem_bytes) return 0;
    for (int i = 0; i < p->n_ranks; i++)
        if ((uint64_t)plan_rank_bytes(&p->ranks[i]) > p->opts.mem_bytes) return refuse(p, i, d);
    return 0;
}

/* ---- replication ---- */

/* Bytes of a shard's tables of the whole model: embeddings, and an output layer that is not the embedding itself. */
static int64_t table_bytes(const struct model_shape *s, const struct shard_spec *spec) {
    int64_t n = 0;
    for (int r = ROLE_EMBED; r <= ROLE_TYPE_EMBED; r++)
        n += shard_role_bytes(s, spec, (enum role)r, 0);
    return n + (s->tied_head && spec->embed ? 0 : shard_role_bytes(s, spec, ROLE_HEAD, 0));
}

/* K and V rows, and the Q rows that ranks with a shared cache all have. */
static int64_t kv_weight_bytes(const struct plan *p, const struct shard_spec *spec) {
    int64_t n = 0;
    for (int l = spec->layer0; l < spec->layer1; l++)
        for (int r = p->strategy.kvp > 1 ? ROLE_Q : ROLE_K; r <= ROLE_V; r++)
            n += (int64_t)shard_part_bytes(&p->shape, spec, (enum role)r, l);
    return n;
}

void plan_replication(const struct plan *p, struct plan_replication *out) {
    struct shard_spec whole;
    struct shard_bytes bytes;
    shard_whole(&p->shape, &whole);
    shard_bytes(&p->shape, &whole, &p->opts.decoder, &bytes);
    memset(out, 0, sizeof *out);
    out->model = (int64_t)bytes.weights;
    out->embedding = -table_bytes(&p->shape, &whole);
    out->kv_heads = -kv_weight_bytes(p, &whole);
    for (int i = 0; i < p->ranks_per_replica; i++) {
        out->held += (int64_t)p->ranks[i].bytes.weights;
        out->embedding += table_bytes(&p->shape, &p->ranks[i].shard);
        out->kv_heads += kv_weight_bytes(p, &p->ranks[i].shard);
    }
    out->other = out->held - out->model - out->embedding - out->kv_heads;
}
