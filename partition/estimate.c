/* estimate.c - stages that are alike once, passes of equal tokens once, rounds by arithmetic series. */
#include "partition/estimate.h"

#include <stdlib.h>
#include <string.h>

#include "partition/place.h"

enum { MAX_PARTS = 4, MAX_DEPTH = 40, MAX_PAIRS = 64, TRACKS = 4, MAX_BLOCKS = 6 };
#define NEVER UINT64_MAX
#define LONG_AGO (UINT64_C(1) << 50) /* ps: what a walk's one late rank is late by */

/* The prologue, equal layers, or the epilogue of a stage. Collectives cut a block into parts. */
struct chain {
    int count, layer; /* first layer; -1 at both ends */
    int attention; /* its step, whose time depends on the context, or -1 */
    int n_parts, coll[MAX_PARTS]; /* the collective behind a part, or -1 */
    const struct plan_block **block; /* [size] */
};

enum coll_place { AT_MERGE, AT_ATTN, AT_FFN, AT_GATHER, COLL_PLACES };

/* How a stage's pass ends, whose ranks begin it together at 0. */
struct ending {
    struct net_stamp end, passed; /* of the last rank; the next stage, or stage 0, has what it sends */
    uint64_t port, shared_port; /* ps at which the next pass may begin, as what was sent keeps its port; where that port
                                   is needed inside the stage too */
    int port_bound; /* collectives wait for ports: more time between them is not more time in all */
};

/* What does not depend on the context, for passes of so many tokens. */
struct costs {
    int64_t tokens, wanted;
    struct net_stamp *part; /* [n_chains][MAX_PARTS][size] */
    struct net_stamp *attention; /* [n_chains][size] of the pass at hand */
    struct ending base; /* of a pass whose attention takes no time */
    /* [late][size]: when a rank has its result where that late one begins at 0 and the others long before; ps NEVER: it
     * does not wait for it. Stages of more than MAX_PAIRS ranks, [1][size]: where all begin together. NULL: none */
    struct net_stamp *coll[COLL_PLACES];
    uint64_t *port[COLL_PLACES]; /* [size] ps of a rank's busiest port in it */
    struct costs *next;
};

/* A stage busy with a pass, and until the next stage, or stage 0, has what it sends. */
struct turn {
    struct net_stamp busy, passed;
};

/* A rank in a block: the time, with what it is made of since the block began, the rank it has waited for there, and
 * when its port is free again. */
struct rank_time {
    struct net_stamp t;
    int from;
    uint64_t port;
};

/* Stages that are alike. */
struct stage_class {
    int first, size; /* world ranks of one of them */
    const struct card *card;
    struct card_place *place; /* [size] */
    uint8_t *tier; /* [size][size] */
    int n_chains;
    struct chain *chain;
    uint64_t recv_ps; /* of hidden states; of tokens, in stage 0 */
    int n_to; /* ranks that get what it sends: rank j from j mod size */
    uint8_t *to_tier; /* [n_to] */
    struct costs *costs;
    int in_use; /* stages of the replica at hand */
};

struct wave {
    struct turn *big, *small; /* [n_classes] of micro-batches with one sequence more, and of the others */
    struct net_stamp *round; /* [n_classes] what a round takes where such a stage is followed */
    struct net_stamp loop; /* all stages, one after the other */
};

/* Passes of a micro-batch whose context grows evenly. */
struct passes {
    int64_t n; /* rounds */
    struct card_pass first, step; /* step: a round later */
    int decodes; /* needs the tokens of the round before */
};

/* A sequence's prompt: tokens fed, and what the next pass takes of it. */
struct fed {
    int fed, share;
};

/* What the micro-batches of so many sequences do, one kind of passes after the other. */
struct stream {
    int64_t n_seqs;
    struct fed *seq;
    struct passes now;
    int decoded;
};

struct estimator {
    const struct plan *p;
    const struct cluster *c;
    int n_classes;
    struct stage_class **kind;
    int *class_of; /* [dp][n_stages] */
    struct net_stamp *at; /* [ranks of a replica] of a stage at hand */
    struct rank_time *rank, *met; /* likewise */
    uint64_t *port, *first_send; /* likewise: ps into a pass */
    struct wave wave[MAX_DEPTH];
    struct turn *turns; /* of the waves, whose rounds lie behind sum */
    struct net_stamp *sum; /* [n_classes] of all rounds but the last */
    struct net_stamp *free_at; /* [n_stages] */
    struct fed *seq; /* [2][n_seqs] of the two streams */
};

/* ---- stamps ---- */

static struct net_stamp stamp_plus(const struct net_stamp *a, const struct net_stamp *b) {
    struct net_stamp sum = {a->ps + b->ps, {0}};
    for (int i = 0; i < NET_SHARES; i++)
        sum.share[i] = a->share[i] + b->share[i];
    return sum;
}

/* (a times n + b times m) / part, share by share: the sum of what is rounded. */
static struct net_stamp stamp_mix(const struct net_stamp *a, uint64_t n, const struct net_stamp *b, uint64_t m,
                                  uint64_t part) {
    struct net_stamp mix = {0};
    for (int i = 0; i < NET_SHARES; i++)
        mix.ps += mix.share[i] = (a->share[i] * n + b->share[i] * m) / part;
    return mix;
}

static void stamp_raise(struct net_stamp *a, const struct net_stamp *b) {
    if (b->ps > a->ps) *a = *b;
}

/* ---- collectives ---- */

/* How long a message keeps its port. */
static uint64_t port_ps(const struct net_link *link, uint64_t bytes) {
    uint64_t words = pico_of(bytes, link->G);
    return link->pull ? 0 : words > link->g_ps ? words : link->g_ps;
}

/* All ranks' events of one collective, walked from clocks at 0. */
struct meeting {
    int size;
    const uint8_t *tier; /* [size][size] */
    const struct net *net;
    struct coll_event **event; /* [size] */
    struct net_stamp **sent; /* [size][count] */
    int *count, *at, *seen; /* [size], [size], and [size][size]: events of a rank up to what a peer has taken */
    struct net_clock *clock;
};

/* The next message from a peer if it has been sent. */
static const struct net_stamp *next_from(struct meeting *m, int rank, int peer) {
    int *at = &m->seen[rank * m->size + peer];
    for (; *at < m->at[peer]; ++*at) {
        const struct coll_event *e = &m->event[peer][*at];
        if (e->doing == COLL_SENDS && e->peer == rank) return &m->sent[peer][(*at)++];
    }
    return NULL;
}

/* Returns the number of events done. */
static int meet(struct meeting *m, int rank) {
    struct net_clock *clock = &m->clock[rank];
    int *at = &m->at[rank], from = *at;
    for (; *at < m->count[rank]; ++*at) {
        const struct coll_event *e = &m->event[rank][*at];
        int tier = m->tier[rank * m->size + e->peer];
        if (e->doing == COLL_SPENDS) {
            net_spend(clock, e->share, e->amount);
        } else if (e->doing == COLL_SENDS) {
            m->sent[rank][*at] = net_send(clock, m->net, tier, e->amount);
        } else {
            const struct net_stamp *stamp = next_from(m, rank, e->peer);
            if (!stamp) break;
            net_recv(clock, m->net, tier, stamp);
        }
    }
    return *at - from;
}

static int meeting_events(struct meeting *m, const struct estimator *e, const struct stage_class *c,
                          enum step_kind kind, size_t n, int rank, struct diag *d) {
    struct coll_spec spec;
    int rc = 0, base = 0, kvp = e->p->strategy.kvp;
    if (kind == STEP_SAMPLE) {
        m->event[rank] = malloc(COLL_GATHER_EVENTS * sizeof **m->event);
        if (!m->event[rank]) return diag_set(d, ERR_MEMORY, "no memory for an all-gather");
        m->count[rank] = coll_gather_events(rank, c->size, n, m->event[rank]);
    } else {
        plan_coll(e->p, c->first + rank, kind, &spec);
        if (kind == STEP_ATTN_MERGE) base = rank / kvp * kvp;
        rc = coll_events(&spec, rank - base, n, m->net, &m->event[rank], &m->count[rank], d);
    }
    for (int i = 0; i < m->count[rank] && !rc; i++)
        m->event[rank][i].peer += m->event[rank][i].doing == COLL_SPENDS ? 0 : base;
    m->sent[rank] = rc ? NULL : calloc((size_t)m->count[rank] + 1, sizeof **m->sent);
    return rc || m->sent[rank] ? rc : diag_set(d, ERR_MEMORY, "no memory for a collective");
}

static void meeting_fini(struct meeting *m) {
    for (int r = 0; r < m->size; r++) {
        if (m->event) free(m->event[r]);
        if (m->sent) free(m->sent[r]);
    }
    free(m->event);
    free(m->sent);
    free(m->count);
    free(m->at);
    free(m->seen);
    free(m->clock);
}

static int meeting_init(struct meeting *m, const struct estimator *e, const struct stage_class *c, enum step_kind kind,
                        size_t n, struct diag *d) {
    size_t size = (size_t)c->size;
    *m = (struct meeting){.size = c->size, .tier = c->tier, .net = &e->c->net};
    m->event = calloc(size, sizeof *m->event);
    m->sent = calloc(size, sizeof *m->sent);
    m->count = calloc(size, sizeof *m->count);
    m->at = calloc(size, sizeof *m->at);
    m->seen = calloc(size * size, sizeof *m->seen);
    m->clock = calloc(size, sizeof *m->clock);
    int rc = m->event && m->sent && m->count && m->at && m->seen && m->clock
                 ? 0
                 : diag_set(d, ERR_MEMORY, "no memory for a collective of %d ranks", c->size);
    for (int r = 0; r < c->size && !rc; r++)
        rc = meeting_events(m, e, c, kind, n, r, d);
    return rc;
}

/* late: the rank that begins later than all others; -1: they begin together. Nonzero: some would wait for ever. */
static int meet_all(struct meeting *m, int late) {
    size_t size = (size_t)m->size;
    int lack = 0;
    memset(m->at, 0, size * sizeof *m->at);
    memset(m->seen, 0, size * size * sizeof *m->seen);
    memset(m->clock, 0, size * sizeof *m->clock);
    if (late >= 0) net_spend(&m->clock[late], NET_MEMORY, LONG_AGO);
    for (int done = 1; done;) {
        done = 0;
        for (int r = 0; r < m->size; r++)
            done += meet(m, r);
    }
    for (int r = 0; r < m->size; r++)
        lack += m->at[r] < m->count[r];
    return lack;
}

static void take_ends(const struct meeting *m, struct net_stamp *out, int late) {
    for (int r = 0; r < m->size; r++) {
        out[r] = m->clock[r].now;
        if (late < 0) continue;
        if (out[r].ps < LONG_AGO) {
            out[r] = (struct net_stamp){.ps = NEVER};
        } else {
            out[r].ps -= LONG_AGO;
            out[r].share[NET_MEMORY] -= LONG_AGO;
        }
    }
}

static uint64_t busiest_port(const struct meeting *m, int rank) {
    uint64_t busy[NET_MAX_TIERS] = {0}, most = 0;
    for (int i = 0; i < m->count[rank]; i++) {
        const struct coll_event *e = &m->event[rank][i];
        if (e->doing != COLL_SENDS) continue;
        int tier = m->tier[rank * m->size + e->peer];
        busy[tier] += port_ps(&m->net->tier[tier].link, e->amount);
        if (busy[tier] > most) most = busy[tier];
    }
    return most;
}

/* A collective of n elements (bytes, for the all-gather): costs.coll and costs.port. */
static int coll_ends(const struct estimator *e, const struct stage_class *c, enum step_kind kind, size_t n,
                     struct net_stamp *out, uint64_t *port, struct diag *d) {
    struct meeting m;
    int rc = meeting_init(&m, e, c, kind, n, d), pairs = c->size <= MAX_PAIRS;
    for (int i = 0; i < (pairs ? c->size : 1) && !rc; i++) {
        if (meet_all(&m, pairs ? i : -1))
            rc = diag_set(d, ERR_INTERNAL, "ranks from %d on would wait for ever in %s", c->first, step_name(kind));
        take_ends(&m, out + (size_t)i * (size_t)c->size, pairs ? i : -1);
    }
    for (int r = 0; r < c->size && !rc; r++)
        port[r] = busiest_port(&m, r);
    meeting_fini(&m);
    return rc;
}

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
    if (chain == 0) card_spend_pass(&clock, c->card);
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

static size_t coll_elems(const struct estimator *e, const struct stage_class *c, const struct costs *costs,
                         enum step_kind kind, int layer) {
    const struct plan *p = e->p;
    size_t n = (size_t)costs->tokens * (size_t)p->shape.d_model;
    int head0, head1;
    switch (kind) {
    case STEP_ATTN_MERGE:
        shard_query_heads(&p->ranks[c->first].shard, &head0, &head1);
        return (size_t)costs->tokens * (size_t)(head1 - head0);
    case STEP_FFN_REDUCE: return plan_sync(p, c->first, layer) == SYNC_JOINED ? 2 * n : n;
    case STEP_SAMPLE:
        return (size_t)(PLAN_OFFER_HEADER_BYTES +
                        costs->wanted * (PLAN_OFFER_BYTES + (int64_t)p->opts.top_candidates * PLAN_CANDIDATE_BYTES));
    default: return n;
    }
}

/* The collectives of a block, each once. */
static int cost_colls(const struct estimator *e, const struct stage_class *c, struct costs *costs,
                      const struct chain *ch, struct diag *d) {
    int rc = 0;
    for (int i = 0; i < ch->block[0]->n && !rc; i++) {
        enum step_kind kind = ch->block[0]->step[i].kind;
        int at = coll_of(c, kind);
        if (at < 0 || costs->coll[at] || (at == AT_GATHER && !costs->wanted)) continue;
        costs->coll[at] = calloc((size_t)c->size * (size_t)(c->size <= MAX_PAIRS ? c->size : 1), sizeof **costs->coll);
        costs->port[at] = calloc((size_t)c->size, sizeof **costs->port);
        if (!costs->coll[at] || !costs->port[at]) return diag_set(d, ERR_MEMORY, "no memory for a collective");
        rc = coll_ends(e, c, kind, coll_elems(e, c, costs, kind, ch->layer), costs->coll[at], costs->port[at], d);
    }
    return rc;
}

/* ---- one stage's turn ---- */

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
            if (r == 0 || ch->block[r] != ch->block[r - 1] || c->place[r].kv != c->place[r - 1].kv) {
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

/* What the stage sends, to ranks of the next stage or of stage 0. */
static void run_sends(const struct estimator *e, const struct stage_class *c, int64_t bytes, struct ending *out) {
    for (int r = 0; r < c->size; r++) {
        struct net_clock clock = {.now = e->at[r]};
        for (int j = r; j < c->n_to; j += c->size) {
            struct net_clock there = {0};
            struct net_stamp stamp = net_send(&clock, &e->c->net, c->to_tier[j], (uint64_t)bytes);
            net_recv(&there, &e->c->net, c->to_tier[j], &stamp);
            stamp_raise(&out->passed, &there.now);
        }
        e->at[r] = clock.now;
        keep_port(c, r, &clock, e->first_send[r], out);
    }
}

/* 0: nothing. */
static int64_t sent_bytes(const struct estimator *e, const struct stage_class *c, const struct costs *costs) {
    const struct plan_rank *rank = &e->p->ranks[c->first];
    if (!rank->shard.final_norm)
        return PLAN_HEADER_BYTES + costs->tokens * (PLAN_TOKEN_BYTES + 4 * (int64_t)e->p->shape.d_model);
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
static int take_turn(const struct estimator *e, struct stage_class *c, const struct card_pass *pass, struct turn *out,
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
    if (e->p->ranks[c->first].stage > 0 || pass->wanted) {
        out->busy.ps += c->recv_ps;
        out->busy.share[NET_OVERHEAD] += c->recv_ps;
    }
    return 0;
}

/* ---- rounds ---- */

/* n rounds in which each micro-batch makes a pass: those with most sequences, and those with one less. */
struct rounds {
    int64_t n;
    struct passes big, small;
    uint64_t n_big, n_small; /* micro-batches */
};

/* One replica's job. */
struct job {
    struct estimator *e;
    const struct estimate_job *job;
    const int *class_of; /* [n_stages] */
    int n_new;
    struct net_stamp last[TRACKS], back[TRACKS]; /* a track's last pass is done; its next one needs the tokens */
    struct net_stamp prefill;
    int fed_last; /* track whose prompts end last */
    int decodes; /* and prompts are done */
    struct diag *d;
};

static struct card_pass pass_at(const struct passes *p, int64_t i) {
    const struct card_pass *a = &p->first, *b = &p->step;
    return (struct card_pass){a->tokens, a->wanted, a->ctx_read + i * b->ctx_read, a->ctx_sum + i * b->ctx_sum};
}

/* What tokens take from stage 0 to where they are needed again. While the small micro-batches decode beside prompts of
 * the big ones, a small one's tokens are behind a big pass in all stages, and the next big pass is behind the pass that
 * needs them: two rounds. */
static void set_loop(const struct job *j, const struct rounds *r, struct wave *w) {
    const struct estimator *e = j->e;
    struct net_stamp big = {0}, small = {0};
    int first = j->class_of[0], last = j->class_of[e->p->n_stages - 1];
    w->loop = (struct net_stamp){0};
    for (int k = 0; k < e->n_classes && (r->big.decodes || r->small.decodes); k++) {
        if (!e->kind[k]->in_use) continue;
        big = stamp_mix(&big, 1, &w->big[k].passed, (uint64_t)e->kind[k]->in_use, 1);
        small = stamp_mix(&small, 1, &w->small[k].passed, (uint64_t)e->kind[k]->in_use, 1);
    }
    if (r->big.decodes) stamp_raise(&w->loop, &big);
    if (r->small.decodes) stamp_raise(&w->loop, &small);
    if (r->big.decodes || !r->small.decodes) return;
    big = stamp_mix(&big, 1, &w->small[first].busy, r->n_small, 1);
    big = stamp_mix(&big, 1, &w->big[first].busy, r->n_big - 1, 1);
    big = stamp_mix(&big, 1, &w->small[last].passed, 1, 2);
    stamp_raise(&w->loop, &big);
}

static int make_wave(const struct job *j, const struct rounds *r, int64_t i, struct wave *w) {
    const struct estimator *e = j->e;
    struct card_pass big = pass_at(&r->big, i), small = pass_at(&r->small, i);
    int rc = 0;
    for (int k = 0; k < e->n_classes && !rc; k++) {
        if (!e->kind[k]->in_use) continue;
        rc = take_turn(e, e->kind[k], &big, &w->big[k], j->d);
        w->small[k] = w->big[k];
        if (!rc && r->n_small) rc = take_turn(e, e->kind[k], &small, &w->small[k], j->d);
        w->round[k] = stamp_mix(&w->big[k].busy, r->n_big, &w->small[k].busy, r->n_small, 1);
    }
    set_loop(j, r, w);
    for (int k = 0; k < e->n_classes; k++)
        if (e->kind[k]->in_use) stamp_raise(&w->round[k], &w->loop);
    return rc;
}

/* Whether the middle m of rounds a to b lies on the line between them. */
static int is_straight(const struct estimator *e, const struct wave *a, const struct wave *b, const struct wave *m,
                       double part) {
    for (int k = 0; k < e->n_classes; k++) {
        if (!e->kind[k]->in_use) continue;
        double line = (double)a->round[k].ps * (1 - part) + (double)b->round[k].ps * part;
        double off = line - (double)m->round[k].ps;
        if (off * off > line * line * 0x1p-28) return 0;
    }
    return 1;
}

/* Adds the rounds from a to b - 1 to e->sum: ((n + 1) f(a) + (n - 1) f(b)) / 2 on a line. */
static int add_rounds(const struct job *j, const struct rounds *r, int64_t a, const struct wave *wa, int64_t b,
                      const struct wave *wb, int depth) {
    struct estimator *e = j->e;
    struct wave *wm = &e->wave[depth];
    int64_t n = b - a, middle = a + n / 2;
    int rc = n > 1 ? make_wave(j, r, middle, wm) : 0;
    if (!rc && n > 1 && !is_straight(e, wa, wb, wm, (double)(middle - a) / (double)n)) {
        rc = add_rounds(j, r, a, wa, middle, wm, depth + 1);
        return rc ? rc : add_rounds(j, r, middle, wm, b, wb, depth + 1);
    }
    for (int k = 0; k < e->n_classes && !rc; k++) {
        if (!e->kind[k]->in_use) continue;
        struct net_stamp piece = stamp_mix(&wa->round[k], (uint64_t)(n + 1), &wb->round[k], (uint64_t)(n - 1), 2);
        e->sum[k] = stamp_plus(&e->sum[k], &piece);
    }
    return rc;
}

/* When the first and the last of the big and of the small micro-batches begin a stage, in the first and in the last
 * round: the tracks. */
struct front {
    struct net_stamp begin[TRACKS], end[TRACKS];
};

static const struct turn *turn_of(const struct wave *w, int class, int track) {
    return track < 2 ? &w->big[class] : &w->small[class];
}

static void follow(const struct net_stamp *from, const struct net_stamp *step, uint64_t times, struct net_stamp *to) {
    if (from->ps + times * step->ps <= to->ps) return;
    *to = stamp_mix(from, 1, step, times, 1);
}

static int n_tracks(const struct rounds *r) {
    return r->n_small ? TRACKS : 2;
}

/* Passes between a track and the one before. */
static uint64_t passes_before(const struct rounds *r, int track) {
    switch (track) {
    case 1: return r->n_big - 1;
    case 2: return 1;
    default: return r->n_small - 1;
    }
}

/* Moves on to stage s. before: the stage before it, NULL for stage 0. */
static void next_front(struct job *j, const struct rounds *r, int s, const struct front *before, struct front *f) {
    struct estimator *e = j->e;
    const struct wave *begin = &e->wave[0], *end = &e->wave[r->n > 1];
    int k = j->class_of[s], was = s ? j->class_of[s - 1] : 0;
    for (int t = 0; t < n_tracks(r); t++) {
        f->begin[t] = t ? f->begin[t - 1] : e->free_at[s];
        if (t) follow(&f->begin[t - 1], &turn_of(begin, k, t - 1)->busy, passes_before(r, t), &f->begin[t]);
        if (before) follow(&before->begin[t], &turn_of(begin, was, t)->passed, 1, &f->begin[t]);
        if (!before) stamp_raise(&f->begin[t], &j->back[t]);
    }
    for (int t = 0; t < n_tracks(r); t++) {
        f->end[t] = stamp_plus(&f->begin[t], &e->sum[k]);
        if (t) follow(&f->end[t - 1], &turn_of(end, k, t - 1)->busy, passes_before(r, t), &f->end[t]);
        if (before) follow(&before->end[t], &turn_of(end, was, t)->passed, 1, &f->end[t]);
    }
    e->free_at[s] = stamp_plus(&f->end[n_tracks(r) - 1], &turn_of(end, k, n_tracks(r) - 1)->busy);
}

static int run_rounds(struct job *j, const struct rounds *r) {
    struct estimator *e = j->e;
    struct front front[2];
    int n_stages = e->p->n_stages, rc = make_wave(j, r, 0, &e->wave[0]);
    memset(e->sum, 0, (size_t)e->n_classes * sizeof *e->sum);
    if (!rc && r->n > 1) rc = make_wave(j, r, r->n - 1, &e->wave[1]);
    if (!rc && r->n > 1) rc = add_rounds(j, r, 0, &e->wave[0], r->n - 1, &e->wave[1], 2);
    if (rc) return rc;
    for (int s = 0; s < n_stages; s++) {
        next_front(j, r, s, s ? &front[(s - 1) % 2] : NULL, &front[s % 2]);
        if (s == 0 && r->big.decodes && !j->decodes && n_stages > 1) j->prefill = front[0].begin[j->fed_last];
    }
    for (int t = 0; t < n_tracks(r); t++) {
        const struct turn *last = turn_of(&e->wave[r->n > 1], j->class_of[n_stages - 1], t);
        j->last[t] = stamp_plus(&front[(n_stages - 1) % 2].end[t], &last->passed);
        int wanted = (t < 2 ? r->big : r->small).first.wanted > 0;
        j->back[t] = wanted && n_stages > 1 ? j->last[t] : (struct net_stamp){0};
    }
    j->decodes = r->big.decodes;
    if (j->decodes) return 0;
    j->fed_last = r->small.decodes ? 1 : n_tracks(r) - 1;
    j->prefill = j->last[j->fed_last];
    return 0;
}

/* ---- jobs ---- */

/* The next passes of the prompts, alike but for the context, up to where one ends: that is a pass by itself. A pass
 * takes `chunk` tokens of each sequence, as long as there is room. Without tokens where nothing is left. */
static void next_prefill(const struct job *j, struct stream *s) {
    struct passes *p = &s->now;
    int room = j->e->p->opts.decoder.max_tokens, ending = 0, len = j->job->prompt_len;
    *p = (struct passes){.n = INT32_MAX};
    for (int64_t i = 0; i < s->n_seqs; i++) {
        int left = len - s->seq[i].fed, share = left < j->job->chunk ? left : j->job->chunk;
        s->seq[i].share = share = share < room ? share : room;
        room -= share;
        p->first.tokens += share;
        if (share && left / share < p->n) p->n = left / share;
    }
    for (int64_t i = 0; i < s->n_seqs; i++)
        ending += s->seq[i].share && len - s->seq[i].fed == p->n * s->seq[i].share;
    if (p->n > 1 && ending)
        p->n--;
    else
        p->first.wanted = ending;
    for (int64_t i = 0; i < s->n_seqs; i++) {
        int64_t fed = s->seq[i].fed, share = s->seq[i].share;
        p->first.ctx_read += share ? fed + share : 0;
        p->first.ctx_sum += share * fed + share * (share + 1) / 2;
        p->step.ctx_read += share;
        p->step.ctx_sum += share * share;
        s->seq[i].fed += share ? (int)(p->n * share) : 0;
    }
}

/* The next kind of passes; without tokens, and for ever, at the end. */
static void next_passes(const struct job *j, struct stream *s) {
    int64_t b = s->n_seqs, ctx = b * (j->job->prompt_len + 1);
    next_prefill(j, s);
    if (s->now.first.tokens || s->decoded || j->n_new < 2 || b == 0) return;
    s->decoded = 1;
    s->now = (struct passes){j->n_new - 1, {b, b, ctx, ctx}, {.ctx_read = b, .ctx_sum = b}, 1};
}

static void skip_passes(struct stream *s, int64_t n) {
    s->now.n -= n;
    s->now.first = pass_at(&s->now, n);
}

/* Tokens of each sequence: the context may end earlier. */
static int tokens_of(const struct plan *p, const struct estimate_job *job) {
    int most = p->opts.decoder.n_ctx - job->prompt_len + 1;
    return job->n_new < most ? job->n_new : most;
}

static int check_job(const struct plan *p, const struct estimate_job *job, struct diag *d) {
    const struct decoder_opts *o = &p->opts.decoder;
    int per_replica = (job->n_seqs + p->strategy.dp - 1) / p->strategy.dp;
    int per_micro = (per_replica + p->opts.n_micro - 1) / p->opts.n_micro;
    if (job->n_seqs < 1 || job->prompt_len < 1 || job->n_new < 1 || job->chunk < 1)
        return diag_set(d, ERR_USAGE, "an estimate needs sequences, prompts, new tokens and a chunk: at least 1 each");
    if (per_replica > o->n_seqs || job->prompt_len > o->n_ctx || per_micro > o->max_tokens ||
        per_micro > p->opts.max_logits)
        return diag_set(d, ERR_PLAN,
                        "%d sequences of %d tokens, %d of a replica and %d of a micro-batch: the plan has room for %d "
                        "of %d, and for %d tokens and %d logits of a pass",
                        job->n_seqs, job->prompt_len, per_replica, per_micro, o->n_seqs, o->n_ctx, o->max_tokens,
                        p->opts.max_logits);
    return 0;
}

/* Which stage is slowest in the last of these rounds, and whether it is what they wait for. */
static void set_bound(const struct job *j, const struct rounds *r, struct estimate *out) {
    const struct wave *w = &j->e->wave[r->n > 1];
    struct net_stamp most = {0};
    for (int s = 0; s < j->e->p->n_stages; s++) {
        int k = j->class_of[s];
        struct net_stamp all = stamp_mix(&w->big[k].busy, r->n_big, &w->small[k].busy, r->n_small, 1);
        if (all.ps > most.ps) out->slowest_stage = s;
        stamp_raise(&most, &all);
    }
    out->bound = most.ps >= w->loop.ps ? BOUND_STAGE : BOUND_LOOP;
}

/* One replica, of n_seqs sequences. */
static int run_job(struct job *j, int64_t n_seqs, struct estimate *out) {
    struct estimator *e = j->e;
    const struct plan *p = e->p;
    int64_t micro = n_seqs < p->opts.n_micro ? n_seqs : p->opts.n_micro, most = (n_seqs + micro - 1) / micro;
    struct stream big = {.n_seqs = most, .seq = e->seq}, small = {.seq = e->seq + most};
    uint64_t n_small = (uint64_t)(micro * most - n_seqs), n_big = (uint64_t)micro - n_small;
    struct rounds r = {0};
    int rc = 0;
    if (n_small) small.n_seqs = most - 1;
    for (int k = 0; k < e->n_classes; k++)
        e->kind[k]->in_use = 0;
    for (int s = 0; s < p->n_stages; s++)
        e->kind[j->class_of[s]]->in_use++;
    memset(e->free_at, 0, (size_t)p->n_stages * sizeof *e->free_at);
    memset(e->seq, 0, 2 * (size_t)most * sizeof *e->seq);
    for (int64_t n = 0; !rc; skip_passes(&big, n), skip_passes(&small, n)) {
        if (!big.now.n) next_passes(j, &big);
        if (!small.now.n) next_passes(j, &small);
        if (!big.now.first.tokens) break;
        n = big.now.n < small.now.n ? big.now.n : small.now.n;
        r = (struct rounds){n, big.now, small.now, n_big, small.now.first.tokens ? n_small : 0};
        rc = run_rounds(j, &r);
    }
    stamp_raise(&out->prefill, &j->prefill);
    if (rc || j->last[n_tracks(&r) - 1].ps <= out->total.ps) return rc;
    out->total = j->last[n_tracks(&r) - 1];
    set_bound(j, &r, out);
    return 0;
}

int estimator_run(struct estimator *e, const struct estimate_job *job, struct estimate *out, struct diag *d) {
    const struct plan *p = e->p;
    int rc = check_job(p, job, d), dp = p->strategy.dp, n = p->n_stages;
    int64_t before = 0;
    *out = (struct estimate){0};
    for (int i = 0; i < dp && !rc; i++) {
        int64_t n_seqs = (job->n_seqs - i + dp - 1) / dp;
        struct job j = {e, job, e->class_of + (size_t)i * (size_t)n, tokens_of(p, job), .d = d};
        int same = i > 0 && n_seqs == before && !memcmp(j.class_of, j.class_of - n, (size_t)n * sizeof *j.class_of);
        if (!same && n_seqs > 0) rc = run_job(&j, n_seqs, out);
        before = n_seqs;
    }
    if (rc) return rc;
    int rounds = tokens_of(p, job) - 1;
    out->decode_ps = out->total.ps - out->prefill.ps;
    out->token_ps = rounds ? out->decode_ps / (uint64_t)rounds : 0;
    return 0;
}

/* ---- setting up ---- */

static void class_free(struct stage_class *c) {
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

static int class_make(struct stage_class **out, const struct estimator *e, int replica, int s, struct diag *d) {
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

static int same_class(const struct stage_class *a, const struct stage_class *b) {
    if (a->size != b->size || a->card != b->card || a->n_chains != b->n_chains || a->recv_ps != b->recv_ps ||
        a->n_to != b->n_to || memcmp(a->tier, b->tier, (size_t)(a->size * a->size)) != 0 ||
        memcmp(a->to_tier, b->to_tier, (size_t)a->n_to) != 0)
        return 0;
    for (int r = 0; r < a->size; r++)
        if (a->place[r].kv != b->place[r].kv || a->place[r].ends != b->place[r].ends) return 0;
    for (int i = 0; i < a->n_chains; i++)
        if (!same_chain(a, b, i)) return 0;
    return 1;
}

static int add_stage(struct estimator *e, int replica, int s, struct diag *d) {
    struct stage_class *c;
    int rc = class_make(&c, e, replica, s, d), k = 0;
    if (rc) {
        class_free(c);
        return rc;
    }
    while (k < e->n_classes && !same_class(e->kind[k], c))
        k++;
    e->class_of[replica * e->p->n_stages + s] = k;
    if (k < e->n_classes)
        class_free(c);
    else
        e->kind[e->n_classes++] = c;
    return 0;
}

static int waves_make(struct estimator *e) {
    size_t n = (size_t)e->n_classes;
    e->turns = calloc(2 * MAX_DEPTH * n, sizeof *e->turns);
    e->sum = calloc((MAX_DEPTH + 1) * n, sizeof *e->sum);
    for (size_t i = 0; i < MAX_DEPTH && e->turns && e->sum; i++)
        e->wave[i] = (struct wave){e->turns + 2 * i * n, e->turns + (2 * i + 1) * n, e->sum + (i + 1) * n, {0}};
    return e->turns && e->sum ? 0 : ERR_MEMORY;
}

int estimator_new(struct estimator **out, const struct plan *p, const struct cluster *c, struct diag *d) {
    struct estimator *e = *out = calloc(1, sizeof *e);
    size_t all = (size_t)p->strategy.dp * (size_t)p->n_stages;
    if (!e) return diag_set(d, ERR_MEMORY, "no memory for an estimator");
    e->p = p;
    e->c = c;
    e->kind = calloc(all, sizeof(struct stage_class *));
    e->class_of = calloc(all, sizeof *e->class_of);
    e->at = calloc((size_t)p->ranks_per_replica, sizeof *e->at);
    e->rank = calloc((size_t)p->ranks_per_replica, sizeof *e->rank);
    e->met = calloc((size_t)p->ranks_per_replica, sizeof *e->met);
    e->port = calloc((size_t)p->ranks_per_replica, sizeof *e->port);
    e->first_send = calloc((size_t)p->ranks_per_replica, sizeof *e->first_send);
    e->free_at = calloc((size_t)p->n_stages, sizeof *e->free_at);
    e->seq = calloc(2 * (size_t)p->opts.decoder.n_seqs, sizeof *e->seq);
    int rc = e->kind && e->class_of && e->at && e->rank && e->met && e->port && e->first_send && e->free_at && e->seq
                 ? 0
                 : diag_set(d, ERR_MEMORY, "no memory for an estimator of %d ranks", p->n_ranks);
    if (!rc && !p->shape.causal)
        rc = diag_set(d, ERR_PLAN, "%s is an encoder: an estimate is of generating text", p->shape.name);
    if (!rc && virtual_media(c, p))
        rc = diag_set(d, ERR_PLAN, "%s has links that cards share: who waits for whom there is simulated", c->name);
    for (int i = 0; i < p->strategy.dp && !rc; i++)
        for (int s = 0; s < p->n_stages && !rc; s++)
            rc = add_stage(e, i, s, d);
    if (!rc && waves_make(e)) rc = diag_set(d, ERR_MEMORY, "no memory for an estimator of %d ranks", p->n_ranks);
    if (rc) {
        estimator_free(e);
        *out = NULL;
    }
    return rc;
}

void estimator_free(struct estimator *e) {
    if (!e) return;
    for (int i = 0; i < e->n_classes; i++)
        class_free(e->kind[i]);
    free(e->kind);
    free(e->class_of);
    free(e->at);
    free(e->rank);
    free(e->met);
    free(e->port);
    free(e->first_send);
    free(e->turns);
    free(e->sum);
    free(e->free_at);
    free(e->seq);
    free(e);
}

int plan_estimate(struct estimate *out, const struct plan *p, const struct cluster *c, const struct estimate_job *job,
                  struct diag *d) {
    struct estimator *e;
    int rc = estimator_new(&e, p, c, d);
    if (!rc) rc = estimator_run(e, job, out, d);
    estimator_free(e);
    return rc;
}
