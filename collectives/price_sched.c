/* price_sched.c - the timer: walks the programs of all ranks, as the executor walks its own, with clocks for data.
 *
 * What is read in place, what is copied on receipt, where messages are staged and what is published together is the
 * compiler's business (coll_program.c, coll_fit), so the timer prices just what is executed. A rank walks on until it
 * needs a stamp that is not there yet, and is woken when the rank it waits for has walked on: a clock depends on its
 * own steps and on received stamps alone, so the order in which ranks walk does not show. */
#include <stdlib.h>
#include <string.h>

#include "coll_priv.h"

struct rank {
    struct coll c; /* of which only the program and its fit to n are used */
    struct net_stamp *published, *sent; /* [publications], [n_sends] */
    char *is_sent; /* [n_sends] */
    int *matches; /* [n_insts]: RECV: which request of its peer */
    int n_published, pc;
    int waiter, next_waiter; /* the first rank that waits for this one; behind it in the list that it stands in; -1 */
};

struct timer {
    const struct sched *scheds;
    int size;
    const struct net *net;
    const struct coll_shape *shape;
    int shm;
    int *domain; /* ranks of equal numbers read each other's memory; NULL where all send messages */
    struct rank *ranks;
    int *ready, n_ready;
    struct net_clock *clocks;
};

/* ---- programs ---- */

/* The compiler takes peers' schedules as its own. */
static int give_sched(void *ctx, int rank, struct sched *out, struct diag *d) {
    const struct timer *t = ctx;
    *out = t->scheds[rank];
    size_t bytes = (size_t)out->n_steps * sizeof *out->steps;
    out->steps = malloc(bytes + 1);
    if (!out->steps) return diag_set(d, ERR_MEMORY, "no memory for the schedule of rank %d", rank);
    if (bytes > 0) memcpy(out->steps, t->scheds[rank].steps, bytes);
    return 0;
}

/* A program and its fit to sizes->n_max, without memory for values. Freed by dry_fini, also after a failure. */
static int dry_init(struct coll *c, const struct sched *s, const int *domain, const struct peer_source *peers,
                    const struct sizes *sizes, struct diag *d) {
    int code = program_init(&c->prog, s, domain, peers, d);
    if (code != 0) return code;
    size_t parts = (size_t)c->prog.n_parts + 1;
    c->wire = sizes->wire;
    c->sizes = *sizes;
    c->part_begin = calloc(2 * parts, sizeof *c->part_begin);
    c->code_begin = c->part_begin + parts;
    c->piece_off = calloc(2 * (size_t)c->prog.n_pieces + 1, sizeof *c->piece_off);
    c->piece_bytes = c->piece_off + c->prog.n_pieces;
    c->work = calloc((size_t)c->prog.n_insts + 1, sizeof *c->work);
    if (!c->part_begin || !c->piece_off || !c->work)
        return diag_set(d, ERR_MEMORY, "no memory for the work of rank %d of %d", s->rank, s->size);
    coll_fit(c, sizes->n_max);
    return 0;
}

static void dry_fini(struct coll *c) {
    program_fini(&c->prog);
    free(c->part_begin);
    free(c->piece_off);
    free(c->work);
}

static int rank_init(struct timer *t, int r, const struct sizes *sizes, struct diag *d) {
    struct rank *k = &t->ranks[r];
    struct peer_source peers = {give_sched, t};
    struct program *p = &k->c.prog;
    int code = dry_init(&k->c, &t->scheds[r], t->domain, &peers, sizes, d);
    if (code != 0) return code;
    size_t insts = (size_t)p->n_insts + 1;
    k->published = calloc((size_t)p->layout.publications + (size_t)p->n_sends + 1, sizeof *k->published);
    k->sent = k->published + p->layout.publications;
    k->is_sent = calloc((size_t)p->n_sends + 1, 1);
    k->matches = calloc(insts, sizeof *k->matches);
    k->waiter = k->next_waiter = -1;
    if (!k->published || !k->is_sent || !k->matches)
        return diag_set(d, ERR_MEMORY, "no memory for pricing rank %d of %d", r, t->size);
    return 0;
}

static void rank_fini(struct rank *k) {
    dry_fini(&k->c);
    free(k->published);
    free(k->is_sent);
    free(k->matches);
}

/* The i-th message that r receives from a peer is the i-th that this sends to r. */
static int match(struct timer *t, int r, int *cursor) {
    const struct program *mine = &t->ranks[r].c.prog;
    memset(cursor, 0, (size_t)t->size * sizeof *cursor);
    for (int i = 0; i < mine->n_insts; i++) {
        if (mine->insts[i].op != INST_RECV) continue;
        int peer = mine->insts[i].peer, *at = &cursor[peer];
        const struct program *theirs = &t->ranks[peer].c.prog;
        while (*at < theirs->n_insts && (theirs->insts[*at].op != INST_SEND || theirs->insts[*at].peer != r))
            ++*at;
        if (*at == theirs->n_insts) return ERR_INTERNAL;
        t->ranks[r].matches[i] = theirs->insts[(*at)++].number;
    }
    return 0;
}

/* ---- what work costs ---- */

/* Reads k bytes of an operand that lies with a peer; nonzero if it does. */
static int read_peer(struct timer *t, int r, struct ref operand, uint64_t k) {
    if (operand.area < AREA_PEERS) return 0;
    int peer = t->ranks[r].c.prog.peers[operand.area - AREA_PEERS].rank;
    net_read(&t->clocks[r], t->net, net_tier(t->net, t->shape, t->shm, r, peer), k);
    return 1;
}

/* 0 bytes: none. */
static struct coll_event own_work(const struct coll *c, const struct work *w) {
    uint64_t bytes = w->count * c->sizes.elem;
    switch (w->op) {
    case INST_REDUCE: return (struct coll_event){COLL_REDUCES, 0, bytes};
    case INST_COPY:
    case INST_COPY_CODE: return (struct coll_event){COLL_COPIES, 0, w->count};
    case INST_FILL: return (struct coll_event){COLL_COPIES, 0, bytes};
    case INST_ACCUMULATE: return (struct coll_event){COLL_ACCUMULATES, 0, bytes};
    case INST_ENCODE:
    case INST_DECODE: return (struct coll_event){COLL_CODES, 0, bytes};
    case INST_SEND:
    case INST_RECV: return (struct coll_event){COLL_COPIES, 0, w->a.area == AREA_STAGE ? w->count : 0};
    default: return (struct coll_event){COLL_COPIES, 0, 0};
    }
}

uint64_t coll_event_ps(const struct coll_event *e, const struct net *net, enum net_share *share) {
    *share = e->doing == COLL_COPIES ? NET_MEMORY : NET_COMPUTE;
    switch (e->doing) {
    case COLL_REDUCES: return pico_of(e->bytes, net->gamma);
    case COLL_COPIES: return pico_of(e->bytes, net->copy);
    case COLL_CODES: return pico_of(e->bytes, net->codec);
    case COLL_ACCUMULATES: return pico_add(pico_of(e->bytes, net->codec), pico_of(e->bytes, net->gamma));
    default: return 0;
    }
}

void coll_spend(const struct coll *c, const struct work *w, struct net_clock *clock, const struct net *net) {
    struct coll_event e = own_work(c, w);
    enum net_share share;
    uint64_t ps = coll_event_ps(&e, net, &share);
    net_spend(clock, share, ps);
}

/* What lies with peers is read in place; such a copy is that reading. */
static void price_work(struct timer *t, int r, const struct work *w) {
    const struct coll *c = &t->ranks[r].c;
    const struct span *s = &c->prog.insts[w->inst].dst;
    int is_code = w->op == INST_DECODE || w->op == INST_ACCUMULATE,
        is_copy = w->op == INST_COPY || w->op == INST_COPY_CODE;
    uint64_t bytes = is_code   ? c->code_begin[s->end] - c->code_begin[s->part]
                     : is_copy ? w->count
                               : w->count * c->sizes.elem;
    int read = w->op == INST_ENCODE || w->op == INST_FILL ? 0 : read_peer(t, r, w->a, bytes);
    if (w->op == INST_REDUCE) read_peer(t, r, w->b, bytes);
    if (!(is_copy && read)) coll_spend(c, w, &t->clocks[r], t->net);
}

/* ---- messages ---- */

static void price_send(struct timer *t, int r, const struct work *w) {
    struct rank *k = &t->ranks[r];
    int tier = net_tier(t->net, t->shape, t->shm, r, w->peer);
    coll_spend(&k->c, w, &t->clocks[r], t->net);
    k->sent[w->number] = net_send(&t->clocks[r], t->net, tier, w->count);
    k->is_sent[w->number] = 1;
}

/* -1, or the rank without whose next steps this one cannot go on. */
static int price_recv(struct timer *t, int r, const struct work *w) {
    int number = t->ranks[r].matches[w->inst], tier = net_tier(t->net, t->shape, t->shm, r, w->peer);
    const struct rank *peer = &t->ranks[w->peer];
    if (!peer->is_sent[number]) return w->peer;
    net_recv(&t->clocks[r], t->net, tier, &peer->sent[number]);
    if (t->net->tier[tier].link.pull) net_read(&t->clocks[r], t->net, tier, w->count);
    coll_spend(&t->ranks[r].c, w, &t->clocks[r], t->net);
    return -1;
}

static int price_await(struct timer *t, int r, const struct work *w) {
    int peer = t->ranks[r].c.prog.peers[w->peer].rank;
    const struct rank *k = &t->ranks[peer];
    if (w->number >= (uint64_t)k->n_published) return peer;
    net_recv(&t->clocks[r], t->net, net_tier(t->net, t->shape, t->shm, r, peer), &k->published[w->number]);
    return -1;
}

static void price_publish(struct timer *t, int r) {
    struct rank *k = &t->ranks[r];
    k->published[k->n_published++] = net_send(&t->clocks[r], t->net, net_tier(t->net, t->shape, t->shm, r, r), 0);
}

/* ---- walking ---- */

/* Walks on as far as it goes; -1 at the end, else the rank that is waited for. */
static int walk(struct timer *t, int r) {
    struct rank *k = &t->ranks[r];
    for (; k->pc < k->c.n_work; k->pc++) {
        const struct work *w = &k->c.work[k->pc];
        int waits = -1;
        switch (w->op) {
        case INST_PUBLISH: price_publish(t, r); break;
        case INST_SEND: price_send(t, r, w); break;
        case INST_RECV: waits = price_recv(t, r, w); break;
        case INST_AWAIT: waits = price_await(t, r, w); break;
        default: price_work(t, r, w);
        }
        if (waits >= 0) return waits;
    }
    return -1;
}

static void wake(struct timer *t, int r) {
    for (int i = t->ranks[r].waiter, next; i >= 0; i = next) {
        next = t->ranks[i].next_waiter;
        t->ready[t->n_ready++] = i;
    }
    t->ranks[r].waiter = -1;
}

static int walk_all(struct timer *t, struct diag *d) {
    for (t->n_ready = 0; t->n_ready < t->size; t->n_ready++)
        t->ready[t->n_ready] = t->n_ready;
    while (t->n_ready > 0) {
        int r = t->ready[--t->n_ready], from = t->ranks[r].pc, waits = walk(t, r);
        if (waits >= 0) {
            t->ranks[r].next_waiter = t->ranks[waits].waiter;
            t->ranks[waits].waiter = r;
        }
        if (t->ranks[r].pc > from) wake(t, r);
    }
    for (int r = 0; r < t->size; r++)
        if (t->ranks[r].pc < t->ranks[r].c.n_work)
            return diag_set(d, ERR_INTERNAL, "price: rank %d would wait for ever at instruction %d", r, t->ranks[r].pc);
    return 0;
}

/* Memory is read in place where the link within a domain pulls. */
static int find_domain(struct timer *t) {
    if (!t->net->tier[net_tier(t->net, t->shape, t->shm, 0, 0)].link.pull) return 0;
    t->domain = calloc((size_t)t->size, sizeof *t->domain);
    if (t->domain && t->shape->domain) memcpy(t->domain, t->shape->domain, (size_t)t->size * sizeof *t->domain);
    return t->domain ? 0 : ERR_MEMORY;
}

int sched_price(const struct sched *ranks, const struct coll_shape *shape, const struct net *net, int shm,
                const struct coll_op *op, const struct coll_wire *wire, size_t n, size_t granule,
                struct net_clock *clocks, struct diag *d) {
    struct timer t = {ranks, shape->size, net, shape, shm, NULL, NULL, NULL, 0, clocks};
    struct sizes sizes = {op->elem_bytes, n, granule, wire};
    size_t size = (size_t)shape->size;
    t.ranks = calloc(size, sizeof *t.ranks);
    t.ready = calloc(2 * size, sizeof *t.ready);
    int code = t.ranks && t.ready ? find_domain(&t) : ERR_MEMORY;
    for (int r = 0; r < t.size && code == 0; r++)
        code = rank_init(&t, r, &sizes, d);
    for (int r = 0; r < t.size && code == 0; r++)
        code = match(&t, r, t.ready + size);
    if (code == 0) code = walk_all(&t, d);
    for (int r = 0; r < t.size && t.ranks; r++)
        rank_fini(&t.ranks[r]);
    free(t.ranks);
    free(t.ready);
    free(t.domain);
    return code ? diag_set(d, code, "cannot price schedules of %d ranks: %s", shape->size, err_text(code)) : 0;
}

/* ---- one rank's part ---- */

/* Staging is before a send, and behind a receive. */
static void add_events(struct coll_event **at, const struct coll *c, const struct work *w) {
    const struct coll_event own = own_work(c, w);
    if (w->op == INST_RECV) *(*at)++ = (struct coll_event){COLL_RECEIVES, w->peer, w->count};
    if (own.bytes) *(*at)++ = own;
    if (w->op == INST_SEND) *(*at)++ = (struct coll_event){COLL_SENDS, w->peer, w->count};
}

int coll_events(const struct coll_spec *spec, int rank, size_t n, struct coll_event **out, int *count, struct diag *d) {
    struct coll c = {0};
    struct sched s = {0};
    struct coll_choice choice;
    struct sizes sizes = {spec->op.elem_bytes, n, coll_granule(spec), spec->wire};
    int code = coll_resolve(spec, &choice, NULL, 0, d);
    *out = NULL;
    if (code == 0) code = sched_build(&s, &choice, spec->kind, &spec->shape, rank, d);
    if (code == 0 && spec->wire) code = sched_make_lossy(&s, &choice, d);
    if (code == 0) code = dry_init(&c, &s, NULL, NULL, &sizes, d);
    struct coll_event *at = code ? NULL : malloc((2 * (size_t)c.n_work + 1) * sizeof *at);
    if (code == 0 && !at) code = diag_set(d, ERR_MEMORY, "no memory for the events of a collective");
    if (code == 0) {
        *out = at;
        for (int i = 0; i < c.n_work; i++)
            add_events(&at, &c, &c.work[i]);
        *count = (int)(at - *out);
    }
    dry_fini(&c);
    sched_fini(&s);
    return code;
}

/* Bruck's: blocks that pass the end of the array are a second message. */
int coll_gather_events(int rank, int size, size_t bytes, struct coll_event *out) {
    int n = 0;
    for (int have = 1; have < size; have *= 2) {
        int count = have < size - have ? have : size - have, theirs = (rank + have) % size;
        int head = size - rank < count ? size - rank : count;
        int their_head = size - theirs < count ? size - theirs : count;
        int to = (rank - have + size) % size;
        out[n++] = (struct coll_event){COLL_SENDS, to, (uint64_t)head * bytes};
        if (head < count) out[n++] = (struct coll_event){COLL_SENDS, to, (uint64_t)(count - head) * bytes};
        out[n++] = (struct coll_event){COLL_RECEIVES, theirs, 0};
        if (their_head < count) out[n++] = (struct coll_event){COLL_RECEIVES, theirs, 0};
    }
    return n;
}

/* ---- whole choices ---- */

static int build_all(struct sched *all, const struct coll_choice *choice, enum coll_kind kind,
                     const struct coll_shape *shape, const struct coll_wire *wire, struct diag *d) {
    int code = 0;
    for (int r = 0; r < shape->size && code == 0; r++) {
        code = sched_build(&all[r], choice, kind, shape, r, d);
        if (code == 0 && wire) code = sched_make_lossy(&all[r], choice, d);
    }
    return code;
}

int coll_predict(const struct coll_choice *choice, enum coll_kind kind, const struct coll_shape *shape,
                 const struct net *net, int shm, const struct coll_op *op, const struct coll_wire *wire, size_t n,
                 size_t granule, uint64_t *ps, struct diag *d) {
    struct sched *all = calloc((size_t)shape->size, sizeof *all);
    struct net_clock *clocks = calloc((size_t)shape->size, sizeof *clocks);
    enum coll_label label;
    int code = all && clocks ? 0 : diag_set(d, ERR_MEMORY, "no memory for %d schedules", shape->size);
    if (code == 0) code = build_all(all, choice, kind, shape, wire, d);
    if (code == 0) code = sched_check(all, kind, shape, &label, d);
    if (code == 0) code = sched_price(all, shape, net, shm, op, wire, n, granule, clocks, d);
    *ps = 0;
    for (int r = 0; r < shape->size && code == 0; r++)
        if (clocks[r].now.ps > *ps) *ps = clocks[r].now.ps;
    for (int r = 0; r < shape->size && all; r++)
        sched_fini(&all[r]);
    free(all);
    free(clocks);
    return code;
}
