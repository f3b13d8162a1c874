/* sched_run.h - the plainest executor: sums of binary32 over a link, every message a copy. */
#ifndef COLLECTIVES_SCHED_RUN_H
#define COLLECTIVES_SCHED_RUN_H

#include "collectives/link.h"
#include "collectives/sched.h"

/* Runs a lossless schedule of this rank on n_slots slots of n floats each in buf; returns where the result is. All
 * ranks of the link call it with the same n and tag; without memory the job ends. */
float *sched_run(const struct sched *s, struct link *link, int tag, float *buf, size_t n);

#endif
