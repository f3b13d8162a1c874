/* random_cluster.h - random cards and links; everything follows from a key and from how often n was counted up. All
 * functions are local. */
#ifndef ANALYSIS_RANDOM_CLUSTER_H
#define ANALYSIS_RANDOM_CLUSTER_H

#include "partition/cluster.h"
#include "partition/plan.h"

/* The next number of the key, below `most`. */
uint64_t random_below(uint64_t key, uint64_t *n, uint64_t most);
void random_card(struct card *card, uint64_t key, uint64_t *n);
/* shared: some of its links are. */
void random_cluster(struct cluster *c, uint64_t key, uint64_t *n, int shared);
/* Some of the first cards are slower or faster. */
void random_exceptions(struct cluster *c, uint64_t key);
/* Most plans get frame buffers with room for one of the longest messages, and some more. */
void random_frames(struct cluster *c, const struct plan *p, uint64_t key);

#endif
