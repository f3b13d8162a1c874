/* estimate_stage.c - a stage's pass: its blocks' parts, what ranks wait for between them, and what it sends. */
#include <stdlib.h>
#include <string.h>

#include "estimate_priv.h"

enum { MAX_BLOCKS = 6 };

/* ---- costs of passes with so many tokens ---- */

static int coll_place(enum step_kind kind) {
    switch (kind) {
    case STEP_ATTN_MERGE: return AT_MERGE;
    case STEP_ATTN_REDUCE: return AT_ATTN;
    case STEP_FFN_REDUCE: return AT_FFN;
    case STEP_SAMPLE: return AT_GATHER;
    default: return -1;
    }
}

/* The collective of a step in this stage, or -1. */
static int coll_of(const struct stage_class *c, enum step_kind kind) {
    return c->size > 1 ? coll_place(kind) : -1;
}

static struct net_stamp *part_of(const struct stage_class *c, const struct costs *costs, int chain, int part) {
    return costs->part + ((size_t)chain * MAX_PARTS + (size_t)part) * (size_t)c->size;
}

static void cost_block(const struct stage_class *c, const struct costs *costs, int chain, int rank) {
    const struct chain *ch = &c->chain[chain];
    const struct plan_block *b = ch->block[rank];
    struct card_pass pass = {costs->tokens, costs->wanted, 0, 0};
    struct net_clock clock = {0};
    int part = 0;
    if (chain == 0) card_spend_pass(&clock, c->card, &c->place[rank]);
    for (int i = 0; i < b->n; i++) {
        if (i != ch->attention) card_spend_step(&clock, c->card, &c->place[rank], &b->step[i], ch->layer, &pass);
        if (coll_of(c, b->step[i].kind) < 0) continue;
        part_of(c, costs, chain, part++)[rank] = clock.now;
        clock = (struct net_clock){0};
    }
    if (part < ch->n_parts) part_of(c, costs, chain, part)[rank] = clock.now;
}

static struct net_stamp *attention_of(const struct stage_class *c, const struct costs *costs, int chain) {
    return costs->attention + (size_t)chain * (size_t)c->size;
}

/* The collectives of a block, each once. */
static int cost_colls(const struct estimator *e, const struct stage_class *c, struct costs *costs,
                      const struct chain *ch, struct diag *d) {
    int rc = 0;
    for (int i = 0; i < ch->block[0]->n && !rc; i++) {
        enum step_kind kind = ch->block[0]->step[i].kind;
        int at = coll_of(c, kind);
        if (at < 0 || costs->coll[at] || (at == AT_GATHER && !costs->wanted)) continue;
        size_t pairs = estimate_ways(c), ranks = (size_t)c->size;
        size_t n = plan_coll_elems(e->p, c->first, kind, ch->layer, costs->tokens, costs->wanted);
        costs->coll[at] = calloc(pairs, sizeof **costs->coll);
        costs->port[at] = calloc(ranks, sizeof **costs->port);
        if (!costs->coll[at] || !costs->port[at]) return diag_set(d, ERR_MEMORY, "no memory for a collective");
        if (estimate_kept_find(e, c, kind, n, costs->coll[at], costs->port[at])) continue;
        if (at == AT_FFN && costs->coll[AT_ATTN] && n == (size_t)costs->tokens * (size_t)e->p->shape.d_model &&
            estimate_coll_same(e, c, STEP_ATTN_REDUCE, kind, n, d)) {
            memcpy(costs->coll[at], costs->coll[AT_ATTN], pairs * sizeof **costs->coll);
            memcpy(costs->port[at], costs->port[AT_ATTN], ranks * sizeof **costs->port);
        } else {
            rc = estimate_coll(e, c, kind, n, costs->coll[at], costs->port[at], d);
        }
        if (!rc) estimate_kept_add(e, c, kind, n, costs->coll[at], costs->port[at]);
    }
    return rc;
}

/* ---- one stage's turn ---- */

/* Whether equal caches are read in equal times. */
static int same_cache(const struct card_place *a, const struct card_place *b) {
    return a->kv == b->kv && a->slow.num == b->slow.num && a->slow.den == b->slow.den;
}

/* Returns nonzero if all ranks take equally long; *all is then what a pass takes, *first what its first layer does. */
static int set_attention(const struct stage_class *c, const struct costs *costs, const struct card_pass *pass,
                         struct net_stamp *all, uint64_t *first) {
    struct net_clock clock; /* of which steps use the time alone */
    int alike = 1;
    *all = (struct net_stamp){0};
    *first = 0;
    for (int i = 0; i < c->n_chains; i++) {
        const struct chain *ch = &c->chain[i];
        struct net_stamp *out = attention_of(c, costs, i);
        if (ch->attention < 0) continue;
        for (int r = 0; r < c->size; r++) {
            if (r == 0 || ch->block[r] != ch->block[r - 1] || !same_cache(&c->place[r], &c->place[r - 1])) {
                clock.now = (struct net_stamp){0};
                card_spend_step(&clock, c->card, &c->place[r], &ch->block[r]->step[ch->attention], ch->layer, pass);
            }
            out[r] = clock.now;
            alike &= out[r].ps == out[0].ps;
        }
        *all = stamp_mix(all, 1, out, (uint64_t)ch->count, 1);
        if (i == 1) *first = out->ps;
    }
    return alike;
}

/* When a rank begins with what it sends. */
static uint64_t send_time(const struct rank_time *r) {
    return r->port > r->t.ps ? r->port : r->t.ps;
}

/* Nonzero: some rank waits for a port. */
static int meet_ranks(const struct estimator *e, const struct stage_class *c, const struct costs *costs, int coll) {
    const struct net_stamp *ends = costs->coll[coll];
    int port_bound = 0;
    for (int r = 0; r < c->size; r++) {
        const struct net_stamp *end = NULL;
        int late = 0;
        uint64_t most = 0;
        for (int i = 0; i < c->size; i++) {
            const struct net_stamp *way = &ends[(c->size <= MAX_PAIRS ? i * c->size : 0) + r];
            uint64_t begin = i == r ? e->rank[i].t.ps : send_time(&e->rank[i]);
            if (way->ps == NEVER || (end && begin + way->ps <= most)) continue;
            most = begin + way->ps;
            late = i;
            end = way;
        }
        e->met[r] = (struct rank_time){stamp_plus(&e->rank[late].t, end), e->rank[late].from,
                                       send_time(&e->rank[r]) + costs->port[coll][r]};
        port_bound |= most > e->met[r].t.ps;
        e->met[r].t.share[NET_BANDWIDTH] += most - e->met[r].t.ps;
        e->met[r].t.ps = most;
    }
    memcpy(e->rank, e->met, (size_t)c->size * sizeof *e->rank);
    return port_bound;
}

/* From e->at to e->rank. Returns meet_ranks. */
static int run_block(const struct estimator *e, const struct stage_class *c, const struct costs *costs, int chain) {
    int port_bound = 0;
    const struct chain *ch = &c->chain[chain];
    const struct net_stamp *attention = attention_of(c, costs, chain);
    for (int r = 0; r < c->size; r++)
        e->rank[r] = (struct rank_time){{e->at[r].ps + attention[r].ps, {0}}, r, e->port[r]};
    for (int r = 0; r < c->size; r++)
        memcpy(e->rank[r].t.share, attention[r].share, sizeof attention[r].share);
    for (int i = 0; i < ch->n_parts; i++) {
        const struct net_stamp *own = part_of(c, costs, chain, i);
        for (int r = 0; r < c->size; r++)
            e->rank[r].t = stamp_plus(&e->rank[r].t, &own[r]);
        if (ch->coll[i] < 0 || !costs->coll[ch->coll[i]]) continue;
        for (int r = 0; r < c->size && !e->first_send[r]; r++)
            e->first_send[r] = e->rank[r].t.ps;
        port_bound |= meet_ranks(e, c, costs, ch->coll[i]);
    }
    return port_bound;
}

/* Whether a block has taken all ranks and their ports equally long: so will all that follow. */
static int is_steady(const struct estimator *e, const struct stage_class *c) {
    uint64_t one = e->rank[0].t.ps - e->at[0].ps;
    for (int r = 0; r < c->size; r++) {
        const struct rank_time *now = &e->rank[r];
        if (now->t.ps - e->at[r].ps != one || (now->port > now->t.ps && now->port - e->port[r] != one)) return 0;
    }
    return 1;
}

/* What a block takes in the long run: the mean along the circle of ranks each of which waits for the next. */
static struct net_stamp period_of(const struct estimator *e, const struct stage_class *c) {
    struct net_stamp period = {0};
    uint64_t n = 0;
    int on = 0;
    for (int i = 0; i < c->size; i++)
        on = e->rank[on].from;
    for (int r = on; n == 0 || r != on; r = e->rank[r].from, n++)
        for (int i = 0; i < NET_SHARES; i++)
            period.share[i] += e->rank[r].t.share[i];
    return stamp_mix(&period, 1, &period, 0, n);
}

/* From e->rank to e->at, and so many blocks more that are as this one. */
static void go_on(const struct estimator *e, const struct stage_class *c, const struct net_stamp *period,
                  uint64_t more) {
    for (int r = 0; r < c->size; r++) {
        const struct net_stamp *from = &e->at[e->rank[r].from];
        e->met[r].t = e->rank[r].t;
        for (int i = 0; i < NET_SHARES; i++)
            e->met[r].t.share[i] += from->share[i];
    }
    for (int r = 0; r < c->size; r++) {
        e->at[r] = stamp_mix(&e->met[r].t, 1, period, more, 1);
        e->port[r] = e->rank[r].port + more * period->ps;
    }
}

/* Returns meet_ranks. */
static int run_chain(const struct estimator *e, const struct stage_class *c, const struct costs *costs, int chain) {
    int port_bound = 0, steady = 0;
    for (int done = 1, count = c->chain[chain].count; done <= count && !steady; done++) {
        port_bound |= run_block(e, c, costs, chain);
        steady = done == MAX_BLOCKS || is_steady(e, c);
        struct net_stamp period = period_of(e, c);
        go_on(e, c, &period, steady ? (uint64_t)(count - done) : 0);
    }
    return port_bound;
}

/* What a rank has sent keeps its port: the next pass may not send there before. */
static void keep_port(const struct stage_class *c, int rank, const struct net_clock *clock, uint64_t first_send,
                      struct ending *out) {
    for (int i = 0; i < NET_MAX_TIERS; i++) {
        uint64_t free_at = clock->port_free[i].ps;
        int shared = c->size > 1 && first_send && memchr(c->tier + rank * c->size, i, (size_t)c->size);
        uint64_t spare = shared ? first_send : clock->now.ps, *most = shared ? &out->shared_port : &out->port;
        if (free_at > spare && free_at - spare > *most) *most = free_at - spare;
    }
}

/* A host takes what was sampled. */
static void add_taken(const struct estimator *e, int64_t tokens, struct net_stamp *t) {
    struct net_clock clock = {.now = *t};
    if (e->p->strategy.host) card_spend_taken(&clock, &e->c->host, RANK_HOST, tokens);
    *t = clock.now;
}

/* A frame buffer has room for some messages at once, each until its credit is back. */
static void wait_room(const struct estimator *e, int tier, int64_t bytes, struct ending *out) {
    struct net_clock clock = {0}, there = {0};
    struct net_stamp stamp = net_send(&clock, &e->c->net, tier, (uint64_t)bytes);
    net_recv(&there, &e->c->net, tier, &stamp);
    stamp = net_credit(&there, &e->c->net, tier);
    stamp = stamp_mix(&stamp, 1, &stamp, 0, e->frame / (uint64_t)bytes);
    stamp_raise(&out->credit, &stamp);
}

/* What the stage sends, to ranks of the next stage or of stage 0. */
static void run_sends(const struct estimator *e, const struct stage_class *c, int64_t bytes, struct ending *out) {
    int last = e->p->ranks[c->first].shard.final_norm;
    for (int r = 0; r < c->size; r++) {
        struct net_clock clock = {.now = e->at[r]};
        for (int j = r; j < c->n_to; j += c->size) {
            struct net_clock there = {0};
            struct net_stamp stamp = net_send(&clock, &e->c->net, c->to_tier[j], (uint64_t)bytes);
            net_recv(&there, &e->c->net, c->to_tier[j], &stamp);
            stamp_raise(&out->passed, &there.now);
            if (e->frame && !last) wait_room(e, c->to_tier[j], bytes, out);
        }
        e->at[r] = clock.now;
        keep_port(c, r, &clock, e->first_send[r], out);
    }
}

/* 0: nothing. */
static int64_t sent_bytes(const struct estimator *e, const struct stage_class *c, const struct costs *costs) {
    const struct plan_rank *rank = &e->p->ranks[c->first];
    if (!rank->shard.final_norm) return plan_hidden_bytes(e->p, costs->tokens);
    return costs->wanted ? PLAN_SAMPLED_HEADER_BYTES + costs->wanted * (int64_t)PLAN_SAMPLED_BYTES : 0;
}

static void run_pass(const struct estimator *e, const struct stage_class *c, const struct costs *costs,
                     struct ending *out) {
    int64_t bytes = sent_bytes(e, c, costs);
    *out = (struct ending){.port_bound = 0};
    memset(e->at, 0, (size_t)c->size * sizeof *e->at);
    memset(e->port, 0, (size_t)c->size * sizeof *e->port);
    memset(e->first_send, 0, (size_t)c->size * sizeof *e->first_send);
    for (int i = 0; i < c->n_chains; i++)
        out->port_bound |= run_chain(e, c, costs, i);
    if (bytes) run_sends(e, c, bytes, out);
    for (int r = 0; r < c->size; r++)
        stamp_raise(&out->end, &e->at[r]);
    if (!out->passed.ps) out->passed = out->end;
    if (e->p->ranks[c->first].shard.final_norm) add_taken(e, costs->wanted, &out->passed);
}

/* Found, or made and kept; NULL with d set. */
static struct costs *costs_of(const struct estimator *e, struct stage_class *c, int64_t tokens, int64_t wanted,
                              struct diag *d) {
    struct costs *costs = c->costs;
    while (costs && (costs->tokens != tokens || costs->wanted != wanted))
        costs = costs->next;
    if (costs) return costs;
    costs = calloc(1, sizeof *costs);
    if (costs) costs->part = calloc((size_t)(c->n_chains * (MAX_PARTS + 1) * c->size), sizeof *costs->part);
    if (!costs || !costs->part) {
        free(costs);
        diag_set(d, ERR_MEMORY, "no memory for the costs of a stage");
        return NULL;
    }
    costs->attention = costs->part + c->n_chains * MAX_PARTS * c->size;
    costs->tokens = tokens;
    costs->wanted = wanted;
    costs->next = c->costs;
    c->costs = costs;
    int rc = 0;
    for (int i = 0; i < c->n_chains && !rc; i++) {
        for (int r = 0; r < c->size; r++)
            cost_block(c, costs, i, r);
        rc = cost_colls(e, c, costs, &c->chain[i], d);
    }
    if (rc) {
        costs->tokens = -1; /* not to be found */
        return NULL;
    }
    run_pass(e, c, costs, &costs->base);
    return costs;
}

/* Attention that takes all ranks equally long moves all that follows. */
int estimate_turn(const struct estimator *e, struct stage_class *c, const struct card_pass *pass, struct turn *out,
                  struct diag *d) {
    const struct costs *costs = costs_of(e, c, pass->tokens, pass->wanted, d);
    struct net_stamp all;
    struct ending ending;
    uint64_t first;
    if (!costs) return d->code;
    if (set_attention(c, costs, pass, &all, &first) && !costs->base.port_bound) {
        ending = costs->base;
    } else {
        run_pass(e, c, costs, &ending);
        all = (struct net_stamp){0};
        first = 0;
    }
    uint64_t shared = ending.shared_port + all.ps, port = shared > first ? shared - first : 0;
    if (port < ending.port) port = ending.port;
    out->passed = stamp_plus(&ending.passed, &all);
    out->busy = stamp_plus(&ending.end, &all);
    if (port > out->busy.ps) {
        out->busy.share[NET_BANDWIDTH] += port - out->busy.ps;
        out->busy.ps = port;
    }
    stamp_raise(&out->busy, &ending.credit);
    if (e->p->ranks[c->first].stage > 0 || pass->wanted) {
        out->busy.ps += c->recv_ps;
        out->busy.share[NET_OVERHEAD] += c->recv_ps;
        if (e->p->ranks[c->first].stage == 0) add_taken(e, pass->wanted, &out->busy);
    }
    return 0;
}

/* ---- classes ---- */

void estimate_class_free(struct stage_class *c) {
    if (!c) return;
    for (int i = 0; i < c->n_chains; i++)
        free(c->chain[i].block);
    for (struct costs *k = c->costs, *next; k; k = next) {
        next = k->next;
        for (int i = 0; i < COLL_PLACES; i++)
            free(k->coll[i]), free(k->port[i]);
        free(k->part);
        free(k);
    }
    free(c->chain);
    free(c->place);
    free(c->tier);
    free(c->to_tier);
    free(c);
}

static const struct plan_block *block_of(const struct plan_rank *r, int layer) {
    return r->layers[layer - r->shard.layer0];
}

/* Layers with equal blocks on all ranks, whose weights lie on the same level. */
static int same_layers(const struct estimator *e, const struct stage_class *c, int a, int b) {
    const struct plan_rank *rank = e->p->ranks + c->first;
    for (int r = 0; r < c->size; r++)
        if (block_of(&rank[r], a) != block_of(&rank[r], b) || c->place[r].layer[a] != c->place[r].layer[b]) return 0;
    return 1;
}

/* layer: of the model, -1 and -2 the prologue and the epilogue. */
static int add_chain(const struct estimator *e, struct stage_class *c, int layer) {
    const struct plan_rank *rank = e->p->ranks + c->first;
    for (int i = 0; i < c->n_chains && layer >= 0; i++)
        if (c->chain[i].layer >= 0 && same_layers(e, c, c->chain[i].layer, layer)) return c->chain[i].count++, 0;
    struct chain *ch = &c->chain[c->n_chains++];
    *ch = (struct chain){.count = 1, .layer = layer < 0 ? -1 : layer, .attention = -1};
    ch->block = calloc((size_t)c->size, sizeof *ch->block);
    for (int r = 0; r < c->size && ch->block; r++)
        ch->block[r] = layer == -1 ? rank[r].prologue : layer == -2 ? rank[r].epilogue : block_of(&rank[r], layer);
    for (int i = 0; ch->block && i < ch->block[0]->n; i++)
        if (ch->block[0]->step[i].kind == STEP_ATTENTION) ch->attention = i;
    for (int i = 0, coll; ch->block && i < ch->block[0]->n; i++)
        if ((coll = coll_of(c, ch->block[0]->step[i].kind)) >= 0) ch->coll[ch->n_parts++] = coll;
    ch->coll[ch->n_parts++] = -1;
    return ch->block ? 0 : ERR_MEMORY;
}

/* Tiers inside the stage, to where it sends, and what receiving takes. */
static void set_tiers(const struct estimator *e, struct stage_class *c, int s, int base) {
    const struct plan *p = e->p;
    int to = base + p->stages[(s + 1) % p->n_stages].first;
    for (int a = 0; a < c->size; a++)
        for (int b = 0; b < c->size; b++)
            c->tier[a * c->size + b] = (uint8_t)virtual_tier(e->c, p, c->first + a, c->first + b);
    for (int i = 0; i < c->n_to; i++)
        c->to_tier[i] = (uint8_t)virtual_tier(e->c, p, c->first + i % c->size, to + i);
    for (int r = 0; r < c->size; r++) {
        const struct plan_rank *me = &p->ranks[c->first + r];
        int from = me->recv_from >= 0 ? me->recv_from : me->token_from;
        uint64_t ps = from < 0 ? 0 : e->c->net.tier[virtual_tier(e->c, p, from, c->first + r)].link.o_recv_ps;
        if (ps > c->recv_ps) c->recv_ps = ps;
    }
}

int estimate_class_make(struct stage_class **out, const struct estimator *e, int replica, int s, struct diag *d) {
    const struct plan *p = e->p;
    const struct plan_stage *stage = &p->stages[s];
    struct stage_class *c = *out = calloc(1, sizeof *c);
    size_t size = (size_t)stage->size;
    int base = replica * p->ranks_per_replica, rc = 0;
    if (!c) return diag_set(d, ERR_MEMORY, "no memory for a stage");
    c->first = base + stage->first;
    c->size = stage->size;
    c->n_to = p->n_stages > 1 ? p->stages[(s + 1) % p->n_stages].size : 0;
    c->place = calloc(size, sizeof *c->place);
    c->tier = calloc(size * size, 1);
    c->to_tier = calloc((size_t)c->n_to + 1, 1);
    c->chain = calloc((size_t)(stage->layer1 - stage->layer0 + 2), sizeof *c->chain);
    if (!c->place || !c->tier || !c->to_tier || !c->chain) return diag_set(d, ERR_MEMORY, "no memory for a stage");
    for (int r = 0; r < c->size && !rc; r++) {
        struct virtual_rank v;
        if (r && virtual_rank_same(e->c, p, c->first + r - 1, c->first + r)) {
            c->place[r] = c->place[r - 1];
            continue;
        }
        rc = virtual_rank_init(&v, e->c, p, c->first + r, d);
        c->place[r] = v.place;
        c->card = v.card;
    }
    if (rc) return rc;
    set_tiers(e, c, s, base);
    rc = add_chain(e, c, -1);
    for (int l = stage->layer0; l < stage->layer1 && !rc; l++)
        rc = add_chain(e, c, l);
    if (!rc) rc = add_chain(e, c, -2);
    return rc ? diag_set(d, rc, "no memory for a stage") : 0;
}

static int same_chain(const struct stage_class *a, const struct stage_class *b, int i) {
    const struct chain *x = &a->chain[i], *y = &b->chain[i];
    if (x->count != y->count || (x->layer < 0) != (y->layer < 0)) return 0;
    for (int r = 0; r < a->size; r++) {
        if (x->block[r] != y->block[r]) return 0;
        if (x->layer >= 0 && a->place[r].layer[x->layer] != b->place[r].layer[y->layer]) return 0;
    }
    return 1;
}

int estimate_class_same(const struct stage_class *a, const struct stage_class *b) {
    if (a->size != b->size || a->card != b->card || a->n_chains != b->n_chains || a->recv_ps != b->recv_ps ||
        a->n_to != b->n_to || memcmp(a->tier, b->tier, (size_t)(a->size * a->size)) != 0 ||
        memcmp(a->to_tier, b->to_tier, (size_t)a->n_to) != 0)
        return 0;
    for (int r = 0; r < a->size; r++)
        if (!same_cache(&a->place[r], &b->place[r]) || a->place[r].ends != b->place[r].ends) return 0;
    for (int i = 0; i < a->n_chains; i++)
        if (!same_chain(a, b, i)) return 0;
    return 1;
}
