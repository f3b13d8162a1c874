/* topo.h - the cores that the ranks of a node may use, and which of them each thread runs on.
 *
 *   topo_bind(&app->place, app->world, app->node, threads, 1, &d);      collective, before weights are touched
 *
 * Threads that stay on a core of their own find the memory that they touched first near it. Nothing is bound where the
 * ranks of a node have more threads than it has cores, nor outside what a launcher (mpirun, taskset, a container) gave
 * to the process. */
#ifndef DIST_TOPO_H
#define DIST_TOPO_H

#include <sched.h>

#include "base/diag.h"
#include "collectives/link.h"

enum { TOPO_MAX_THREADS = 1024 }; /* of a rank */

/* Why threads are bound or not; the texts follow a list of CPUs. */
#define TOPO_STATES(X)                                                                                                 \
    X(TOPO_BOUND, "one for each thread")                                                                               \
    X(TOPO_OFF, "not bound: --bind off")                                                                               \
    X(TOPO_FULL, "not bound: more threads than cores")                                                                 \
    X(TOPO_NARROW, "not bound: the launcher gave this rank fewer cores than it has threads")                           \
    X(TOPO_OVERLAP, "not bound: the launcher gave ranks cores that overlap in part")                                   \
    X(TOPO_OPENMP, "bound as OMP_PROC_BIND says")                                                                      \
    X(TOPO_REFUSED, "not bound: the system refused")
enum topo_state {
#define X(name, text) name,
    TOPO_STATES(X)
#undef X
};
const char *topo_text(enum topo_state s);

/* The cores that a node's ranks may use. */
struct topo_cores {
    int machine; /* cores that the node has, whether or not a launcher left them out */
    int n;
    cpu_set_t *core; /* its usable CPUs; in the order of the machine, so that neighbours share caches and memory */
    int *numa, *cache; /* number of the NUMA node and L3 cache of each, -1: not known; NULL: all are in one */
};

/* What one rank of a node was given, and wants. */
struct topo_rank {
    cpu_set_t allowed;
    int node, threads, bind;
};

/* Which core each thread of rank `me` gets, among n ranks of one node; core[] is filled if TOPO_BOUND. Ranks that were
 * given the same cores are dealt to its NUMA nodes, in order, and there to its L3 caches, in proportion to the cores
 * that each has: a rank lies in one NUMA node, and in one cache where there are at least as many ranks as caches, if
 * that can be; threads spread evenly over the cores of a cache. A lone thread stays at `here` (a CPU, or -1: not
 * known). The same on all ranks that pass the same. Local, pure but for memory: TOPO_REFUSED without. */
enum topo_state topo_choose(const struct topo_cores *all, const struct topo_rank *rank, int n, int me, int here,
                            int core[TOPO_MAX_THREADS]);

/* Where a rank runs. */
struct topo_place {
    int cores; /* of its node, that the node's ranks may use together */
    enum topo_state state;
    char list[64]; /* CPUs: "0,2-3" */
    char near[48]; /* "NUMA 0, L3 1"; "": not known */
    cpu_set_t used; /* the same */
    cpu_set_t allowed; /* what the launcher gave it: for threads that do not compute */
};

/* Finds the cores, and binds this rank's OpenMP threads if `bind` is not 0. A rank whose launcher gave it fewer cores
 * than threads keeps them all the same; *narrow counts such ranks. node is the same for the ranks of a node. An error
 * is a lack of memory. Collective over the link. */
int topo_bind(struct topo_place *out, struct link *l, int node, int threads, int bind, int *narrow, struct diag *d);

/* "0,2-3" for a set of CPUs, cut short with "..." where it does not fit. Local. */
void topo_list(const cpu_set_t *set, char *buf, size_t cap);

/* Bytes of one last-level cache, as this rank's cores see it; 0 where the system does not tell. Local. */
size_t topo_last_level_cache_bytes(void);

/* Bytes of this node's memory; 0 where the system does not tell. Local. */
size_t topo_memory_bytes(void);

#endif
