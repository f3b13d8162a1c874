/* topo_tree.h - a node of the machine as hwloc sees it, with the ranks drawn in, and what is wrong with where they are.
 * All functions are local. */
#ifndef DIST_TOPO_TREE_H
#define DIST_TOPO_TREE_H

#include <hwloc.h>
#include <jansson.h>
#include <stdio.h>

#include "dist/topo.h"

/* Where one rank runs. */
struct topo_seat {
    char host[64];
    int node, threads; /* node: world rank of its first rank */
    enum topo_state state;
    cpu_set_t allowed, used; /* what the launcher gave it; what its threads run on */
};

/* This machine with caches, memory and network devices. NULL: hwloc cannot tell. hwloc_topology_destroy. */
hwloc_topology_t topo_tree_open(void);

/* Packages, NUMA nodes, caches, cores with their CPUs and the ranks whose threads run there, network devices; a line
 * each, levels with one child in one line. Ranks that are not bound to cores of their own stand below. */
void topo_tree_print(FILE *out, hwloc_topology_t t, const struct topo_seat *seat, int size, int node);

/* What slows these ranks down, and what to start them with instead: a sentence each. *out: an array of strings; NULL:
 * no memory. */
json_t *topo_tree_warnings(hwloc_topology_t t, const struct topo_seat *seat, int size, int node);

#endif
