/* coll.h - persistent collectives: algorithm, transport, memory and proof are fixed once, then calls only move data.
 *
 *   struct coll_spec spec = {.kind = COLL_ALLREDUCE, .algo = "auto", .op = sum, .n_max = tokens * d, .shape = shape};
 *   coll_init(&c, link, &spec, d);                   collective; agrees on the result
 *   for (;;) {
 *       float *x = coll_sendbuf(c, n);               input slots of the next call, n elements each, one after the other
 *       ...the producing product writes x...         with transport shm the other ranks can already see it: zero copy
 *       coll_start(c);
 *       ...independent work; coll_test(c) moves it on...
 *       const float *sum = coll_wait(c);             valid until the next-but-one coll_sendbuf
 *   }
 *   coll_free(c);
 *
 * or coll_run(c, in, out, n), which copies in and out (in == out allowed). All ranks call in the same order with the
 * same n. Nothing is allocated after coll_init; nothing is agreed; a wait that cannot end aborts the job with the
 * missing rank, the operation, its sequence number and round (link->wait_limit_s).
 *
 * Transports: `shm` (ranks whose link can share memory: one node, or threads) executes a schedule without messages: the
 * slots lie in shared memory, SEND publishes, RECV is a wait, REDUCE reads the sender's slot in place. `link` sends
 * messages (MPI point to point, threads). `mpi` is the MPI library's own collective (algorithm "mpi").
 *
 * Memory of shm. Each rank owns one segment: a line with a 64-bit sequence number, written by this rank alone, and two
 * buffers of slots used in turn. The number counts what the rank has published over all calls. A schedule has G_r
 * publications on rank r, one behind each run of SENDs without other steps between them, and one at the start of a rank
 * that sends nothing; publication g (from 0) of call k (from 0) is the store (release) of k*G_r + g + 1. A RECV waits
 * until its sender's number reaches the publication that covers the SEND (acquire): known at init, as every rank can
 * build every rank's schedule. Buffer k mod 2 is free for call k when each rank that read it in call k-2 has published
 * anything in call k-1, so has ended k-2; that nearly always has been seen already. Numbers only grow; no line has two
 * writers; no barrier.
 * A waiting rank spins, then yields, then sleeps in a futex on the peer's number (at once where ranks share processors);
 * a publisher wakes sleepers only if their line says there are any.
 *
 * A received part that is only an operand is read in place, else (forwarded, or part of the result) it is copied on
 * receipt. Temporaries that no other rank reads lie in private memory. */
#ifndef COLLECTIVES_COLL_H
#define COLLECTIVES_COLL_H

#include <stdio.h>

#include "collectives/link.h"
#include "collectives/op.h"
#include "collectives/price.h"
#include "collectives/sched.h"

enum coll_transport { COLL_TRANSPORT_AUTO, COLL_TRANSPORT_SHM, COLL_TRANSPORT_LINK, COLL_TRANSPORT_MPI };
const char *coll_transport_name(enum coll_transport t);

/* Work on the result while it is in cache: called for blocks [first, first + n) of it in rising order, n a multiple of
 * the granule but for the last, as soon as a block is final; the same calls on every rank. Fuses residual addition and
 * the norm's sum of squares with the last reduction (allreduce_residual_rmsnorm). */
struct coll_finish {
    void (*block)(void *ctx, float *result, size_t first, size_t n);
    void *ctx;
};

struct coll_spec {
    const char *name; /* for logs and errors: "attn_reduce"; copied */
    enum coll_kind kind;
    const char *algo; /* coll_choice_parse's words; NULL or "auto": the fastest predicted one with label <= `label` */
    enum coll_label label; /* the worst that is accepted; BIT_EXACT is 0 */
    enum coll_transport transport;
    struct coll_op op;
    const struct coll_wire *wire; /* NULL: values travel as they are */
    size_t n_max; /* most elements of a call */
    size_t n_typical; /* what `auto` prices; 0: n_max */
    struct coll_shape shape; /* copied */
    struct coll_finish finish; /* block NULL: none */
    const struct net *net; /* for auto and predictions; NULL: net_default */
    int tag; /* of its messages */
    int yield; /* -1: as link->oversubscribed says */
};

struct coll;

/* Checks the spec, chooses, builds, and allocates. ERR_UNSUPPORTED names why a transport or algorithm cannot be had
 * (ranks on several nodes, no MPI below the link). Collective over link, the same result on all ranks; freed by
 * coll_free (collective; NULL accepted). The link stays the caller's and must outlive it. */
int coll_init(struct coll **c, struct link *link, const struct coll_spec *spec, struct diag *d);
void coll_free(struct coll *c);

/* Bytes that coll_init will allocate on a rank, without doing it (plans count them). Local. */
int coll_bytes(const struct coll_spec *spec, int rank, size_t *bytes, struct diag *d);

/* Input slots of the next call with n <= n_max elements: shape's subtree sums of this rank, slot after slot, n elements
 * apart. May wait for a slow reader of the call before last. 64-byte aligned. Local. */
void *coll_sendbuf(struct coll *c, size_t n);
/* Says that the inputs are complete. The sendbuf is not the caller's any more. Does not block. */
void coll_start(struct coll *c);
/* Moves on without blocking; nonzero once the result is there. */
int coll_test(struct coll *c);
/* Completes the call; the result, n elements (reduce_scatter: only part `rank` is defined). */
void *coll_wait(struct coll *c);
/* sendbuf, copy, start, wait, copy. `in` holds n_in slots of n elements, `out` receives n. in == out allowed. */
void coll_run(struct coll *c, const void *in, void *out, size_t n);

struct coll_info {
    struct coll_choice choice;
    enum coll_transport transport;
    enum coll_label label; /* proved for this shape */
    int n_in, n_slots, n_parts, n_rounds;
    size_t granule; /* elements */
    struct coll_cost cost; /* this rank's, for n_typical */
    uint64_t sent_bytes; /* of it, in the wire form */
    uint64_t predicted_ps; /* slowest rank, for n_typical; kind estimated */
    size_t bytes; /* memory on this rank */
    uint64_t calls;
    char why[160]; /* "fastest of 5 bit-exact ones for 8192 B on 2 ranks over shm; next tree 2.31 us" */
};
void coll_info(const struct coll *c, struct coll_info *out);

#endif
