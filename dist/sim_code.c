/* sim_code.c - what the ranks of a stage do in a pass, as straight-line code. What a rank does, and in which order, is
 * steps.c and engine.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_priv.h"

enum { NOBODY = -1, FEW_LAYERS = 4 };

/* ---- each rank's operations ---- */

struct raw {
    struct sim_op op;
    enum queue_kind kind;
    int peer; /* of the stage; NOBODY: none, or outside of it */
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

static int no_memory(struct sim *s) {
    return diag_set(s->d, ERR_MEMORY, "no memory for what simulated ranks do");
}

/* Doubles an array of n elements where it is full. */
static int grow(struct sim *s, void *array, int n, int *cap, size_t size) {
    if (n < *cap) return 0;
    int more = *cap ? 2 * *cap : 32;
    void *grown = realloc(*(void **)array, (size_t)more * size);
    if (!grown) return no_memory(s);
    *(void **)array = grown;
    *cap = more;
    return 0;
}

static int add_op(struct maker *m, enum sim_doing doing, int of, int at, uint64_t ps, enum queue_kind kind, int peer) {
    struct list *l = &m->list[m->rank];
    int rc = grow(m->s, &l->raw, l->n, &l->cap, sizeof *l->raw);
    if (rc) return rc;
    l->raw[l->n++] = (struct raw){{(uint8_t)doing, (uint8_t)of, m->rank, at, ps}, kind, peer};
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

/* Stamps under way from one rank to another, by kind: first, and last; 0 is none, i is stamp i - 1. */
struct queue {
    int first, last;
};

struct order {
    struct queue *queue; /* [QUEUE_KINDS][size][size]: of receiver, sender */
    struct queue **blocked; /* [size] what a rank waits for */
    int *at, *ready, n_ready; /* [size] */
    int *next, *spare, n_spare; /* [sends + out] stamps: the one behind it in its queue, as i + 1; those free again */
};

static struct queue *queue_of(const struct maker *m, const struct order *o, const struct raw *r, int to, int from) {
    size_t size = (size_t)m->class->size;
    return &o->queue[((size_t)r->kind * size + (size_t)to) * size + (size_t)from];
}

static void order_send(const struct maker *m, struct order *o, struct raw *r) {
    if (r->peer == NOBODY) return;
    struct queue *q = queue_of(m, o, r, r->peer, r->op.rank);
    r->op.at = o->n_spare ? o->spare[--o->n_spare] : m->code->n_stamps++;
    o->next[r->op.at] = 0;
    if (q->first)
        o->next[q->last - 1] = r->op.at + 1;
    else
        q->first = r->op.at + 1;
    q->last = r->op.at + 1;
    if (o->blocked[r->peer] != q) return;
    o->blocked[r->peer] = NULL;
    o->ready[o->n_ready++] = r->peer;
}

/* Nonzero: there is a stamp. */
static int order_receive(const struct maker *m, struct order *o, struct raw *r) {
    struct queue *q = queue_of(m, o, r, r->op.rank, r->peer);
    if (!q->first) {
        o->blocked[r->op.rank] = q;
        return 0;
    }
    r->op.at = q->first - 1;
    q->first = o->next[r->op.at];
    o->spare[o->n_spare++] = r->op.at;
    return 1;
}

/* A rank's operations up to a receive without a stamp. */
static void order_rank(struct maker *m, struct order *o, int rank) {
    struct list *l = &m->list[rank];
    for (; o->at[rank] < l->n; o->at[rank]++) {
        struct raw *r = &l->raw[o->at[rank]];
        if (r->op.doing == SIM_SEND) order_send(m, o, r);
        if (r->op.doing == SIM_RECEIVE && !order_receive(m, o, r)) return;
        m->code->op[m->code->n_ops++] = r->op;
    }
}

static int check_order(const struct maker *m, const struct order *o) {
    for (int r = 0; r < m->class->size; r++)
        if (o->at[r] < m->list[r].n)
            return diag_set(m->s->d, ERR_INTERNAL, "simulated rank %d would wait for ever for rank %d",
                            m->class->first + r, m->class->first + m->list[r].raw[o->at[r]].peer);
    return 0;
}

static int sends_out(const struct maker *m) {
    const struct plan_rank *r = plan_rank_of(m);
    return m->class->epilogue && ((r->n_send_to && !m->s->frame) || (r->n_token_to && m->pass->wanted));
}

static int order_all(struct maker *m) {
    size_t size = (size_t)m->class->size, n = 0;
    struct sim_code *code = m->code;
    for (size_t r = 0; r < size; r++)
        n += (size_t)m->list[r].n;
    size_t stamps = n + (size_t)m->class->n_out + 1;
    code->n_stamps = code->n_out = sends_out(m) ? m->class->n_out : 0;
    struct order o = {.queue = calloc(QUEUE_KINDS * size * size, sizeof *o.queue),
                      .blocked = calloc(size, sizeof *o.blocked),
                      .at = calloc(size, sizeof *o.at),
                      .ready = calloc(size, sizeof *o.ready),
                      .next = calloc(stamps, sizeof *o.next),
                      .spare = calloc(stamps, sizeof *o.spare)};
    code->op = malloc((n + 1) * sizeof *code->op);
    int rc = o.queue && o.blocked && o.at && o.ready && o.next && o.spare && code->op ? 0 : no_memory(m->s);
    for (int r = m->class->size; r-- > 0 && !rc;)
        o.ready[o.n_ready++] = r;
    while (o.n_ready > 0 && !rc)
        order_rank(m, &o, o.ready[--o.n_ready]);
    if (!rc) rc = check_order(m, &o);
    free(o.queue);
    free(o.blocked);
    free(o.at);
    free(o.ready);
    free(o.next);
    free(o.spare);
    return rc;
}

static int make_code(struct sim *s, const struct sim_class *c, const struct trace_pass *pass, struct sim_code *code) {
    struct maker m = {s, c, pass, code, calloc((size_t)c->size, sizeof *m.list), 0, 0};
    int rc = m.list ? 0 : no_memory(s);
    for (; m.rank < c->size && !rc; m.rank++)
        rc = add_rank(&m);
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
        if (code->tokens == pass->tokens && code->wanted == pass->wanted && code->returned == pass->returned) break;
    int known = code != NULL;
    if (known)
        *at = code->next;
    else
        code = calloc(1, sizeof *code);
    *out = code;
    if (!code) return no_memory(s);
    code->next = c->codes;
    c->codes = code;
    if (known) return 0;
    code->number = ++s->n_codes;
    code->tokens = pass->tokens;
    code->wanted = pass->wanted;
    code->returned = pass->returned;
    return make_code(s, c, pass, code);
}

/* ---- classes ---- */

static void put(FILE *f, uint64_t v) {
    fwrite(&v, sizeof v, 1, f);
}
static void put_at(FILE *f, const struct plan_block *b, int level) {
    put(f, (uint64_t)(uintptr_t)b); /* equal blocks are one */
    put(f, (uint64_t)level);
}

static void put_sends(FILE *f, struct sim *s, int rank, int to, int step, int n) {
    put(f, (uint64_t)n);
    for (int i = 0; i < n; i++, to += step) {
        put(f, (uint64_t)s->p->ranks[to].tp_index);
        put(f, (uint64_t)virtual_tier(s->c, s->p, rank, to));
    }
}

static void put_rank(FILE *f, struct sim *s, const struct sim_class *c, int rank) {
    const struct plan_rank *r = &s->p->ranks[rank];
    const struct virtual_rank *v = &s->rank[rank];
    put(f, (uint64_t)(uintptr_t)v->card);
    put(f, v->place.slow.num);
    put(f, v->place.slow.den);
    put(f, v->place.kv);
    put(f, (uint64_t)r->shard.head0);
    put(f, (uint64_t)r->shard.head1);
    if (c->prologue) put_at(f, r->prologue, v->place.ends);
    for (int l = c->layer0; l < c->layer1; l++)
        put_at(f, r->layers[l - r->shard.layer0], v->place.layer[l]);
    for (int i = 0; i < c->size; i++)
        put(f, (uint64_t)virtual_tier(s->c, s->p, rank, c->first + i));
    if (!c->epilogue) return;
    put_at(f, r->epilogue, v->place.ends);
    put_sends(f, s, rank, r->send_to_first, r->send_to_step, r->n_send_to);
    put_sends(f, s, rank, r->token_to_first, r->token_to_step, r->n_token_to);
}

static int describe(struct sim *s, struct sim_class *c) {
    FILE *f = open_memstream(&c->same, &c->same_bytes);
    if (!f) return no_memory(s);
    put(f, (uint64_t)c->size);
    put(f, (uint64_t)(c->layer1 - c->layer0));
    put(f, (uint64_t)(2 * c->prologue + c->epilogue));
    put(f, (uint64_t)c->n_out);
    for (int r = 0; r < c->size; r++)
        put_rank(f, s, c, c->first + r);
    int bad = ferror(f);
    return fclose(f) || bad ? no_memory(s) : 0;
}

/* The tiers of links that keep a port busy, among the ranks of a class and those that they send to. */
static void find_ports(struct sim *s, struct sim_class *c) {
    int used[NET_MAX_TIERS] = {0};
    for (int i = 0; i < c->size; i++) {
        const struct plan_rank *r = &s->p->ranks[c->first + i];
        for (int k = 0; k < c->size; k++)
            used[virtual_tier(s->c, s->p, c->first + i, c->first + k)] |= k != i;
        for (int k = 0; k < r->n_send_to && c->epilogue; k++)
            used[virtual_tier(s->c, s->p, c->first + i, r->send_to_first + k * r->send_to_step)] = 1;
        for (int k = 0; k < r->n_token_to && c->epilogue; k++)
            used[virtual_tier(s->c, s->p, c->first + i, r->token_to_first + k * r->token_to_step)] = 1;
    }
    for (int t = 0; t < s->c->net.n_tiers; t++)
        if (used[t] && !s->c->net.tier[t].link.pull) c->port[c->n_ports++] = t;
}

static int same_classes(const struct sim_class *a, const struct sim_class *b) {
    return a->same_bytes == b->same_bytes && memcmp(a->same, b->same, a->same_bytes) == 0;
}

/* The class of what `like` says. */
static int find_class(struct sim *s, const struct sim_class *like, struct sim_class **out) {
    struct sim_class *c = calloc(1, sizeof *c), *known = s->classes;
    if (!c) return no_memory(s);
    *c = *like;
    int rc = describe(s, c);
    while (!rc && known && !same_classes(known, c))
        known = known->next;
    *out = known ? known : c;
    if (rc || known) {
        free(c->same);
        free(c);
        return rc;
    }
    find_ports(s, c);
    c->next = s->classes;
    s->classes = c;
    return 0;
}

/* Whether all ranks of a stage do in two layers the same. */
static int same_layers(const struct sim *s, int first, int size, int a, int b) {
    for (int r = first; r < first + size; r++) {
        const struct plan_rank *k = &s->p->ranks[r];
        const uint8_t *level = s->rank[r].place.layer;
        if (k->layers[a - k->shard.layer0] != k->layers[b - k->shard.layer0] || level[a] != level[b]) return 0;
    }
    return 1;
}

static int add_part(struct sim *s, struct sim_part **at, const struct sim_class *like, int times) {
    (*at)->times = times;
    return find_class(s, like, &(*at)++->class);
}

/* A stage of few layers is one part; of more, each run of equal layers is one, and so are both ends. */
int sim_stage(struct sim *s, int replica, int stage) {
    const struct plan_stage *g = &s->p->stages[stage];
    int first = replica * s->p->ranks_per_replica + g->first, rc = 0, last = stage + 1 == s->p->n_stages;
    int few = g->layer1 - g->layer0 < FEW_LAYERS;
    struct sim_part *at = calloc((size_t)(g->layer1 - g->layer0 + 3), sizeof *at);
    struct sim_class part = {.first = first, .size = g->size, .prologue = 1, .layer0 = g->layer0, .layer1 = g->layer0};
    s->part[replica * s->p->n_stages + stage] = at;
    if (!at) return no_memory(s);
    if (!few) rc = add_part(s, &at, &part, 1);
    for (int l = g->layer0, n; l < g->layer1 && !few && !rc; l += n) {
        for (n = 1; l + n < g->layer1 && same_layers(s, first, g->size, l, l + n);)
            n++;
        part = (struct sim_class){.first = first, .size = g->size, .layer0 = l, .layer1 = l + 1};
        rc = add_part(s, &at, &part, n);
    }
    part.layer0 = few ? g->layer0 : g->layer1;
    part.layer1 = g->layer1;
    part.epilogue = 1;
    part.n_out = s->p->n_stages == 1 ? 0 : s->p->stages[last ? 0 : stage + 1].size;
    return rc ? rc : add_part(s, &at, &part, 1);
}

static void class_fini(struct sim_class *c) {
    for (struct sim_code *code = c->codes, *next; code; code = next) {
        next = code->next;
        free(code->op);
        free(code->step);
        free(code);
    }
    free(c->same);
    free(c->memo);
    free(c);
}

void sim_codes_fini(struct sim *s) {
    for (struct sim_class *c = s->classes, *next; c; c = next) {
        next = c->next;
        class_fini(c);
    }
}
