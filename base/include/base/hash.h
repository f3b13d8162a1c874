/* hash.h - 64-bit hashes and counter-based random numbers: the same on every machine. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* splitmix64's finalizer: a bijection that mixes all bits. */
static inline uint64_t hash_mix(uint64_t x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* FNV-1a over bytes, started from `seed` (0 for the standard basis). */
uint64_t hash_bytes(const void *data, size_t n, uint64_t seed);

/* Hash of floats by position that does not depend on how they are split: the sum over i of mix(first + i, bits of
 * v[i]), modulo 2^64. Adding the hashes of disjoint ranges gives the hash of their union. -0 and NaN count by their
 * bits. */
uint64_t hash_floats(const float *v, size_t n, uint64_t first);

/* The n-th number of stream `key`, in [0, 1) with 24 bits, or as 64 bits. */
static inline uint64_t rng_u64(uint64_t key, uint64_t n) {
    return hash_mix(key + (n + 1) * 0x9e3779b97f4a7c15u);
}
static inline float rng_unit(uint64_t key, uint64_t n) {
    return (float)(rng_u64(key, n) >> 40) * 0x1p-24f;
}

#endif
