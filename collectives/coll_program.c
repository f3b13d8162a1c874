/* coll_program.c - compiles a schedule into a program: where each value lies is found out here, once.
 *
 * The compiler walks the steps and keeps, for each part of each slot, the place of its value: own memory, or, as long
 * as a received part is only read, the sender's. What the sender's place is follows from its schedule, which is built
 * here too: the messages of a pair match in order.
 *
 *   step of a one-shot, P = 2           instruction
 *     SEND   0 -> 1     slot 0          NOTE, PUBLISH 0
 *     RECV   1 -> 0     slot 1          AWAIT 1's publication 0         slot 1 is now 1's slot 0, in place
 *     REDUCE slot 1 += slot 0           REDUCE slot 1 = 1's slot 0 (op) slot 0 */
#include <stdlib.h>
#include <string.h>

#include "coll_priv.h"

static const struct place nowhere = {AREA_NONE, 0};

static int same_place(struct place a, struct place b) {
    return a.area == b.area && a.index == b.index;
}

/* ---- layout ---- */

static int is_shared_send(const struct sched *s, const int *domain, const struct sched_step *t) {
    return t->op == SCHED_SEND && coll_shares(domain, s->rank, t->peer);
}

/* Ends of runs of SENDs: one past the last step of the run that begins at step i. */
static int run_end(const struct sched *s, int i) {
    while (i < s->n_steps && s->steps[i].op == SCHED_SEND)
        i++;
    return i;
}

static int run_publishes(const struct sched *s, const int *domain, int i, int end) {
    for (; i < end; i++)
        if (is_shared_send(s, domain, &s->steps[i])) return 1;
    return 0;
}

static int count_publications(const struct sched *s, const int *domain) {
    int n = 0, alone = 1;
    for (int r = 0; r < s->size; r++)
        alone &= r == s->rank || !coll_shares(domain, s->rank, r);
    for (int i = 0; i < s->n_steps; i++) {
        int end = run_end(s, i);
        n += run_publishes(s, domain, i, end);
        if (end > i) i = end;
    }
    return alone ? 0 : n > 0 ? n : 1;
}

/* Slots that other ranks read. Inputs are neighbours wherever they lie, so one draws the others along. */
static void mark_shared(const struct sched *s, const int *domain, char *shared) {
    for (int i = 0; i < s->n_steps; i++)
        if (is_shared_send(s, domain, &s->steps[i])) memset(shared + s->steps[i].slot, 1, (size_t)s->steps[i].count);
    if (s->lossy) return;
    for (int k = 0; k < s->n_in; k++)
        if (shared[k]) memset(shared, 1, (size_t)s->n_in);
}

static struct place next_in(struct layout *l, enum area area) {
    return (struct place){area, l->count[area]++};
}

/* Slots that ever hold a code. */
static void mark_coded(const struct sched *s, char *coded) {
    for (int i = 0; i < s->n_steps && s->lossy; i++) {
        const struct sched_step *t = &s->steps[i];
        if (t->op == SCHED_SEND || t->op == SCHED_RECV || t->op == SCHED_ROUND)
            memset(coded + t->slot, 1, (size_t)t->count);
    }
}

static void place_slots(struct layout *l, const struct sched *s, const char *shared, const char *coded) {
    for (int k = 0; k < s->n_slots; k++) {
        int twice = k == s->result_slot || (k < s->n_in && s->result_slot < s->n_in);
        l->code[k] = nowhere;
        if (s->lossy && coded[k]) l->code[k] = next_in(l, shared[k] ? AREA_SHARED : AREA_CODES);
        l->value[k] = next_in(l, shared[k] && !s->lossy ? AREA_SHARED : twice ? AREA_TWICE : AREA_ONCE);
    }
}

int layout_init(struct layout *l, const struct sched *s, const int *domain) {
    size_t n = (size_t)s->n_slots;
    char *marks = calloc(2, n);
    *l = (struct layout){.value = calloc(n, sizeof *l->value), .code = calloc(n, sizeof *l->code)};
    if (!marks || !l->value || !l->code) {
        free(marks);
        layout_fini(l);
        return ERR_MEMORY;
    }
    mark_shared(s, domain, marks);
    mark_coded(s, marks + n);
    place_slots(l, s, marks, marks + n);
    l->publications = count_publications(s, domain);
    free(marks);
    return 0;
}

void layout_fini(struct layout *l) {
    free(l->value);
    free(l->code);
    *l = (struct layout){0};
}

/* ---- the compiler ---- */

/* Where a part's value is; in code form: a code that has not been decoded. */
struct held {
    struct place at;
    int is_code;
};

struct compiler {
    struct program *p;
    const struct sched *s;
    const int *domain;
    struct held *held; /* [slot * n_parts + part] */
    struct place *code; /* likewise: the code of the part, once it has one */
    struct place *origin; /* of what is received: [from[step] + i], i-th part of the step */
    int *from, *publication; /* [n_steps] */
    int failed;
    struct inst dropped; /* what is written once memory has run out */
};

static struct held *held_of(struct compiler *c, int slot, int part) {
    return &c->held[(size_t)slot * (size_t)c->s->n_parts + (size_t)part];
}

static struct place *code_of(struct compiler *c, int slot, int part) {
    return &c->code[(size_t)slot * (size_t)c->s->n_parts + (size_t)part];
}

/* Room for one more; the array, or NULL. */
static void *grown(void *array, int n, int *cap, size_t bytes) {
    if (n < *cap) return array;
    int more = *cap ? 2 * *cap : 16;
    void *bigger = realloc(array, (size_t)more * bytes);
    if (bigger) *cap = more;
    return bigger;
}

static struct inst *emit(struct compiler *c, enum inst_op op, int round) {
    struct program *p = c->p;
    struct inst *insts = grown(p->insts, p->n_insts, &p->cap_insts, sizeof *insts);
    if (!insts) {
        c->failed = ERR_MEMORY;
        return &c->dropped;
    }
    p->insts = insts;
    insts[p->n_insts] = (struct inst){.op = op, .round = round, .a = nowhere, .b = nowhere, .first_piece = p->n_pieces};
    return &insts[p->n_insts++];
}

/* dst = a (op) b of one part; continues the instruction before where that did the same to the part before. */
static void emit_work(struct compiler *c, enum inst_op op, int round, struct place dst, int part, struct place a,
                      struct place b) {
    struct inst *last = c->p->n_insts > 0 ? &c->p->insts[c->p->n_insts - 1] : NULL;
    if (last && last->op == op && same_place(last->dst.at, dst) && last->dst.end == part && same_place(last->a, a) &&
        same_place(last->b, b)) {
        last->dst.end++;
        return;
    }
    struct inst *t = emit(c, op, round);
    t->dst = (struct span){dst, part, 0, part + 1};
    t->a = a;
    t->b = b;
}

/* Adds a part to the pieces of the message being written, the first of which is `first`. Vectors are neighbours of each
 * other, codes are not. */
static void emit_piece(struct compiler *c, int first, struct place at, int part, int is_code) {
    struct program *p = c->p;
    struct span *last = p->n_pieces > first ? &p->pieces[p->n_pieces - 1] : NULL;
    if (last && same_place((struct place){last->at.area, last->at.index + last->more}, at) && last->end == part) {
        last->end++;
    } else if (last && !is_code && part == 0 && last->end == p->n_parts && last->at.area == at.area &&
               last->at.index + last->more + 1 == at.index) {
        last->more++;
        last->end = 1;
    } else {
        struct span *pieces = grown(p->pieces, p->n_pieces, &p->cap_pieces, sizeof *pieces);
        if (!pieces) {
            c->failed = ERR_MEMORY;
            return;
        }
        p->pieces = pieces;
        pieces[p->n_pieces++] = (struct span){at, part, 0, part + 1};
    }
}

static int peer_number(struct compiler *c, int rank) {
    for (int i = 0; i < c->p->n_peers; i++)
        if (c->p->peers[i].rank == rank) return i;
    return -1;
}

/* ---- what is sent ---- */

/* The steps of the message that begins at step i end before the result. */
static int message_end(const struct sched *s, int i) {
    while (s->steps[i].more)
        i++;
    return i + 1;
}

/* What travels of a part: its code, or its value wherever that lies. */
static struct place sent_place(struct compiler *c, int slot, int part) {
    return c->s->lossy ? *code_of(c, slot, part) : held_of(c, slot, part)->at;
}

static void emit_send(struct compiler *c, int i, int end) {
    const struct sched_step *t = &c->s->steps[i];
    int shared = coll_shares(c->domain, c->s->rank, t->peer), first = c->p->n_pieces;
    struct inst *in = emit(c, shared ? INST_NOTE : INST_SEND, t->round);
    in->peer = t->peer;
    in->is_code = c->s->lossy;
    in->number = shared ? 0 : c->p->n_sends++;
    for (; i < end; i++, t++)
        for (int k = t->slot; k < t->slot + t->count; k++)
            for (int part = t->part; part < t->part + t->parts; part++)
                emit_piece(c, first, sent_place(c, k, part), part, in->is_code);
    in->n_pieces = c->p->n_pieces - first;
}

/* All messages of a run of SENDs: those through shared memory first, as they cost nothing. */
static void compile_run(struct compiler *c, int begin, int end, int *publication) {
    int publishes = run_publishes(c->s, c->domain, begin, end);
    for (int shared = 1; shared >= 0; shared--) {
        for (int i = begin; i < end;) {
            int next = message_end(c->s, i);
            if (coll_shares(c->domain, c->s->rank, c->s->steps[i].peer) == shared) emit_send(c, i, next);
            i = next;
        }
        if (shared && publishes) emit(c, INST_PUBLISH, c->s->steps[begin].round)->number = (*publication)++;
    }
}

/* ---- what is received ---- */

enum { WANTED_BY_SEND = 1, WANTED_AS_RESULT = 2 };

/* Whether a part received by step i must come to lie in own memory: a peer reads it here, or it stays in the result. */
static int wanted(const struct compiler *c, int i, int slot, int part) {
    const struct sched *s = c->s;
    int flags = 0;
    for (i++; i < s->n_steps; i++) {
        const struct sched_step *t = &s->steps[i];
        if (part < t->part || part >= t->part + t->parts) continue;
        if (slot < t->slot || slot >= t->slot + t->count) continue;
        if (t->op != SCHED_SEND) return flags; /* written */
        if (is_shared_send(s, c->domain, t)) flags |= WANTED_BY_SEND;
    }
    return slot == s->result_slot ? flags | WANTED_AS_RESULT : flags;
}

/* A code has come to lie in `at`. */
static void hold_code(struct compiler *c, int i, int slot, int part, struct place at, int flags) {
    *code_of(c, slot, part) = at;
    *held_of(c, slot, part) = (struct held){at, 1};
    if (!(flags & WANTED_AS_RESULT)) return;
    emit_work(c, INST_DECODE, c->s->steps[i].round, c->p->layout.value[slot], part, at, nowhere);
    *held_of(c, slot, part) = (struct held){c->p->layout.value[slot], 0};
}

/* Through shared memory: in place where that is enough, else copied. */
static void take_in_place(struct compiler *c, int i, int slot, int part, struct place origin) {
    const struct layout *l = &c->p->layout;
    int flags = wanted(c, i, slot, part), round = c->s->steps[i].round;
    if (c->s->lossy) {
        if (flags & WANTED_BY_SEND) {
            emit_work(c, INST_COPY_CODE, round, l->code[slot], part, origin, nowhere);
            origin = l->code[slot];
        }
        hold_code(c, i, slot, part, origin, flags);
        return;
    }
    if (flags) {
        emit_work(c, INST_COPY, round, l->value[slot], part, origin, nowhere);
        origin = l->value[slot];
    }
    *held_of(c, slot, part) = (struct held){origin, 0};
}

static void compile_shared_recv(struct compiler *c, int i) {
    const struct sched_step *t = &c->s->steps[i];
    const struct place *origin = &c->origin[c->from[i]];
    int first = c->p->n_pieces;
    struct inst *in = emit(c, INST_AWAIT, t->round);
    in->peer = peer_number(c, t->peer);
    in->number = c->publication[i];
    for (int k = 0; k < t->count * t->parts; k++)
        emit_piece(c, first, origin[k], t->part + k % t->parts, c->s->lossy);
    in->n_pieces = c->p->n_pieces - first;
    for (int k = 0; k < t->count * t->parts; k++)
        take_in_place(c, i, t->slot + k / t->parts, t->part + k % t->parts, origin[k]);
}

static void compile_link_recv(struct compiler *c, int begin, int end) {
    const struct layout *l = &c->p->layout;
    const struct sched_step *t = &c->s->steps[begin];
    int first = c->p->n_pieces, lossy = c->s->lossy;
    struct inst *in = emit(c, INST_RECV, t->round);
    in->peer = t->peer;
    in->is_code = lossy;
    for (int i = begin; i < end; i++, t++)
        for (int k = t->slot; k < t->slot + t->count; k++)
            for (int part = t->part; part < t->part + t->parts; part++)
                emit_piece(c, first, lossy ? l->code[k] : l->value[k], part, lossy);
    in->n_pieces = c->p->n_pieces - first;
    t = &c->s->steps[begin];
    for (int i = begin; i < end; i++, t++)
        for (int k = t->slot; k < t->slot + t->count; k++)
            for (int part = t->part; part < t->part + t->parts; part++) {
                if (lossy)
                    hold_code(c, i, k, part, l->code[k], wanted(c, i, k, part));
                else
                    *held_of(c, k, part) = (struct held){l->value[k], 0};
            }
}

/* ---- work ---- */

/* dst = a (op) b, either of which may still be a code. The op commutes. */
static void compile_reduce(struct compiler *c, const struct sched_step *t, int part) {
    struct held *dst = held_of(c, t->slot, part), a = *dst, b = *held_of(c, t->src, part);
    struct place own = c->p->layout.value[t->slot];
    *dst = (struct held){own, 0};
    if (!a.is_code && !b.is_code) {
        emit_work(c, INST_REDUCE, t->round, own, part, a.at, b.at);
        return;
    }
    if (a.is_code) emit_work(c, INST_DECODE, t->round, own, part, a.at, nowhere);
    if (b.is_code)
        emit_work(c, INST_ACCUMULATE, t->round, own, part, b.at, nowhere);
    else
        emit_work(c, INST_REDUCE, t->round, own, part, own, b.at);
}

static void compile_copy(struct compiler *c, const struct sched_step *t, int part) {
    struct held from = *held_of(c, t->src, part);
    struct place own = c->p->layout.value[t->slot];
    emit_work(c, from.is_code ? INST_DECODE : INST_COPY, t->round, own, part, from.at, nowhere);
    *held_of(c, t->slot, part) = (struct held){own, 0};
}

static void compile_local(struct compiler *c, const struct sched_step *t) {
    struct place own = c->p->layout.value[t->slot], code = c->p->layout.code[t->slot];
    for (int part = t->part; part < t->part + t->parts; part++) {
        if (t->op == SCHED_REDUCE) compile_reduce(c, t, part);
        if (t->op == SCHED_COPY) compile_copy(c, t, part);
        if (t->op == SCHED_FILL) {
            emit_work(c, INST_FILL, t->round, own, part, nowhere, nowhere);
            *held_of(c, t->slot, part) = (struct held){own, 0};
        }
        if (t->op == SCHED_ROUND) {
            emit_work(c, INST_ENCODE, t->round, code, part, held_of(c, t->slot, part)->at, nowhere);
            *code_of(c, t->slot, part) = code;
        }
    }
    for (int part = t->part; t->op == SCHED_ROUND && part < t->part + t->parts; part++)
        emit_work(c, INST_DECODE, t->round, own, part, code, nowhere);
}

static void compile_steps(struct compiler *c) {
    const struct sched *s = c->s;
    int publication = 0, own_publications = 0;
    for (int i = 0; i < s->n_steps; i++)
        own_publications |= is_shared_send(s, c->domain, &s->steps[i]);
    if (c->p->layout.publications > 0 && !own_publications) emit(c, INST_PUBLISH, 0)->number = 0;
    for (int i = 0, end; i < s->n_steps && !c->failed; i = end) {
        const struct sched_step *t = &s->steps[i];
        end = i + 1;
        if (t->op == SCHED_SEND) {
            end = run_end(s, i);
            compile_run(c, i, end, &publication);
        } else if (t->op != SCHED_RECV) {
            compile_local(c, t);
        } else if (coll_shares(c->domain, s->rank, t->peer)) {
            compile_shared_recv(c, i);
        } else {
            end = message_end(s, i);
            compile_link_recv(c, i, end);
        }
    }
}

/* ---- what the peers' schedules say ---- */

/* A walk over the parts of all messages of one schedule to or from one rank. */
struct walk {
    const struct sched *s;
    enum sched_op op;
    int peer, step, k; /* part number k of the step */
};

static int walk_find(struct walk *w) {
    while (w->step < w->s->n_steps && (w->s->steps[w->step].op != w->op || w->s->steps[w->step].peer != w->peer))
        w->step++;
    return w->step < w->s->n_steps;
}

static void walk_on(struct walk *w) {
    const struct sched_step *t = &w->s->steps[w->step];
    if (++w->k < t->count * t->parts) return;
    w->k = 0;
    w->step++;
}

/* The publication of the run that holds step i of a schedule. */
static int publication_of(const struct sched *s, const int *domain, int i) {
    int n = 0;
    for (int k = 0, end; k<s->n_steps; k = end> k ? end : k + 1) {
        end = run_end(s, k);
        if (i >= k && i < end) return n;
        n += run_publishes(s, domain, k, end);
    }
    return n;
}

/* Matches what peer number i sends with what is received from it. */
static int match_peer(struct compiler *c, const struct sched *theirs, const struct layout *l, int i, struct diag *d) {
    struct walk out = {theirs, SCHED_SEND, c->s->rank, 0, 0}, in = {c->s, SCHED_RECV, theirs->rank, 0, 0};
    struct peer *peer = &c->p->peers[i];
    int known = -1, publication = 0, more, last = -1;
    peer->publications = l->publications;
    peer->count = l->count[AREA_SHARED];
    while ((more = walk_find(&in)), walk_find(&out) == more && more) {
        const struct sched_step *t = &theirs->steps[out.step];
        int slot = t->slot + out.k / t->parts;
        if (out.step != known) publication = publication_of(theirs, c->domain, known = out.step);
        if (in.step != last) c->publication[last = in.step] = 0;
        if (publication > c->publication[in.step]) c->publication[in.step] = publication;
        c->origin[c->from[in.step] + in.k] =
            (struct place){AREA_PEERS + i, (theirs->lossy ? l->code : l->value)[slot].index};
        walk_on(&in);
        walk_on(&out);
    }
    if (walk_find(&in) == walk_find(&out)) return 0;
    return diag_set(d, ERR_INTERNAL, "schedule: ranks %d and %d do not expect the same messages", c->s->rank,
                    theirs->rank);
}

static int read_peer(struct compiler *c, const struct peer_source *source, int i, struct diag *d) {
    struct sched theirs;
    struct layout l;
    int code = source->get(source->ctx, c->p->peers[i].rank, &theirs, d);
    if (code != 0) return code;
    code = layout_init(&l, &theirs, c->domain);
    if (code == 0) code = match_peer(c, &theirs, &l, i, d);
    layout_fini(&l);
    sched_fini(&theirs);
    return code;
}

/* The ranks with which something passes through shared memory. */
static int find_peers(struct compiler *c) {
    struct program *p = c->p;
    int cap = 0;
    for (int i = 0; i < c->s->n_steps; i++) {
        const struct sched_step *t = &c->s->steps[i];
        if ((t->op != SCHED_SEND && t->op != SCHED_RECV) || !coll_shares(c->domain, c->s->rank, t->peer)) continue;
        int at = peer_number(c, t->peer);
        if (at < 0) {
            struct peer *peers = grown(p->peers, p->n_peers, &cap, sizeof *peers);
            if (!peers) return ERR_MEMORY;
            p->peers = peers;
            peers[at = p->n_peers++] = (struct peer){.rank = t->peer};
        }
        p->peers[at].reads |= t->op == SCHED_SEND;
    }
    return 0;
}

/* ---- all of it ---- */

static int compiler_init(struct compiler *c) {
    const struct sched *s = c->s;
    size_t parts = (size_t)s->n_slots * (size_t)s->n_parts, steps = (size_t)s->n_steps + 1, received = 0;
    c->from = calloc(steps, sizeof *c->from);
    c->publication = calloc(steps, sizeof *c->publication);
    for (int i = 0; i < s->n_steps && c->from; i++) {
        c->from[i] = (int)received;
        if (s->steps[i].op == SCHED_RECV) received += (size_t)s->steps[i].count * (size_t)s->steps[i].parts;
    }
    c->origin = calloc(received + 1, sizeof *c->origin);
    c->held = calloc(parts, sizeof *c->held);
    c->code = calloc(parts, sizeof *c->code);
    if (!c->from || !c->publication || !c->origin || !c->held || !c->code) return ERR_MEMORY;
    for (int k = 0; k < s->n_slots; k++)
        for (int part = 0; part < s->n_parts; part++) {
            *held_of(c, k, part) = (struct held){c->p->layout.value[k], 0};
            *code_of(c, k, part) = nowhere;
        }
    return 0;
}

static void compiler_fini(struct compiler *c) {
    free(c->held);
    free(c->code);
    free(c->origin);
    free(c->from);
    free(c->publication);
}

int program_init(struct program *p, const struct sched *s, const int *domain, const struct peer_source *peers,
                 struct diag *d) {
    struct compiler c = {.p = p, .s = s, .domain = domain};
    *p = (struct program){.n_in = s->n_in,
                          .n_slots = s->n_slots,
                          .n_parts = s->n_parts,
                          .result_slot = s->result_slot,
                          .n_rounds = s->n_rounds};
    int code = layout_init(&p->layout, s, domain);
    if (code == 0) code = compiler_init(&c);
    if (code == 0) code = find_peers(&c);
    for (int i = 0; i < p->n_peers && code == 0; i++)
        code = read_peer(&c, peers, i, d);
    if (code == 0) {
        compile_steps(&c);
        code = c.failed;
    }
    compiler_fini(&c);
    if (code == ERR_MEMORY) diag_set(d, code, "no memory for the program of rank %d of %d", s->rank, s->size);
    return code;
}

int program_library(struct program *p, int n_in, struct diag *d) {
    int n_slots = n_in > 0 ? n_in : 1;
    struct compiler c = {.p = p};
    *p = (struct program){.n_in = n_in, .n_slots = n_slots, .n_parts = 1};
    p->layout.value = calloc((size_t)n_slots, sizeof *p->layout.value);
    p->layout.code = calloc((size_t)n_slots, sizeof *p->layout.code);
    if (!p->layout.value || !p->layout.code) return diag_set(d, ERR_MEMORY, "no memory for a program");
    for (int k = 0; k < n_slots; k++) {
        p->layout.value[k] = next_in(&p->layout, AREA_TWICE);
        p->layout.code[k] = nowhere;
    }
    struct place *value = p->layout.value;
    if (n_in == 0) emit_work(&c, INST_FILL, 0, value[0], 0, nowhere, nowhere);
    for (int k = 1; k < n_in; k++)
        emit_work(&c, INST_REDUCE, 0, value[0], 0, value[0], value[k]);
    emit_work(&c, INST_LIBRARY, 0, value[0], 0, nowhere, nowhere);
    return c.failed ? diag_set(d, c.failed, "no memory for a program") : 0;
}

void program_fini(struct program *p) {
    layout_fini(&p->layout);
    free(p->insts);
    free(p->pieces);
    free(p->peers);
    *p = (struct program){0};
}

/* ---- memory ---- */

static size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

size_t area_bytes(const struct sizes *z, int is_code, int count) {
    if (count == 0) return 0;
    if (is_code) return (size_t)count * round_up(z->wire->bytes(z->n_max), 64);
    return round_up((size_t)count * z->n_max * z->elem, 64);
}

size_t segment_bytes(const struct sizes *z, int count) {
    return SEGMENT_DATA + 2 * area_bytes(z, z->wire != NULL, count);
}

size_t span_bytes(const struct program *p, const struct sizes *z, const struct span *s, int is_code) {
    size_t granules = (z->n_max + z->granule - 1) / z->granule;
    size_t most = (granules / (size_t)p->n_parts + 1) * z->granule * (size_t)(s->end - s->part);
    if (s->more > 0 || most > z->n_max) most = z->n_max;
    most += (size_t)s->more * z->n_max;
    return is_code ? z->wire->bytes(most) : most * z->elem;
}

size_t stage_bytes(const struct program *p, const struct sizes *z) {
    size_t bytes = 0;
    for (int i = 0; i < p->n_insts; i++) {
        const struct inst *in = &p->insts[i];
        size_t message = 0;
        if ((in->op != INST_SEND && in->op != INST_RECV) || in->n_pieces < 2) continue;
        for (int k = 0; k < in->n_pieces; k++)
            message += span_bytes(p, z, &p->pieces[in->first_piece + k], in->is_code);
        bytes += round_up(message, 64);
    }
    return bytes;
}
