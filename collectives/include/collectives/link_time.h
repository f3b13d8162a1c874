/* link_time.h - virtual time on real messages.
 *
 *   struct link_time t = {.clock = &clock, .net = &net, .tier = tier};   a rank's clock, shared by its links
 *   link_time_start(link, &t);                                           on every rank of the link
 *   ... messages and collectives as ever ...
 *   link_time_stop(link);
 *
 * While it runs, each message of the link is followed by a stamp: when, on the described links (price.h), it arrives.
 * link_isend advances the sender's clock by what sending so many bytes takes (net_send); completing a receive takes the
 * clock to the stamp (net_recv). Collectives over messages advance it by their own work too (net_reduce, net_copy,
 * net_codec), with the functions of the timer. So a clock is moved by executed steps and received stamps alone, and as
 * long as receives name their sender, complete in the order of the program, and no branch reads a clock, it is a
 * function of the program: the operating system's timing does not show (Lamport 1978, with durations).
 *
 * Not for links that pull (shared memory), whose data are no messages: ERR_UNSUPPORTED. Stamps do not count as
 * messages. */
#ifndef COLLECTIVES_LINK_TIME_H
#define COLLECTIVES_LINK_TIME_H

#include "collectives/link.h"
#include "collectives/price.h"

/* Sees the messages of a rank: calls net_send (net_ready where the medium is shared) and net_recv in place of the link.
 * peer: its client number; messages of a pair and channel are received in the order of sending. */
struct link_recorder {
    struct net_stamp (*send)(struct link_recorder *r, struct net_clock *c, const struct net *net, int tier, int peer,
                             int channel, uint64_t bytes);
    void (*recv)(struct link_recorder *r, struct net_clock *c, const struct net *net, int tier, int peer, int channel,
                 const struct net_stamp *stamp);
};

struct link_time {
    struct net_clock *clock;
    const struct net *net;
    const int *tier; /* [size of the link] to each rank */
    /* Called before a message is sent or waited for, to let real time and the clock meet; NULL: they need not. */
    void (*pace)(void *user, struct net_clock *clock);
    void *pace_user;
    struct link_recorder *recorder; /* NULL: none; else there are client numbers */
    /* Where media are shared (arbiter.h), else NULL: a link to all clients and, last, the arbiter; of each rank of this
     * link, its client number and the medium to it (-1: private); a number for this link. */
    struct link *bus;
    const int *client, *medium;
    int channel;
    struct link_stamp *spare; /* private; NULL at first */
    struct link_post *posts; /* private; NULL at first */
};

/* t and what it points to outlive link_time_stop. ERR_USAGE where a medium is shared and there is no bus. Local: but
 * the next message of the link is timed on both sides or on none. */
int link_time_start(struct link *l, struct link_time *t, struct diag *d);
/* All messages have been waited for. Accepts links that are not timed. Local. */
void link_time_stop(struct link *l);

/* Tells the arbiter that this client sends and waits no more; before link_time_stop. Local. */
void link_time_end(struct link *bus);

#endif
