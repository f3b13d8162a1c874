/* topo_cores.h - the cores of a machine as hwloc tells them. All functions are local. */
#ifndef DIST_TOPO_CORES_H
#define DIST_TOPO_CORES_H

#include <hwloc.h>

#include "dist/topo.h"

/* The cores among the CPUs of `node`, with their NUMA nodes and caches of the third level, as far as t has them; each
 * CPU is a core where nothing is known about cores (t may be NULL). 0, or -1: no memory. Freed by topo_cores_fini. */
int topo_cores_read(struct topo_cores *all, hwloc_topology_t t, const cpu_set_t *node);
void topo_cores_fini(struct topo_cores *all);

/* "NUMA 0, L3 1-2": where the cores of a set are; what is not known is left out. */
void topo_near(const struct topo_cores *all, const cpu_set_t *used, char *buf, size_t cap);

#endif
