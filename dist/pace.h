/* pace.h - virtual time that real time follows: a rank that is ahead of its clock sleeps until then, and a clock that
 * is behind is moved on. So steps take at least as long as on the described card and messages as on its links, and what
 * this machine takes longer for shows: as time that is not described, counted with overheads. As in a token bucket, a
 * rank that is late, as one that slept is by when the system wakes it, may catch up on PACE_BURST_PS of it. Ranks are
 * processes of one machine, whose monotonic clock they share. All functions are local. */
#ifndef DIST_PACE_H
#define DIST_PACE_H

#include "collectives/price.h"

struct pace {
    uint64_t epoch_ns; /* of CLOCK_MONOTONIC: where clocks are at 0; the same on all ranks */
};

/* A moment that is near enough to begin at and far enough for all ranks to hear of it. */
uint64_t pace_epoch(void);
/* Waits shortly at exact times, as far as the system lets it. */
void pace_begin(void);
/* Some slices of a scheduler: what a rank is behind by that had to wait for its processor. No time comes out shorter
 * for it: a token is taken at the present (pace_present), so all that is forgiven of a job is one burst. */
#define PACE_BURST_PS UINT64_C(10000000000)
/* Sleeps until the clock's time; where the present is later by more than a burst, takes the clock to a burst before it.
 * What lies between is NET_OVERHEAD's. */
void pace_follow(void *pace, struct net_clock *clock);
/* The present, as a stamp: the clock's, and NET_OVERHEAD since. */
struct net_stamp pace_present(const struct pace *pace, const struct net_clock *clock);

/* "mem=5GB/s,link=1Gb/s,latency=20us,compute=400Gop/s": a cluster of such cards, in the words of a cluster file; what
 * is not named takes no time. ERR_USAGE names the word. The caller frees *out. */
struct diag;
int pace_cluster_text(char **out, const char *words, struct diag *d);

#endif
