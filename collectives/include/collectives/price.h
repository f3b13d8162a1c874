/* price.h - what a schedule costs on described links, in integer picoseconds.
 *
 * A link is LogGP (Alexandrov, Ionescu, Schauser, Scheiman 1995) with overheads o apart for both sides. With clock t of
 * a rank and `free` of its port, all in ps, k bytes, and [x] = round(k * G):
 *
 *   push (a network):     send:  t += o_send;  start = max(t, free);  free = start + max(g, [k G]);
 *                                arrival = start + [k G] + L
 *                         recv:  t = max(t, arrival) + o_recv
 *   a medium that several senders share (fifo): as a network, with the medium's `free` in place of a port's; messages
 *                         take it in the order of (time at which the sender is ready, sender, its message's number)
 *   a medium whose bandwidth senders share (fluid): as a network, but [k G] becomes the time that fluid.h gives, from
 *                         start on; G is the medium's
 *   through the host: as a network up to the host's memory, and once more from there; the sender's port, or the shared
 *                         medium, is busy with the first half alone, the way on has no port:
 *                                arrival = start + 2 ([k G] + L)
 *   pull (shared memory): publish: t += o_send for a run of SENDs;  arrival = t + L        the flag is visible L later
 *                         recv:  t = max(t, arrival) + o_recv; then [k G] where the data are read: by the REDUCE that
 *                                takes them in place, or by the copy of parts that are kept
 *   reduce:               t += [k gamma]            copy: t += [k copy]            code, decode: t += [k codec]
 *
 * These functions are the only place where messages advance a clock: the timer here, and whoever carries stamps on real
 * messages, call the same ones, so they agree to the picosecond. A stamp carries, beside the time, what that time is
 * made of; where a clock waits, it takes over the shares of what it waited for, so shares always sum to the time
 * exactly: the critical path. A port that is busy for the gap is so by overhead alone, whatever its words took.
 * Rounding is per term ([ ]): scaling all parameters by k scales times by k only for whole rates. */
#ifndef COLLECTIVES_PRICE_H
#define COLLECTIVES_PRICE_H

#include <stdint.h>

#include "base/diag.h"
#include "base/pico.h"
#include "collectives/op.h"
#include "collectives/sched.h"

/* Private to each sender; or of all ranks that it joins: one message at a time, or all that are under way at once. */
enum net_medium { NET_PRIVATE, NET_FIFO, NET_FLUID };

struct net_link {
    int pull;
    uint64_t L_ps, o_send_ps, o_recv_ps, g_ps; /* latency, overheads, gap between messages */
    struct pico_rate G; /* ps a byte */
    enum net_medium medium;
    struct pico_rate port; /* NET_FLUID: of a sender alone; den 0: as G */
    int via_host; /* messages are stored in the host's memory and forwarded */
};

enum { NET_MAX_TIERS = 8 };

/* The links among the ranks of a group, by tier: tier 0 within a shared-memory domain, ... */
struct net {
    int n_tiers;
    struct {
        char name[32]; /* "shm", "mpi" */
        char source[96]; /* where its numbers come from: "measured 2026-11-21, n = 41", "assumed" */
        struct net_link link;
    } tier[NET_MAX_TIERS];
    struct pico_rate gamma; /* ps a byte of result, reducing in cache */
    struct pico_rate copy; /* ps a byte copied in cache */
    struct pico_rate codec; /* ps a byte of binary32 that is coded or decoded */
    uint64_t flag_ps; /* measured hand-off of a line between two cores; 0: unknown */
};

/* Assumed numbers of an ordinary server, for choosing where nothing has been measured; their source says so. */
extern const struct net net_default;

/* What a time is made of. */
enum net_share { NET_MEMORY, NET_COMPUTE, NET_BANDWIDTH, NET_LATENCY, NET_OVERHEAD, NET_SHARES };
struct net_stamp {
    uint64_t ps, share[NET_SHARES]; /* shares sum to ps */
};
enum net_share net_greatest(const struct net_stamp *s); /* the greatest share, the first of equal ones */
/* A rank's clock: now, and when its port to each tier is free again. */
struct net_clock {
    struct net_stamp now, port_free[NET_MAX_TIERS];
};
void net_spend(struct net_clock *c, enum net_share share, uint64_t ps);
/* Sends k bytes over a tier: advances the sender and gives the stamp that travels with the message. On a pull link a
 * run of SENDs is one publication (k = 0). */
struct net_stamp net_send(struct net_clock *c, const struct net *net, int tier, uint64_t k);
/* The same where [k G] is known: words_ps. */
void net_send_words(struct net_clock *c, const struct net *net, int tier, uint64_t words_ps, struct net_stamp *arrival);
/* The stamps of n messages of one length that a rank sends one after the other over one tier: from the first each is
 * `step` later, in one share, as long as the port holds them up; from message n_first on each is later by the sender's
 * overhead. */
struct net_row {
    struct net_stamp first, then;
    uint64_t step, then_step;
    int n_first;
    enum net_share of;
};
/* As n >= 1 calls of net_send_words. The sums must fit: nothing is cut off at UINT64_MAX. */
void net_send_row(struct net_clock *c, const struct net *net, int tier, uint64_t words_ps, int n, struct net_row *out);
/* When the i-th message is there; and the stamp that it carries. */
static inline uint64_t net_row_ps(const struct net_row *r, int i) {
    return i < r->n_first ? r->first.ps + (uint64_t)i * r->step
                          : r->then.ps + (uint64_t)(i - r->n_first) * r->then_step;
}
struct net_stamp net_row_stamp(const struct net_row *r, int i);
/* The two halves of net_send where a medium is shared: what the sender does, giving when it is ready; and the medium,
 * from its last message on (`free`: zero at first), giving the stamp. */
struct net_stamp net_ready(struct net_clock *c, const struct net *net, int tier);
struct net_stamp net_carry(struct net_stamp *free, const struct net *net, int tier, const struct net_stamp *ready,
                           uint64_t k);
/* The same for a message that takes words_ps from when it has the medium, or port, to its end, and alone_ps by itself:
 * on its way on from a host. */
void net_carry_words(struct net_stamp *free, const struct net *net, int tier, const struct net_stamp *ready,
                     uint64_t words_ps, uint64_t alone_ps, struct net_stamp *arrival);
/* What k bytes take of a port, or of a medium by themselves. */
uint64_t net_alone(const struct net_link *link, uint64_t k);
/* From when a message that takes alone_ps by itself has left its port, or the medium, until it arrives. */
uint64_t net_lag(const struct net_link *link, uint64_t alone_ps);
/* What says that there is room for more where a message was received (partition/place.h); and waiting for it. */
struct net_stamp net_credit(const struct net_clock *c, const struct net *net, int tier);
void net_wait(struct net_clock *c, const struct net_stamp *stamp);
/* Receives a message with that stamp. On a pull link reading its k bytes is net_read's. */
void net_recv(struct net_clock *c, const struct net *net, int tier, const struct net_stamp *stamp);
void net_read(struct net_clock *c, const struct net *net, int tier, uint64_t k);
void net_reduce(struct net_clock *c, const struct net *net, uint64_t k);
void net_copy(struct net_clock *c, const struct net *net, uint64_t k);
void net_codec(struct net_clock *c, const struct net *net, uint64_t k);

/* The tier that joins two ranks. Where tier 0 is shared memory: 0 where their domains are equal and `shm` is nonzero,
 * else 1 within a node, 2 between nodes. Where it is of messages: 0 within a domain, else 1. As far as there are so
 * many. */
int net_tier(const struct net *net, const struct coll_shape *shape, int shm, int a, int b);

/* Prices one call of all ranks' schedules with n elements: clocks[r] is where rank r stands before and after. Walks the
 * same programs as the executor (publications, operands in place, copies, staged messages). 0, ERR_MEMORY, or
 * ERR_INTERNAL for schedules that sched_check would refuse. Local. */
int sched_price(const struct sched *ranks, const struct coll_shape *shape, const struct net *net, int shm,
                const struct coll_op *op, const struct coll_wire *wire, size_t n, size_t granule,
                struct net_clock *clocks, struct diag *d);

/* What one rank does in a call with n elements that is all messages, in order: what sched_price and the executor on a
 * timed link (link_time.h) do to its clock, on any links. *out is malloc'ed; spec's shape is borrowed and its algorithm
 * no library's. Local. */
struct coll_spec;
enum coll_doing { COLL_SENDS, COLL_RECEIVES, COLL_REDUCES, COLL_COPIES, COLL_CODES, COLL_ACCUMULATES };
struct coll_event {
    enum coll_doing doing; /* ACCUMULATES: decodes and reduces */
    int peer; /* SENDS, RECEIVES: rank of the group */
    uint64_t bytes;
};
int coll_events(const struct coll_spec *spec, int rank, size_t n, struct coll_event **out, int *count, struct diag *d);
/* What the rank's own work takes, and of which share; 0 of messages. */
uint64_t coll_event_ps(const struct coll_event *e, const struct net *net, enum net_share *share);
/* The same of agree_allgather (agree.h) with so many bytes of each rank. Returns the number of events, at most
 * COLL_GATHER_EVENTS. */
enum { COLL_GATHER_EVENTS = 4 * 32 }; /* 4 a round */
int coll_gather_events(int rank, int size, size_t bytes, struct coll_event *out);

/* Builds, proves and prices a choice from clocks at 0; *ps is when the last rank has its result. Local. */
int coll_predict(const struct coll_choice *choice, enum coll_kind kind, const struct coll_shape *shape,
                 const struct net *net, int shm, const struct coll_op *op, const struct coll_wire *wire, size_t n,
                 size_t granule, uint64_t *ps, struct diag *d);

/* A lower bound on any algorithm of this kind: one hand-off and one read of what a rank lacks at the least
 * (2 (P-1)/P n elements sent and received for an all-reduce; P = 2 with nothing replicated: n). */
uint64_t coll_floor_ps(enum coll_kind kind, int size, const struct net *net, uint64_t bytes);

#endif
