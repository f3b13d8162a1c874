/* check.c - proves schedules by running them symbolically.
 *
 * The value of each part of each slot is an expression over the ranks' inputs, numbered so that equal expressions have
 * one number (a + b and b + a are equal). All ranks advance until each has ended or none can go on. A send completes
 * only when it is received, which is the least that a link promises, and each receive names its peer: what happens does
 * then not depend on timing (a Kahn network), so one run stands for all. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "sched_build.h"

enum { UNSET = -1, NO_MEMORY = -2, ROUNDED = -3 };

/* Expressions: [0, n_inputs) are the inputs, then the identity, then each one made of others with lower numbers. */
struct expr {
    int a, b; /* operands, the lower number first; or ROUNDED, and what is */
    int codings; /* most that lie between any input and this */
    int twice; /* an input that counts more than once, or UNSET */
};

struct exprs {
    int n, cap, n_inputs;
    struct expr *of;
    uint64_t *sets; /* words of each: which inputs count in it */
    size_t words;
    int *table; /* open addressing: index into of, or UNSET; size is a power of two above 2 * cap */
    int table_size;
};

static int *table_find(struct exprs *x, int a, int b) {
    uint64_t h = hash_mix(((uint64_t)(uint32_t)a << 32) | (uint64_t)(uint32_t)b);
    for (;; h++) {
        int *at = &x->table[h & (uint64_t)(x->table_size - 1)];
        if (*at == UNSET || (x->of[*at].a == a && x->of[*at].b == b)) return at;
    }
}

static int exprs_grow(struct exprs *x, int cap) {
    struct expr *of = realloc(x->of, (size_t)cap * sizeof *of);
    if (of) x->of = of;
    uint64_t *sets = realloc(x->sets, (size_t)cap * x->words * sizeof *sets);
    if (sets) x->sets = sets;
    int *table = realloc(x->table, (size_t)cap * 4 * sizeof *table);
    if (table) x->table = table;
    if (!of || !sets || !table) return ERR_MEMORY;
    x->cap = cap;
    x->table_size = 4 * cap;
    for (int i = 0; i < x->table_size; i++)
        x->table[i] = UNSET;
    for (int i = x->n_inputs + 1; i < x->n; i++)
        *table_find(x, x->of[i].a, x->of[i].b) = i;
    return 0;
}

static uint64_t *set_of(const struct exprs *x, int e) {
    return x->sets + (size_t)e * x->words;
}

/* The inputs, each a set of itself, and the identity. */
static int exprs_init(struct exprs *x, int n_inputs) {
    int cap = 64;
    x->n_inputs = n_inputs;
    x->words = (size_t)n_inputs / 64 + 1;
    while (cap < 2 * n_inputs + 2)
        cap *= 2;
    if (exprs_grow(x, cap) != 0) return ERR_MEMORY;
    x->n = n_inputs + 1;
    memset(x->sets, 0, (size_t)x->n * x->words * sizeof *x->sets);
    for (int i = 0; i < x->n; i++) {
        x->of[i] = (struct expr){UNSET, UNSET, 0, UNSET};
        if (i < n_inputs) set_of(x, i)[i / 64] |= (uint64_t)1 << (i % 64);
    }
    return 0;
}

/* A new expression: the union of its operands' inputs, and the first that both count. */
static void expr_fill(struct exprs *x, int at, int a, int b) {
    int rounded = a == ROUNDED, low = rounded ? b : a;
    const struct expr *p = &x->of[low], *q = &x->of[b];
    x->of[at] = (struct expr){a, b, (p->codings > q->codings ? p->codings : q->codings) + rounded,
                              p->twice != UNSET ? p->twice : q->twice};
    for (size_t w = 0; w < x->words; w++) {
        uint64_t both = set_of(x, low)[w] & set_of(x, b)[w];
        if (both && !rounded && x->of[at].twice == UNSET) x->of[at].twice = (int)w * 64 + __builtin_ctzll(both);
        set_of(x, at)[w] = set_of(x, low)[w] | set_of(x, b)[w];
    }
}

static int expr_make(struct exprs *x, int a, int b) {
    if (x->n == x->cap && exprs_grow(x, 2 * x->cap) != 0) return NO_MEMORY;
    int *at = table_find(x, a, b);
    if (*at == UNSET) {
        expr_fill(x, x->n, a, b);
        *at = x->n++;
    }
    return *at;
}

static int expr_sum(struct exprs *x, int a, int b) {
    if (a == x->n_inputs) return b; /* the identity */
    if (b == x->n_inputs) return a;
    return a < b ? expr_make(x, a, b) : expr_make(x, b, a);
}

/* A rank in the middle of its schedule. Index of a part: slot * n_parts + part. */
struct state {
    int at; /* next step */
    int round; /* of the last step done */
    int pending; /* its messages of this round that are not yet received */
    int *value; /* expression in each part */
    char *sent, *coded; /* the part has been sent; it is what a code says that is at hand */
    int *queue; /* from each peer: the first step of the first message here that is not yet received, or UNSET */
    int *queue_end;
    int *behind; /* of a step that begins a message: that of the next one to the same peer, or UNSET */
    int input; /* its first one among all ranks' */
};

struct prover {
    const struct sched *ranks; /* with parts that no step tells apart joined into one */
    struct sched *joined; /* those, and all their steps */
    struct sched_step *steps;
    int *part_name; /* the first of the schedule's parts that a joined part stands for */
    const struct coll_shape *shape;
    enum coll_kind kind;
    struct diag *d;
    struct exprs x;
    struct state *states;
    struct pairtree_node *nodes; /* of all inputs, in leaf order */
    int n_inputs;
    int *ints; /* the arrays of all states */
    char *chars;
};

static const char *const op_names[] = {"SEND", "RECV", "REDUCE", "COPY", "FILL", "ROUND"};

/* An error at a step: "rank 2 step 5 (RECV, round 1): ...". */
#define STEP_ERROR(p, rank, step, ...)                                                                                 \
    step_error(p, rank, step, (p)->ranks[rank].steps[step].op, (p)->ranks[rank].steps[step].round, __VA_ARGS__)
#define step_error(p, rank, step, op, round, fmt, ...)                                                                 \
    diag_set((p)->d, ERR_INTERNAL, "schedule: rank %d step %d (%s, round %d): " fmt, rank, step, op_names[op], round,  \
             __VA_ARGS__)

static int is_message(const struct sched_step *t) {
    return t->op == SCHED_SEND || t->op == SCHED_RECV;
}

/* ---- what can be seen without running ---- */

/* A step that continues the message of the one before, as `more` says. */
static int check_more(const struct prover *p, int rank, int i) {
    const struct sched *s = &p->ranks[rank];
    const struct sched_step *t = &s->steps[i];
    if (t->more && (!is_message(t) || i + 1 == s->n_steps))
        return STEP_ERROR(p, rank, i, "no step %d continues this message", i + 1);
    if (!t->more || (t[1].op == t->op && t[1].peer == t->peer && t[1].round == t->round)) return 0;
    return STEP_ERROR(p, rank, i, "step %d is no part of this message", i + 1);
}

static int check_operands(const struct prover *p, int rank, int i) {
    const struct sched *s = &p->ranks[rank];
    const struct sched_step *t = &s->steps[i];
    if (is_message(t)) {
        if (t->peer >= 0 && t->peer < s->size && t->peer != rank) return 0;
        return STEP_ERROR(p, rank, i, "peer %d of %d ranks", t->peer, s->size);
    }
    if (t->count != 1) return STEP_ERROR(p, rank, i, "%d slots: only messages may have several", t->count);
    if ((t->op == SCHED_REDUCE || t->op == SCHED_COPY) && (t->src < 0 || t->src >= s->n_slots || t->src == t->slot))
        return STEP_ERROR(p, rank, i, "from slot %d of %d", t->src, s->n_slots);
    if (t->op == SCHED_ROUND && !s->lossy)
        return STEP_ERROR(p, rank, i, "rounding, but the schedule is %s", "lossless");
    return 0;
}

static int check_step(const struct prover *p, int rank, int i) {
    const struct sched *s = &p->ranks[rank];
    const struct sched_step *t = &s->steps[i];
    if ((unsigned)t->op > SCHED_ROUND)
        return diag_set(p->d, ERR_INTERNAL, "schedule: rank %d step %d: operation %d does not exist", rank, i,
                        (int)t->op);
    if (t->slot < 0 || t->count < 1 || t->slot > s->n_slots - t->count)
        return STEP_ERROR(p, rank, i, "slots %d+%d of %d", t->slot, t->count, s->n_slots);
    if (t->part < 0 || t->parts < 1 || t->part > s->n_parts - t->parts)
        return STEP_ERROR(p, rank, i, "parts %d+%d of %d", t->part, t->parts, s->n_parts);
    if (t->round < (i > 0 ? s->steps[i - 1].round : 0) ||
        t->round >= s->n_rounds + (s->n_rounds == 0 && !is_message(t)))
        return STEP_ERROR(p, rank, i, "rounds go back, or are more than %d", s->n_rounds);
    int code = check_operands(p, rank, i);
    return code ? code : check_more(p, rank, i);
}

static int inputs_of(const struct prover *p, int rank) {
    return p->kind == COLL_ALLGATHER ? 1 : coll_cover_count(p->shape, rank, rank + 1);
}

static int check_header(const struct prover *p, int rank) {
    const struct sched *s = &p->ranks[rank], *first = &p->ranks[0];
    int parts = p->kind == COLL_ALLREDUCE ? first->n_parts : p->shape->size;
    if (s->rank != rank || s->size != p->shape->size || s->n_in != inputs_of(p, rank) || s->n_slots < s->n_in ||
        s->n_slots < 1 || s->result_slot < 0 || s->result_slot >= s->n_slots)
        return diag_set(p->d, ERR_INTERNAL,
                        "schedule: rank %d calls itself %d of %d, %d inputs of %d slots, result in %d", rank, s->rank,
                        s->size, s->n_in, s->n_slots, s->result_slot);
    if (s->n_parts != parts || s->n_parts < 1 || s->n_rounds != first->n_rounds || s->n_rounds < 0 ||
        s->lossy != first->lossy)
        return diag_set(p->d, ERR_INTERNAL,
                        "schedule: rank %d has %d parts, %d rounds, lossy %d; rank 0 has %d parts, %d rounds, lossy %d",
                        rank, s->n_parts, s->n_rounds, s->lossy, first->n_parts, first->n_rounds, first->lossy);
    for (int i = 0; i < s->n_steps; i++) {
        int code = check_step(p, rank, i);
        if (code != 0) return code;
    }
    return 0;
}

/* ---- before the first step ---- */

/* begin[k] = 1 where a step begins or ends: parts between two such are never told apart. The kinds whose parts belong
 * to ranks keep them all. */
static void mark_parts(const struct prover *p, int *begin) {
    int n = p->ranks[0].n_parts;
    for (int k = 0; k < n; k++)
        begin[k] = k == 0 || p->kind != COLL_ALLREDUCE;
    for (int r = 0; r < p->shape->size; r++)
        for (int i = 0; i < p->ranks[r].n_steps; i++) {
            const struct sched_step *t = &p->ranks[r].steps[i];
            begin[t->part] = begin[t->part + t->parts] = 1;
        }
    begin[n] = 1;
}

/* Copies the schedules with joined parts: domains of different sizes make very many. */
static int join_parts(struct prover *p) {
    size_t n_steps = 1, n_parts = (size_t)p->ranks[0].n_parts;
    int size = p->shape->size, n = 0, *number;
    for (int r = 0; r < size; r++)
        n_steps += (size_t)p->ranks[r].n_steps;
    p->joined = malloc((size_t)size * sizeof *p->joined);
    p->steps = malloc(n_steps * sizeof *p->steps);
    p->part_name = malloc(2 * (n_parts + 1) * sizeof *number);
    if (!p->joined || !p->steps || !p->part_name) return ERR_MEMORY;
    number = p->part_name + n_parts + 1; /* of the joined part that holds a part */
    mark_parts(p, number);
    for (int k = 0; k <= (int)n_parts; k++) {
        if (number[k]) p->part_name[n++] = k;
        number[k] = n - 1;
    }
    struct sched_step *to = p->steps;
    for (int r = 0; r < size; r++) {
        p->joined[r] = p->ranks[r];
        p->joined[r].n_parts = n - 1;
        p->joined[r].steps = to;
        for (int i = 0; i < p->ranks[r].n_steps; i++, to++) {
            *to = p->ranks[r].steps[i];
            to->parts = number[to->part + to->parts] - number[to->part];
            to->part = number[to->part];
        }
    }
    p->ranks = p->joined;
    return 0;
}

/* Cuts n ints off the pool, all set to UNSET. */
static int *cut(int **pool, size_t n) {
    int *a = *pool;
    for (size_t i = 0; i < n; i++)
        a[i] = UNSET;
    *pool += n;
    return a;
}

static size_t parts_of(const struct sched *s) {
    return (size_t)s->n_slots * (size_t)s->n_parts;
}

/* Of an allgather only part `rank` of the input counts. */
static void state_init(struct prover *p, int rank, int **pool, char **chars) {
    const struct sched *s = &p->ranks[rank];
    struct state *st = &p->states[rank];
    size_t n = parts_of(s), size = (size_t)s->size;
    st->value = cut(pool, n);
    st->queue = cut(pool, size);
    st->queue_end = cut(pool, size);
    st->behind = cut(pool, (size_t)s->n_steps);
    st->sent = *chars;
    st->coded = *chars + n;
    *chars += 2 * n;
    for (int i = 0; i < s->n_in; i++)
        for (int k = 0; k < s->n_parts; k++)
            if (p->kind != COLL_ALLGATHER || k == rank) st->value[i * s->n_parts + k] = st->input + i;
}

static int states_init(struct prover *p) {
    size_t ints = 1, chars = 1;
    int size = p->shape->size;
    for (int r = 0; r < size; r++) {
        ints += parts_of(&p->ranks[r]) + 2 * (size_t)size + (size_t)p->ranks[r].n_steps;
        chars += 2 * parts_of(&p->ranks[r]);
        p->states[r].input = p->n_inputs;
        p->n_inputs += inputs_of(p, r);
    }
    int *pool = p->ints = malloc(ints * sizeof *pool);
    char *flags = p->chars = calloc(chars, 1);
    p->nodes = malloc(((size_t)p->n_inputs + PAIRTREE_MAX_NODES) * sizeof *p->nodes);
    if (!pool || !flags || !p->nodes || exprs_init(&p->x, p->n_inputs) != 0) return ERR_MEMORY;
    for (int r = 0; r < size; r++) {
        if (p->kind != COLL_ALLGATHER) coll_cover(p->shape, r, r + 1, p->nodes + p->states[r].input);
        state_init(p, r, &pool, &flags);
    }
    return 0;
}

/* ---- steps ---- */

static int check_read(const struct prover *p, int rank, int i, int slot, int part) {
    if (p->states[rank].value[slot * p->ranks[rank].n_parts + part] != UNSET) return 0;
    return STEP_ERROR(p, rank, i, "reads slot %d part %d, which holds nothing", slot, p->part_name[part]);
}

static int check_write(const struct prover *p, int rank, int i, int slot, int part) {
    if (!p->states[rank].sent[slot * p->ranks[rank].n_parts + part]) return 0;
    return STEP_ERROR(p, rank, i, "writes slot %d part %d, which has been sent", slot, p->part_name[part]);
}

/* A place in a message: piece after piece, slot after slot, part after part. */
struct cursor {
    const struct sched_step *t;
    int slot, part;
};

static struct cursor cursor_at(const struct sched_step *t) {
    return (struct cursor){t, t->slot, t->part};
}

/* 0 at the end of the message. */
static int cursor_next(struct cursor *c) {
    if (++c->part < c->t->part + c->t->parts) return 1;
    c->part = c->t->part;
    if (++c->slot < c->t->slot + c->t->count) return 1;
    if (!c->t->more) return 0;
    *c = cursor_at(c->t + 1);
    return 1;
}

static int message_steps(const struct sched_step *t) {
    int n = 1;
    while (t[n - 1].more)
        n++;
    return n;
}

/* All pieces at once. */
static int do_send(struct prover *p, int rank, int i) {
    const struct sched *s = &p->ranks[rank];
    struct state *st = &p->states[rank], *to = &p->states[s->steps[i].peer];
    struct cursor c = cursor_at(&s->steps[i]);
    do {
        int at = c.slot * s->n_parts + c.part, step = (int)(c.t - s->steps);
        int code = check_read(p, rank, step, c.slot, c.part);
        if (code != 0) return code;
        if (s->lossy && !st->coded[at])
            return STEP_ERROR(p, rank, step, "sends slot %d part %d, which has no code", c.slot, p->part_name[c.part]);
        st->sent[at] = 1;
    } while (cursor_next(&c));
    if (to->queue[rank] == UNSET)
        to->queue[rank] = i;
    else
        st->behind[to->queue_end[rank]] = i;
    to->queue_end[rank] = i;
    st->pending++;
    return 0;
}

/* What was sent has not changed since, as do_send froze it. */
static int do_recv(struct prover *p, int rank, int i) {
    const struct sched *s = &p->ranks[rank];
    int peer = s->steps[i].peer, first, more_in, more_out;
    struct state *st = &p->states[rank], *from = &p->states[peer];
    first = st->queue[peer];
    struct cursor in = cursor_at(&s->steps[i]), out = cursor_at(&p->ranks[peer].steps[first]);
    do {
        int step = (int)(in.t - s->steps);
        if (in.part != out.part)
            return STEP_ERROR(p, rank, step, "expects part %d, but rank %d sends part %d (its step %d)",
                              p->part_name[in.part], peer, p->part_name[out.part], (int)(out.t - p->ranks[peer].steps));
        int code = check_write(p, rank, step, in.slot, in.part);
        if (code != 0) return code;
        st->value[in.slot * s->n_parts + in.part] = from->value[out.slot * s->n_parts + out.part];
        st->coded[in.slot * s->n_parts + in.part] = 1;
        more_in = cursor_next(&in);
        more_out = cursor_next(&out);
    } while (more_in && more_out);
    if (more_in || more_out)
        return STEP_ERROR(p, rank, i, "expects a message that is %s than rank %d's (its step %d)",
                          more_in ? "longer" : "shorter", peer, first);
    st->queue[peer] = from->behind[first];
    from->pending--;
    return 0;
}

/* One part: the new expression, or NO_MEMORY. */
static int local_value(struct prover *p, const struct sched_step *t, int old, int src) {
    switch (t->op) {
    case SCHED_REDUCE: return expr_sum(&p->x, old, src);
    case SCHED_COPY: return src;
    case SCHED_ROUND: return expr_make(&p->x, ROUNDED, old);
    default: return p->x.n_inputs; /* FILL */
    }
}

static int do_local_part(struct prover *p, int rank, int i, int part) {
    const struct sched *s = &p->ranks[rank];
    const struct sched_step *t = &s->steps[i];
    struct state *st = &p->states[rank];
    int at = t->slot * s->n_parts + part, src = t->src * s->n_parts + part, code = 0;
    int two = t->op == SCHED_REDUCE || t->op == SCHED_COPY;
    if (two) code = check_read(p, rank, i, t->src, part);
    if (!code && (t->op == SCHED_REDUCE || t->op == SCHED_ROUND)) code = check_read(p, rank, i, t->slot, part);
    if (!code) code = check_write(p, rank, i, t->slot, part);
    if (code) return code;
    if (t->op == SCHED_ROUND && st->coded[at])
        return STEP_ERROR(p, rank, i, "codes slot %d part %d, which has a code", t->slot, p->part_name[part]);
    st->value[at] = local_value(p, t, st->value[at], two ? st->value[src] : UNSET);
    st->coded[at] = t->op == SCHED_ROUND;
    return st->value[at] < 0 ? ERR_MEMORY : 0;
}

static int do_local(struct prover *p, int rank, int i) {
    const struct sched_step *t = &p->ranks[rank].steps[i];
    int code = 0;
    for (int k = t->part; k < t->part + t->parts && code == 0; k++)
        code = do_local_part(p, rank, i, k);
    return code;
}

/* What keeps a rank from its next step: messages of the round before, or one that is not there. */
static int blocked(const struct prover *p, int rank) {
    const struct sched *s = &p->ranks[rank];
    const struct state *st = &p->states[rank];
    if (st->at == s->n_steps) return 1;
    const struct sched_step *t = &s->steps[st->at];
    return (st->pending > 0 && t->round != st->round) || (t->op == SCHED_RECV && st->queue[t->peer] == UNSET);
}

/* Runs a rank until it is blocked; *moved is set if it did a step. */
static int advance(struct prover *p, int rank, int *moved) {
    struct state *st = &p->states[rank];
    while (!blocked(p, rank)) {
        const struct sched_step *t = &p->ranks[rank].steps[st->at];
        st->round = t->round;
        int code = t->op == SCHED_SEND   ? do_send(p, rank, st->at)
                   : t->op == SCHED_RECV ? do_recv(p, rank, st->at)
                                         : do_local(p, rank, st->at);
        if (code != 0) return code;
        st->at += message_steps(t);
        *moved = 1;
    }
    return 0;
}

/* ---- when nothing moves any more ---- */

/* The step of a rank whose message is not received: the first that stands in a queue. */
static int unreceived(const struct prover *p, int rank) {
    int first = UNSET;
    for (int to = 0; to < p->shape->size; to++) {
        int i = p->states[to].queue[rank];
        if (i != UNSET && (first == UNSET || i < first)) first = i;
    }
    return first;
}

static int check_ended(const struct prover *p) {
    for (int r = 0; r < p->shape->size; r++) {
        const struct sched *s = &p->ranks[r];
        const struct state *st = &p->states[r];
        if (st->pending > 0) {
            int i = unreceived(p, r);
            return STEP_ERROR(p, r, i, "rank %d never receives this message", s->steps[i].peer);
        }
        if (st->at < s->n_steps) return STEP_ERROR(p, r, st->at, "waits forever for rank %d", s->steps[st->at].peer);
    }
    return 0;
}

/* An error about an input (numbered over all ranks) in a result. */
static int input_error(const struct prover *p, int rank, int part, int input, const char *what) {
    int owner = 0;
    while (owner + 1 < p->shape->size && p->states[owner + 1].input <= input)
        owner++;
    while (inputs_of(p, owner) == 0)
        owner--;
    return diag_set(p->d, ERR_INTERNAL, "schedule: in the result of rank %d part %d, input %d of rank %d %s", rank,
                    p->part_name[part], input - p->states[owner].input, owner, what);
}

/* Every input that belongs into a part counts once: all, or in an allgather that of rank `part` alone. */
static int check_inputs(const struct prover *p, int rank, int part, int e) {
    if (e == UNSET)
        return diag_set(p->d, ERR_INTERNAL, "schedule: the result of rank %d part %d holds nothing", rank,
                        p->part_name[part]);
    if (p->x.of[e].twice != UNSET) return input_error(p, rank, part, p->x.of[e].twice, "counts more than once");
    if (p->x.of[e].codings > 2)
        return diag_set(p->d, ERR_INTERNAL, "schedule: the result of rank %d part %d has been rounded %d times", rank,
                        p->part_name[part], p->x.of[e].codings);
    const uint64_t *set = set_of(&p->x, e);
    for (int i = 0; i < p->n_inputs; i++) {
        int has = set[i / 64] >> (i % 64) & 1, wants = p->kind != COLL_ALLGATHER || i == part;
        if (has && !wants) return input_error(p, rank, part, i, "counts, but does not belong there");
        if (!has && wants) return input_error(p, rank, part, i, "is missing");
    }
    return 0;
}

static int check_results(const struct prover *p) {
    const struct sched *first = &p->ranks[0];
    for (int r = 0; r < p->shape->size; r++)
        for (int k = 0; k < first->n_parts; k++) {
            if (p->kind == COLL_REDUCE_SCATTER && k != r) continue;
            int e = p->states[r].value[p->ranks[r].result_slot * first->n_parts + k];
            int code = check_inputs(p, r, k, e);
            if (code != 0) return code;
            if (p->kind != COLL_REDUCE_SCATTER && e != p->states[0].value[first->result_slot * first->n_parts + k])
                return diag_set(p->d, ERR_INTERNAL, "schedule: in part %d, ranks 0 and %d reduce in different orders",
                                p->part_name[k], r);
        }
    return 0;
}

/* ---- the label ---- */

/* The first input whose leaves do not end before `leaf`: inputs lie in leaf order. */
static int input_at(const struct prover *p, int leaf) {
    int low = 0, high = p->n_inputs - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (pairtree_end(p->nodes[middle], p->shape->n_leaves) > leaf)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The canonical sum of a tree node, over the inputs below it. */
static int canonical(struct prover *p, struct pairtree_node node) {
    int leaves = p->shape->n_leaves, input = input_at(p, pairtree_begin(node, leaves));
    if (p->nodes[input].level == node.level && p->nodes[input].index == node.index) return input;
    struct pairtree_node left = {node.level - 1, 2 * node.index}, right = {node.level - 1, 2 * node.index + 1};
    if (pairtree_begin(left, leaves) == pairtree_end(left, leaves)) return canonical(p, right);
    int a = canonical(p, left);
    if (pairtree_begin(right, leaves) == pairtree_end(right, leaves) || a < 0) return a;
    int b = canonical(p, right);
    return b < 0 ? b : expr_sum(&p->x, a, b);
}

static int find_label(struct prover *p, enum coll_label *label) {
    int canon = UNSET;
    *label = COLL_BIT_EXACT;
    if (p->kind != COLL_ALLGATHER) {
        canon = canonical(p, (struct pairtree_node){pairtree_root_level(p->shape->n_leaves), 0});
        if (canon < 0) return ERR_MEMORY;
    }
    for (int r = 0; r < p->shape->size; r++)
        for (int k = 0; k < p->ranks[r].n_parts; k++) {
            if (p->kind == COLL_REDUCE_SCATTER && k != r) continue;
            int e = p->states[r].value[p->ranks[r].result_slot * p->ranks[r].n_parts + k];
            if (p->x.of[e].codings > 0)
                *label = COLL_APPROXIMATE;
            else if (e != (canon == UNSET ? k : canon) && *label == COLL_BIT_EXACT)
                *label = COLL_ROUNDING;
        }
    return 0;
}

static int prove(struct prover *p, enum coll_label *label) {
    int size = p->shape->size, code = 0, moved = 1;
    for (int r = 0; r < size && code == 0; r++)
        code = check_header(p, r);
    if (code == 0) code = join_parts(p);
    if (code == 0) code = states_init(p);
    while (moved && code == 0) {
        moved = 0;
        for (int r = 0; r < size && code == 0; r++)
            code = advance(p, r, &moved);
    }
    if (code == 0) code = check_ended(p);
    if (code == 0) code = check_results(p);
    return code ? code : find_label(p, label);
}

int sched_check(const struct sched *ranks, enum coll_kind kind, const struct coll_shape *shape, enum coll_label *label,
                struct diag *d) {
    struct prover p = {.ranks = ranks, .shape = shape, .kind = kind, .d = d};
    int code = coll_shape_check(kind, shape, 0, d);
    if (code != 0) return code;
    p.states = calloc((size_t)shape->size, sizeof *p.states);
    code = p.states ? prove(&p, label) : ERR_MEMORY;
    free(p.joined);
    free(p.steps);
    free(p.part_name);
    free(p.ints);
    free(p.chars);
    free(p.nodes);
    free(p.states);
    free(p.x.of);
    free(p.x.sets);
    free(p.x.table);
    return code == ERR_MEMORY ? diag_set(d, code, "no memory to check a schedule of %d ranks", shape->size) : code;
}
