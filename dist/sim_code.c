/* sim_code.c - what the ranks of a stage do in a pass, as straight-line code. What a rank does, and in which order, is
 * steps.c and engine.c. */
#include <stdlib.h>

#include "sim_priv.h"

enum { NOBODY = -1 };

/* ---- each rank's operations ---- */

struct raw {
    struct sim_op op;
    enum queue_kind kind;
    int peer, step; /* of the stage, and from one message to the next; NOBODY: none, or outside of it */
};

struct list {
    struct raw *raw;
    int n, cap;
    struct sim_call call[QUEUE_KINDS]; /* under way */
};

struct maker {
    struct sim *s;
    const struct sim_class *class;
    const struct trace_pass *pass;
    struct sim_code *code;
    struct list *list; /* [class->size] */
    int steps_cap;
    int rank; /* of the stage, whose steps are added */
};

static int world_rank(const struct maker *m) {
    return m->class->first + m->rank;
}
static const struct plan_rank *plan_rank_of(const struct maker *m) {
    return &m->s->p->ranks[world_rank(m)];
}

int sim_no_memory(struct sim *s) {
    return diag_set(s->d, ERR_MEMORY, "no memory for what simulated ranks do");
}

/* Doubles an array of n elements where it is full. */
static int grow(struct sim *s, void *array, int n, int *cap, size_t size) {
    if (n < *cap) return 0;
    int more = *cap ? 2 * *cap : 32;
    void *grown = realloc(*(void **)array, (size_t)more * size);
    if (!grown) return sim_no_memory(s);
    *(void **)array = grown;
    *cap = more;
    return 0;
}

/* Takes a message into the row before it where it belongs there. */
static int continues(struct list *l, enum sim_doing doing, int tier, uint64_t ps, enum queue_kind kind, int peer) {
    struct raw *r = l->n ? &l->raw[l->n - 1] : NULL;
    if (!r || peer == NOBODY || r->peer == NOBODY || r->op.doing != doing || r->op.of != tier || r->op.ps != ps ||
        r->kind != kind)
        return 0;
    if (r->op.n == 1) r->step = peer - r->peer;
    if (peer != r->peer + r->op.n * r->step) return 0;
    r->op.n++;
    return 1;
}

static int add_op(struct maker *m, enum sim_doing doing, int of, int at, uint64_t ps, enum queue_kind kind, int peer) {
    struct list *l = &m->list[m->rank];
    m->code->n_single++;
    if (continues(l, doing, of, ps, kind, peer)) return 0;
    int rc = grow(m->s, &l->raw, l->n, &l->cap, sizeof *l->raw);
    if (rc) return rc;
    l->raw[l->n++] = (struct raw){{(uint8_t)doing, (uint8_t)of, m->rank, at, 1, ps}, kind, peer, 0};
    return 0;
}

static int add_send(struct maker *m, int to, int at, uint64_t bytes, enum queue_kind kind, int peer) {
    int tier = virtual_tier(m->s->c, m->s->p, world_rank(m), to);
    const struct net_link *link = &m->s->c->net.tier[tier].link;
    uint64_t ps = pico_of(bytes, link->G);
    m->code->events++;
    m->code->most_ps = pico_add(m->code->most_ps, pico_add(pico_add(ps, link->g_ps), net_lag(link, ps)));
    m->code->most_ps = pico_add(m->code->most_ps, pico_add(link->o_send_ps, link->o_recv_ps));
    return add_op(m, SIM_SEND, tier, at, ps, kind, peer);
}

static int add_receive(struct maker *m, enum queue_kind kind, int peer) {
    m->code->events++;
    return add_op(m, SIM_RECEIVE, virtual_tier(m->s->c, m->s->p, world_rank(m), m->class->first + peer), 0, 0, kind,
                  peer);
}

static int add_spend(struct maker *m, enum net_share share, uint64_t ps) {
    m->code->most_ps = pico_add(m->code->most_ps, ps);
    return add_op(m, SIM_SPEND, share, 0, ps, 0, NOBODY);
}

/* Goes on with a collective; `start`: up to its first receive. */
static int add_call(struct maker *m, enum queue_kind kind, int start) {
    struct sim_call *call = &m->list[m->rank].call[kind];
    int kvp = m->s->p->strategy.kvp, base = kind == Q_MERGE ? m->rank / kvp * kvp : 0, rc = 0;
    for (; call->at < call->count && !rc; call->at++) {
        const struct coll_event *e = &call->event[call->at];
        int peer = base + e->peer;
        enum net_share share;
        uint64_t ps = coll_event_ps(e, &m->s->c->net, &share);
        if (e->doing == COLL_RECEIVES && start) break;
        if (e->doing == COLL_RECEIVES) rc = add_receive(m, kind, peer);
        if (e->doing == COLL_SENDS) rc = add_send(m, m->class->first + peer, 0, e->bytes, kind, peer);
        if (ps) rc = add_spend(m, share, ps);
        m->code->events += ps > 0;
    }
    return rc;
}

static int start_call(struct maker *m, enum queue_kind kind, size_t n) {
    int rc = sim_call_begin(&m->list[m->rank].call[kind], m->s->p, world_rank(m), kind, n, m->s->d);
    return rc ? rc : add_call(m, kind, 1);
}

/* Messages to every step-th rank from `to` on, of a stage that begins with rank `base`. */
static int add_sends(struct maker *m, int to, int step, int n, int base, int64_t bytes) {
    int rc = 0;
    for (int i = 0; i < n && !rc; i++, to += step)
        rc = add_send(m, to, to - base, (uint64_t)bytes, 0, NOBODY);
    return rc;
}

static int add_hidden(struct maker *m) {
    const struct plan_rank *r = plan_rank_of(m);
    if (m->s->frame) return 0;
    return add_sends(m, r->send_to_first, r->send_to_step, r->n_send_to, m->class->first + m->class->size,
                     plan_hidden_bytes(m->s->p, m->pass->tokens));
}

static int add_token(struct maker *m) {
    const struct plan_rank *r = plan_rank_of(m);
    return add_sends(m, r->token_to_first, r->token_to_step, m->pass->wanted ? r->n_token_to : 0,
                     r->replica * m->s->p->ranks_per_replica, sim_token_bytes(m->pass));
}

/* What follows a step's own time at once, and what it waits for. */
static int add_messages(struct maker *m, enum step_kind kind, int layer) {
    size_t n;
    int starts = sim_call_starts(m->s->p, world_rank(m), kind, layer, m->pass, &n), rc = 0;
    int ends = sim_call_ends(kind, m->pass);
    if (starts != NO_QUEUE) rc = start_call(m, starts, n);
    if (kind == STEP_SEND_HIDDEN) rc = add_hidden(m);
    if (kind == STEP_SEND_TOKEN) rc = add_token(m);
    return rc || ends == NO_QUEUE ? rc : add_call(m, ends, 0);
}

/* Joins the rank's work before it where nothing is in between. */
static int add_work(struct maker *m, const struct plan_step *step, int layer) {
    struct list *l = &m->list[m->rank];
    struct sim_code *code = m->code;
    int rc = 0;
    if (!l->n || l->raw[l->n - 1].op.doing != SIM_WORK) rc = add_op(m, SIM_WORK, 0, code->n_work++, 0, 0, NOBODY);
    if (!rc) rc = grow(m->s, &code->step, code->n_steps, &m->steps_cap, sizeof *code->step);
    if (!rc) code->step[code->n_steps++] = (struct sim_step){step, m->rank, layer, code->n_work - 1};
    return rc;
}

static int add_block(struct maker *m, const struct plan_block *b, int layer) {
    int rc = 0;
    for (int i = 0; i < b->n && !rc; i++) {
        enum step_kind kind = b->step[i].kind;
        if (kind == STEP_RECV_HIDDEN || kind == STEP_RECV_TOKEN) continue;
        m->code->events++;
        if (!card_is_message(kind)) rc = add_work(m, &b->step[i], layer);
        if (!rc) rc = add_messages(m, kind, layer);
    }
    return rc;
}

static int add_pass(struct maker *m) {
    const struct virtual_rank *v = &m->s->rank[world_rank(m)];
    struct net_clock clock = {0};
    card_spend_pass(&clock, v->card, &v->place);
    return add_spend(m, NET_OVERHEAD, clock.now.ps);
}

/* A pass without tokens is a header that is passed on. */
static int add_rank(struct maker *m) {
    const struct sim_class *c = m->class;
    const struct plan_rank *r = plan_rank_of(m);
    int rc = 0;
    if (!m->pass->tokens) return c->epilogue ? add_hidden(m) : 0;
    if (c->prologue) rc = add_pass(m);
    if (c->prologue && !rc) rc = add_block(m, r->prologue, -1);
    for (int l = c->layer0; l < c->layer1 && !rc; l++)
        rc = add_block(m, r->layers[l - r->shard.layer0], l);
    return rc || !c->epilogue ? rc : add_block(m, r->epilogue, -1);
}

/* ---- one order for all ---- */

/* A message under way, or free again; i + 1 stands for number i, 0 for none. */
struct flight {
    enum queue_kind kind;
    int next; /* behind it from the same rank to the same; of those that are free */
    struct sim_from from;
};

/* What a rank waits for: nothing where peer is NOBODY. */
struct wait {
    enum queue_kind kind;
    int peer;
};

struct order {
    struct flight *flight;
    int n_flights, flights_cap, spare; /* spare: the one that was free last */
    int *first; /* [size][size] from a rank to another; as little is used of it as ranks talk to each other */
    int *left, left_cap; /* [code->n_rows] messages of a row that are under way; of one that is free, the next such */
    int spare_row;
    struct wait *wait; /* [size] */
    int *at, *in; /* [size] operation, and message of it, that is next */
    int *ready, n_ready; /* [size] */
    int ops_cap, from_cap;
};

/* The link to the first message of a kind from a rank to another, or to the end. */
static int *find_flight(const struct maker *m, const struct order *o, enum queue_kind kind, int from, int to) {
    int *link = &o->first[(size_t)from * (size_t)m->class->size + (size_t)to];
    while (*link && o->flight[*link - 1].kind != kind)
        link = &o->flight[*link - 1].next;
    return link;
}

static int new_flight(struct maker *m, struct order *o, const struct raw *r, int to, struct sim_from from) {
    int at = o->spare;
    if (at) {
        o->spare = o->flight[at - 1].next;
    } else {
        int rc = grow(m->s, &o->flight, o->n_flights, &o->flights_cap, sizeof *o->flight);
        if (rc) return rc;
        at = ++o->n_flights;
    }
    o->flight[at - 1] = (struct flight){r->kind, 0, from};
    int *link = find_flight(m, o, r->kind, r->op.rank, to);
    while (*link)
        link = &o->flight[*link - 1].next;
    *link = at;
    struct wait *w = &o->wait[to];
    if (w->peer != r->op.rank || w->kind != r->kind) return 0;
    w->peer = NOBODY;
    o->ready[o->n_ready++] = to;
    return 0;
}

static int new_row(struct maker *m, struct order *o, int *row, int n) {
    int rc = 0;
    *row = o->spare_row - 1;
    if (o->spare_row) {
        o->spare_row = o->left[*row];
    } else {
        *row = m->code->n_rows;
        rc = grow(m->s, &o->left, *row, &o->left_cap, sizeof *o->left);
        m->code->n_rows += !rc;
    }
    if (!rc) o->left[*row] = n;
    return rc;
}

static int put_op(struct maker *m, struct order *o, const struct sim_op *op) {
    int rc = grow(m->s, &m->code->op, m->code->n_ops, &o->ops_cap, sizeof *op);
    if (!rc) m->code->op[m->code->n_ops++] = *op;
    return rc;
}

static int order_send(struct maker *m, struct order *o, const struct raw *r) {
    struct sim_op op = r->op;
    int rc = r->peer == NOBODY ? 0 : new_row(m, o, &op.at, op.n);
    for (int i = 0; i < op.n && r->peer != NOBODY && !rc; i++)
        rc = new_flight(m, o, r, r->peer + i * r->step, (struct sim_from){op.at, i});
    return rc ? rc : put_op(m, o, &op);
}

/* Nonzero: the message is there. */
static int take_flight(struct order *o, int *link, struct sim_from *out) {
    int at = *link;
    if (!at) return 0;
    struct flight *f = &o->flight[at - 1];
    *link = f->next;
    f->next = o->spare;
    o->spare = at;
    *out = f->from;
    if (--o->left[out->row]) return 1;
    o->left[out->row] = o->spare_row;
    o->spare_row = out->row + 1;
    return 1;
}

/* Receives as much of a row as is there: an operation; sets what the rank waits for where it is not all. */
static int order_receive(struct maker *m, struct order *o, const struct raw *r) {
    struct sim_code *code = m->code;
    struct sim_op op = r->op;
    int *in = &o->in[op.rank], begin = *in, rc = 0;
    op.at = code->n_from;
    for (; *in < r->op.n; ++*in) {
        int peer = r->peer + *in * r->step;
        rc = grow(m->s, &code->from, code->n_from, &o->from_cap, sizeof *code->from);
        if (rc) return rc;
        if (!take_flight(o, find_flight(m, o, r->kind, peer, op.rank), &code->from[code->n_from])) {
            o->wait[op.rank] = (struct wait){r->kind, peer};
            break;
        }
        code->n_from++;
    }
    op.n = *in - begin;
    return op.n ? put_op(m, o, &op) : 0;
}

/* A rank's operations up to a message that is not there. */
static int order_rank(struct maker *m, struct order *o, int rank) {
    struct list *l = &m->list[rank];
    int rc = 0;
    for (; o->at[rank] < l->n && !rc; o->at[rank]++, o->in[rank] = 0) {
        const struct raw *r = &l->raw[o->at[rank]];
        if (r->op.doing == SIM_SEND) {
            rc = order_send(m, o, r);
        } else if (r->op.doing == SIM_RECEIVE) {
            rc = order_receive(m, o, r);
            if (o->wait[rank].peer != NOBODY) return rc;
        } else {
            rc = put_op(m, o, &r->op);
        }
    }
    return rc;
}

static int check_order(const struct maker *m, const struct order *o) {
    for (int r = 0; r < m->class->size; r++)
        if (o->at[r] < m->list[r].n)
            return diag_set(m->s->d, ERR_INTERNAL, "simulated rank %d would wait for ever for rank %d",
                            m->class->first + r,
                            m->class->first + m->list[r].raw[o->at[r]].peer + o->in[r] * m->list[r].raw[o->at[r]].step);
    return 0;
}

static int sends_out(const struct maker *m) {
    const struct plan_rank *r = plan_rank_of(m);
    return m->class->epilogue && ((r->n_send_to && !m->s->frame) || (r->n_token_to && m->pass->wanted));
}

static int order_init(struct maker *m, struct order *o) {
    size_t size = (size_t)m->class->size;
    m->code->n_rows = m->code->n_out = sends_out(m) ? m->class->n_out : 0;
    *o = (struct order){.first = calloc(size * size, sizeof *o->first),
                        .wait = malloc(size * sizeof *o->wait),
                        .at = calloc(size, sizeof *o->at),
                        .in = calloc(size, sizeof *o->in),
                        .ready = calloc(size, sizeof *o->ready),
                        .left_cap = m->code->n_rows,
                        .left = calloc((size_t)m->code->n_rows + 1, sizeof *o->left)};
    for (size_t r = 0; r < size && o->wait; r++)
        o->wait[r].peer = NOBODY;
    return o->first && o->wait && o->at && o->in && o->ready && o->left ? 0 : sim_no_memory(m->s);
}

static void order_fini(struct order *o) {
    free(o->flight);
    free(o->first);
    free(o->left);
    free(o->wait);
    free(o->at);
    free(o->in);
    free(o->ready);
}

static int order_all(struct maker *m) {
    struct order o;
    int rc = order_init(m, &o);
    for (int r = m->class->size; r-- > 0 && !rc;)
        o.ready[o.n_ready++] = r;
    while (o.n_ready > 0 && !rc)
        rc = order_rank(m, &o, o.ready[--o.n_ready]);
    if (!rc) rc = check_order(m, &o);
    order_fini(&o);
    return rc;
}

static int make_code(struct sim *s, const struct sim_class *c, const struct trace_pass *pass, struct sim_code *code) {
    struct maker m = {s, c, pass, code, calloc((size_t)c->size, sizeof *m.list), 0, 0};
    int rc = m.list ? 0 : sim_no_memory(s);
    for (; m.rank < c->size && !rc; m.rank++) {
        rc = add_rank(&m);
        plan_events_done(s->p, world_rank(&m));
    }
    m.rank = 0;
    if (!rc) rc = order_all(&m);
    for (int r = 0; r < c->size && m.list; r++)
        free(m.list[r].raw);
    free(m.list);
    return rc;
}

/* The last one used is the first. */
int sim_code_get(struct sim *s, struct sim_class *c, const struct trace_pass *pass, struct sim_code **out) {
    struct sim_code **at = &c->codes, *code;
    for (; (code = *at); at = &code->next)
        if (code->tokens == pass->tokens &&
            (!c->epilogue || (code->wanted == pass->wanted && code->returned == pass->returned)))
            break;
    int known = code != NULL;
    if (known)
        *at = code->next;
    else
        code = calloc(1, sizeof *code);
    *out = code;
    if (!code) return sim_no_memory(s);
    code->next = c->codes;
    c->codes = code;
    if (known) return 0;
    code->number = ++s->n_codes;
    code->tokens = pass->tokens;
    code->wanted = pass->wanted;
    code->returned = pass->returned;
    return make_code(s, c, pass, code);
}

void sim_codes_free(struct sim_code *first) {
    for (struct sim_code *code = first, *next; code; code = next) {
        next = code->next;
        free(code->op);
        free(code->from);
        free(code->step);
        free(code);
    }
}
