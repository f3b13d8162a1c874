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

/* Whether b's place is a's, and its steps take as long: as in a stage whose ranks share layers evenly. */
int virtual_rank_same(const struct cluster *c, const struct plan *p, int a, int b);

/* The card of a rank, counted from 0; a host is -1. */
int virtual_card(const struct plan *p, int rank);
/* The tier between two cards, and the shared medium that messages between them take, one for each group of cards that
 * the tier joins, or -1: the link is the sender's own. A host, -1, is next to all by the last tier. */
int place_tier(const struct cluster *c, int card_a, int card_b);
int place_medium(const struct cluster *c, int n_cards, int card_a, int card_b);
/* How many media there are; 0: all links are private. */
int place_media(const struct cluster *c, int n_cards);

/* The same between two ranks of a plan. */
int virtual_tier(const struct cluster *c, const struct plan *p, int a, int b);
/* Of the ranks [b, end) of a stage those from b on to which a's tier is that to b end before this one. */
int virtual_tier_end(const struct cluster *c, const struct plan *p, int a, int b, int end);
int virtual_medium(const struct cluster *c, const struct plan *p, int a, int b);
int virtual_media(const struct cluster *c, const struct plan *p);

/* Whether senders share a medium fairly: then later messages change when earlier ones arrive, and only who knows all of
 * them (dist/replay.h) can say when. */
int place_is_fluid(const struct cluster *c);

/* Frame buffers. A message of hidden states, or of sampled tokens, takes room in the frame buffer of the card that it
 * goes to: from when its sender turns to it until that card has received it, overhead included. Where there is not
 * enough, the sender waits, and all that it would do later. It learns of room by credits: one for each message, which
 * leaves the card when that has been received and takes the latency of the link (through a host both), nothing else. It
 * takes them in the order of its messages, as many as it needs room.
 *
 *   stage s    used + bytes > frame: wait for a credit     used += bytes; net_send  ----->  net_recv     stage s + 1
 *              used -= bytes of the message it is for   <---- net_credit: now + L ----------'
 *
 * Each rank receives hidden states from one other alone, so that a sender's count is the state of the buffer; tokens go
 * to stage 0, which receives no hidden states, and always have room (checked). Messages of collectives take none: they
 * are received where they are needed. Nobody waits for ever: a stage waits for later stages to begin an earlier pass,
 * the last stage for none. A replica can have at most all tokens of its sequences' contexts under way, one a message;
 * where these have room there are no credits, and nothing changes. */

/* *bytes: of the frame buffers, where messages may have to wait for room; else 0. ERR_PLAN, with the arithmetic, where
 * a message could never have room. */
int virtual_frame(uint64_t *bytes, const struct cluster *c, const struct plan *p, struct diag *d);

#endif
