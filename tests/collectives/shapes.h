/* shapes.h - ownerships of leaves and leaf values for the tests of collectives. */
#ifndef TESTS_COLLECTIVES_SHAPES_H
#define TESTS_COLLECTIVES_SHAPES_H

#include <float.h>
#include <math.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/pairtree.h"
#include "collectives/sched.h"

enum { MAX_RANKS = 64, OWNERSHIPS = 5 };

static inline int random_below(uint64_t key, uint64_t *n, int below) {
    return (int)(rng_u64(key, (*n)++) % (uint64_t)below);
}

/* Fills begin[0..size]: even, reversed remainders, all leaves on one rank, or random cuts (many of them empty). */
static inline void own_leaves(int *begin, int size, int n_leaves, int kind, uint64_t key) {
    uint64_t n = 0;
    int lone = random_below(key, &n, size);
    for (int r = 0; r <= size; r++) {
        switch (kind) {
        case 0: begin[r] = (int)((long)r * n_leaves / size); break;
        case 1: begin[r] = n_leaves - (int)((long)(size - r) * n_leaves / size); break;
        case 2: begin[r] = r <= lone ? 0 : n_leaves; break;
        default: begin[r] = r == 0 ? 0 : r == size ? n_leaves : random_below(key, &n, n_leaves + 1); break;
        }
    }
    for (int r = 1; r < size && kind > 2; r++) /* sort the cuts */
        for (int k = r; k > 1 && begin[k] < begin[k - 1]; k--) {
            int t = begin[k];
            begin[k] = begin[k - 1];
            begin[k - 1] = t;
        }
}

enum { VALUE_KINDS = 4 };

/* Value of a leaf for one element. Kind 1 (after MPICH's allred_float): BIG and -BIG somewhere, TINY elsewhere, so that
 * the order of the sum decides what is left. */
static inline float leaf_value(int kind, uint64_t element, int leaf, int n_leaves) {
    static const float special[] = {0.0f, -0.0f, FLT_MIN / 4, -FLT_MIN / 8, FLT_MAX, -FLT_MAX, INFINITY, 1.0f};
    uint64_t r = rng_u64(element * 31 + (uint64_t)kind, (uint64_t)leaf);
    uint64_t pair = hash_mix(element + 7);
    int big = (int)(pair % (uint64_t)n_leaves), minus = (int)((pair >> 32) % (uint64_t)n_leaves);
    switch (kind) {
    case 0: return 2 * rng_unit(element, (uint64_t)leaf) - 1;
    case 1: return leaf == big ? 1e30f : leaf == minus ? -1e30f : 1e-3f * (float)(1 + leaf % 7);
    case 2: return ldexpf(2 * rng_unit(element, (uint64_t)leaf) - 1, (int)(r % 60) - 30);
    default: return special[(r >> 20) % (sizeof special / sizeof special[0])];
    }
}

/* The canonical sum by its definition, without lists or stacks: part i of 2^depth equal parts of the leaves is the sum
 * of its halves, or the half that holds a leaf. */
static inline float tree_part(const float *leaf, int n_leaves, long parts, long i) {
    int begin = (int)(i * n_leaves / parts), end = (int)((i + 1) * n_leaves / parts);
    int middle = (int)((2 * i + 1) * n_leaves / (2 * parts));
    if (end - begin == 1) return leaf[begin];
    if (middle == begin) return tree_part(leaf, n_leaves, 2 * parts, 2 * i + 1);
    if (middle == end) return tree_part(leaf, n_leaves, 2 * parts, 2 * i);
    return tree_part(leaf, n_leaves, 2 * parts, 2 * i) + tree_part(leaf, n_leaves, 2 * parts, 2 * i + 1);
}

static inline float tree_sum(const float *leaf, int n_leaves) {
    return tree_part(leaf, n_leaves, 1, 0);
}

#endif
