/* build.c - how steps are written: by the builder's view, in lists of subtree sums, with ranks folded away. */
#include <stdlib.h>
#include <string.h>

#include "sched_build.h"

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

static void push_message(struct sched_builder *b, enum sched_op op, int peer, int slot, int count, int part, int parts,
                         int more) {
    push(b, (struct sched_step){.op = op,
                                .peer = b->peers ? b->peers[peer] : peer,
                                .slot = slot,
                                .count = count,
                                .part = part,
                                .parts = parts,
                                .more = more});
}

void sched_send_parts(struct sched_builder *b, int peer, int slot, int count, int part, int parts, int more) {
    push_message(b, SCHED_SEND, peer, slot, count, part, parts, more);
}

void sched_recv_parts(struct sched_builder *b, int peer, int slot, int count, int part, int parts, int more) {
    push_message(b, SCHED_RECV, peer, slot, count, part, parts, more);
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

void sched_send_round(struct sched_builder *b, int peer, int slot, int first, int n, int more) {
    int head = head_of(b, first %= b->cut, n);
    if (n == 0) return;
    sched_send_parts(b, peer, slot, 1, first, head, more || head < n);
    if (head < n) sched_send_parts(b, peer, slot, 1, 0, n - head, more);
}

void sched_recv_round(struct sched_builder *b, int peer, int slot, int first, int n) {
    int head = head_of(b, first %= b->cut, n);
    sched_recv_parts(b, peer, slot, 1, first, head, head < n);
    if (head < n) sched_recv_parts(b, peer, slot, 1, 0, n - head, 0);
}

void sched_reduce_round(struct sched_builder *b, int slot, int src, int first, int n) {
    int head = head_of(b, first %= b->cut, n);
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

/* ---- ranks folded away ---- */

struct fold fold_of(int size, int rank) {
    struct fold f = {.n = 1};
    while (2 * f.n <= size) {
        f.n *= 2;
        f.lg++;
    }
    f.pairs = size - f.n;
    f.at = rank >= 2 * f.pairs ? rank - f.pairs : rank % 2 ? rank / 2 : -1;
    return f;
}

int fold_rank(const struct fold *f, int i) {
    return i < f->pairs ? 2 * i + 1 : i + f->pairs;
}

int fold_speaks(const struct fold *f) {
    return f->at >= 0 && f->at < f->pairs;
}

int fold_in(struct sched_builder *b, const struct fold *f) {
    int slot = b->in;
    if (f->at < 0) sched_send(b, b->rank + 1, slot, 1);
    if (fold_speaks(f)) {
        slot = sched_slots(b, 1);
        sched_recv(b, b->rank - 1, slot, 1);
        sched_reduce(b, slot, b->in, 0, b->cut);
    }
    b->round += f->pairs > 0;
    return slot;
}

int fold_out(struct sched_builder *b, const struct fold *f, int slot) {
    if (f->at < 0) sched_recv(b, b->rank + 1, slot = sched_slots(b, 1), 1);
    if (fold_speaks(f)) sched_send(b, b->rank - 1, slot, 1);
    b->round += f->pairs > 0;
    return slot;
}

void fold_cost(const struct coll_case *c, const struct fold *f, struct coll_cost *out) {
    uint64_t n = coll_case_elems(c, 1, 0, 1);
    if (f->at < 0) coll_cost_send(out, n);
    if (fold_speaks(f)) out->reduced += n;
    out->rounds += f->pairs > 0;
}

void unfold_cost(const struct coll_case *c, const struct fold *f, struct coll_cost *out) {
    if (fold_speaks(f)) coll_cost_send(out, coll_case_elems(c, 1, 0, 1));
    out->rounds += f->pairs > 0;
}

/* ---- whole schedules ---- */

static int begin_build(struct sched_builder *b, enum coll_kind kind, struct diag *d) {
    const struct coll_choice *choice = b->choice;
    const struct coll_shape *shape = b->shape;
    struct sched *s = b->s;
    if (choice->algo->library || !choice->algo->build[kind])
        return diag_set(d, ERR_UNSUPPORTED, "the algorithm %s has no schedule for %s", choice->algo->name,
                        coll_kind_name(kind));
    if (choice->algo->levels == 2 && (!choice->inner || !choice->outer))
        return diag_set(d, ERR_USAGE, "%s needs two other algorithms: write %s:INNER:OUTER", choice->algo->name,
                        choice->algo->name);
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
