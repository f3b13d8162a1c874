/* agree.c - agreement over a link: up a binomial tree to rank 0, combining, and down again.
 *
 *   P = 5, up (down is the same, backwards):     round 0    1 -> 0   3 -> 2
 *                                                round 1    2 -> 0
 *                                                round 2    4 -> 0
 *
 * The subtree of a rank is the ranks from itself on, so what is mine always comes before what is theirs. */
#include "collectives/agree.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TAG_UP = LINK_TAG_RESERVED, TAG_DOWN, TAG_GATHER };

/* mine = mine combined with theirs, which is of higher ranks. */
typedef void combine_fn(void *mine, const void *theirs);

enum { MAX_VALUE = 640 };

static void send(struct link *l, int peer, int tag, const void *buf, size_t bytes) {
    struct link_request req;
    link_isend(l, peer, tag, buf, bytes, &req);
    link_wait(l, &req);
}

static void reduce_to_0(struct link *l, void *value, size_t bytes, combine_fn *combine) {
    _Alignas(16) char theirs[MAX_VALUE];
    for (int bit = 1; bit < l->size; bit *= 2) {
        if (l->rank & bit) {
            send(l, l->rank - bit, TAG_UP, value, bytes);
            return;
        }
        if (l->rank + bit >= l->size) continue;
        link_recv(l, l->rank + bit, TAG_UP, theirs, bytes);
        combine(value, theirs);
    }
}

static void agree_on(struct link *l, void *value, size_t bytes, combine_fn *combine) {
    reduce_to_0(l, value, bytes, combine);
    agree_bcast(l, 0, value, bytes);
}

/* Ranks count from the root here; a rank receives by its lowest set bit and sends to those below it. */
void agree_bcast(struct link *l, int root, void *buf, size_t bytes) {
    int rel = (l->rank - root + l->size) % l->size, bit = 1;
    while (bit < l->size && !(rel & bit))
        bit *= 2;
    if (rel != 0) link_recv(l, (rel - bit + root) % l->size, TAG_DOWN, buf, bytes);
    for (bit /= 2; bit > 0; bit /= 2)
        if (rel + bit < l->size) send(l, (rel + bit + root) % l->size, TAG_DOWN, buf, bytes);
}

struct verdict {
    int code, rank;
    char text[512];
};
_Static_assert(sizeof(struct verdict) <= MAX_VALUE, "a verdict fits the buffer of reduce_to_0");

static void lowest_failure(void *mine, const void *theirs) {
    struct verdict *m = mine;
    if (m->code == 0) memcpy(m, theirs, sizeof *m);
}

int err_agree(struct link *l, int code, struct diag *d) {
    struct verdict v;
    memset(&v, 0, sizeof v);
    v.code = code;
    v.rank = l->rank;
    if (code != 0) snprintf(v.text, sizeof v.text, "%s", d && d->code != 0 ? d->text : err_text(code));
    agree_on(l, &v, sizeof v, lowest_failure);
    if (v.code == 0 || !d) return v.code;
    d->code = v.code;
    d->rank = v.rank;
    memcpy(d->text, v.text, sizeof d->text);
    return v.code;
}

/* The value of the lowest rank, and the lowest rank with another one (-1: none). */
struct sameness {
    uint64_t value, other_value;
    int rank, other_rank;
};

static void first_difference(void *mine, const void *theirs) {
    struct sameness *m = mine;
    const struct sameness *t = theirs;
    if (m->other_rank >= 0) return;
    if (t->value != m->value) {
        m->other_rank = t->rank;
        m->other_value = t->value;
    } else {
        m->other_rank = t->other_rank;
        m->other_value = t->other_value;
    }
}

int agree_same(struct link *l, uint64_t value, const char *what, struct diag *d) {
    struct sameness s = {value, 0, l->rank, -1};
    agree_on(l, &s, sizeof s, first_difference);
    if (s.other_rank < 0) return 0;
    return diag_set(d, ERR_MISMATCH, "ranks %d and %d differ in %s: %016" PRIx64 " and %016" PRIx64, s.rank,
                    s.other_rank, what, s.value, s.other_value);
}

static void add_values(void *mine, const void *theirs) {
    *(uint64_t *)mine += *(const uint64_t *)theirs;
}

uint64_t agree_sum(struct link *l, uint64_t value) {
    agree_on(l, &value, sizeof value, add_values);
    return value;
}

struct extreme {
    double value;
    int rank;
};

static void smaller(void *mine, const void *theirs) {
    struct extreme *m = mine;
    const struct extreme *t = theirs;
    if (t->value < m->value || (isnan(m->value) && !isnan(t->value))) *m = *t;
}

double agree_min(struct link *l, double value, int *rank) {
    struct extreme e = {value, l->rank};
    agree_on(l, &e, sizeof e, smaller);
    if (rank) *rank = e.rank;
    return e.value;
}

double agree_max(struct link *l, double value, int *rank) {
    return -agree_min(l, -value, rank);
}

/* Sends and receives blocks [first, first + count) modulo P, in two messages where they pass the end of out. */
static void exchange_blocks(struct link *l, int to, int from, int count, int distance, char *out, size_t bytes) {
    struct link_request req[2];
    int size = l->size, theirs = (l->rank + distance) % size;
    int head = size - l->rank < count ? size - l->rank : count;
    int their_head = size - theirs < count ? size - theirs : count;
    link_isend(l, to, TAG_GATHER, out + (size_t)l->rank * bytes, (size_t)head * bytes, &req[0]);
    if (head < count) link_isend(l, to, TAG_GATHER, out, (size_t)(count - head) * bytes, &req[1]);
    link_recv(l, from, TAG_GATHER, out + (size_t)theirs * bytes, (size_t)their_head * bytes);
    if (their_head < count) link_recv(l, from, TAG_GATHER, out, (size_t)(count - their_head) * bytes);
    link_wait(l, &req[0]);
    if (head < count) link_wait(l, &req[1]);
}

/* Bruck's all-gather, in place: before the round of `have`, a rank has the blocks of itself and the next have - 1. */
void agree_allgather(struct link *l, const void *mine, size_t bytes, void *out) {
    int size = l->size;
    if (bytes == 0) return;
    memmove((char *)out + (size_t)l->rank * bytes, mine, bytes);
    for (int have = 1; have < size; have *= 2) {
        int count = have < size - have ? have : size - have;
        exchange_blocks(l, (l->rank - have + size) % size, (l->rank + have) % size, count, have, out, bytes);
    }
}

void agree_barrier(struct link *l) {
    agree_sum(l, 0);
}
