/* sched.c - building, counting and running schedules. */
#include "collectives/sched.h"

#include <stdlib.h>
#include <string.h>

#include "base/pairtree.h"
#include "sched_build.h"

const struct coll_algo *coll_algo_find(const char *name) {
    for (const struct coll_algo *const *a = coll_algos; *a; a++)
        if (strcmp((*a)->name, name) == 0) return *a;
    return NULL;
}

int coll_shape_check(const struct coll_shape *shape, int rank, struct diag *d) {
    if (shape->size < 1 || rank < 0 || rank >= shape->size)
        return diag_set(d, ERR_RANGE, "all-reduce: rank %d of %d ranks", rank, shape->size);
    if (shape->n_leaves < 1 || shape->n_leaves > COLL_MAX_LEAVES)
        return diag_set(d, ERR_RANGE, "all-reduce over %d leaves: 1 to %d are possible", shape->n_leaves,
                        COLL_MAX_LEAVES);
    for (int r = 0; r < shape->size; r++)
        if (shape->begin[r] > shape->begin[r + 1])
            return diag_set(d, ERR_RANGE, "all-reduce: the leaves of rank %d end (%d) before they begin (%d)", r,
                            shape->begin[r + 1], shape->begin[r]);
    if (shape->begin[0] != 0 || shape->begin[shape->size] != shape->n_leaves)
        return diag_set(d, ERR_RANGE, "all-reduce: ranks own leaves %d to %d instead of 0 to %d", shape->begin[0],
                        shape->begin[shape->size], shape->n_leaves);
    return 0;
}

int sched_begin(struct sched_builder *b, struct sched *s, const struct coll_shape *shape, int rank, struct diag *d) {
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    memset(s, 0, sizeof *s);
    int code = coll_shape_check(shape, rank, d);
    if (code != 0) return code;
    *b = (struct sched_builder){.s = s};
    s->rank = rank;
    s->size = shape->size;
    s->n_in = pairtree_cover(shape->n_leaves, shape->begin[rank], shape->begin[rank + 1], nodes);
    return 0;
}

static void push(struct sched_builder *b, struct sched_step step) {
    struct sched *s = b->s;
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
    s->steps[s->n_steps++] = step;
}

void sched_send(struct sched_builder *b, int round, int peer, int slot, int count) {
    push(b, (struct sched_step){.op = SCHED_SEND, .round = round, .peer = peer, .slot = slot, .count = count});
}

void sched_recv(struct sched_builder *b, int round, int peer, int slot, int count) {
    push(b, (struct sched_step){.op = SCHED_RECV, .round = round, .peer = peer, .slot = slot, .count = count});
}

void sched_add(struct sched_builder *b, int round, int slot, int src) {
    push(b, (struct sched_step){.op = SCHED_ADD, .round = round, .slot = slot, .count = 1, .src = src});
}

void sched_copy(struct sched_builder *b, int round, int slot, int src) {
    push(b, (struct sched_step){.op = SCHED_COPY, .round = round, .slot = slot, .count = 1, .src = src});
}

/* The most sends that one round has. */
static int most_sends(const struct sched *s) {
    int most = 0, sends = 0;
    for (int i = 0; i < s->n_steps; i++) {
        if (i > 0 && s->steps[i].round != s->steps[i - 1].round) sends = 0;
        if (s->steps[i].op == SCHED_SEND && ++sends > most) most = sends;
    }
    return most;
}

/* Slots that the steps touch. A message has one contiguous run, so only its end counts. */
static int slots_used(const struct sched *s) {
    int n = s->n_in > s->result_slot ? s->n_in : s->result_slot + 1;
    for (int i = 0; i < s->n_steps; i++)
        if (s->steps[i].slot + s->steps[i].count > n) n = s->steps[i].slot + s->steps[i].count;
    return n;
}

int sched_end(struct sched_builder *b, int result_slot, int n_rounds, struct diag *d) {
    struct sched *s = b->s;
    s->result_slot = result_slot;
    s->n_rounds = n_rounds;
    s->n_slots = slots_used(s);
    s->requests = calloc((size_t)most_sends(s) + 1, sizeof *s->requests);
    if (!b->failed && s->requests) return 0;
    int rank = s->rank, size = s->size;
    sched_fini(s);
    return diag_set(d, ERR_MEMORY, "no memory for the all-reduce schedule of rank %d of %d", rank, size);
}

void sched_fini(struct sched *s) {
    free(s->steps);
    free(s->requests);
    memset(s, 0, sizeof *s);
}

void sched_count(const struct sched *s, uint64_t *messages, uint64_t *slots_sent) {
    *messages = *slots_sent = 0;
    for (int i = 0; i < s->n_steps; i++) {
        if (s->steps[i].op != SCHED_SEND) continue;
        *messages += 1;
        *slots_sent += (uint64_t)s->steps[i].count;
    }
}

static void add(float *restrict dst, const float *restrict src, size_t n) {
    for (size_t i = 0; i < n; i++)
        dst[i] += src[i];
}

static void wait_all(struct link *link, struct link_request *requests, int *n) {
    for (int i = 0; i < *n; i++)
        link_wait(link, &requests[i]);
    *n = 0;
}

float *sched_run(const struct sched *s, struct link *link, int tag, float *buf, size_t n) {
    int round = 0, in_flight = 0;
    for (int i = 0; i < s->n_steps && n > 0; i++) {
        const struct sched_step *t = &s->steps[i];
        float *slot = buf + (size_t)t->slot * n;
        size_t bytes = (size_t)t->count * n * sizeof *buf;
        if (t->round != round) wait_all(link, s->requests, &in_flight);
        round = t->round;
        switch (t->op) {
        case SCHED_SEND: link_isend(link, t->peer, tag, slot, bytes, &s->requests[in_flight++]); break;
        case SCHED_RECV: link_recv(link, t->peer, tag, slot, bytes); break;
        case SCHED_ADD: add(slot, buf + (size_t)t->src * n, n); break;
        case SCHED_COPY: memcpy(slot, buf + (size_t)t->src * n, bytes); break;
        }
    }
    wait_all(link, s->requests, &in_flight);
    return buf + (size_t)s->result_slot * n;
}
