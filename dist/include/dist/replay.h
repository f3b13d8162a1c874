/* replay.h - what each rank of a job really executed, and its times on described links found again from that alone.
 *
 * Where senders share a medium fairly, a message that is sent later changes when earlier ones arrive, so no clock that
 * travels with messages can say when. A running engine then logs what it executes, operation by operation:
 *
 *   spends d ps of a share of time     its card's steps, and work inside collectives (card.h, price.h)
 *   sends to a rank, so many bytes     of the message that is really sent
 *   receives from a rank               in the order in which its program completed receives
 *   gives a credit to a rank; waits for one of a rank     where frame buffers are small (partition/place.h)
 *   takes a pass's sampled tokens      the first rank of a replica
 *
 * and rank 0 replays the logs of all ranks: it alone sees all messages, and walks the ranks event by event, with any
 * medium. Messages between two ranks with the same channel (link and tag) arrive in the order of sending.
 *
 * A log knows nothing of links: those of another cluster may be replayed as well, where ranks execute the same. What a
 * log holds fast: the durations that its cards and the work inside collectives took, so a cluster with other ones is
 * refused (ops_card_hash); the plan, so also the algorithm of each collective, although other links might have chosen
 * another; and the trace, so what was sampled and refused. */
#ifndef DIST_REPLAY_H
#define DIST_REPLAY_H

#include <stdio.h>

#include "dist/simulate.h"

enum { OPS_VERSION = 1, OPS_MOST = 4000000 }; /* operations of a rank */
enum { OP_SEND = NET_SHARES, OP_RECEIVE, OP_CREDIT, OP_ROOM, OP_TAKE }; /* below: an enum net_share that is spent */

struct op {
    uint64_t amount; /* ps, bytes, or number of a pass */
    int32_t peer, channel; /* rank of the plan; link << 16 | tag */
    int32_t pass; /* under way, and of it the layer (-1: both ends) and step, as in struct record_event */
    int16_t layer;
    uint8_t step, what;
};

struct op_list {
    struct op *op;
    int n, cap;
};

/* A whole job. */
struct op_log {
    uint64_t plan_hash, card_hash;
    char model[64], strategy[256], cluster[64];
    int n_ranks, dp, users;
    int *card; /* [n_ranks] of a rank: place.h; -1: a host */
    struct op_list *rank; /* [n_ranks] */
    struct trace *trace; /* [dp] */
};

/* Adds one; ERR_MEMORY, or ERR_PLAN where there are OPS_MOST. */
int op_list_add(struct op_list *list, const struct op *o);

/* Room for n_ranks and dp, which are set, but for operations and passes. ERR_MEMORY, and *log is empty. */
int op_log_allocate(struct op_log *log, struct diag *d);
/* ERR_MEMORY. Without operations and passes, and users. */
int op_log_init(struct op_log *log, const struct plan *p, const struct cluster *c, struct diag *d);
void op_log_fini(struct op_log *log);
/* Of all that durations of operations of so many cards hang on: card with its frame buffer, their speeds, host, and
 * work inside collectives; not names, power, energy. */
uint64_t ops_card_hash(const struct cluster *c, int n_cards);

/* A file of text (docs/VIRTUAL_TIME.md has the lines). ERR_IO; ERR_FORMAT ("FILE:LINE: ..."); ERR_MEMORY. */
int op_log_write(const struct op_log *log, const char *path, struct diag *d);
int op_log_read(struct op_log *log, const char *path, struct diag *d);
/* The same from memory; the text is taken apart in place and ends with a 0 byte. */
int op_log_parse(struct op_log *log, const char *path, char *text, size_t len, struct diag *d);

/* Times of a log on a cluster; rec, of as many ranks, gets what they do when, but for recording_end, or is NULL.
 * ERR_PLAN: the cluster has too few cards, no host, others than those of the log, or links that are read in place;
 * ERR_MISMATCH: a rank waits for ever, or a message is never received: names rank, peer and channel. Freed by
 * simulation_fini. Local. */
int replay(struct simulation *out, const struct op_log *log, const struct cluster *c, struct recording *rec,
           struct diag *d);

/* Logs a rank: beside its clock, told like a recorder (record.h) of every step and message. */
struct op_logger {
    struct link_recorder hooks; /* for links; first member */
    struct recorder *rec; /* is told of messages too; or NULL */
    struct net_stamp told; /* the clock as far as there are operations */
    int pass, layer, step; /* under way */
    struct op_list list;
    int failed; /* ERR_PLAN: too many; ERR_MEMORY */
};
/* Nothing has happened yet; l->list stays as it is but for its length. Local. */
void op_logger_start(struct op_logger *l, struct recorder *rec);
/* The clock has come this far: a message is next, and has moved it on; a step begins; tokens of a pass are taken; the
 * job ends. Each does nothing where l is NULL. */
void op_log_message(struct op_logger *l, const struct net_clock *c, int what, int peer, int channel, uint64_t bytes);
void op_log_moved(struct op_logger *l, const struct net_clock *c);
void op_log_step(struct op_logger *l, const struct net_clock *c, int pass, int layer, int step);
void op_log_take(struct op_logger *l, const struct net_clock *c, int pass);
void op_log_flush(struct op_logger *l, const struct net_clock *c);

#endif
