/* exchange.h - what an exchange of two ranks takes where an engine has it: between steps of decoders, whose weights
 * fill the caches, on ranks that come to it one after the other (exchange_bench.c); and the line in bytes through such
 * times as numbers of a link (exchange_fit.c). */
#ifndef DIST_EXCHANGE_H
#define DIST_EXCHANGE_H

#include "collectives/coll.h"
#include "step_times.h"

/* ---- measuring ---- */

/* Where exchanges are: all-reduces between the steps of a decoder in the cache, of one that is read from memory; and
 * messages between the passes of decoders that wait for each other. */
enum exchange_place { EXCHANGE_CACHE, EXCHANGE_MEMORY, EXCHANGE_PASS, EXCHANGE_PLACES };

struct exchange_bench {
    struct step_bench *steps; /* this rank's */
    struct link *link; /* of the two ranks */
    struct coll *coll; /* an all-reduce of them */
    char *buf; /* 2 * bytes of the largest message */
    int tag; /* of messages */
};

/* ns[0]: what decoders take from one exchange to the next with none there: the slower rank, or half of both ranks'
 * passes. ns[1 + i]: the same with exchanges of bytes[i], and all that comes of them. Means of so many passes (at
 * most) of one token, behind a run that brings the weights to where they stay. Collective over the link; times are
 * rank 0's. */
int exchange_measure(const struct exchange_bench *b, enum exchange_place where, int passes, const size_t *bytes, int n,
                     double *ns, struct diag *d);

/* ---- fitting ---- */

struct exchange_point {
    double bytes,
        ns; /* ns: that it adds, without the sum of what came; below 0 where it is lost in what steps vary by */
    double all_ns; /* from one exchange to the next; above 0 */
};

struct exchange_line {
    double ns, ps; /* at no bytes, for each byte */
    double off; /* greatest error, in parts of all */
};

/* The line with the least squares of errors in parts of all, neither number below that of `bare`, an exchange by
 * itself; n >= 1. Local. */
void exchange_fit(struct exchange_line *out, const struct exchange_point *p, int n, const struct exchange_line *bare);

/* ns in three: overheads of both sides as they were measured, unless they are more than all of it. Local. */
void exchange_split(double ns, double *latency, double *send, double *recv);

#endif
