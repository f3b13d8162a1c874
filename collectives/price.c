/* price.c - described links. */
#include "collectives/price.h"

/* Bandwidths of one core copying what another has written, and of 10 GbE-class messages; latencies of hand-offs within
 * a socket, of two copies through shared memory, and of a network. */
const struct net net_default = {
    .n_tiers = 3,
    .tier = {{"shm", "assumed", {1, 100 * PICO_PER_NS, 20 * PICO_PER_NS, 20 * PICO_PER_NS, 0, {50, 1}}},
             {"mpi", "assumed", {0, 500 * PICO_PER_NS, 300 * PICO_PER_NS, 300 * PICO_PER_NS, 0, {200, 1}}},
             {"net", "assumed", {0, 10 * PICO_PER_US, 1 * PICO_PER_US, 1 * PICO_PER_US, 0, {800, 1}}}},
    .gamma = {10, 1},
    .copy = {10, 1},
    .codec = {200, 1},
};
