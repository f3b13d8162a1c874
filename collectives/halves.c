/* halves.c - recursive halving and doubling, whoever the partners are.
 *
 * From a rank's view each block is sent in one halving round, and received in the same round of the doubling: give[q]
 * says in which; its own block has lg. So in round s it holds the blocks with give >= s, sends those with give = s and
 * keeps those with give > s. Which they are follows from who can still be reached: in the rounds from t on, `at`
 * reaches what it and its partner of round t reach from t + 1 on, and in the end itself.
 *
 *   n = 4, partners 1 and then 2 away, rank 0:     block      0   1   2   3
 *                                                  give       2   0   1   0      1 and 3 go to 1, then 2 goes to 2
 *
 * In an all-reduce blocks have the order in which rank 0 reaches them, here 0 2 1 3: 1 and 3 are one piece.
 *
 * Memory: the input (or the sum of two, after folding); `sums`, where sums lie from the first round on; `got`, which
 * receives, and in which the last sum ends, as nothing of it is ever sent. */
#include <stdlib.h>

#include "sched_build.h"

struct halves {
    struct fold f;
    halves_partner *partner;
    int wide; /* blocks of pairs have two parts: reduce_scatter, allgather */
    int *place; /* of each rank's block */
    int *give;
};

static int place_all(struct halves *h, int at, int s, int next) {
    if (s < h->f.lg) return place_all(h, h->partner(at, h->f.n, s), s + 1, place_all(h, at, s + 1, next));
    h->place[at] = h->wide ? at : next;
    return next + 1;
}

/* All that is reached from `at` in the rounds from t on is given in round s. */
static void give_all(struct halves *h, int at, int t, int s) {
    if (t == h->f.lg) {
        h->give[h->place[at]] = s;
        return;
    }
    give_all(h, at, t + 1, s);
    give_all(h, h->partner(at, h->f.n, t), t + 1, s);
}

static int halves_init(struct halves *h, halves_partner *partner, int size, int rank, int wide) {
    *h = (struct halves){.f = fold_of(size, rank), .partner = partner, .wide = wide};
    h->place = malloc(2 * (size_t)h->f.n * sizeof *h->place);
    if (!h->place) return ERR_MEMORY;
    h->give = h->place + h->f.n;
    place_all(h, 0, 0, 0);
    for (int s = 0; s < h->f.lg && h->f.at >= 0; s++)
        give_all(h, partner(h->f.at, h->f.n, s), s + 1, s);
    if (h->f.at >= 0) h->give[h->place[h->f.at]] = h->f.lg;
    return 0;
}

static int begin(struct halves *h, const struct sched_builder *b, halves_partner *partner, int wide, struct diag *d) {
    if (halves_init(h, partner, b->shape->size, b->rank, wide) == 0) return 0;
    return diag_set(d, ERR_MEMORY, "no memory for a schedule of %d ranks", b->shape->size);
}

/* First part of the block at a place. */
static int first_part(const struct halves *h, int place) {
    return !h->wide ? place : place < h->f.pairs ? 2 * place : place + h->f.pairs;
}

/* Parts [*part, *part + *parts): the next run of blocks from *place on that are given in rounds [low, high]. */
static int next_run(const struct halves *h, int low, int high, int *place, int *part, int *parts) {
    int i = *place, n = h->f.n;
    while (i < n && (h->give[i] < low || h->give[i] > high))
        i++;
    *part = first_part(h, i);
    for (*place = i; *place < n && h->give[*place] >= low && h->give[*place] <= high;)
        ++*place;
    *parts = first_part(h, *place) - *part;
    return *parts > 0;
}

typedef void message_fn(struct sched_builder *b, int peer, int slot, int count, int part, int parts, int more);

/* One message of the blocks given in rounds [low, high]. */
static void move(struct sched_builder *b, const struct halves *h, message_fn *fn, int s, int slot, int low, int high) {
    int peer = fold_rank(&h->f, h->partner(h->f.at, h->f.n, s)), place = 0, part, parts;
    for (int more = next_run(h, low, high, &place, &part, &parts); more;) {
        int p = part, n = parts;
        more = next_run(h, low, high, &place, &part, &parts);
        fn(b, peer, slot, 1, p, n, more);
    }
}

static void reduce(struct sched_builder *b, const struct halves *h, int slot, int src, int s) {
    int place = 0, part, parts;
    while (next_run(h, s + 1, h->f.lg, &place, &part, &parts))
        sched_reduce(b, slot, src, part, parts);
}

/* The last sum. What the rank speaks for is not kept in the result: it will be sent. */
static void reduce_last(struct sched_builder *b, const struct halves *h, int slot, int src) {
    int own = first_part(h, h->place[h->f.at]), two = h->wide && fold_speaks(&h->f);
    sched_reduce(b, slot, src, own + two, 1);
    if (two) sched_reduce(b, src, slot, own, 1);
}

/* The rounds of halving; returns where the sums lie that are not in the result. */
static int halve(struct sched_builder *b, const struct halves *h, int have) {
    int lg = h->f.lg, got = have;
    for (int s = 0; s < lg; s++, b->round++) {
        if (h->f.at < 0) continue;
        if (s < 2) got = sched_slots(b, 1);
        move(b, h, sched_send_parts, s, have, s, s);
        move(b, h, sched_recv_parts, s, got, s + 1, lg);
        if (s == lg - 1) {
            reduce_last(b, h, got, have);
        } else if (s == 0) {
            reduce(b, h, got, have, s);
            have = got;
        } else {
            reduce(b, h, have, got, s);
        }
    }
    b->result = got;
    return have;
}

static void double_up(struct sched_builder *b, const struct halves *h, int slot) {
    for (int s = h->f.lg - 1; s >= 0; s--, b->round++) {
        if (h->f.at < 0) continue;
        move(b, h, sched_send_parts, s, slot, s + 1, h->f.lg);
        move(b, h, sched_recv_parts, s, slot, s, s);
    }
}

int halves_reduce_scatter(struct sched_builder *b, halves_partner *partner, struct diag *d) {
    struct halves h;
    int code = begin(&h, b, partner, 1, d);
    if (code != 0) return code;
    sched_one(b);
    int rest = halve(b, &h, fold_in(b, &h.f));
    if (h.f.at < 0) {
        b->result = sched_slots(b, 1);
        sched_recv_parts(b, b->rank + 1, b->result, 1, b->rank, 1, 0);
    }
    if (fold_speaks(&h.f)) sched_send_parts(b, b->rank - 1, rest, 1, b->rank - 1, 1, 0);
    b->round += h.f.pairs > 0;
    free(h.place);
    return 0;
}

/* All parts but one of a slot. */
static void move_others(struct sched_builder *b, message_fn *fn, int peer, int slot, int except) {
    int behind = b->cut - except - 1;
    if (except > 0) fn(b, peer, slot, 1, 0, except, behind > 0);
    if (behind > 0) fn(b, peer, slot, 1, except + 1, behind, 0);
}

int halves_allgather(struct sched_builder *b, halves_partner *partner, struct diag *d) {
    struct halves h;
    int code = begin(&h, b, partner, 1, d), rank = b->rank;
    if (code != 0) return code;
    if (h.f.at < 0) sched_send_parts(b, rank + 1, b->in, 1, rank, 1, 0);
    if (fold_speaks(&h.f)) sched_recv_parts(b, rank - 1, b->in, 1, rank - 1, 1, 0);
    b->round += h.f.pairs > 0;
    double_up(b, &h, b->in);
    if (h.f.at < 0) move_others(b, sched_recv_parts, rank + 1, b->in, rank);
    if (fold_speaks(&h.f)) move_others(b, sched_send_parts, rank - 1, b->in, rank - 1);
    b->round += h.f.pairs > 0;
    b->result = b->in;
    free(h.place);
    return 0;
}

int halves_allreduce(struct sched_builder *b, halves_partner *partner, struct diag *d) {
    struct halves h;
    int code = begin(&h, b, partner, 0, d);
    if (code != 0) return code;
    sched_one(b);
    halve(b, &h, fold_in(b, &h.f));
    double_up(b, &h, b->result);
    b->result = fold_out(b, &h.f, b->result);
    free(h.place);
    return 0;
}

/* ---- what they cost ---- */

/* Elements of the blocks that are given in rounds [low, high]. */
static uint64_t given(const struct coll_case *c, const struct halves *h, int low, int high) {
    int place = 0, part, parts, n_parts = h->wide ? c->shape->size : h->f.n;
    uint64_t n = 0;
    while (next_run(h, low, high, &place, &part, &parts))
        n += coll_case_elems(c, n_parts, part, parts);
    return n;
}

static void halve_cost(const struct coll_case *c, const struct halves *h, struct coll_cost *out) {
    coll_cost_one(c, out);
    fold_cost(c, &h->f, out);
    out->rounds += h->f.lg;
    for (int s = 0; s < h->f.lg && h->f.at >= 0; s++) {
        coll_cost_send(out, given(c, h, s, s));
        out->reduced += given(c, h, s + 1, h->f.lg);
    }
}

static void double_cost(const struct coll_case *c, const struct halves *h, struct coll_cost *out) {
    out->rounds += h->f.lg;
    for (int s = 0; s < h->f.lg && h->f.at >= 0; s++)
        coll_cost_send(out, given(c, h, s + 1, h->f.lg));
}

void halves_reduce_scatter_cost(const struct coll_case *c, halves_partner *partner, struct coll_cost *out) {
    struct halves h;
    int size = c->shape->size;
    if (halves_init(&h, partner, size, c->rank, 1) != 0) {
        coll_cost_unknown(out);
        return;
    }
    halve_cost(c, &h, out);
    if (fold_speaks(&h.f)) coll_cost_send(out, coll_case_elems(c, size, c->rank - 1, 1));
    out->rounds += h.f.pairs > 0;
    free(h.place);
}

void halves_allgather_cost(const struct coll_case *c, halves_partner *partner, struct coll_cost *out) {
    struct halves h;
    int size = c->shape->size;
    if (halves_init(&h, partner, size, c->rank, 1) != 0) {
        coll_cost_unknown(out);
        return;
    }
    if (h.f.at < 0) coll_cost_send(out, coll_case_elems(c, size, c->rank, 1));
    double_cost(c, &h, out);
    if (fold_speaks(&h.f)) coll_cost_send(out, coll_case_elems(c, size, c->rank, size - 1)); /* all but rank - 1 */
    out->rounds += 2 * (h.f.pairs > 0);
    free(h.place);
}

void halves_allreduce_cost(const struct coll_case *c, halves_partner *partner, struct coll_cost *out) {
    struct halves h;
    if (halves_init(&h, partner, c->shape->size, c->rank, 0) != 0) {
        coll_cost_unknown(out);
        return;
    }
    halve_cost(c, &h, out);
    double_cost(c, &h, out);
    unfold_cost(c, &h.f, out);
    free(h.place);
}
