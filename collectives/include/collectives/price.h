/* price.h - what a schedule costs on described links, in integer picoseconds.
 *
 * A link is LogGP (Alexandrov, Ionescu, Schauser, Scheiman 1995) with overheads o apart for both sides. With clock t of
 * a rank and `free` of its port, all in ps, k bytes, and [x] = round(k * G):
 *
 *   push (a network):     send:  t += o_send;  start = max(t, free);  free = start + max(g, [k G]);
 *                                arrival = start + [k G] + L
 *                         recv:  t = max(t, arrival) + o_recv
 *   pull (shared memory): send:  t += o_send;  arrival = t + L              the flag is visible L later
 *                         recv:  t = max(t, arrival) + o_recv + [k G]       the receiver reads the data
 *   reduce:               t += o_reduce + [k gamma]                          k bytes of result
 *
 * These functions are the only place where messages advance a clock: the timer here, and whoever carries stamps on real
 * messages, call the same ones, so they agree to the picosecond. */
#ifndef COLLECTIVES_PRICE_H
#define COLLECTIVES_PRICE_H

#include <stdint.h>

#include "base/diag.h"
#include "base/pico.h"
#include "collectives/op.h"
#include "collectives/sched.h"

struct net_link {
    int pull;
    uint64_t L_ps, o_send_ps, o_recv_ps, g_ps; /* latency, overheads, gap between messages */
    struct pico_rate G; /* ps a byte */
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
    uint64_t o_reduce_ps;
    struct pico_rate gamma; /* ps a byte of result */
    struct pico_rate codec; /* ps a byte of binary32 that is coded or decoded */
    uint64_t flag_ps; /* measured hand-off of a line between two cores; 0: unknown */
};

/* Assumed numbers of an ordinary server, for choosing where nothing has been measured; their source says so. */
extern const struct net net_default;

/* A rank's clock: now, and when its port is free again. */
struct net_clock {
    uint64_t t, port_free;
};
/* Sends k bytes: advances the sender and returns the stamp that travels with the message. */
uint64_t net_send(struct net_clock *c, const struct net_link *l, uint64_t k);
/* Receives k bytes with that stamp. */
void net_recv(struct net_clock *c, const struct net_link *l, uint64_t k, uint64_t stamp);
void net_reduce(struct net_clock *c, const struct net *net, uint64_t k);

/* The tier that joins two ranks of a shape: 0 if their domains are equal, else 1 (or the last there is). */
int net_tier(const struct net *net, const struct coll_shape *shape, int a, int b);

/* Prices one call of all ranks' schedules with n elements: clocks[r] is where rank r stands before and after. ERR_MEMORY
 * or 0; the schedules must have passed sched_check. Local. */
int sched_price(const struct sched *ranks, const struct coll_shape *shape, const struct net *net,
                const struct coll_op *op, const struct coll_wire *wire, size_t n, size_t granule,
                struct net_clock *clocks, struct diag *d);

/* Builds, proves and prices a choice from clocks at 0; *ps is when the last rank has its result. Local. */
int coll_predict(const struct coll_choice *choice, enum coll_kind kind, const struct coll_shape *shape,
                 const struct net *net, const struct coll_op *op, const struct coll_wire *wire, size_t n, uint64_t *ps,
                 struct diag *d);

/* A lower bound on any algorithm of this kind: one hand-off and one read of what a rank lacks at the least
 * (2 (P-1)/P n elements sent and received for an all-reduce; P = 2 with nothing replicated: n). */
uint64_t coll_floor_ps(enum coll_kind kind, int size, const struct net *net, uint64_t bytes);

#endif
