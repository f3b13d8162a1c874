/* agree.h - agreement of all ranks at the ends of phases. Every function here is collective over the link.
 *
 *   int code = read_my_part(&part, d);      local work, may fail on one rank alone
 *   code = err_agree(link, code, d);        now all ranks know, with the same text
 *   if (code != 0) goto out;
 *
 * Values go up a binomial tree to rank 0 and come back down it: 2 ceil(lg P) rounds, P - 1 messages each way. */
#ifndef COLLECTIVES_AGREE_H
#define COLLECTIVES_AGREE_H

#include <stdint.h>

#include "base/diag.h"
#include "collectives/link.h"

/* All ranks pass their own code and diag and return the same: 0 if all were 0, d untouched; else the code of the lowest
 * failing rank, whose text, code and rank replace what every rank's d holds. d may be NULL. */
int err_agree(struct link *l, int code, struct diag *d);

/* 0 if every rank passes the same value; else ERR_MISMATCH on all, d naming `what`, rank 0 and the first rank that
 * differs from it. */
int agree_same(struct link *l, uint64_t value, const char *what, struct diag *d);

/* Sum over ranks modulo 2^64 (partition-independent hashes); min and max with the lowest rank that holds it (rank may
 * be NULL; a NaN is passed over while another rank has a number). */
uint64_t agree_sum(struct link *l, uint64_t value);
double agree_min(struct link *l, double value, int *rank);
double agree_max(struct link *l, double value, int *rank);

/* Copies bytes from root to all. Gathers `bytes` from each rank to all, in rank order (out: size * bytes). */
void agree_bcast(struct link *l, int root, void *buf, size_t bytes);
void agree_allgather(struct link *l, const void *mine, size_t bytes, void *out);

/* No rank returns before all have entered. */
void agree_barrier(struct link *l);

#endif
