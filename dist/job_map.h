/* job_map.h - where each rank of a plan is, or would be, and what that sends between nodes: --map, plan --hosts. All
 * functions are local. */
#ifndef DIST_JOB_MAP_H
#define DIST_JOB_MAP_H

#include <jansson.h>
#include <stdio.h>

#include "dist/topo.h"
#include "partition/map.h"

/* Where a rank is; "": not known. */
struct map_seat {
    char host[64];
    char cpus[64], near[48]; /* topo.h: "0,2-3" and "NUMA 0, L3 1" */
    enum topo_state state;
};

struct job_map {
    const struct plan *plan; /* borrowed */
    int chosen; /* 0: as launched was asked for */
    struct map map;
    int n_nodes; /* that share no memory */
    struct map_crossing launched, mapped; /* what one token of each replica sends */
    struct map_seat *seat; /* [map.n_procs], by rank, zero at first; those behind the plan's ranks have no part in it */
};

/* node[i]: of process i, the number of the node's first process; choose 0: as launched. Messages
 * between nodes are weighed on the last tier of `net` (NULL: net_default). Errors as map_choose; freed by job_map_fini,
 * also after one. */
int job_map_init(struct job_map *j, const struct plan *p, const int *node, int n_procs, int choose,
                 const struct net *net, struct diag *d);
void job_map_fini(struct job_map *j);

/* A row a rank (of many the first), then what crosses. */
void job_map_print(const struct job_map *j, FILE *out);
json_t *job_map_json(const struct job_map *j); /* NULL: no memory */

#endif
