/* fluid.h - a medium whose bandwidth is shared by all messages that are under way on it, max-min fairly.
 *
 * A sender's messages on a link leave one after the other, as through a port of its own (price.h), so at most one of
 * each sender is under way. Filling up all of them alike until the medium is full (G ps a byte) or a sender's port is
 * (Gp, the same for all; Gp = G where the link gives none) leaves each of n the same rate, a byte in
 *
 *     max(n G, Gp) ps
 *
 * of which the critical path counts all to link bandwidth: what k bytes take alone, and the wait for others. So one
 * number, the bytes V that each message under way has got since the medium was last idle, says it all: one of k
 * bytes that begins at V ends when V + k is reached.
 *
 * Rounding: V is kept in 2^-32 bytes and brought up to date, rounded down, only when a message begins or ends; one that
 * has r of its bytes left at the last such time t ends at t + [r max(n G, Gp)], whole picoseconds, [ ] as pico.h says.
 * So a message alone takes [k max(G, Gp)], to the picosecond what a private link takes; with others it is never
 * earlier; and the medium passes no byte twice: a busy time is the bytes' time at full rate, up to a picosecond a
 * message. At one time messages that are due end before others begin; besides that the order of calls at one time does
 * not show. */
#ifndef COLLECTIVES_FLUID_H
#define COLLECTIVES_FLUID_H

#include "collectives/price.h"

struct fluid_flow {
    unsigned __int128 until; /* V when it ends, in 2^-32 bytes */
    int sender;
    void *message; /* the caller's */
};

/* All zero: idle, and without room. */
struct fluid {
    const struct net_link *link;
    uint64_t at_ps; /* of the last change */
    unsigned __int128 V;
    struct fluid_flow *flow;
    int n, cap;
};

/* Room for so many messages at once. ERR_MEMORY. Freed by fluid_fini. */
int fluid_reserve(struct fluid *f, int n, struct diag *d);
void fluid_fini(struct fluid *f);

/* A message of k bytes begins at a time that is no earlier than any call's before, and no later than fluid_due. There
 * is room, and the sender has no other one under way. */
void fluid_begin(struct fluid *f, uint64_t ps, int sender, uint64_t k, void *message);
/* When the first message ends, unless another begins before: of several the lowest sender's. UINT64_MAX: none. */
uint64_t fluid_due(const struct fluid *f, int *which);
/* It ends, at that time: returns it. */
void *fluid_end(struct fluid *f);

#endif
