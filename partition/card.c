/* card.c - placing a rank's bytes on the memory levels of a card, and the time of its steps there. */
#include "partition/card.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* ---- placing ---- */

struct room {
    const struct card *card;
    uint64_t left[CARD_ROOM];
};

/* The innermost level with room for so many bytes, or -1. */
static int take(struct room *r, uint64_t bytes) {
    for (int i = 0; i < r->card->n_levels; i++) {
        if (r->card->level[i].bytes && r->left[i] < bytes) continue;
        r->left[i] -= bytes;
        return i;
    }
    return -1;
}

static uint64_t block_weights(const struct plan_block *b) {
    uint64_t bytes = 0;
    for (int i = 0; i < b->n; i++)
        bytes += (uint64_t)b->step[i].cost.weight_bytes;
    return bytes;
}

/* Weights that each pass reads: of an embedding single rows. */
static uint64_t read_weights(const struct plan_rank *r) {
    uint64_t bytes = block_weights(r->prologue) + block_weights(r->epilogue);
    for (int l = r->shard.layer0; l < r->shard.layer1; l++)
        bytes += block_weights(r->layers[l - r->shard.layer0]);
    return bytes;
}

static int does_not_fit(const struct card *c, const struct plan_rank *r, int rank, struct diag *d) {
    char weights[24], kv[24], work[24], all[24], room[24];
    size_t space = r->bytes.work + r->engine_bytes;
    uint64_t levels = 0;
    for (int i = 0; i < c->n_levels; i++)
        levels += c->level[i].bytes;
    return diag_set(
        d, ERR_PLAN,
        "rank %d does not fit %s: weights %s + cache %s + work space %s = %s, and it has %s for them, whole "
        "layers a level: use more cards, fewer users, a shorter context or a smaller --chunk",
        rank, c->name, text_bytes(weights, sizeof weights, (double)r->bytes.weights),
        text_bytes(kv, sizeof kv, (double)r->bytes.kv), text_bytes(work, sizeof work, (double)space),
        text_bytes(all, sizeof all, (double)(r->bytes.weights + r->bytes.kv + space)),
        text_bytes(room, sizeof room, (double)levels));
}

static int check_precisions(const struct card *c, const struct plan_block *b, struct diag *d) {
    static const char *const name[PREC_COUNT] = {"float", "int8", "int4"};
    for (int i = 0; i < b->n; i++)
        for (int k = 0; k < PREC_COUNT; k++)
            if ((b->step[i].cost.ops_per_tok[k] || b->step[i].cost.ops_per_ctx[k]) && !c->op[k].den)
                return diag_set(d, ERR_PLAN,
                                "%s has no rate for %s operations, which step %s needs: choose another mode", c->name,
                                name[k], step_name(b->step[i].kind));
    return 0;
}

static int check_all(const struct card *c, const struct plan_rank *r, struct diag *d) {
    int rc = check_precisions(c, r->prologue, d);
    if (!rc) rc = check_precisions(c, r->epilogue, d);
    for (int l = r->shard.layer0; l < r->shard.layer1 && !rc; l++)
        rc = check_precisions(c, r->layers[l - r->shard.layer0], d);
    return rc;
}

/* Takes the innermost level with room and adds what reading so many of the bytes takes. Nonzero: there is none. */
static int put(struct room *room, uint8_t *level, uint64_t bytes, uint64_t read, uint64_t *ps) {
    int at = take(room, bytes);
    if (at < 0) return -1;
    *level = (uint8_t)at;
    *ps = pico_add(*ps, pico_of(read, room->card->level[at].G));
    return 0;
}

/* Places all, the cache first or last. *ps: what a token of one micro-batch reads once the context is full. Nonzero: no
 * room. */
static int place_all(struct card_place *out, uint64_t *ps, const struct card *c, const struct plan *p, int rank,
                     int cache_last) {
    const struct plan_rank *r = &p->ranks[rank];
    struct room room = {.card = c};
    uint64_t work = r->bytes.work + r->engine_bytes, kv = r->bytes.kv, layers = 0;
    uint64_t read = p->opts.n_micro > 1 ? kv / (uint64_t)p->opts.n_micro : kv;
    uint64_t all = work + kv + read_weights(r);
    memset(out, 0, sizeof *out);
    *ps = 0;
    for (int i = 0; i < c->n_levels; i++)
        room.left[i] = c->level[i].whole && c->level[i].bytes < all ? 0 : c->level[i].bytes;
    int rc = put(&room, &out->kv, cache_last ? work : work + kv, cache_last ? 0 : read, ps);
    for (int l = r->shard.layer0; l < r->shard.layer1 && !rc; l++) {
        uint64_t bytes = block_weights(r->layers[l - r->shard.layer0]);
        layers += bytes;
        rc = put(&room, &out->layer[l], bytes, bytes, ps);
    }
    uint64_t ends = r->bytes.weights > layers ? r->bytes.weights - layers : 0;
    uint64_t head = block_weights(r->prologue) + block_weights(r->epilogue); /* an embedding is read by single rows */
    if (!rc) rc = put(&room, &out->ends, ends, head, ps);
    return rc || !cache_last ? rc : put(&room, &out->kv, kv, read, ps);
}

static int one_after_the_other(const struct plan *p) {
    return p->strategy.dp == 1 && p->opts.n_micro == 1 && p->n_ranks == p->n_stages;
}

int card_place(struct card_place *out, const struct card *c, const struct plan *p, int rank, struct diag *d) {
    struct card_place last;
    uint64_t first_ps = 0, last_ps = 0;
    memset(out, 0, sizeof *out);
    if (c->n_levels == 0) return 0;
    int rc = check_all(c, &p->ranks[rank], d);
    if (rc) return rc;
    int no_first = place_all(out, &first_ps, c, p, rank, 0), no_last = place_all(&last, &last_ps, c, p, rank, 1);
    if (no_first && no_last) return does_not_fit(c, &p->ranks[rank], rank, d);
    if (no_first || (!no_last && last_ps < first_ps)) *out = last;
    out->alone = (uint8_t)one_after_the_other(p);
    return 0;
}

/* ---- time ---- */

static uint64_t slowed(uint64_t ps, struct pico_rate slow) {
    return slow.den ? pico_of(ps, slow) : ps;
}

/* Of what the card of a description takes. */
static void spend(struct net_clock *clock, const struct card_place *place, enum net_share share, uint64_t ps) {
    net_spend(clock, share, slowed(ps, place->slow));
}

static uint64_t times(uint64_t ps, int64_t n) {
    return pico_of((uint64_t)n, (struct pico_rate){ps, 1});
}

void card_spend_pass(struct net_clock *clock, const struct card *c, const struct card_place *place) {
    spend(clock, place, NET_OVERHEAD, c->pass_ps);
}

void card_spend_taken(struct net_clock *clock, const struct card *c, enum rank_role role, int64_t tokens) {
    if (role == RANK_HOST) net_spend(clock, NET_OVERHEAD, times(c->sequence_ps, tokens));
}

int card_is_message(enum step_kind kind) {
    switch (kind) {
    case STEP_RECV_HIDDEN:
    case STEP_ATTN_MERGE:
    case STEP_ATTN_REDUCE:
    case STEP_FFN_REDUCE:
    case STEP_SEND_HIDDEN:
    case STEP_SEND_TOKEN:
    case STEP_RECV_TOKEN: return 1;
    default: return 0;
    }
}

static uint64_t read_ps(const struct card *c, const struct card_place *place, int level, uint64_t bytes) {
    if (!bytes || c->n_levels == 0) return 0;
    const struct card_level *l = &c->level[level];
    return pico_add(l->latency_ps, pico_of(bytes, place->alone && l->alone.den ? l->alone : l->G));
}

void card_spend_step(struct net_clock *clock, const struct card *c, const struct card_place *place,
                     const struct plan_step *step, int layer, const struct card_pass *pass) {
    const struct step_cost *cost = &step->cost;
    if (card_is_message(step->kind)) return;
    int64_t tokens = step->kind >= STEP_OUT_NORM ? pass->wanted : pass->tokens;
    if (tokens == 0) return;
    int at = layer < 0 ? place->ends : place->layer[layer];
    uint64_t weights = (uint64_t)(cost->weight_bytes + cost->row_bytes_per_tok * tokens);
    uint64_t kv = (uint64_t)(cost->kv_bytes_per_tok * tokens + cost->kv_bytes_per_ctx * pass->ctx_read);
    uint64_t memory, compute = 0, ops = 0;
    if (at == place->kv)
        memory = read_ps(c, place, at, weights + kv);
    else
        memory = pico_add(read_ps(c, place, at, weights), read_ps(c, place, place->kv, kv));
    for (int k = 0; k < PREC_COUNT; k++) {
        uint64_t n = (uint64_t)(cost->ops_per_tok[k] * tokens + cost->ops_per_ctx[k] * pass->ctx_sum);
        if (n && c->op[k].den) compute = pico_add(compute, pico_of(n, c->op[k]));
        ops += n;
    }
    compute = slowed(compute, c->step[step->kind].slow);
    if (compute > memory)
        spend(clock, place, NET_COMPUTE, compute);
    else
        spend(clock, place, NET_MEMORY, memory);
    if (ops || weights + kv) spend(clock, place, NET_OVERHEAD, pico_add(c->step_ps, c->step[step->kind].overhead_ps));
    if (step->kind == STEP_EMBED) spend(clock, place, NET_OVERHEAD, times(c->token_ps, tokens));
    if (step->kind == STEP_SAMPLE) spend(clock, place, NET_OVERHEAD, times(c->sequence_ps, tokens));
}
