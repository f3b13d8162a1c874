/* sched_build.h - how the files of algos/ write a schedule, step by step.
 *
 *   struct sched_builder b;
 *   int code = sched_begin(&b, s, shape, rank, d);
 *   if (code != 0) return code;
 *   sched_send(&b, round, peer, slot, count); ...
 *   return sched_end(&b, result_slot, n_rounds, d); */
#ifndef SCHED_BUILD_H
#define SCHED_BUILD_H

#include "collectives/sched.h"

struct sched_builder {
    struct sched *s;
    int cap; /* room in s->steps */
    int failed; /* out of memory: further steps are dropped, sched_end reports it */
};

/* 0, or ERR_RANGE for a shape that is not one or a rank that is not in it. */
int coll_shape_check(const struct coll_shape *shape, int rank, struct diag *d);

/* Checks the shape and makes an empty schedule whose n_in is the number of maximal subtrees of rank's leaves. */
int sched_begin(struct sched_builder *b, struct sched *s, const struct coll_shape *shape, int rank, struct diag *d);

void sched_send(struct sched_builder *b, int round, int peer, int slot, int count);
void sched_recv(struct sched_builder *b, int round, int peer, int slot, int count);
void sched_add(struct sched_builder *b, int round, int slot, int src);
void sched_copy(struct sched_builder *b, int round, int slot, int src);

/* Sizes slots and requests. On failure the schedule is freed and all zero. */
int sched_end(struct sched_builder *b, int result_slot, int n_rounds, struct diag *d);

#endif
