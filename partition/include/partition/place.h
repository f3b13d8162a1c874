/* place.h - the ranks of a plan on the cards of a described cluster.
 *
 * Ranks that are cards are numbered from 0 in the order of the plan: rank -> card. A host rank works on the cluster's
 * host, next to all cards by the last tier. All functions are local. */
#ifndef PARTITION_PLACE_H
#define PARTITION_PLACE_H

#include "partition/card.h"
#include "partition/cluster.h"

/* A rank on its card. */
struct virtual_rank {
    const struct card *card;
    struct card_place place;
    struct net_clock clock;
};

/* ERR_PLAN: the cluster has too few cards, no host for a host rank, or the card no room; or the plan's all-reduce is
 * the MPI library's own, whose messages cannot be seen. c outlives v. */
int virtual_rank_init(struct virtual_rank *v, const struct cluster *c, const struct plan *p, int rank, struct diag *d);

/* The card of a rank, counted from 0; a host is -1. */
int virtual_card(const struct plan *p, int rank);
/* The tier between two ranks of a plan. */
int virtual_tier(const struct cluster *c, const struct plan *p, int a, int b);

/* The shared medium that messages between two ranks take, one for each group of cards that its tier joins, or -1: the
 * link is the sender's own. */
int virtual_medium(const struct cluster *c, const struct plan *p, int a, int b);
/* How many there are; 0: all links are private. */
int virtual_media(const struct cluster *c, const struct plan *p);

#endif
