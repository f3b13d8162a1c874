/* hosts.h - an Open MPI host file: a host a line, as many processes as it has slots.
 *
 *   node1 slots=4 max_slots=8     # a name that comes again adds its slots
 *
 * All functions are local. */
#ifndef DIST_HOSTS_H
#define DIST_HOSTS_H

#include <stddef.h>

#include "base/diag.h"

enum { HOSTS_NAME = 64, HOSTS_MOST = 4096, HOSTS_MOST_SLOTS = 65536 /* of all hosts */ };

struct host {
    char name[HOSTS_NAME];
    int slots;
};

struct hosts {
    struct host *host;
    int n, n_slots; /* of all hosts */
};

/* ERR_USAGE names file, line and what is expected there; so does a file without hosts. hosts_fini also after an error.
 */
int hosts_parse(struct hosts *out, const char *path, const char *text, size_t size, struct diag *d);
/* The file at path. ERR_IO, ERR_MEMORY too. */
int hosts_read(struct hosts *out, const char *path, struct diag *d);
void hosts_fini(struct hosts *h);

/* host[i]: of process i of n, where hosts are filled one after the other (mpirun --map-by slot). n <= n_slots. */
void hosts_deal(const struct hosts *h, int n, int *host);

#endif
