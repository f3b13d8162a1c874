/* cluster.h - a described or measured machine: its cards, their host, and the links among them.
 *
 *   schema: northwall-cluster
 *   version: 1
 *   name: two-cards
 *   cards: 2                                  left out: as many as asked
 *   card:
 *     name: card
 *     memory:
 *       levels:                               innermost first: 1 to 4
 *         - {name: HBM, capacity: {value: 80 GB, source: "..."}, bandwidth: {value: 3.35 TB/s, source: "data sheet"}}
 *     rates:
 *       float: {value: 989.4 Top/s, source: "..."}
 *   work:
 *     reduce: {value: 40 GB/s, source: "..."}
 *   links:                                    nearest tier first: PCIe switch, server, rack
 *     - name: switch
 *       transfer: push
 *       joins: 2                              cards 0 and 1, 2 and 3, ...; the last tier may leave it out: all
 *       latency: {value: 0.5 us, source: "measured 2026-11-21, n = 41, [0.48, 0.52]"}
 *       bandwidth: {value: 18.2 GB/s, source: "..."}
 *
 * docs/CLUSTERS.md has all keys. A measured machine has card: memory: bandwidth, which its ranks share, and no levels.
 * Every number has a unit and a source. Errors name file and line and what is valid there: the tables of keys and units
 * in cluster.c are the schema. A kind of work that a measured machine leaves out is taken from net_default. */
#ifndef PARTITION_CLUSTER_H
#define PARTITION_CLUSTER_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "collectives/price.h"
#include "partition/card.h"

enum { CLUSTER_VERSION = 1, CLUSTER_SOURCE = 192, CLUSTER_EXCEPTIONS = 64 };

/* A number with its origin; value 0 and no source where the file has none. */
struct cluster_number {
    uint64_t value; /* ps, or B/s */
    char source[CLUSTER_SOURCE];
};

/* Cards in a row that are not as fast as the others. */
struct cluster_exception {
    int first, last;
    uint64_t speed; /* of their steps, in millionths of the described card's */
};

struct cluster {
    char name[64];
    struct cluster_number memory_Bps, memory_alone_Bps; /* of a rank, while all read; while the others wait */
    struct card card; /* without levels: only what is measured is known */
    int n_cards; /* 0: as many as asked */
    int n_exceptions; /* of several that name a card the last one counts */
    struct cluster_exception exception[CLUSTER_EXCEPTIONS];
    int has_host;
    struct card host; /* a named one; without levels it has overheads and power alone */
    struct net net; /* a tier's source is the beginning of its latency's */
    int joins[NET_MAX_TIERS]; /* cards in a row that a tier joins; 0: all */
    double link_pJ_per_B[NET_MAX_TIERS];
};

/* ERR_IO, ERR_FORMAT ("FILE:LINE: ...") or ERR_MEMORY. Local. */
int cluster_read(struct cluster *c, const char *path, struct diag *d);
/* The same from memory; path is for the text of errors. */
int cluster_parse(struct cluster *c, const char *path, const char *text, size_t len, struct diag *d);

/* Whether its card is described: cards of it can be simulated. */
int cluster_has_card(const struct cluster *c);
/* Cards such as "3-5,9" are exceptions of that speed from here on. Nonzero: not such a text, or beyond n_cards, or too
 * many. */
int cluster_except(struct cluster *c, const char *cards, uint64_t speed);
/* How long a card's steps take, as a part of the described ones' time. */
struct pico_rate cluster_slow(const struct cluster *c, int card);
/* Makes all its links private: a bound where cards share them. */
void cluster_set_apart(struct cluster *c);
/* The tier that joins two cards: the first whose groups of `joins` cards hold both. */
int cluster_tier(const struct cluster *c, int card_a, int card_b);

#endif
