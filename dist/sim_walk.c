/* sim_walk.c - every rank's walk over the passes of its replica, with stamps for messages. What a rank does, and in
 * which order, is steps.c and engine.c; here it can stop wherever a message is not there yet. */
#include "dist/simulate.h"

#include <stdlib.h>
#include <string.h>

#include "engine_priv.h"
#include "media.h"
#include "sim_calls.h"

/* ---- messages ---- */

/* What a rank has sent to one that receives its hidden states, as far as it knows. */
struct room {
    uint64_t used;
    int pass; /* the first that there is no credit for yet */
};

enum phase { BEGIN, EMPTY, PROLOGUE, LAYERS, EPILOGUE, END };

struct walker {
    struct virtual_rank v;
    struct recorder *rec; /* NULL: nobody asks */
    const struct plan_rank *me;
    const struct plan_stage *stage;
    const struct trace *trace;
    int *tier; /* [stage size] to each rank of the stage */
    /* Q_HIDDEN, Q_TOKEN, for each collective one from each rank of the stage, and credits from each receiver */
    struct stamp_queue *queue;
    struct room *room; /* [n_send_to] */
    int sent; /* of these, those that have the hidden states of the pass */
    int blocked; /* the queue that it waits for, or NO_QUEUE */
    int pass, layer, step;
    enum phase phase;
    int in_step; /* 1: the step's time has been spent */
    struct sim_call call[QUEUE_KINDS];
    int *last_pass; /* stage 0: [n_micro] pass whose tokens are due, or -1 */
};

struct sim {
    const struct plan *p;
    const struct cluster *c;
    uint64_t frame; /* virtual_frame */
    struct walker *rank;
    int *ready, n_ready;
    struct media media;
    struct simulation *out;
    struct recording *rec; /* NULL: none */
    int failed; /* an error code; the walk ends */
    struct diag *d;
};

static int credits_from(const struct walker *w, int receiver) {
    return 2 + (QUEUE_KINDS - 2) * w->stage->size + receiver;
}

static int n_queues(const struct walker *w) {
    return credits_from(w, w->me->n_send_to);
}

static int queue_from(const struct walker *w, enum queue_kind kind, int tp_index) {
    return kind < Q_ATTN ? (int)kind : 2 + ((int)kind - Q_ATTN) * w->stage->size + tp_index;
}

static void push(struct sim *s, int to, int at, const struct net_stamp *stamp) {
    struct walker *w = &s->rank[to];
    s->failed = stamp_queue_add(&w->queue[at], stamp, to, s->d);
    if (s->failed || w->blocked != at) return;
    w->blocked = NO_QUEUE;
    s->ready[s->n_ready++] = to;
}

/* Whose messages a queue of the rank holds. */
static int sender_of(const struct sim *s, const struct walker *w, int at) {
    if (at == Q_HIDDEN) return w->me->recv_from;
    if (at == Q_TOKEN) return w->me->token_from;
    int receiver = at - credits_from(w, 0);
    if (receiver >= 0) return w->me->send_to_first + receiver * w->me->send_to_step;
    return (int)(w - s->rank) - w->me->tp_index + (at - 2) % w->stage->size;
}

/* Nonzero: received. */
static int receive(struct sim *s, struct walker *w, int at, int tier) {
    struct stamp_queue *q = &w->queue[at];
    if (q->n == 0) {
        w->blocked = at;
        return 0;
    }
    record_recv(w->rec, &w->v.clock, &s->c->net, tier, w->rec ? sender_of(s, w, at) : 0, stamp_queue_take(q));
    s->out->events++;
    return 1;
}

/* Nobody can walk on: the next message is carried. Nonzero: there was one. */
static int grant(struct sim *s) {
    struct media_message m;
    int any = media_next(&s->media, &m);
    if (any) push(s, m.to, m.at, &m.stamp);
    return any;
}

static void send(struct sim *s, int from, int to, int tier, int at, int64_t bytes) {
    struct walker *w = &s->rank[from];
    struct net_stamp stamp = record_send(w->rec, &w->v.clock, &s->c->net, tier, to, (uint64_t)bytes);
    s->out->events++;
    if (s->c->net.tier[tier].link.medium == NET_PRIVATE) {
        push(s, to, at, &stamp);
        return;
    }
    struct media_message m = {.stamp = stamp,
                              .bytes = (uint64_t)bytes,
                              .from = from,
                              .tier = tier,
                              .medium = virtual_medium(s->c, s->p, from, to),
                              .to = to,
                              .at = at};
    s->failed = media_add(&s->media, &m, s->d);
}

/* ---- collectives ---- */

/* Goes on with a collective; `start`: up to its first receive. Nonzero: at the end. */
static int call_on(struct sim *s, struct walker *w, enum queue_kind kind, int start) {
    struct sim_call *call = &w->call[kind];
    int me = (int)(w - s->rank), base = kind == Q_MERGE ? w->me->tp_index / s->p->strategy.kvp * s->p->strategy.kvp : 0;
    for (; call->at < call->count && !s->failed; call->at++) {
        const struct coll_event *e = &call->event[call->at];
        int peer = base + e->peer, to = me - w->me->tp_index + peer;
        enum net_share share;
        uint64_t ps = coll_event_ps(e, &s->c->net, &share);
        net_spend(&w->v.clock, share, ps);
        s->out->events += ps > 0;
        if (e->doing == COLL_SENDS)
            send(s, me, to, w->tier[peer], queue_from(&s->rank[to], kind, w->me->tp_index), (int64_t)e->bytes);
        if (e->doing == COLL_RECEIVES && (start || !receive(s, w, queue_from(w, kind, peer), w->tier[peer]))) return 0;
    }
    return 1;
}

static void call_start(struct sim *s, struct walker *w, enum queue_kind kind, size_t n) {
    s->failed = sim_call_begin(&w->call[kind], s->p, (int)(w - s->rank), kind, n, s->d);
    if (!s->failed) call_on(s, w, kind, 1);
}

/* ---- steps ---- */

static const struct trace_pass *pass_of(const struct walker *w) {
    return &w->trace->pass[w->pass];
}

/* Nonzero: a receiver has room for so much. */
static int has_room(struct sim *s, struct walker *w, int receiver, uint64_t bytes) {
    struct room *room = &w->room[receiver];
    int at = credits_from(w, receiver);
    while (s->frame && room->used + bytes > s->frame) {
        if (w->queue[at].n == 0) {
            w->blocked = at;
            return 0;
        }
        record_room(w->rec, &w->v.clock, sender_of(s, w, at), stamp_queue_take(&w->queue[at]));
        room->used -= (uint64_t)plan_hidden_bytes(s->p, w->trace->pass[room->pass++].tokens);
    }
    room->used += bytes;
    return 1;
}

/* Nonzero: to all. */
static int send_hidden(struct sim *s, struct walker *w) {
    int64_t bytes = plan_hidden_bytes(s->p, pass_of(w)->tokens);
    int me = (int)(w - s->rank);
    for (; w->sent < w->me->n_send_to; w->sent++) {
        int to = w->me->send_to_first + w->sent * w->me->send_to_step;
        if (!has_room(s, w, w->sent, (uint64_t)bytes)) return 0;
        send(s, me, to, virtual_tier(s->c, s->p, me, to), Q_HIDDEN, bytes);
    }
    w->sent = 0;
    return 1;
}

/* To the sender of hidden states that have been received. */
static void give_credit(struct sim *s, const struct walker *w) {
    int from = w->me->recv_from, me = (int)(w - s->rank);
    const struct walker *sender = &s->rank[from];
    int receiver = (me - sender->me->send_to_first) / sender->me->send_to_step;
    struct net_stamp stamp = record_credit(w->rec, &w->v.clock, &s->c->net, virtual_tier(s->c, s->p, from, me), from);
    push(s, from, credits_from(sender, receiver), &stamp);
}

static void send_token(struct sim *s, struct walker *w) {
    int64_t bytes = sim_token_bytes(pass_of(w));
    int me = (int)(w - s->rank);
    for (int i = 0; i < w->me->n_token_to && pass_of(w)->wanted; i++) {
        int to = w->me->token_to_first + i * w->me->token_to_step;
        send(s, me, to, virtual_tier(s->c, s->p, me, to), Q_TOKEN, bytes);
    }
}

/* What follows a step's own time at once. */
static void step_starts(struct sim *s, struct walker *w, enum step_kind kind) {
    size_t n;
    int call = sim_call_starts(s->p, (int)(w - s->rank), kind, w->layer, pass_of(w), &n);
    if (call != NO_QUEUE) call_start(s, w, call, n);
    if (kind == STEP_SEND_TOKEN) send_token(s, w);
}

/* What a step waits for. Nonzero: nothing any more. */
static int step_ends(struct sim *s, struct walker *w, enum step_kind kind) {
    int call = sim_call_ends(kind, pass_of(w));
    if (kind == STEP_SEND_HIDDEN) return send_hidden(s, w);
    return call == NO_QUEUE || call_on(s, w, call, 0);
}

static int run_block(struct sim *s, struct walker *w, const struct plan_block *b, int layer) {
    const struct trace_pass *t = pass_of(w);
    struct card_pass pass = {t->tokens, t->wanted, t->ctx_read, t->ctx_sum};
    for (; w->step < b->n; w->step++) {
        enum step_kind kind = b->step[w->step].kind;
        if (kind == STEP_RECV_HIDDEN || kind == STEP_RECV_TOKEN) continue;
        if (!w->in_step) {
            record_step(w->rec, &w->v.clock, w->pass, layer, kind);
            card_spend_step(&w->v.clock, w->v.card, &w->v.place, &b->step[w->step], layer, &pass);
            s->out->events++;
            step_starts(s, w, kind);
            w->in_step = 1;
        }
        if (s->failed || !step_ends(s, w, kind)) return 0;
        w->in_step = 0;
    }
    w->step = 0;
    return 1;
}

/* ---- passes ---- */

static int is_first_stage(const struct walker *w) {
    return w->me->stage == 0;
}

static void take(struct sim *s, const struct walker *w, int pass) {
    if (w->me->tp_index == 0) s->out->taken[w->me->replica][pass] = w->v.clock.now;
}

/* Nonzero: the pass has begun. */
static int begin_pass(struct sim *s, struct walker *w) {
    int me = (int)(w - s->rank), micro = pass_of(w)->micro;
    record_step(w->rec, &w->v.clock, w->pass, -1, is_first_stage(w) ? STEP_RECV_TOKEN : STEP_RECV_HIDDEN);
    if (!is_first_stage(w)) {
        if (!receive(s, w, Q_HIDDEN, virtual_tier(s->c, s->p, w->me->recv_from, me))) return 0;
        if (s->frame) give_credit(s, w);
        return 1;
    }
    if (w->last_pass[micro] < 0) return 1;
    if (!receive(s, w, Q_TOKEN, virtual_tier(s->c, s->p, w->me->token_from, me))) return 0;
    card_spend_taken(&w->v.clock, w->v.card, w->me->role, w->trace->pass[w->last_pass[micro]].returned);
    take(s, w, w->last_pass[micro]);
    w->last_pass[micro] = -1;
    return 1;
}

static void end_pass(struct sim *s, struct walker *w) {
    if (!is_first_stage(w) || !pass_of(w)->wanted) return;
    if (s->p->n_stages > 1)
        w->last_pass[pass_of(w)->micro] = w->pass;
    else
        take(s, w, w->pass);
}

/* Walks on until a message is lacking. */
static void walk(struct sim *s, struct walker *w) {
    while (w->pass < w->trace->n && !s->failed) {
        switch (w->phase) {
        case BEGIN:
            if (!begin_pass(s, w)) return;
            record_step(w->rec, &w->v.clock, w->pass, -1, RECORD_STEP_PASS);
            w->phase = pass_of(w)->tokens ? PROLOGUE : EMPTY;
            if (pass_of(w)->tokens) card_spend_pass(&w->v.clock, w->v.card, &w->v.place);
            break;
        case EMPTY:
            if (!send_hidden(s, w)) return;
            w->phase = BEGIN;
            w->pass++;
            break;
        case PROLOGUE:
            if (!run_block(s, w, w->me->prologue, -1)) return;
            w->layer = w->me->shard.layer0;
            w->phase = LAYERS;
            break;
        case LAYERS:
            for (; w->layer < w->me->shard.layer1; w->layer++)
                if (!run_block(s, w, w->me->layers[w->layer - w->me->shard.layer0], w->layer)) return;
            w->phase = EPILOGUE;
            break;
        case EPILOGUE:
            if (!run_block(s, w, w->me->epilogue, -1)) return;
            w->phase = END;
            break;
        case END:
            end_pass(s, w);
            w->phase = BEGIN;
            w->pass++;
        }
    }
}

/* ---- all ranks ---- */

static int walker_init(struct sim *s, int rank, const struct trace *trace) {
    struct walker *w = &s->rank[rank];
    w->me = &s->p->ranks[rank];
    w->stage = &s->p->stages[w->me->stage];
    w->trace = &trace[w->me->replica];
    w->blocked = NO_QUEUE;
    w->rec = s->rec ? &s->rec->rank[rank] : NULL;
    int rc = virtual_rank_init(&w->v, s->c, s->p, rank, s->d), n_micro = s->p->opts.n_micro;
    if (rc) return rc;
    w->queue = calloc((size_t)n_queues(w), sizeof *w->queue);
    w->room = calloc((size_t)w->me->n_send_to + 1, sizeof *w->room);
    w->tier = calloc((size_t)w->stage->size, sizeof *w->tier);
    w->last_pass = malloc((size_t)n_micro * sizeof *w->last_pass);
    if (!w->queue || !w->room || !w->tier || !w->last_pass)
        return diag_set(s->d, ERR_MEMORY, "no memory for rank %d", rank);
    for (int i = 0; i < n_micro; i++)
        w->last_pass[i] = -1;
    for (int i = 0; i < w->stage->size; i++)
        w->tier[i] = virtual_tier(s->c, s->p, rank, rank - w->me->tp_index + i);
    return 0;
}

static void walker_fini(struct walker *w) {
    for (int i = 0; w->queue && i < n_queues(w); i++)
        stamp_queue_fini(&w->queue[i]);
    free(w->queue);
    free(w->room);
    free(w->tier);
    free(w->last_pass);
}

static int init(struct sim *s, const struct trace *trace) {
    int n = s->p->n_ranks, rc = 0;
    struct simulation *out = s->out;
    *out = (struct simulation){.n_ranks = n};
    s->rank = calloc((size_t)n, sizeof *s->rank);
    s->ready = calloc((size_t)n, sizeof *s->ready);
    out->clock = calloc((size_t)n, sizeof *out->clock);
    out->taken = calloc((size_t)s->p->strategy.dp + 1, sizeof *out->taken);
    if (!s->rank || !s->ready || !out->clock || !out->taken)
        return diag_set(s->d, ERR_MEMORY, "no memory for %d simulated ranks", n);
    for (int i = 0; i < s->p->strategy.dp; i++) {
        out->taken[i] = calloc((size_t)trace[i].n + 1, sizeof **out->taken);
        if (!out->taken[i]) return diag_set(s->d, ERR_MEMORY, "no memory for %d simulated passes", trace[i].n);
    }
    rc = virtual_frame(&s->frame, s->c, s->p, s->d);
    if (!rc) rc = media_init(&s->media, &s->c->net, virtual_media(s->c, s->p), n, s->d);
    for (int r = 0; r < n && !rc; r++)
        rc = walker_init(s, r, trace);
    return rc;
}

static int stuck(struct sim *s) {
    for (int r = 0; r < s->p->n_ranks; r++) {
        const struct walker *w = &s->rank[r];
        if (w->pass == w->trace->n) continue;
        return diag_set(s->d, ERR_INTERNAL, "simulated rank %d would wait for ever for rank %d, in pass %d, step %d", r,
                        sender_of(s, w, w->blocked), w->pass, w->step);
    }
    return 0;
}

static void fini(struct sim *s) {
    for (int r = 0; r < s->p->n_ranks && s->rank; r++)
        walker_fini(&s->rank[r]);
    free(s->rank);
    free(s->ready);
    media_fini(&s->media);
}

int simulate_recorded(struct simulation *out, const struct plan *p, const struct cluster *c, const struct trace *trace,
                      struct recording *rec, struct diag *d) {
    struct sim s = {.p = p, .c = c, .out = out, .rec = rec, .d = d};
    s.failed = init(&s, trace);
    for (int r = p->n_ranks - 1; r >= 0 && !s.failed; r--)
        s.ready[s.n_ready++] = r;
    while (!s.failed && (s.n_ready > 0 || grant(&s)))
        if (s.n_ready > 0) walk(&s, &s.rank[s.ready[--s.n_ready]]);
    if (!s.failed) s.failed = stuck(&s);
    for (int r = 0; r < p->n_ranks && !s.failed; r++) {
        out->clock[r] = s.rank[r].v.clock;
        s.failed = simulation_check(out->clock[r].now.ps, d);
        record_flush(s.rank[r].rec, &out->clock[r]);
    }
    if (!s.failed && rec) s.failed = recording_end(rec, p, c, d);
    fini(&s);
    if (s.failed) simulation_fini(out);
    return s.failed;
}
