/* record.h - what each rank does when, in virtual time: the events of a running engine or of the simulator.
 *
 * A recorder stands beside a rank's clock and is told of every step and message. What the clock has gained since is
 * then one event a share, in the order of enum net_share, which is that of a step: memory or compute, then its
 * overhead. Both engines tell it at the same places, so equal clocks are equal events. Events that compute and events
 * that wait follow each other without gaps from 0 to the rank's end; those of a link lie beside them, one after the
 * other. Without a recorder nothing is kept and nothing is called. */
#ifndef DIST_RECORD_H
#define DIST_RECORD_H

#include "collectives/link_time.h"
#include "dist/virtual.h"

/* RECORD_LINK + tier; RECORD_CREDIT + tier: credits (partition/place.h), which take no time on their link. */
enum { RECORD_WORKS, RECORD_WAITS, RECORD_LINK, RECORD_CREDIT = RECORD_LINK + NET_MAX_TIERS };
enum { RECORD_STEP_PASS = STEP_COUNT }; /* what a pass takes beside its steps */
enum { RECORD_MOST = 4000000 }; /* events that are kept, of all ranks */

struct record_event {
    uint64_t start_ps, end_ps;
    uint64_t ready_ps; /* link: when the sender was; it waited for the link from then to start_ps */
    uint64_t bytes; /* link */
    int32_t pass; /* of the replica */
    int32_t peer; /* link: the receiver; waiting: the sender, or who gives room */
    int16_t layer; /* of the model, or -1 */
    uint8_t step; /* enum step_kind or RECORD_STEP_PASS */
    uint8_t track, share; /* RECORD_WORKS and after; enum net_share of what works */
    uint8_t unused[3];
};

struct recorder {
    struct link_recorder hooks; /* for links; first member */
    uint64_t from_ps, to_ps; /* what neither lies nor has effects there is not kept */
    int64_t *left; /* how many events may still be kept; below 0: too many, or no memory, and none is kept any more */
    struct net_stamp told; /* the clock as far as there are events */
    int pass, layer, step; /* under way */
    struct record_event *event;
    int n, cap;
};

/* All ranks of a job: 0 or n_ranks recorders. */
struct recording {
    int n_ranks;
    int64_t left;
    struct recorder *rank;
};

/* Nothing has happened yet; r->event stays the caller's to free. left outlives r. Local. */
void recorder_init(struct recorder *r, uint64_t from_ps, uint64_t to_ps, int64_t *left);
/* A rank goes on with a step of a pass; layer -1 at both ends. Each does nothing where r is NULL, like the next. */
void record_step(struct recorder *r, const struct net_clock *c, int pass, int layer, int step);
/* The job is over, too. */
void record_flush(struct recorder *r, const struct net_clock *c);
/* net_send, or net_ready where the medium is shared, and net_recv, with events. r may be NULL. peer: a rank of the
 * plan.
 */
struct net_stamp record_send(struct recorder *r, struct net_clock *c, const struct net *net, int tier, int peer,
                             uint64_t bytes);
void record_recv(struct recorder *r, struct net_clock *c, const struct net *net, int tier, int peer,
                 const struct net_stamp *stamp);
/* net_credit and net_wait, with events. */
struct net_stamp record_credit(struct recorder *r, const struct net_clock *c, const struct net *net, int tier,
                               int peer);
void record_room(struct recorder *r, struct net_clock *c, int peer, const struct net_stamp *stamp);

/* ERR_MEMORY. Freed by recording_fini. */
int recording_init(struct recording *out, int n_ranks, uint64_t from_ps, uint64_t to_ps, struct diag *d);
void recording_fini(struct recording *r);
/* ERR_PLAN where events are lacking, with the remedy. */
int recording_check(const struct recording *r, struct diag *d);
/* All events of all ranks are there: finds when the shared media of c carried what (media.h says in which order).
 * ERR_MEMORY, or as recording_check. */
int recording_end(struct recording *r, const struct plan *p, const struct cluster *c, struct diag *d);

/* Names of a step and of a share of time. */
const char *record_step_name(int step);
extern const char *const record_share_name[NET_SHARES];

#endif
