#include "topo_cores.h"

#include <hwloc/glibc-sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of NUMA nodes with the same CPUs, as memories of two kinds, the first. */
static int numa_of(hwloc_topology_t t, hwloc_obj_t core) {
    hwloc_obj_t o = NULL;
    while ((o = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, o)))
        if (hwloc_bitmap_intersects(o->cpuset, core->cpuset)) return (int)o->logical_index;
    return -1;
}

static int cache_of(hwloc_topology_t t, hwloc_obj_t core) {
    hwloc_obj_t o = hwloc_get_ancestor_obj_by_type(t, HWLOC_OBJ_L3CACHE, core);
    return o ? (int)o->logical_index : -1;
}

static void keep_core(struct topo_cores *all, const cpu_set_t *cpus, const cpu_set_t *node, int numa, int cache) {
    CPU_AND(&all->core[all->n], cpus, node);
    all->numa[all->n] = numa;
    all->cache[all->n] = cache;
    all->n += CPU_COUNT(&all->core[all->n]) > 0;
}

int topo_cores_read(struct topo_cores *all, hwloc_topology_t t, const cpu_set_t *node) {
    int n = t ? hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE) : 0;
    size_t most = (size_t)(n > CPU_SETSIZE ? n : CPU_SETSIZE);
    *all = (struct topo_cores){.machine = n,
                               .core = calloc(most, sizeof *all->core),
                               .numa = calloc(most, sizeof *all->numa),
                               .cache = calloc(most, sizeof *all->cache)};
    if (!all->core || !all->numa || !all->cache) return -1;
    for (int i = 0; i < n; i++) {
        cpu_set_t cpus;
        hwloc_obj_t core = hwloc_get_obj_by_type(t, HWLOC_OBJ_CORE, (unsigned)i);
        if (hwloc_cpuset_to_glibc_sched_affinity(t, core->cpuset, &cpus, sizeof cpus) == 0)
            keep_core(all, &cpus, node, numa_of(t, core), cache_of(t, core));
    }
    int unknown = !all->n;
    for (int i = 0; i < CPU_SETSIZE && unknown; i++) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(i, &one);
        keep_core(all, &one, node, -1, -1);
    }
    if (all->machine < all->n) all->machine = all->n;
    return 0;
}

void topo_cores_fini(struct topo_cores *all) {
    free(all->core);
    free(all->numa);
    free(all->cache);
    memset(all, 0, sizeof *all);
}

/* The numbers that `of` gives the cores that meet a set, as "0,2-3" behind `what`. */
static size_t list_numbers(const struct topo_cores *all, const int *of, const cpu_set_t *used, const char *what,
                           char *buf, size_t cap) {
    cpu_set_t numbers, both;
    CPU_ZERO(&numbers);
    for (int i = 0; i < all->n && of; i++) {
        CPU_AND(&both, &all->core[i], used);
        if (of[i] >= 0 && CPU_COUNT(&both)) CPU_SET((size_t)of[i], &numbers);
    }
    if (!CPU_COUNT(&numbers)) return 0;
    size_t at = (size_t)snprintf(buf, cap, "%s ", what);
    topo_list(&numbers, buf + at, cap - at);
    return strlen(buf);
}

void topo_near(const struct topo_cores *all, const cpu_set_t *used, char *buf, size_t cap) {
    buf[0] = 0;
    size_t at = list_numbers(all, all->numa, used, "NUMA", buf, cap / 2);
    list_numbers(all, all->cache, used, at ? ", L3" : "L3", buf + at, cap - at);
}
