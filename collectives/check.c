/* check.c - proves a schedule by running it symbolically.
 *
 * The value of a slot is an expression over the leaves, numbered so that equal expressions have one number (left +
 * right and right + left are equal). All ranks advance until each has ended or none can go on. A send completes only
 * when it is received, which is the least that a link promises, and each receive names its peer: what happens does then
 * not depend on timing (a Kahn network), so one run stands for all. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/pairtree.h"
#include "sched_build.h"

enum { UNSET = -1, NO_MEMORY = -2 };

/* Expressions: [0, n_leaves) are the leaves, each further one the sum of two with lower numbers. */
struct exprs {
    int n, cap, n_leaves;
    int (*of)[2]; /* operands, the lower number first; of[i] is expression n_leaves + i */
    int *table; /* open addressing: index into of, or UNSET; size is a power of two above 2 * cap */
    int table_size;
};

static int *table_find(struct exprs *x, int a, int b) {
    uint64_t h = hash_mix(((uint64_t)a << 32) | (uint64_t)b);
    for (;; h++) {
        int *at = &x->table[h & (uint64_t)(x->table_size - 1)];
        if (*at == UNSET || (x->of[*at][0] == a && x->of[*at][1] == b)) return at;
    }
}

static int exprs_grow(struct exprs *x) {
    int cap = x->cap ? 2 * x->cap : 64;
    int(*of)[2] = realloc(x->of, (size_t)cap * sizeof *of);
    if (of) x->of = of;
    int *table = realloc(x->table, (size_t)cap * 4 * sizeof *table);
    if (table) x->table = table;
    if (!of || !table) return ERR_MEMORY;
    x->cap = cap;
    x->table_size = 4 * cap;
    for (int i = 0; i < x->table_size; i++)
        x->table[i] = UNSET;
    for (int i = 0; i < x->n; i++)
        *table_find(x, x->of[i][0], x->of[i][1]) = i;
    return 0;
}

static int expr_sum(struct exprs *x, int a, int b) {
    int low = a < b ? a : b, high = a < b ? b : a;
    if (x->n == x->cap && exprs_grow(x) != 0) return NO_MEMORY;
    int *at = table_find(x, low, high);
    if (*at == UNSET) {
        x->of[x->n][0] = low;
        x->of[x->n][1] = high;
        *at = x->n++;
    }
    return x->n_leaves + *at;
}

/* The canonical sum of a tree node. */
static int expr_node(struct exprs *x, struct pairtree_node node) {
    if (node.level == 0) return pairtree_begin(node, x->n_leaves);
    struct pairtree_node left = {node.level - 1, 2 * node.index}, right = {node.level - 1, 2 * node.index + 1};
    if (pairtree_begin(left, x->n_leaves) == pairtree_end(left, x->n_leaves)) return expr_node(x, right);
    int a = expr_node(x, left);
    if (pairtree_begin(right, x->n_leaves) == pairtree_end(right, x->n_leaves) || a < 0) return a;
    int b = expr_node(x, right);
    return b < 0 ? b : expr_sum(x, a, b);
}

/* A rank in the middle of its schedule. */
struct state {
    int at; /* next step */
    int round; /* of the last step done */
    int pending; /* its sends of this round that are not yet received */
    int *value; /* expression in each slot */
    int *flying; /* slots: 1 + the round in which it was last sent */
    int *queue; /* from each peer: its first step that sends here and is not yet received, or UNSET */
    int *queue_end;
    int *behind; /* of a step that sends: the next one to the same peer, or UNSET */
};

struct prover {
    const struct sched *ranks;
    const struct coll_shape *shape;
    struct diag *d;
    struct exprs x;
    struct state *states;
    int *pool; /* the arrays of all states */
};

static const char *const op_names[] = {"SEND", "RECV", "ADD", "COPY"};

/* An error at a step: "rank 2 step 5 (RECV, round 1): ...". */
#define STEP_ERROR(p, rank, step, fmt, ...)                                                                            \
    diag_set((p)->d, ERR_INTERNAL, "schedule: rank %d step %d (%s, round %d): " fmt, rank, step,                       \
             op_names[(p)->ranks[rank].steps[step].op], (p)->ranks[rank].steps[step].round, __VA_ARGS__)

static int is_message(const struct sched_step *t) {
    return t->op == SCHED_SEND || t->op == SCHED_RECV;
}

/* What can be seen without running: every number is in range. */
static int check_step(const struct prover *p, int rank, int i) {
    const struct sched *s = &p->ranks[rank];
    const struct sched_step *t = &s->steps[i];
    if ((unsigned)t->op > SCHED_COPY)
        return diag_set(p->d, ERR_INTERNAL, "schedule: rank %d step %d: operation %d does not exist", rank, i,
                        (int)t->op);
    if (t->slot < 0 || t->count < 1 || t->slot > s->n_slots - t->count)
        return STEP_ERROR(p, rank, i, "slots %d+%d of %d", t->slot, t->count, s->n_slots);
    if (is_message(t) && (t->peer < 0 || t->peer >= s->size || t->peer == rank))
        return STEP_ERROR(p, rank, i, "peer %d of %d ranks", t->peer, s->size);
    if (!is_message(t) && (t->src < 0 || t->src >= s->n_slots || t->src == t->slot || t->count != 1))
        return STEP_ERROR(p, rank, i, "from slot %d of %d, %d slots", t->src, s->n_slots, t->count);
    if (t->round < (i > 0 ? s->steps[i - 1].round : 0) || t->round >= s->n_rounds)
        return STEP_ERROR(p, rank, i, "rounds go back, or are more than %d", s->n_rounds);
    return 0;
}

static int check_header(const struct prover *p, int rank) {
    const struct sched *s = &p->ranks[rank];
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    int n_in = pairtree_cover(p->shape->n_leaves, p->shape->begin[rank], p->shape->begin[rank + 1], nodes);
    if (s->rank != rank || s->size != p->shape->size || s->n_in != n_in || s->n_slots < n_in || s->result_slot < 0 ||
        s->result_slot >= s->n_slots || s->n_rounds != p->ranks[0].n_rounds)
        return diag_set(p->d, ERR_INTERNAL,
                        "schedule: rank %d calls itself %d of %d, with %d inputs of %d slots, result in %d, %d rounds",
                        rank, s->rank, s->size, s->n_in, s->n_slots, s->result_slot, s->n_rounds);
    for (int i = 0; i < s->n_steps; i++) {
        int code = check_step(p, rank, i);
        if (code != 0) return code;
    }
    return 0;
}

/* Cuts n ints off the pool, all set to value. */
static int *cut(int **pool, int n, int value) {
    int *a = *pool;
    for (int i = 0; i < n; i++)
        a[i] = value;
    *pool += n;
    return a;
}

static int state_init(struct prover *p, int rank, int **pool) {
    const struct sched *s = &p->ranks[rank];
    struct state *st = &p->states[rank];
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    st->value = cut(pool, s->n_slots, UNSET);
    st->flying = cut(pool, s->n_slots, 0);
    st->queue = cut(pool, s->size, UNSET);
    st->queue_end = cut(pool, s->size, UNSET);
    st->behind = cut(pool, s->n_steps, UNSET);
    int n = pairtree_cover(p->shape->n_leaves, p->shape->begin[rank], p->shape->begin[rank + 1], nodes);
    for (int i = 0; i < n; i++)
        if ((st->value[i] = expr_node(&p->x, nodes[i])) < 0) return ERR_MEMORY;
    return 0;
}

/* All ranks, before their first step. */
static int states_init(struct prover *p) {
    size_t n = 1;
    int size = p->shape->size, code = 0, *pool;
    for (int r = 0; r < size; r++)
        n += 2 * (size_t)p->ranks[r].n_slots + 2 * (size_t)size + (size_t)p->ranks[r].n_steps;
    p->pool = pool = malloc(n * sizeof *pool);
    if (!pool) return ERR_MEMORY;
    for (int r = 0; r < size && code == 0; r++)
        code = state_init(p, r, &pool);
    return code;
}

static int check_read(const struct prover *p, int rank, int i, int slot) {
    if (p->states[rank].value[slot] != UNSET) return 0;
    return STEP_ERROR(p, rank, i, "reads slot %d, which holds nothing", slot);
}

static int check_write(const struct prover *p, int rank, int i, int slot) {
    if (p->states[rank].flying[slot] != p->ranks[rank].steps[i].round + 1) return 0;
    return STEP_ERROR(p, rank, i, "writes slot %d, which is being sent", slot);
}

static int do_send(struct prover *p, int rank, int i) {
    const struct sched_step *t = &p->ranks[rank].steps[i];
    struct state *st = &p->states[rank], *to = &p->states[t->peer];
    for (int k = t->slot; k < t->slot + t->count; k++) {
        int code = check_read(p, rank, i, k);
        if (code != 0) return code;
        st->flying[k] = t->round + 1;
    }
    if (to->queue[rank] == UNSET)
        to->queue[rank] = i;
    else
        st->behind[to->queue_end[rank]] = i;
    to->queue_end[rank] = i;
    st->pending++;
    return 0;
}

/* The sender still stands in the round of its send, so its slots hold what was sent. */
static int do_recv(struct prover *p, int rank, int i) {
    const struct sched_step *t = &p->ranks[rank].steps[i];
    struct state *st = &p->states[rank], *from = &p->states[t->peer];
    const struct sched_step *sent = &p->ranks[t->peer].steps[st->queue[t->peer]];
    if (sent->count != t->count)
        return STEP_ERROR(p, rank, i, "expects %d slots from rank %d, which sends %d (its step %d)", t->count, t->peer,
                          sent->count, st->queue[t->peer]);
    for (int k = 0; k < t->count; k++) {
        int code = check_write(p, rank, i, t->slot + k);
        if (code != 0) return code;
        st->value[t->slot + k] = from->value[sent->slot + k];
    }
    st->queue[t->peer] = from->behind[st->queue[t->peer]];
    from->pending--;
    return 0;
}

static int do_local(struct prover *p, int rank, int i) {
    const struct sched_step *t = &p->ranks[rank].steps[i];
    int *value = p->states[rank].value, code;
    if ((code = check_read(p, rank, i, t->src)) != 0 || (code = check_write(p, rank, i, t->slot)) != 0) return code;
    if (t->op == SCHED_COPY) {
        value[t->slot] = value[t->src];
        return 0;
    }
    if ((code = check_read(p, rank, i, t->slot)) != 0) return code;
    value[t->slot] = expr_sum(&p->x, value[t->slot], value[t->src]);
    return value[t->slot] < 0 ? ERR_MEMORY : 0;
}

/* What keeps a rank from its next step: sends of the round before, or a message that is not there. */
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
    for (; !blocked(p, rank); st->at++) {
        enum sched_op op = p->ranks[rank].steps[st->at].op;
        st->round = p->ranks[rank].steps[st->at].round;
        int code = op == SCHED_SEND   ? do_send(p, rank, st->at)
                   : op == SCHED_RECV ? do_recv(p, rank, st->at)
                                      : do_local(p, rank, st->at);
        if (code != 0) return code;
        *moved = 1;
    }
    return 0;
}

/* The step of a rank whose message is not received: the first that stands in a queue. */
static int unreceived(const struct prover *p, int rank) {
    int first = UNSET;
    for (int to = 0; to < p->shape->size; to++) {
        int i = p->states[to].queue[rank];
        if (i != UNSET && (first == UNSET || i < first)) first = i;
    }
    return first;
}

/* At a standstill every rank must have ended, with nothing on its way and the root in its result. */
static int check_end(const struct prover *p, int root) {
    for (int r = 0; r < p->shape->size; r++) {
        const struct sched *s = &p->ranks[r];
        const struct state *st = &p->states[r];
        if (st->pending > 0) {
            int i = unreceived(p, r);
            return STEP_ERROR(p, r, i, "rank %d never receives this message", s->steps[i].peer);
        }
        if (st->at < s->n_steps) return STEP_ERROR(p, r, st->at, "waits forever for rank %d", s->steps[st->at].peer);
        if (st->value[s->result_slot] != root)
            return diag_set(p->d, ERR_INTERNAL, "schedule: rank %d ends with slot %d not the sum of all %d leaves", r,
                            s->result_slot, p->shape->n_leaves);
    }
    return 0;
}

static int prove(struct prover *p) {
    int size = p->shape->size, code = 0, moved = 1;
    for (int r = 0; r < size && code == 0; r++)
        code = check_header(p, r);
    if (code == 0) code = states_init(p);
    if (code != 0) return code;
    int root = expr_node(&p->x, (struct pairtree_node){pairtree_root_level(p->shape->n_leaves), 0});
    if (root < 0) return ERR_MEMORY;
    while (moved && code == 0) {
        moved = 0;
        for (int r = 0; r < size && code == 0; r++)
            code = advance(p, r, &moved);
    }
    return code != 0 ? code : check_end(p, root);
}

int sched_check(const struct sched *ranks, const struct coll_shape *shape, struct diag *d) {
    struct prover p = {.ranks = ranks, .shape = shape, .d = d, .x = {.n_leaves = shape->n_leaves}};
    int code = coll_shape_check(shape, 0, d);
    if (code != 0) return code;
    p.states = calloc((size_t)shape->size, sizeof *p.states);
    code = p.states ? prove(&p) : ERR_MEMORY;
    free(p.pool);
    free(p.states);
    free(p.x.of);
    free(p.x.table);
    return code == ERR_MEMORY ? diag_set(d, code, "no memory to check a schedule of %d ranks", shape->size) : code;
}
