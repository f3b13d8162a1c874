/* arbiter.h - who uses a shared medium next, in virtual time.
 *
 * Where senders share a medium, when a message arrives depends on what others have sent before it in virtual time,
 * which real time does not tell. One more rank, the arbiter, hears of every timed message (its sender says when it is
 * ready) and of every wait. As long as a rank runs it may still send something earlier; once all ranks wait or have
 * ended, the request that is ready first - the lowest rank's first message among equals - is safe, as whatever is sent
 * later is caused by a grant and no earlier. So media are given in one order, whatever the operating system does:
 * conservative simulation with a conditional event (Chandy and Misra 1981), and nobody waits for ever unless the
 * program does.
 *
 *   rank 0 .. n-1 (clients)                        rank n (arbiter)
 *   link_isend  -> {ready or arrival, bytes}  ->   queue; when all wait: the earliest ready one takes its medium
 *   link_wait   -> {wait for the next of a peer} ->
 *               <- stamp                      <-   once it is known */
#ifndef COLLECTIVES_ARBITER_H
#define COLLECTIVES_ARBITER_H

#include "collectives/link.h"
#include "collectives/price.h"

/* What clients tell: one struct a message on the bus, tag ARBITER_TAG. */
enum { ARBITER_TAG = 1 };
enum arbiter_word { ARBITER_SENT, ARBITER_WAITS, ARBITER_ENDS };
struct arbiter_note {
    int32_t word, peer; /* SENT: to whom; WAITS: from whom: client numbers */
    int32_t channel; /* messages of a pair and channel are received in the order of sending */
    int32_t tier, medium; /* SENT: medium -1: private, stamp is the arrival; else the stamp says when it is ready */
    uint64_t bytes;
    struct net_stamp stamp;
};

/* Serves the size - 1 clients of the link, whose last rank this is, until all have ended. net: of the tiers; media are
 * numbered from 0. ERR_MEMORY; a wait that cannot end aborts the job and names rank and peer, and so does a
 * client that is not heard of for the link's wait_limit_s. Local. */
int arbiter_run(struct link *bus, const struct net *net, int n_media, struct diag *d);

#endif
