/* sched.c - what a schedule is made from, and what one holds. */
#include "collectives/sched.h"

#include <stdio.h>
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
        return diag_set(d, ERR_USAGE, "'%.60s': %s takes no other algorithms; write %s alone", text, choice->algo->name,
                        choice->algo->name);
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
    if (kind != COLL_ALLREDUCE || algo->cuts == COLL_CUT_SIZE) return size;
    return algo->cuts == COLL_CUT_POWER ? fold_of(size, 0).n : 1;
}

int coll_cover(const struct coll_shape *shape, int rank0, int rank1, struct pairtree_node nodes[PAIRTREE_MAX_NODES]) {
    int one = !shape->begin;
    return pairtree_cover(shape->n_leaves, one ? rank0 : shape->begin[rank0], one ? rank1 : shape->begin[rank1], nodes);
}

int coll_cover_count(const struct coll_shape *shape, int rank0, int rank1) {
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    return coll_cover(shape, rank0, rank1, nodes);
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
    uint64_t k =
        coll_part_begin(c->n, c->granule, n, first + head) - coll_part_begin(c->n, c->granule, n, first + begin);
    if (end > n_parts)
        k += coll_part_begin(c->n, c->granule, n, first + end - n_parts) - coll_part_begin(c->n, c->granule, n, first);
    return k;
}

void coll_cost_unknown(struct coll_cost *out) {
    *out = (struct coll_cost){UINT64_MAX / 2, UINT64_MAX / 2, UINT64_MAX / 2, 1 << 30};
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
