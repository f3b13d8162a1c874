/* sched_run.h - the plainest executor: sums of binary32 over a link, every message a copy. What links and schedules are
 * tested with, apart from the executor of coll.h. */
#ifndef TESTS_SCHED_RUN_H
#define TESTS_SCHED_RUN_H

#include <stdlib.h>
#include <string.h>

#include "collectives/link.h"
#include "collectives/sched.h"

enum { RUN_GRANULE = 16 }; /* floats of a cache line */

struct run {
    const struct sched *s;
    struct link *link;
    float *buf;
    size_t n;
    struct link_request *requests; /* of the sends in flight, with their copies */
    float **copies;
    int in_flight;
};

static inline size_t part_begin(const struct run *r, int part) {
    return coll_part_begin(r->n, RUN_GRANULE, r->s->n_parts, part);
}

/* Elements of a whole message, from its first step on. */
static inline size_t message_elems(const struct run *r, const struct sched_step *t) {
    size_t n = 0;
    for (;; t++) {
        n += (part_begin(r, t->part + t->parts) - part_begin(r, t->part)) * (size_t)t->count;
        if (!t->more) return n;
    }
}

/* Copies a message's parts to `flat`, or from it. */
static inline void message_copy(const struct run *r, const struct sched_step *t, float *flat, int out) {
    for (;; t++) {
        size_t begin = part_begin(r, t->part), n = part_begin(r, t->part + t->parts) - begin;
        for (int k = t->slot; k < t->slot + t->count; k++, flat += n) {
            float *at = r->buf + (size_t)k * r->n + begin;
            memcpy(out ? flat : at, out ? at : flat, n * sizeof *flat);
        }
        if (!t->more) return;
    }
}

static inline float *staging(const struct run *r, size_t n) {
    float *flat = malloc(n * sizeof *flat);
    if (!flat) link_abort(r->link, "no memory for a message of %zu elements", n);
    return flat;
}

static inline void run_send(struct run *r, int tag, const struct sched_step *t) {
    size_t n = message_elems(r, t);
    if (n == 0) return;
    float *flat = r->copies[r->in_flight] = staging(r, n);
    message_copy(r, t, flat, 1);
    link_isend(r->link, t->peer, tag, flat, n * sizeof *flat, &r->requests[r->in_flight++]);
}

static inline void run_recv(struct run *r, int tag, const struct sched_step *t) {
    size_t n = message_elems(r, t);
    if (n == 0) return;
    float *flat = staging(r, n);
    link_recv(r->link, t->peer, tag, flat, n * sizeof *flat);
    message_copy(r, t, flat, 0);
    free(flat);
}

static inline void run_local(const struct run *r, const struct sched_step *t) {
    size_t begin = part_begin(r, t->part), end = part_begin(r, t->part + t->parts);
    float *dst = r->buf + (size_t)t->slot * r->n;
    const float *src = r->buf + (size_t)t->src * r->n;
    for (size_t i = begin; i < end; i++)
        dst[i] = t->op == SCHED_REDUCE ? dst[i] + src[i] : t->op == SCHED_COPY ? src[i] : -0.0f;
}

static inline void wait_all(struct run *r) {
    for (int i = 0; i < r->in_flight; i++) {
        link_wait(r->link, &r->requests[i]);
        free(r->copies[i]);
    }
    r->in_flight = 0;
}

static inline void run_steps(struct run *r, int tag) {
    int round = 0, inside = 0; /* inside a message, which its first step has done */
    for (int i = 0; i < r->s->n_steps; i++) {
        const struct sched_step *t = &r->s->steps[i];
        if (t->round != round) wait_all(r);
        round = t->round;
        if (t->op != SCHED_SEND && t->op != SCHED_RECV)
            run_local(r, t);
        else if (!inside)
            (t->op == SCHED_SEND ? run_send : run_recv)(r, tag, t);
        inside = t->more;
    }
    wait_all(r);
}

/* Runs a lossless schedule of this rank on n_slots slots of n floats each in buf; returns where the result is. All
 * ranks of the link call it with the same n and tag; without memory the job ends. */
static inline float *sched_run(const struct sched *s, struct link *link, int tag, float *buf, size_t n) {
    struct run r = {.s = s, .link = link, .buf = buf, .n = n};
    r.requests = calloc((size_t)s->n_steps + 1, sizeof *r.requests);
    r.copies = calloc((size_t)s->n_steps + 1, sizeof *r.copies);
    if (!r.requests || !r.copies) link_abort(link, "no memory for a schedule of %d steps", s->n_steps);
    if (n > 0) run_steps(&r, tag);
    free(r.requests);
    free(r.copies);
    return buf + (size_t)s->result_slot * n;
}

#endif
