/* energy.h - joules from the processor's own counters (Linux powercap, RAPL packages), where they can be read.
 *
 * A counter wraps at max_energy_range_uj; two readings less than one wrap apart (minutes at hundreds of watts) give the
 * energy between them. DRAM is counted where it is a domain of its own at package level. */
#ifndef DIST_ENERGY_H
#define DIST_ENERGY_H

#include <stdint.h>

enum { ENERGY_MAX_DOMAINS = 32 };

struct energy_meter {
    int n;
    char path[ENERGY_MAX_DOMAINS][160];
    uint64_t range_uj[ENERGY_MAX_DOMAINS];
    uint64_t last_uj[ENERGY_MAX_DOMAINS];
    double joules; /* since energy_start */
};

/* Finds readable package domains under root (NULL: /sys/class/powercap). Returns their number; 0: not measurable here.
 */
int energy_open(struct energy_meter *m, const char *root);
/* Begins counting, or adds what has gone by since the last call; the sum is in m->joules. 0, or -1 if a counter can
 * no longer be read. */
int energy_start(struct energy_meter *m);
int energy_update(struct energy_meter *m);

#endif
