/* media.h - messages that wait for a shared medium, for whoever walks all ranks.
 *
 * Media are given in virtual time: once no rank can walk on, the earliest event is safe, as whatever is sent later is
 * caused by it or by later ones (collectives/arbiter.h). A fifo medium takes the message that is ready first; on a
 * fluid one (collectives/fluid.h) a message begins when it is ready and its sender's message before it has gone, and
 * ends as those that begin meanwhile allow. Events are in the order of (time, ends before the rest, sender, its
 * message's number). */
#ifndef DIST_MEDIA_H
#define DIST_MEDIA_H

#include "collectives/fluid.h"

struct media_message {
    struct net_stamp stamp; /* when its sender is ready; once it has been carried, when it arrives */
    uint64_t start_ps, end_ps; /* once it has been carried: on the medium */
    uint64_t bytes;
    int from, tier, medium;
    int to, at; /* the caller's */
};

struct media_node; /* private */
struct media {
    const struct net *net;
    int n_ranks, n_media, n_waiting, n_heap, cap_heap;
    uint64_t n_messages;
    struct media_node **heap, *spare; /* the earliest first; those that have been carried */
    struct net_stamp *free; /* [n_media] fifo */
    struct fluid *fluid; /* [n_media] */
    uint64_t *due; /* [n_media] when a fluid one's first message ends; UINT64_MAX: there is none */
    int *first; /* [2 * n_media] tree: i is that of 2 i and 2 i + 1 which is due first; media from n_media on */
    int *waiting; /* [n_media] messages that are not carried yet, n_waiting in all */
    struct media_port *port; /* [n_ranks][n_tiers] */
};

/* ERR_MEMORY. Freed by media_fini, also where it failed. */
int media_init(struct media *m, const struct net *net, int n_media, int n_ranks, struct diag *d);
void media_fini(struct media *m);
/* A message is ready, no earlier than the last that was carried. ERR_MEMORY. */
int media_add(struct media *m, const struct media_message *message, struct diag *d);
/* Nobody can walk on: 1, and the message that is carried next; 0: there is none. */
int media_next(struct media *m, struct media_message *out);

#endif
