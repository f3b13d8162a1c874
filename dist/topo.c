#include "dist/topo.h"

#include <hwloc.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/agree.h"
#include "topo_cores.h"

const char *topo_text(enum topo_state s) {
    static const char *const texts[] = {
#define X(name, text) text,
        TOPO_STATES(X)
#undef X
    };
    return texts[s];
}

void topo_list(const cpu_set_t *set, char *buf, size_t cap) {
    size_t at = 0;
    buf[0] = 0;
    for (int first = 0; first < CPU_SETSIZE; first++) {
        int last = first;
        char one[32];
        if (!CPU_ISSET(first, set)) continue;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
            last++;
        size_t n = (size_t)snprintf(one, sizeof one, last > first ? "%s%d-%d" : "%s%d", at ? "," : "", first, last);
        if (at + n + sizeof "..." > cap) {
            snprintf(buf + at, cap - at, "...");
            return;
        }
        memcpy(buf + at, one, n + 1);
        at += n;
        first = last;
    }
}

/* ---- what the machine has ---- */

/* Objects of two kinds alone: looking for devices takes longer than all the rest. NULL: hwloc cannot tell. */
static hwloc_topology_t topology_open(hwloc_obj_type_t kind, hwloc_obj_type_t other) {
    hwloc_topology_t t;
    if (hwloc_topology_init(&t)) return NULL;
    hwloc_topology_set_all_types_filter(t, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(t, kind, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_type_filter(t, other, HWLOC_TYPE_FILTER_KEEP_ALL);
    if (hwloc_topology_load(t) == 0) return t;
    hwloc_topology_destroy(t);
    return NULL;
}

/* Cores, NUMA nodes and caches of the third level. */
static int find_cores(struct topo_cores *all, const cpu_set_t *node) {
    hwloc_topology_t t = topology_open(HWLOC_OBJ_CORE, HWLOC_OBJ_L3CACHE);
    int rc = topo_cores_read(all, t, node);
    if (t) hwloc_topology_destroy(t);
    return rc;
}

/* ---- binding ---- */

/* Each thread binds itself; libgomp and libomp keep the threads of a team for the next one of its size. */
static int bind_threads(const struct topo_cores *all, const struct topo_rank *me, const int *core, cpu_set_t *used) {
    int failed = 0;
    CPU_ZERO(used);
#pragma omp parallel num_threads(me->threads) reduction(| : failed)
    {
        cpu_set_t cpus;
        int t = omp_get_thread_num();
        CPU_AND(&cpus, &all->core[core[t]], &me->allowed);
        failed |= omp_get_num_threads() != me->threads || sched_setaffinity(0, sizeof cpus, &cpus) != 0;
#pragma omp critical(topo_used)
        CPU_OR(used, used, &cpus);
    }
    return failed;
}

static void unbind_threads(const struct topo_rank *me) {
#pragma omp parallel num_threads(me->threads)
    (void)sched_setaffinity(0, sizeof me->allowed, &me->allowed);
}

static struct topo_rank rank_here(int node, int threads, int bind) {
    struct topo_rank me = {
        .node = node, .threads = threads < TOPO_MAX_THREADS ? threads : TOPO_MAX_THREADS, .bind = bind};
    if (sched_getaffinity(0, sizeof me.allowed, &me.allowed) == 0) return me;
    CPU_ZERO(&me.allowed);
    CPU_SET(0, &me.allowed);
    return me;
}

/* The ranks of this node, in front of the list; their number, this rank's place among them, and the CPUs of all. */
static int keep_node(struct topo_rank *rank, int size, int node, int my_rank, int *me, cpu_set_t *cpus) {
    int n = 0;
    CPU_ZERO(cpus);
    for (int i = 0; i < size; i++) {
        if (rank[i].node != node) continue;
        if (i == my_rank) *me = n;
        CPU_OR(cpus, cpus, &rank[i].allowed);
        rank[n++] = rank[i];
    }
    return n;
}

static void place_rank(struct topo_place *out, const struct topo_cores *all, const struct topo_rank *rank, int n,
                       int me) {
    int core[TOPO_MAX_THREADS];
    cpu_set_t used = rank[me].allowed;
    out->cores = all->n;
    out->allowed = rank[me].allowed;
    out->state = topo_choose(all, rank, n, me, sched_getcpu(), core);
    if (out->state != TOPO_OFF && omp_get_proc_bind() != omp_proc_bind_false) out->state = TOPO_OPENMP;
    if (out->state == TOPO_BOUND && bind_threads(all, &rank[me], core, &used)) {
        unbind_threads(&rank[me]);
        used = rank[me].allowed;
        out->state = TOPO_REFUSED;
    }
    out->used = used;
    topo_list(&used, out->list, sizeof out->list);
    topo_near(all, &used, out->near, sizeof out->near);
}

int topo_bind(struct topo_place *out, struct link *l, int node, int threads, int bind, int *narrow, struct diag *d) {
    struct topo_rank mine = rank_here(node, threads, bind), *rank = malloc((size_t)l->size * sizeof *rank);
    struct topo_cores all = {0};
    cpu_set_t cpus;
    int me = 0;
    *out = (struct topo_place){.cores = 1};
    int rc = err_agree(l, rank ? 0 : diag_set(d, ERR_MEMORY, "no memory for the table of ranks"), d);
    if (!rc) agree_allgather(l, &mine, sizeof mine, rank);
    int n = rc ? 0 : keep_node(rank, l->size, node, l->rank, &me, &cpus);
    if (!rc && find_cores(&all, &cpus)) rc = diag_set(d, ERR_MEMORY, "no memory for the table of cores");
    rc = err_agree(l, rc, d);
    if (!rc) place_rank(out, &all, rank, n, me);
    if (!rc) *narrow = (int)agree_sum(l, out->state == TOPO_NARROW);
    topo_cores_fini(&all);
    free(rank);
    return rc;
}

/* Asked once: reading the topology takes milliseconds. */
size_t topo_last_level_cache_bytes(void) {
    static const hwloc_obj_type_t levels[] = {HWLOC_OBJ_L5CACHE, HWLOC_OBJ_L4CACHE, HWLOC_OBJ_L3CACHE,
                                              HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L1CACHE};
    static size_t bytes;
    static int asked;
    hwloc_topology_t topo;
    if (asked++ || hwloc_topology_init(&topo) != 0) return bytes;
    if (hwloc_topology_load(topo) == 0)
        for (size_t i = 0; i < sizeof levels / sizeof *levels && !bytes; i++) {
            hwloc_obj_t cache = hwloc_get_obj_by_type(topo, levels[i], 0);
            if (cache) bytes = (size_t)cache->attr->cache.size;
        }
    hwloc_topology_destroy(topo);
    return bytes;
}

size_t topo_memory_bytes(void) {
    hwloc_topology_t topo = topology_open(HWLOC_OBJ_NUMANODE, HWLOC_OBJ_NUMANODE);
    size_t bytes = topo ? (size_t)hwloc_get_root_obj(topo)->total_memory : 0;
    if (topo) hwloc_topology_destroy(topo);
    return bytes;
}
