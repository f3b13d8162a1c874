/* cluster.h - a described or measured machine: what a card's memory gives, and the links among ranks.
 *
 *   schema: northwall-cluster
 *   version: 1
 *   name: two-cores
 *   card:
 *     memory:
 *       bandwidth: {value: 24.1 GB/s, source: "measured 2026-11-21, n = 41, [23.8, 24.3]"}
 *   work:
 *     reduce: {value: 40 GB/s, source: "..."}
 *   links:                                    nearest tier first: shared memory, one node, between nodes
 *     - name: shm
 *       transfer: pull
 *       latency: {value: 0.05 us, source: "..."}
 *       bandwidth: {value: 18.2 GB/s, source: "..."}
 *
 * Every number has a unit and a source. Errors name file and line and what is valid there: the tables of keys and units
 * in cluster.c are the schema. A kind of work that is left out is taken from net_default. */
#ifndef PARTITION_CLUSTER_H
#define PARTITION_CLUSTER_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "collectives/price.h"

enum { CLUSTER_VERSION = 1, CLUSTER_SOURCE = 96 };

/* A number with its origin; value 0 and no source where the file has none. */
struct cluster_number {
    uint64_t value; /* ps, or B/s */
    char source[CLUSTER_SOURCE];
};

struct cluster {
    char name[64];
    struct cluster_number memory_Bps, memory_alone_Bps; /* of a rank, while all read; while the others wait */
    struct net net; /* a tier's source is that of its latency */
};

/* ERR_IO, ERR_FORMAT ("FILE:LINE: ...") or ERR_MEMORY. Local. */
int cluster_read(struct cluster *c, const char *path, struct diag *d);
/* The same from memory; path is for the text of errors. */
int cluster_parse(struct cluster *c, const char *path, const char *text, size_t len, struct diag *d);

#endif
