/* virtual_energy.h - what a job takes on a described cluster, by term. Everything here is modelled: bytes, operations
 * and seconds of the plan's passes times the numbers of the cluster file.
 *
 *   idle       idle power of every card x the whole job, those that wait in a pipeline included
 *   active     (active - idle power) x the time in which a card's steps read or compute
 *   weights, cache, operations     bytes read of a level x its pJ/B; operations x pJ/op
 *   links      bytes sent over a tier x its pJ/B
 *   host       a host rank's powers, bytes and operations; zero without one
 *
 * A file that gives measured power (idle = active, no energies) has all of it in the first term. */
#ifndef DIST_VIRTUAL_ENERGY_H
#define DIST_VIRTUAL_ENERGY_H

#include "dist/virtual.h"

struct virtual_energy {
    double idle_J, active_J, weights_J, cache_J, ops_J, links_J; /* of the cards */
    double host_J; /* all of the hosts */
};

/* trace[replica]; total_ps: the whole job; ranks[n_ranks]: of each rank by itself, may be NULL. ERR_MEMORY, or ERR_PLAN
 * where the plan does not fit. Local. */
int virtual_energy(struct virtual_energy *out, struct virtual_energy *ranks, const struct plan *p,
                   const struct cluster *c, const struct trace *trace, uint64_t total_ps, struct diag *d);
/* Of the cards, without host. */
double virtual_energy_sum(const struct virtual_energy *e);

#endif
