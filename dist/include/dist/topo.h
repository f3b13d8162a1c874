/* topo.h - what hwloc says of the machine under this rank. */
#ifndef DIST_TOPO_H
#define DIST_TOPO_H

#include <stddef.h>

/* Bytes of one last-level cache, as this rank's cores see it; 0 where the system does not tell. Local. */
size_t topo_last_level_cache_bytes(void);

#endif
