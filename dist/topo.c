#include "dist/topo.h"

#include <hwloc.h>

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
