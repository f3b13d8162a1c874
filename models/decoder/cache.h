/* cache.h - packed weights kept in a file (cache.c), as load.c uses it. */
#ifndef MODELS_DECODER_CACHE_H
#define MODELS_DECODER_CACHE_H

#include <stdatomic.h>

#include "priv.h"

struct cache {
    int on;
    int fd; /* of a file to read, or -1 */
    int replace; /* a damaged file bears the name */
    char *path;
    uint64_t key, expected;
    size_t bytes;
    const uint8_t *base; /* of the block of weights */
    _Atomic uint64_t sum; /* of what was filled so far: cache_sum of each piece at its offset, whatever their order */
    atomic_int failed;
};

/* Looks for the file of this shard; the block of weights must be there. g is NULL for synthetic weights. */
void cache_open(struct cache *c, struct decoder *dec, const struct gguf *g);
int cache_is_read(const struct cache *c);
/* Reads [at, at + bytes) of the block; failure is remembered. Threads may call it at once, as cache_count. */
void cache_fetch(struct cache *c, void *at, size_t bytes);
/* Adds a piece that was filled to the sum. Reader and writer must count the same pieces. */
void cache_count(struct cache *c, const void *at, size_t bytes);
/* After the last piece: was it what had been written? If not, the file is given up, and all must be filled again. */
int cache_read_ok(struct cache *c, struct decoder *dec);
void cache_store(struct cache *c, struct decoder *dec);
void cache_close(struct cache *c);

/* All of [from, from + bytes) of a file; -1 if that cannot be read. */
int pread_all(int fd, void *at, size_t bytes, uint64_t from);

/* A hash of bytes at the speed of memory. Any change within one 64-bit word changes it. */
uint64_t cache_sum(const void *at, size_t bytes, uint64_t seed);

#endif
