/* probe.h - what the memory under this rank gives right now. */
#ifndef DIST_PROBE_H
#define DIST_PROBE_H

#include <stddef.h>

struct probe {
    unsigned char *buf;
    size_t bytes;
    int huge; /* madvise took the wish for transparent huge pages; the system may still give others */
};

/* Allocates a buffer of `bytes` (should exceed the last-level cache); each of `threads` OpenMP threads touches the part
 * that it will read, so that it lies near its core. 0 or -1. Local. */
int probe_init(struct probe *p, size_t bytes, int threads);
void probe_fini(struct probe *p);

/* Reads the whole buffer once with 1, 4 and 8 streams, `threads` OpenMP threads; the best of the three in bytes a
 * second; *streams says which. Local; takes three passes over the buffer. */
double probe_read_Bps(const struct probe *p, int threads, int *streams);

#endif
