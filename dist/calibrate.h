/* calibrate.h - what this machine's links, memory and cores give: measured until it is known well enough. */
#ifndef DIST_CALIBRATE_H
#define DIST_CALIBRATE_H

#include "base/stats.h"
#include "dist/app.h"
#include "exchange.h"
#include "unequal.h"

enum { CALIBRATE_FIGURES = 128, CALIBRATE_SAMPLES = 301 };

/* A measured number: medians of samples, each taken on the ranks that it concerns; known on rank 0. */
struct figure {
    char name[48];
    const char *kind, *unit;
    struct stats_median s;
    const char *ended; /* why sampling ended */
};

/* Exchanges between steps (exchange.h): for each place the figure without, then one a size. sizes 0: not measured. */
struct calibrated_exchange {
    int bare; /* by itself, at no bytes (ns); then ps a byte: half a round trip, or over shared memory a one-shot */
    int first, places, sizes;
    const size_t *bytes;
};

/* Figures that belong to a tier of messages, as indices; -1: not measured. */
struct calibrated_tier {
    const char *name; /* "mpi", "net" */
    int a, b; /* the ranks that it was measured between */
    int send, recv, gap; /* overheads, gap between messages */
    int sum; /* a one-shot all-reduce of these two by itself, at no bytes; then ps a byte */
    int off; /* greatest error of one line through half round trips, % */
    int is_slow; /* a short message takes longer than a short step */
    struct calibrated_exchange exchange;
};

struct calibration {
    struct app *app;
    double budget_s; /* for each group of figures */
    int n;
    struct figure figure[CALIBRATE_FIGURES];
    int hand_off, hand_off_after; /* of the first neighbours that share memory; again when links have been measured */
    struct calibrated_exchange shm_exchange; /* all-reduces of two ranks */
    int a, b; /* between these ranks */
    int n_unequal; /* groups of ranks that read faster than the slowest, whose figures all others are */
    struct unequal unequal[UNEQUAL_MOST];
    double rank0_speed; /* beside the slowest: 1 where ranks are alike */
    int together, alone; /* read bandwidth: of the slowest rank while all read; of rank 0 alone */
    int cache; /* of the slowest rank's share of the last-level cache while all read theirs, or -1 */
    size_t cache_bytes, memory_bytes; /* a rank's share of them; 0: the system does not tell */
    int per_node; /* ranks of each node, one after the other; 0: they are not */
    int per_machine; /* ranks of rank 0's machine, in however many containers */
    int rate[PREC_COUNT]; /* 10^9 op/s of the slowest rank's kernels while all compute */
    int reduce, copy, codec; /* ps a byte */
    int steps; /* bandwidth of products from the cache, from memory, from memory alone; then of a pass, of a token in
                  and of one out the overhead (ns) */
    int step[STEP_COUNT][2]; /* of a kind of step: overhead (ns), efficiency; -1: it has none of its own */
    int n_tiers;
    struct calibrated_tier tier[2];
    double other_load, stolen; /* shares of the node's processor time that others used, that a hypervisor took */
};

/* Collective over app->world; the result is rank 0's. Takes about `seconds`. */
int calibrate(struct calibration *c, struct app *app, double seconds, struct diag *d);

/* The line through the medians of exchanges between steps, what is summed left out; returns the number of points. Rank
 * 0. */
int calibrate_line(const struct calibration *c, const struct calibrated_exchange *x, struct exchange_line *out);

/* Writes the cluster that the figures describe, as partition/cluster.h reads it. 0 or ERR_IO. Rank 0. */
int calibrate_write(const struct calibration *c, const char *path, struct diag *d);

#endif
