/* coll.h - persistent collectives: algorithm, transport, memory and proof are fixed once, then calls only move data.
 *
 *   struct coll_spec spec = {.kind = COLL_ALLREDUCE, .algo = "auto", .op = sum, .n_max = tokens * d, .shape = shape};
 *   coll_init(&c, link, &spec, d);                   collective; agrees on the result
 *   for (;;) {
 *       float *x = coll_sendbuf(c, n);               input slots of the next call, n elements each, one after the other
 *       ...the producing product writes x...         with transport shm the other ranks can already see it: zero copy
 *       coll_start(c);
 *       ...independent work; coll_test(c) moves it on...
 *       const float *sum = coll_wait(c);             valid, and read-only, until the next-but-one coll_sendbuf
 *   }
 *   coll_free(c);
 *
 * or coll_run(c, in, out, n), which copies in and out (in == out allowed). All ranks call in the same order with the
 * same n; each call ends with coll_wait before the next one starts. Nothing is allocated after coll_init; nothing is
 * agreed; a wait that cannot end aborts the job with the missing rank, the operation, its sequence number and round
 * (link->wait_limit_s).
 *
 * Between two ranks of one shared-memory domain a schedule runs without messages (transport shm: one node, or threads):
 * slots lie in shared memory, SEND publishes, RECV is a wait, REDUCE reads the sender's slot in place. All other pairs
 * exchange messages over the link. Transport `link` sends messages everywhere, `shm` refuses where a pair cannot share.
 * What a rank has sent is counted in its link (link->counts), messages and bytes, whichever way they went: through
 * shared memory they are words published to a reader. Sends over the link complete at the end of the call.
 * The algorithm `mpi` is the MPI library's own call, whatever the transport. Every wait lets the link progress
 * (link_progress), so messages under way elsewhere are not held up.
 *
 * Memory of shm. Each rank owns one segment: a line with a 64-bit sequence number, written by this rank alone, and two
 * buffers of slots used in turn. The number counts what the rank has published over all calls. A schedule has G_r
 * publications on rank r, one behind each run of SENDs without other steps between them of which one goes to a rank
 * that shares memory, and one at the start of a rank that has no such run; publication g (from 0) of call k (from 0) is
 * the store (release) of k*G_r + g + 1. A RECV waits until its sender's number reaches the publication that covers the
 * SEND (acquire): known at init, as every rank can build every rank's schedule. Buffer k mod 2 is free for call k when
 * each rank that read it in call k-2 has published anything in call k-1, so has ended k-2; that nearly always has been
 * seen already. Numbers only grow; no line has two writers; no barrier.
 * Every call makes all G_r publications, also with n = 0 and for empty messages; only waits and copies of what is empty
 * are left out.
 *
 * A waiting rank spins, then yields (at once where ranks share processors), then sleeps in a futex on the low 32 bits
 * of the peer's number (shared, not private), at most 1 ms at a time. Before sleeping it raises the sleeper word in the
 * peer's segment (a line apart from the number's); a fence (seq_cst) stands between raising and looking again, and
 * between publishing and reading the word, so no wake-up is lost, and the bound makes one that were harmless.
 *
 * A received part that is only an operand is read in place; one that is sent on or is part of the result is copied when
 * it is received. Two buffers are kept only of slots that are sent; what no other rank reads lies in private memory,
 * and messages of several pieces pass through a staging buffer there (coll_bytes counts all of it). With a wire form
 * the segment holds codes. Segments are padded to pages and touched by their owner in coll_init; where shared memory
 * cannot be had, transport auto uses messages and `why` says so. */
#ifndef COLLECTIVES_COLL_H
#define COLLECTIVES_COLL_H

#include <stdio.h>

#include "collectives/link.h"
#include "collectives/op.h"
#include "collectives/price.h"
#include "collectives/sched.h"

enum { COLL_LINE_BYTES = 64 }; /* where parts end by default: no two ranks write into one line */

enum { COLL_WIRE_GRANULE = 32 }; /* elements, of part boundaries with a wire form */

enum coll_transport { COLL_TRANSPORT_AUTO, COLL_TRANSPORT_SHM, COLL_TRANSPORT_LINK };
const char *coll_transport_name(enum coll_transport t);

/* Work on the result while it is in cache: called once for each row [first, first + n) of `row` elements (the last may
 * be shorter), in rising order, inside coll_wait. The result itself stays as it is: others may still read it. Fuses
 * residual addition and norm with the last reduction (allreduce_residual_rmsnorm): the same bits for every algorithm.
 */
struct coll_finish {
    void (*row)(void *ctx, const float *result, size_t first, size_t n);
    void *ctx;
    size_t row_elems;
};

struct coll_spec {
    const char *name; /* for logs and errors: "attn_reduce"; copied */
    enum coll_kind kind;
    const char *algo; /* coll_choice_parse's words; NULL or "auto": see coll_resolve */
    const char *why; /* algo was chosen, for coll_info; NULL: it was asked for */
    enum coll_label label; /* the worst that is accepted (BIT_EXACT is 0); an algo or wire that is worse is ERR_USAGE,
                              unless the proof for this shape is better */
    enum coll_transport transport;
    struct coll_op op;
    const struct coll_wire *wire; /* NULL: values travel as they are */
    size_t n_max; /* most elements of a call */
    size_t n_typical; /* what `auto` prices; 0: n_max */
    struct coll_shape shape; /* copied; domain is filled in from the link where it is NULL */
    size_t granule; /* of part boundaries, elements; 0: a 64-byte line (32 with a wire). Never changed by the choice */
    struct coll_finish finish; /* row NULL: none */
    const struct net *net; /* for auto and predictions; NULL: net_default. Rank 0's decides */
    int tag; /* of its messages: another for each coll of a link */
    int yield; /* -1: as link->oversubscribed says */
    /* Schedules that coll_resolve has built and need not build again, for one shape, kind and wire form; NULL: none. */
    struct coll_kept *kept;
};
struct coll_kept *coll_kept_new(void); /* NULL: no memory */
void coll_kept_free(struct coll_kept *k); /* NULL accepted */

struct coll;

/* Replaces "auto" by a choice: of the algorithms whose own label is good enough for spec->label (two-level ones only
 * with several domains) the one that is fastest for n_typical on spec->net, its rounds reckoned one after the other
 * (within 10 % of what sched_price says of the best in 95 cases of 100), ties in the order of the table. Pure: same
 * spec, same choice. `why` may be NULL. Local. */
int coll_resolve(const struct coll_spec *spec, struct coll_choice *choice, char *why, size_t cap, struct diag *d);

/* Checks the spec, chooses, builds, proves (up to 64 ranks; larger ones are built by the same code), and allocates.
 * ERR_UNSUPPORTED names why a transport or algorithm cannot be had (ranks on several nodes, no MPI below the link),
 * ERR_MISMATCH that ranks brought different specs. Collective over link, the same result on all ranks; freed by
 * coll_free (collective; NULL accepted). The link stays the caller's and must outlive it. */
int coll_init(struct coll **c, struct link *link, const struct coll_spec *spec, struct diag *d);
void coll_free(struct coll *c);

/* The most bytes that coll_init keeps on a rank with any transport, without doing it (plans count them). spec->algo
 * must be resolved. Local. */
int coll_bytes(const struct coll_spec *spec, int rank, size_t *bytes, struct diag *d);

/* Input slots of the next call with n <= n_max elements: shape's subtree sums of this rank, slot after slot, n elements
 * apart; the first is 64-byte aligned. May wait for a slow reader of the call before last. */
void *coll_sendbuf(struct coll *c, size_t n);
/* Says that the inputs are complete. The sendbuf is not the caller's any more. Does not block. */
void coll_start(struct coll *c);
/* Moves on without blocking; nonzero once coll_wait would not block (it must still be called). The MPI library's own
 * call cannot be asked: with the algorithm `mpi` it is made here, and blocks. */
int coll_test(struct coll *c);
/* Completes the call; the result, n elements (reduce_scatter: only part `rank` is defined). */
const void *coll_wait(struct coll *c);
/* sendbuf, copy, start, wait, copy. `in` holds n_in slots of n elements, `out` receives n. in == out allowed. */
void coll_run(struct coll *c, const void *in, void *out, size_t n);

struct coll_info {
    char name[48];
    enum coll_kind kind;
    struct coll_op op;
    const struct coll_wire *wire;
    int size; /* ranks */
    size_t n_typical;
    unsigned tiers; /* bit i: tier i of net joins some of its ranks */
    struct coll_choice choice;
    enum coll_transport transport;
    enum coll_label label; /* proved for this shape */
    int n_in, n_slots, n_parts, n_rounds;
    size_t granule; /* elements */
    struct coll_cost cost; /* this rank's, for n_typical */
    uint64_t sent_bytes; /* of it, in the wire form */
    uint64_t predicted_ps; /* slowest rank, for n_typical, by sched_price (beyond 64 ranks as auto reckons); estimated;
                              0: not known, the library's own */
    size_t bytes; /* memory on this rank */
    uint64_t calls;
    char why[160]; /* "fastest of 5 bit-exact ones for 8192 B on 2 ranks over shm; next tree 2.31 us" */
};
void coll_info(const struct coll *c, struct coll_info *out);

#endif
