/* map.h - which plan rank each process of a job takes, so that as little as can be crosses between its nodes.
 *
 *   struct map_traffic t;   map_traffic_init(&t, plan, NULL, &d);
 *   map_choose(&m, &t, node, n_procs, &net.tier[net.n_tiers - 1].link, &d);     m.rank[process]
 *   map_count(&crosses, &t, m.node);
 *   map_fini(&m); map_traffic_fini(&t);
 *
 * What is counted are the messages of one decode step of one sequence in each replica: hidden states, sampled tokens,
 * and the sends of every collective, as the plan has them. All functions are local and pure: the same on every rank. */
#ifndef PARTITION_MAP_H
#define PARTITION_MAP_H

#include "partition/plan.h"

/* What one rank of the plan sends another in such a step. */
struct map_edge {
    int to;
    int64_t messages, bytes;
};

struct map_traffic {
    const struct plan *plan; /* borrowed */
    int n; /* ranks of the plan */
    int *begin; /* [n+1]: the edges of rank r, by receiver, are [begin[r], begin[r+1]) */
    struct map_edge *edge;
};

/* node[r]: node of plan rank r, which algorithms of two levels ask for; NULL: all on one. The MPI library's own
 * all-reduce does not tell what it sends: ERR_UNSUPPORTED. Freed by map_traffic_fini, also after an error. */
int map_traffic_init(struct map_traffic *t, const struct plan *p, const int *node, struct diag *d);
void map_traffic_fini(struct map_traffic *t);

/* Of all replicas together. */
struct map_crossing {
    int64_t messages, bytes; /* between nodes */
    int64_t all_messages, all_bytes;
};
/* node[r]: of plan rank r. */
void map_count(struct map_crossing *out, const struct map_traffic *t, const int *node);

struct map {
    int n_procs, n_ranks;
    int *rank; /* [n_procs]: of a process; those without a part have the numbers from n_ranks on */
    int *process; /* [n_procs]: the other way round */
    int *node; /* [n_ranks]: of a plan rank */
    int changed; /* 0: process i has rank i, as launched */
    int least; /* 1: no map costs less (all were looked at, or ruled out) */
    uint64_t launched_ps, grown_ps, ps; /* what the map costs as launched, by heuristics alone, and as it is */
};

/* node[i]: of process i, the number of the node's first process. A map costs what its messages between nodes take one
 * after the other on `between`: overhead, latency and bytes. The cheapest one found is taken; process 0 keeps rank 0,
 * and all keep theirs where nothing is cheaper. The ranks of a node go to its processes in order. ERR_PLAN for fewer
 * processes than ranks, ERR_MEMORY; freed by map_fini. */
int map_choose(struct map *out, const struct map_traffic *t, const int *node, int n_procs,
               const struct net_link *between, struct diag *d);
/* As launched: process i has rank i. */
int map_launched(struct map *out, const struct map_traffic *t, const int *node, int n_procs, struct diag *d);
void map_fini(struct map *m);

#endif
