/* sched.c - what a schedule is made from, and what one holds. */
#include "collectives/sched.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched_build.h"

const char *coll_kind_name(enum coll_kind kind) {
    static const char *const names[COLL_KINDS] = {
#define X(name, text) text,
        COLL_KIND_LIST(X)
#undef X
    };
    return names[kind];
}

const char *coll_label_name(enum coll_label label) {
    static const char *const names[] = {
#define X(name, text) text,
        COLL_LABEL_LIST(X)
#undef X
    };
    return names[label];
}

/* ---- choices ---- */

static const struct coll_algo *find(const char *name, size_t len) {
    for (const struct coll_algo *const *a = coll_algos; *a; a++)
        if (strncmp((*a)->name, name, len) == 0 && (*a)->name[len] == '\0') return *a;
    return NULL;
}

const struct coll_algo *coll_algo_find(const char *name) {
    return find(name, strlen(name));
}

/* An algorithm that may stand inside another. */
static int is_plain(const struct coll_algo *a) {
    return a && a->levels == 1 && !a->library;
}

/* The valid words: all, or those that may stand inside another. */
static void name_words(char *text, size_t cap, int plain) {
    size_t len = 0;
    text[0] = '\0';
    for (const struct coll_algo *const *a = coll_algos; *a && len < cap; a++)
        if (!plain || is_plain(*a))
            len += (size_t)snprintf(text + len, cap - len, "%s%s%s", len ? ", " : "", (*a)->name,
                                    (*a)->levels == 2 ? ":INNER:OUTER" : "");
}

int coll_choice_parse(struct coll_choice *choice, const char *text, struct diag *d) {
    char words[300];
    const char *colon = strchr(text, ':'), *second = colon ? strchr(colon + 1, ':') : NULL;
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    *choice = (struct coll_choice){.algo = find(text, len)};
    name_words(words, sizeof words, 0);
    if (!choice->algo)
        return diag_set(d, ERR_USAGE, "no collective algorithm is called '%.*s'; there are: %s",
                        len < 60 ? (int)len : 60, text, words);
    if (choice->algo->levels == 1 && colon)
        return diag_set(d, ERR_USAGE, "'%.60s': %s takes no other algorithms", text, choice->algo->name);
    if (choice->algo->levels == 1) return 0;
    name_words(words, sizeof words, 1);
    if (second) {
        choice->inner = find(colon + 1, (size_t)(second - colon - 1));
        choice->outer = coll_algo_find(second + 1);
    }
    if (is_plain(choice->inner) && is_plain(choice->outer)) return 0;
    return diag_set(d, ERR_USAGE, "'%.60s': write %s:INNER:OUTER with two of: %s", text, choice->algo->name, words);
}

void coll_choice_name(const struct coll_choice *choice, char *text, size_t cap) {
    if (choice->algo->levels == 2)
        snprintf(text, cap, "%s:%s:%s", choice->algo->name, choice->inner->name, choice->outer->name);
    else
        snprintf(text, cap, "%s", choice->algo->name);
}

/* ---- shapes and parts ---- */

/* k * G = k * (q n_parts + r), so floor(k G / n_parts) = k q + floor(k r / n_parts): nothing overflows. */
size_t coll_part_begin(size_t n, size_t granule, int n_parts, int k) {
    size_t granules = n / granule + (n % granule != 0), parts = (size_t)n_parts, i = (size_t)k;
    size_t begin = i * (granules / parts) + i * (granules % parts) / parts;
    return begin < n / granule + 1 && begin * granule < n ? begin * granule : n;
}

static int check_leaves(const struct coll_shape *shape, struct diag *d) {
    if (shape->n_leaves < 1 || shape->n_leaves > COLL_MAX_LEAVES)
        return diag_set(d, ERR_RANGE, "collective over %d leaves: 1 to %d are possible", shape->n_leaves,
                        COLL_MAX_LEAVES);
    for (int r = 0; r < shape->size; r++)
        if (shape->begin[r] > shape->begin[r + 1])
            return diag_set(d, ERR_RANGE, "collective: the leaves of rank %d end (%d) before they begin (%d)", r,
                            shape->begin[r + 1], shape->begin[r]);
    if (shape->begin[0] == 0 && shape->begin[shape->size] == shape->n_leaves) return 0;
    return diag_set(d, ERR_RANGE, "collective: ranks own leaves %d to %d instead of 0 to %d", shape->begin[0],
                    shape->begin[shape->size], shape->n_leaves);
}

int coll_shape_check(enum coll_kind kind, const struct coll_shape *shape, int rank, struct diag *d) {
    if (shape->size < 1 || shape->size > COLL_MAX_RANKS || rank < 0 || rank >= shape->size)
        return diag_set(d, ERR_RANGE, "collective: rank %d of %d ranks (at most %d are possible)", rank, shape->size,
                        COLL_MAX_RANKS);
    for (int r = 0; shape->domain && r < shape->size; r++)
        if (shape->domain[r] < 0 || shape->domain[r] >= shape->size)
            return diag_set(d, ERR_RANGE, "collective: rank %d is in domain %d, but there are %d ranks", r,
                            shape->domain[r], shape->size);
    return kind == COLL_ALLGATHER ? 0 : check_leaves(shape, d);
}

int coll_algo_parts(const struct coll_algo *algo, enum coll_kind kind, int size) {
    return kind != COLL_ALLREDUCE || algo->cuts ? size : 1;
}

int coll_cover(const struct coll_shape *shape, int rank0, int rank1, struct pairtree_node nodes[PAIRTREE_MAX_NODES]) {
    return pairtree_cover(shape->n_leaves, shape->begin[rank0], shape->begin[rank1], nodes);
}

int coll_cover_count(const struct coll_shape *shape, int rank0, int rank1) {
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    return coll_cover(shape, rank0, rank1, nodes);
}

/* ---- building ---- */

static void push(struct sched_builder *b, struct sched_step step) {
    struct sched *s = b->s;
    int scale = b->parts / b->cut;
    if (b->failed) return;
    if (s->n_steps == b->cap) {
        int cap = b->cap ? 2 * b->cap : 16;
        struct sched_step *steps = realloc(s->steps, (size_t)cap * sizeof *steps);
        if (!steps) {
            b->failed = 1;
            return;
        }
        s->steps = steps;
        b->cap = cap;
    }
    step.round = b->round;
    step.part = b->part0 + step.part * scale;
    step.parts *= scale;
    if (step.count == 0) step.count = 1;
    s->steps[s->n_steps++] = step;
}

int sched_slots(struct sched_builder *b, int count) {
    int first = b->s->n_slots;
    b->s->n_slots += count;
    return first;
}

void sched_send_parts(struct sched_builder *b, int peer, int slot, int count, int part, int parts, int more) {
    push(b, (struct sched_step){.op = SCHED_SEND,
                                .peer = b->peers ? b->peers[peer] : peer,
                                .slot = slot,
                                .count = count,
                                .part = part,
                                .parts = parts,
                                .more = more});
}

void sched_recv_parts(struct sched_builder *b, int peer, int slot, int count, int part, int parts, int more) {
    push(b, (struct sched_step){.op = SCHED_RECV,
                                .peer = b->peers ? b->peers[peer] : peer,
                                .slot = slot,
                                .count = count,
                                .part = part,
                                .parts = parts,
                                .more = more});
}

void sched_send(struct sched_builder *b, int peer, int slot, int count) {
    sched_send_parts(b, peer, slot, count, 0, b->cut, 0);
}

void sched_recv(struct sched_builder *b, int peer, int slot, int count) {
    sched_recv_parts(b, peer, slot, count, 0, b->cut, 0);
}

/* Parts of a cyclic range that lie before its wrap. */
static int head_of(const struct sched_builder *b, int first, int n) {
    return first + n <= b->cut ? n : b->cut - first;
}

void sched_send_round(struct sched_builder *b, int peer, int slot, int first, int n) {
    int head = head_of(b, first, n);
    sched_send_parts(b, peer, slot, 1, first, head, head < n);
    if (head < n) sched_send_parts(b, peer, slot, 1, 0, n - head, 0);
}

void sched_recv_round(struct sched_builder *b, int peer, int slot, int first, int n) {
    int head = head_of(b, first, n);
    sched_recv_parts(b, peer, slot, 1, first, head, head < n);
    if (head < n) sched_recv_parts(b, peer, slot, 1, 0, n - head, 0);
}

void sched_reduce_round(struct sched_builder *b, int slot, int src, int first, int n) {
    int head = head_of(b, first, n);
    sched_reduce(b, slot, src, first, head);
    if (head < n) sched_reduce(b, slot, src, 0, n - head);
}

void sched_reduce(struct sched_builder *b, int slot, int src, int part, int parts) {
    push(b, (struct sched_step){.op = SCHED_REDUCE, .slot = slot, .src = src, .part = part, .parts = parts});
}

void sched_copy(struct sched_builder *b, int slot, int src, int part, int parts) {
    push(b, (struct sched_step){.op = SCHED_COPY, .slot = slot, .src = src, .part = part, .parts = parts});
}

void sched_fill(struct sched_builder *b, int slot, int part, int parts) {
    push(b, (struct sched_step){.op = SCHED_FILL, .slot = slot, .part = part, .parts = parts});
}

void sched_one(struct sched_builder *b) {
    if (b->n_in == 0) {
        b->in = sched_slots(b, 1);
        sched_fill(b, b->in, 0, b->cut);
    }
    for (int i = 1; i < b->n_in; i++)
        sched_reduce(b, b->in, b->in + i, 0, b->cut);
    b->n_in = 1;
}

/* ---- lists of subtree sums ---- */

void sums_own(const struct sched_builder *b, struct sums *out) {
    sums_of(b, b->rank, b->rank + 1, b->in, out);
    for (int i = 0; i < out->n; i++)
        out->fixed[i] = 1;
}

void sums_of(const struct sched_builder *b, int rank0, int rank1, int first, struct sums *out) {
    out->n = coll_cover(b->shape, rank0, rank1, out->node);
    for (int i = 0; i < out->n; i++) {
        out->slot[i] = first + i;
        out->fixed[i] = 0;
    }
}

void sums_join(struct sched_builder *b, struct sums *left, const struct sums *right, int part, int parts) {
    struct pairtree_join joins[PAIRTREE_MAX_NODES];
    struct pairtree_node node[PAIRTREE_MAX_NODES];
    int from[PAIRTREE_MAX_NODES], slot[2 * PAIRTREE_MAX_NODES], fixed[2 * PAIRTREE_MAX_NODES], n_joins;
    for (int i = 0; i < left->n + right->n; i++) {
        slot[i] = i < left->n ? left->slot[i] : right->slot[i - left->n];
        fixed[i] = i < left->n ? left->fixed[i] : right->fixed[i - left->n];
    }
    int n = pairtree_merge(left->node, left->n, right->node, right->n, node, from, joins, &n_joins);
    for (int i = 0; i < n_joins; i++) {
        int a = joins[i].a, c = joins[i].b, into = fixed[a] ? c : a;
        sched_reduce(b, slot[into], slot[into == a ? c : a], part, parts);
        slot[a] = slot[into];
        fixed[a] = 0;
    }
    left->n = n;
    for (int i = 0; i < n; i++) {
        left->node[i] = node[i];
        left->slot[i] = slot[from[i]];
        left->fixed[i] = fixed[from[i]];
    }
}

/* ---- whole schedules ---- */

static int begin_build(struct sched_builder *b, enum coll_kind kind, struct diag *d) {
    const struct coll_choice *choice = b->choice;
    const struct coll_shape *shape = b->shape;
    struct sched *s = b->s;
    if (choice->algo->library || !choice->algo->build[kind])
        return diag_set(d, ERR_UNSUPPORTED, "the algorithm %s has no schedule for %s", choice->algo->name,
                        coll_kind_name(kind));
    int code = coll_shape_check(kind, shape, b->rank, d);
    if (code != 0) return code;
    s->rank = b->rank;
    s->size = shape->size;
    s->n_parts = b->parts = b->cut = coll_algo_parts(choice->algo, kind, shape->size);
    s->n_slots = s->n_in = b->n_in = kind == COLL_ALLGATHER ? 1 : coll_cover_count(shape, b->rank, b->rank + 1);
    return 0;
}

int sched_build(struct sched *s, const struct coll_choice *choice, enum coll_kind kind, const struct coll_shape *shape,
                int rank, struct diag *d) {
    struct sched_builder b = {.s = s, .choice = choice, .shape = shape, .rank = rank};
    memset(s, 0, sizeof *s);
    int code = begin_build(&b, kind, d);
    if (code == 0) code = choice->algo->build[kind](&b, d);
    if (code == 0 && b.failed)
        code = diag_set(d, ERR_MEMORY, "no memory for the %s schedule of rank %d of %d", choice->algo->name, rank,
                        shape->size);
    s->result_slot = b.result;
    s->n_rounds = b.round;
    if (s->n_slots == 0) s->n_slots = 1;
    if (code != 0) sched_fini(s);
    return code;
}

void sched_fini(struct sched *s) {
    free(s->steps);
    memset(s, 0, sizeof *s);
}

/* ---- making a schedule lossy ---- */

/* What the steps so far have made of each part: index slot * n_parts + part. */
struct lossy {
    struct sched *s;
    struct sched_step *steps; /* the new list */
    int n, cap;
    char *coded; /* the part is what a code means, and the code is at hand */
    char *touched; /* written, or rounded: an input that is not is as the caller brought it */
};

static int lossy_push(struct lossy *l, struct sched_step step) {
    if (l->n == l->cap) {
        int cap = 2 * l->cap + 16;
        struct sched_step *steps = realloc(l->steps, (size_t)cap * sizeof *steps);
        if (!steps) return ERR_MEMORY;
        l->steps = steps;
        l->cap = cap;
    }
    l->steps[l->n++] = step;
    return 0;
}

static size_t part_at(const struct sched *s, int slot, int part) {
    return (size_t)slot * (size_t)s->n_parts + (size_t)part;
}

static void mark(const struct lossy *l, int slot, int part, int parts, int coded) {
    for (int k = part; k < part + parts; k++) {
        l->coded[part_at(l->s, slot, k)] = (char)coded;
        l->touched[part_at(l->s, slot, k)] = 1;
    }
}

/* Rounds those of a slot's parts that are not: in runs. Of operands (not sent) only untouched inputs are. */
static int round_parts(struct lossy *l, const struct sched_step *t, int slot, int sent) {
    for (int k = t->part; k < t->part + t->parts; k++) {
        int end = k;
        while (end < t->part + t->parts && !l->coded[part_at(l->s, slot, end)] &&
               (sent || (slot < l->s->n_in && !l->touched[part_at(l->s, slot, end)])))
            end++;
        if (end == k) continue;
        struct sched_step step = {.op = SCHED_ROUND, .round = t->round, .slot = slot, .count = 1, .part = k};
        step.parts = end - k;
        if (lossy_push(l, step) != 0) return ERR_MEMORY;
        mark(l, slot, k, end - k, 1);
        k = end;
    }
    return 0;
}

/* A run of SENDs stays one run: all roundings that it needs come before it. */
static int lossy_step(struct lossy *l, int i) {
    const struct sched_step *t = &l->s->steps[i], *end = l->s->steps + l->s->n_steps;
    int code = 0, first = t->op == SCHED_SEND && (i == 0 || t[-1].op != SCHED_SEND || t[-1].round != t->round);
    for (const struct sched_step *m = t; first && m < end && m->op == SCHED_SEND && m->round == t->round; m++)
        for (int k = m->slot; k < m->slot + m->count && code == 0; k++)
            code = round_parts(l, m, k, 1);
    if (t->op == SCHED_REDUCE) code = round_parts(l, t, t->slot, 0);
    if (t->op == SCHED_REDUCE && code == 0) code = round_parts(l, t, t->src, 0);
    for (int k = t->slot; t->op != SCHED_SEND && k < t->slot + t->count; k++)
        mark(l, k, t->part, t->parts, t->op == SCHED_RECV);
    return code ? code : lossy_push(l, *t);
}

int sched_make_lossy(struct sched *s, const struct coll_choice *choice, struct diag *d) {
    struct lossy l = {.s = s};
    size_t n = (size_t)s->n_slots * (size_t)s->n_parts;
    if (!choice->algo->two_step)
        return diag_set(d, ERR_UNSUPPORTED, "%s would round each value more than twice: it takes no lossy wire form",
                        choice->algo->name);
    l.coded = calloc(n, 1);
    l.touched = calloc(n, 1);
    int code = l.coded && l.touched ? 0 : ERR_MEMORY;
    for (int i = 0; i < s->n_steps && code == 0; i++)
        code = lossy_step(&l, i);
    free(l.coded);
    free(l.touched);
    if (code != 0) {
        free(l.steps);
        return diag_set(d, code, "no memory for the lossy schedule of rank %d of %d", s->rank, s->size);
    }
    free(s->steps);
    s->steps = l.steps;
    s->n_steps = l.n;
    s->lossy = 1;
    return 0;
}

/* ---- counting ---- */

static uint64_t step_elems(const struct sched *s, const struct sched_step *t, size_t n, size_t granule) {
    size_t begin = coll_part_begin(n, granule, s->n_parts, t->part);
    return (coll_part_begin(n, granule, s->n_parts, t->part + t->parts) - begin) * (uint64_t)t->count;
}

void sched_count(const struct sched *s, size_t n, size_t granule, struct coll_cost *out) {
    uint64_t message = 0;
    *out = (struct coll_cost){.rounds = s->n_rounds};
    for (int i = 0; i < s->n_steps; i++) {
        const struct sched_step *t = &s->steps[i];
        if (t->op == SCHED_REDUCE) out->reduced += step_elems(s, t, n, granule);
        if (t->op != SCHED_SEND) continue;
        message += step_elems(s, t, n, granule);
        if (t->more) continue;
        coll_cost_send(out, message);
        message = 0;
    }
}

uint64_t coll_case_elems(const struct coll_case *c, int n_parts, int part, int parts) {
    int n = c->of * n_parts, first = c->part * n_parts, begin = part % n_parts, end = begin + parts;
    int head = end <= n_parts ? end : n_parts;
    uint64_t k = coll_part_begin(c->n, c->granule, n, first + head) -
                 coll_part_begin(c->n, c->granule, n, first + begin);
    if (end > n_parts)
        k += coll_part_begin(c->n, c->granule, n, first + end - n_parts) -
             coll_part_begin(c->n, c->granule, n, first);
    return k;
}

void coll_cost_send(struct coll_cost *out, uint64_t k) {
    out->messages += k > 0;
    out->sent += k;
}

void coll_cost_one(const struct coll_case *c, struct coll_cost *out) {
    int n_in = coll_cover_count(c->shape, c->rank, c->rank + 1);
    if (n_in > 1) out->reduced += (uint64_t)(n_in - 1) * coll_case_elems(c, 1, 0, 1);
}

void sched_formula(const struct coll_choice *choice, enum coll_kind kind, const struct coll_shape *shape, int rank,
                   size_t n, size_t granule, struct coll_cost *out) {
    struct coll_case c = {choice, shape, rank, n, granule, 0, 1};
    *out = (struct coll_cost){0};
    if (choice->algo->cost[kind]) choice->algo->cost[kind](&c, out);
}
